"""The pictures of a page: a few images of the data set with the truth and what each row made of them.

They are shown for a data set whose licence flag allows it, and only as far as the store still holds the label maps.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from harness.cli.contact_sheet import BOTH_RIGHT, BOTH_WRONG, BROKEN, CLASS_COLOURS, FIXED, Colour
from harness.contract import IGNORE
from harness.engine.recorded_labels import stored_labels
from harness.engine.store.store import Store
from harness.leaderboard.page.panels import Gallery, Panel, RowMap
from harness.records.groups import FULL

if TYPE_CHECKING:
    from harness.contract import Dataset
    from harness.contract.arrays import Mask
    from harness.contract.run_record import DatasetInfo
    from harness.leaderboard import Run
    from harness.maps.labels import LabelReader

    Maps = dict[tuple[str, str], LabelReader]
    """Row (label, backbone) -> reader of its label maps."""

IMAGES = 4
"""Images of each split."""
SIDE = 160
"""Longest side of a picture in pixels."""

_IGNORED: Colour = (224, 224, 192)
_NOTE = f"{IMAGES} images of each split, chosen by a hash of their names, the first seed of every row."
_SCORES: dict[Literal["train", "val"], str] = {"train": "pseudo", "val": "val"}
_MARKS = {
    "train": [("right", BOTH_RIGHT), ("wrong", BROKEN)],
    "val": [
        ("right in both", BOTH_RIGHT),
        ("only here right", FIXED),
        ("only here wrong", BROKEN),
        ("wrong in both", BOTH_WRONG),
    ],
}


def collect(dataset: Dataset, described: DatasetInfo, runs: Path, selected: Sequence[Run]) -> Gallery | None:
    """Pictures for the rows of ``selected``, or ``None`` where there are none to show.

    Args:
        dataset: The data set of the benchmark file.
        described: What a record made with ``dataset`` says about it.
        runs: Folder of the store.
        selected: Runs of one benchmark and one fingerprint.
    """
    allowed = described.show_images and all(run.record.dataset.show_images for run in selected)
    if not allowed or described != selected[0].record.dataset:
        return None
    panels = []
    for split, score in _SCORES.items():
        maps = _maps(Store(runs), selected, score)
        scored = set.intersection(*(set(reader.ids) for reader in maps.values())) if maps else set()
        panels += [_panel(dataset, split, maps, name) for name in choose(scored)]
    if not panels:
        return None
    colours = [*zip(dataset.classes, CLASS_COLOURS, strict=False), ("ignored", _IGNORED)]
    return Gallery(
        panels=panels,
        palette=[(name, _hex(colour)) for name, colour in colours],
        marks={split: [(name, _hex(colour)) for name, colour in marks] for split, marks in _MARKS.items()},
        note=_NOTE,
    )


def _maps(store: Store, selected: Iterable[Run], score: str) -> Maps:
    """Readers of the first seed of every row that the store still has."""
    first: dict[tuple[str, str], Run] = {}
    for run in sorted(selected, key=lambda run: run.record.seed):
        if run.record.status == "ok":
            first.setdefault((run.record.label, run.record.backbone), run)
    readers = {row: stored_labels(store, run.record, score) for row, run in first.items()}
    return {row: reader for row, reader in readers.items() if reader is not None}


def choose(ids: Iterable[str], count: int = IMAGES) -> list[str]:
    """The ``count`` ids of smallest hash, by name: nobody picked them."""
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"panel:{name}".encode()).digest())
    return sorted(ranked[:count])


def _panel(dataset: Dataset, split: Literal["train", "val"], maps: Maps, name: str) -> Panel:
    """One image with the label maps of all rows; those of ``val`` stand beside the maps of the row ``full``."""
    truth = None if split in dataset.unmasked else dataset.mask(name)
    full = {backbone: reader.mask(name) for (label, backbone), reader in maps.items() if label == FULL}
    if split == "train":
        full = {}
    row_maps = []
    for (label, backbone), reader in maps.items():
        mask = reader.mask(name)
        change, share = (None, {}) if truth is None else changes(mask, truth, full.get(backbone))
        picture = _label_png(mask, len(dataset.classes))
        row_maps.append(RowMap(method=label, backbone=backbone, label=picture, change=change, share=share))
    return Panel(
        split=split,
        name=name,
        image=_png(Image.fromarray(dataset.image(name)), Image.Resampling.LANCZOS),
        truth=None if truth is None else _label_png(truth, len(dataset.classes)),
        maps=row_maps,
        against=FULL if full else "truth",
    )


def changes(label: Mask, truth: Mask, other: Mask | None) -> tuple[bytes, dict[str, float]]:
    """Where a label map is wrong, or right and wrong beside another one.

    Args:
        label: (H, W) uint8, 255 = ignore.
        truth: (H, W) uint8, 255 = not scored; such pixels count as right.
        other: Likewise a label map to compare with, ``None`` = with the truth alone.

    Returns:
        PNG of the marks, and the share of pixels of each mark but the first.
    """
    wrong = (label != truth) & (truth != IGNORE)
    if other is None:
        index, marks = wrong.astype(np.uint8), _MARKS["train"]
    else:
        was_wrong = (other != truth) & (truth != IGNORE)
        index = np.select([~wrong & was_wrong, wrong & ~was_wrong, wrong & was_wrong], [1, 2, 3], 0).astype(np.uint8)
        marks = _MARKS["val"]
    share = {name: float((index == number).mean()) for number, (name, _) in enumerate(marks) if number}
    return _palette_png(index, [colour for _, colour in marks]), share


def _label_png(mask: Mask, num_classes: int) -> bytes:
    unused = [(0, 0, 0)] * (IGNORE - num_classes)
    return _palette_png(mask, [*CLASS_COLOURS[:num_classes], *unused, _IGNORED])


def _palette_png(index: Mask, colours: Sequence[Colour]) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(index))
    picture.putpalette([part for colour in colours for part in colour])
    return _png(picture, Image.Resampling.NEAREST)


def _png(picture: Image.Image, resampling: Image.Resampling) -> bytes:
    """The picture as a PNG, made smaller where a side is longer than ``SIDE``."""
    scale = SIDE / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), resampling)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
