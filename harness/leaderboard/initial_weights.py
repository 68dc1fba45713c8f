"""Pixel masks that hide in initial weights.

Weights that were trained on masks of other images are more supervision than those of an image classifier, and no method
declares them. The table says so beside the method's own letters.
"""

from __future__ import annotations

import re

_PIXEL_LABELLED = re.compile(
    r"(?<![a-z])(COCO|VOC|SBD|ADE20K|Cityscapes|Mapillary|LVIS|BDD100K|SA-1B)(?![a-z])", re.IGNORECASE
)
_WITHOUT_MASKS = re.compile(r"\b(tags|boxes|captions)\b", re.IGNORECASE)


def with_initial_weights(supervision: str, init: str) -> str:
    """The supervision column: the method's letters, and ``COCO F init`` where the initial weights saw pixel masks.

    Args:
        supervision: As ``harness.contract.letters`` writes it.
        init: What the initial weights were trained on, data sets with commas or ``+`` between them. A data set that is
            known for its masks counts as pixel-labelled unless ``boxes``, ``tags`` or ``captions`` stands behind it.
    """
    if supervision == "none":  # a row that learns nothing has no weights to speak of
        return supervision
    saw = (_pixel_labelled(part.strip()) for part in re.split(r"[,;+]|\band\b|\bthen\b|->", init))
    return " + ".join([supervision, *(f"{name} F init" for name in dict.fromkeys(filter(None, saw)))])


def _pixel_labelled(part: str) -> str | None:
    found = _PIXEL_LABELLED.search(part)
    return found[0] if found and not _WITHOUT_MASKS.search(part) else None
