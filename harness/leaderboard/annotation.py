"""Annotation time from published labelling costs.

Per-image costs on PASCAL VOC 2012 (20 classes; on average 1.5 classes and 2.8 objects an image):

* image tags 20.0 s (1 s for each class), points 22.1 s, full masks 239.7 s: Bearman et al., What's the Point: Semantic
  Segmentation with Point Supervision, ECCV 2016. A mask is 79 s an object after 18.5 s for the absent classes.
* boxes 38.1 s: the same accounting (18.5 s + 2.8 objects) with 7 s a box, the time that Papadopoulos et al., Extreme
  Clicking for Efficient Object Annotation, ICCV 2017, measured.
* saliency maps come from a model that is trained elsewhere: no further human time here, and the letter S says so.

On other data sets tags cost 1 s for each foreground class; for the rest the VOC costs stand in. Masks of an auxiliary
data set have no cost here that could be counted: the result is ``None``.
"""

from __future__ import annotations

import re

from harness.contract.supervision import Supervision

_ABSENT_CLASSES_SECONDS = 18.5
_OBJECTS = 2.8
_BOX_SECONDS = 7.0

SECONDS_PER_TAG = 1.0
SECONDS_PER_IMAGE = {
    Supervision.SALIENCY: 0.0,
    Supervision.POINTS: 22.1,
    Supervision.BOXES: _ABSENT_CLASSES_SECONDS + _OBJECTS * _BOX_SECONDS,
    Supervision.MASKS: 239.7,
}

NOTE = (
    "Annotation hours are published costs on PASCAL VOC times training images: tags 1 s a class, points 22.1 s and "
    "masks 239.7 s an image (Bearman et al., ECCV 2016), boxes 38.1 s an image (7 s a box, Papadopoulos et al., "
    "ICCV 2017), saliency 0."
)

_NEED = re.compile(r"(?P<letter>[A-Z])(?:(?P<percent>[\d.e-]+)%)?(?P<auxiliary>\(aux\))?")


def annotation_hours(supervision: str, *, images: int, classes: int) -> float | None:
    """Hours that the supervision of the training images costs.

    Args:
        supervision: As ``harness.contract.letters`` writes it, for example ``B+F18%`` or ``none``.
        images: Training images.
        classes: Classes including background.

    Returns:
        Hours, or ``None`` where a kind has no published cost or belongs to an auxiliary data set.
    """
    kinds = {kind.letter: kind for kind in Supervision}
    shares: dict[Supervision, float] = {}
    for part in [] if supervision == "none" else supervision.split("+"):
        need = _NEED.fullmatch(part)
        if need is None or need["auxiliary"] or need["letter"] not in kinds:
            return None
        shares[kinds[need["letter"]]] = float(need["percent"] or 100) / 100
    return images * sum(share * _seconds(kind, classes, shares) for kind, share in shares.items()) / 3600


def _seconds(kind: Supervision, classes: int, shares: dict[Supervision, float]) -> float:
    """Seconds an image; tags are free where every image has a label that names its classes anyway."""
    if kind is not Supervision.TAGS:
        return SECONDS_PER_IMAGE[kind]
    named = any(shares.get(other) == 1.0 for other in (Supervision.BOXES, Supervision.POINTS, Supervision.MASKS))
    return 0.0 if named else SECONDS_PER_TAG * (classes - 1)
