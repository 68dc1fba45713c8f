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
    saw_masks: list[str] = []
    for part in re.split(r"[,;+]|\band\b|\bthen\b|->", init):
        data_set = _PIXEL_LABELLED.search(part)
        if data_set and not _WITHOUT_MASKS.search(part) and data_set[0] not in saw_masks:
            saw_masks.append(data_set[0])
    return " + ".join([supervision, *(f"{name} F init" for name in saw_masks)])
