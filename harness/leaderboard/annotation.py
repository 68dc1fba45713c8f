"""Annotation time from published labelling costs.

Costs are those of the table of supervision kinds (``harness.contract.supervision``), measured on PASCAL VOC 2012: 20
classes, on average 1.5 of them and 2.8 objects in an image. Saliency maps come from a model that is trained elsewhere:
no further human time here, and the letter S says so.

On other data sets tags cost 1 s for each foreground class; for the rest the VOC costs stand in. Masks of an auxiliary
data set have no cost here that could be counted, nor have boxes, points and scribbles that are made from masks,
nor kinds without a published cost: the result is ``None``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from harness.contract.supervision import Supervision

if TYPE_CHECKING:
    from harness.contract.run_record import TagNoise

_NEED = re.compile(r"(?P<letter>[A-Z][a-z]*)(?:(?P<percent>\d[\d.e-]*)%)?(?P<auxiliary>\(aux\))?")


def note() -> str:
    """What stands under a table with annotation hours, the costs of each source together.

    For example ``tags 1 s a class, points 22.1 s and masks 239.7 s an image (Bearman et al.)``.
    """
    priced = [(kind, kind.price) for kind in Supervision if kind.price is not None]
    parts = []
    for source in dict.fromkeys(price.source for _, price in priced if price.source):
        by_unit: dict[str, list[str]] = {"a class": [], "an image": []}
        for kind, price in priced:
            if price.source == source:
                by_unit["a class" if price.per == "class" else "an image"].append(f"{kind} {price.seconds:g} s")
        costs = [f"{' and '.join(kinds)} {unit}" for unit, kinds in by_unit.items() if kinds]
        parts.append(f"{', '.join(costs)} ({source})")
    parts += [f"{kind} 0" for kind, price in priced if not price.source]
    return f"Annotation hours are published costs on PASCAL VOC times training images: {', '.join(parts)}."


def uses(kind: Supervision, supervision: str) -> bool:
    """Whether ``kind`` of the training images is part of ``supervision``."""
    needs = map(_NEED.fullmatch, supervision.split("+"))
    return any(need and need["letter"] == kind.letter and not need["auxiliary"] for need in needs)


def needs_boxes(supervision: str) -> bool:
    """Whether boxes of the training images are part of ``supervision``."""
    return uses(Supervision.BOXES, supervision)


NOISE = "Tags of training images hold mistakes on purpose"
"""How a ``noise_note`` begins."""


def noise_note(noise: TagNoise) -> str:
    """What stands under a table with rows that used tags with mistakes."""
    return (
        f"{NOISE}: each is left out with probability {noise.drop:.3g}, and "
        f"each class that an image does not show is added with probability {noise.add:.3g} (seed {noise.seed}). Rows "
        "that use tags are marked (noisy tags). Masks, and thus scores, are as they were."
    )


def boxes_note(classes: Iterable[str], foreground: Iterable[str]) -> str:
    """What stands under a table with rows whose boxes of ``classes``, some or all of ``foreground``, nobody drew."""
    derived, all_of = list(classes), list(foreground)
    which = "Boxes of this data set" if len(derived) == len(all_of) else f"Boxes of {', '.join(derived)}"
    return (
        f"{which} are made from masks and tight to the pixel, which boxes that people draw are not. Rows that use them "
        "are marked (boxes from masks) and have no annotation hours."
    )


def marks_note(kinds: Iterable[Supervision]) -> str:
    """What stands under a table with rows whose labels of ``kinds``, points or scribbles, nobody drew."""
    names = " and ".join(kinds)
    marked = " or ".join(f"({name} from masks)" for name in kinds)
    return (
        f"A rule makes the {names} of this data set from masks: they never miss their object, which people do. Rows "
        f"that use them are marked {marked} and have no annotation hours."
    )


def annotation_hours(
    supervision: str, *, images: int, classes: int, drawn: bool = True, made: Collection[str] = ()
) -> float | None:
    """Hours that the supervision of the training images costs.

    Args:
        supervision: As ``harness.contract.letters`` writes it, for example ``B+F18%`` or ``none``.
        images: Training images.
        classes: Classes including background.
        drawn: Whether people drew the boxes.
        made: Names of further kinds that nobody drew.

    Returns:
        Hours, or ``None`` where a kind has no published cost or belongs to an auxiliary data set, or where labels are
        used that nobody drew.
    """
    if (not drawn and needs_boxes(supervision)) or any(uses(kind, supervision) for kind in Supervision if kind in made):
        return None
    kinds = {kind.letter: kind for kind in Supervision}
    shares: dict[Supervision, float] = {}
    for part in [] if supervision == "none" else supervision.split("+"):
        need = _NEED.fullmatch(part)
        kind = kinds.get(need["letter"]) if need else None
        if need is None or kind is None or need["auxiliary"]:
            return None
        shares[kind] = float(need["percent"] or 100) / 100
    seconds = 0.0
    for kind, share in shares.items():
        if kind.price is None:
            return None
        # Tags are free where every image has another label that names its classes anyway.
        if kind is Supervision.TAGS and any(shares[k] == 1 and k.names_classes for k in shares if k is not kind):
            continue
        per_image = kind.price.seconds * (classes - 1) if kind.price.per == "class" else kind.price.seconds
        seconds += share * per_image
    return images * seconds / 3600
