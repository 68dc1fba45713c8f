"""The pictures of a page: a few images of the data set with the truth and what each row made of them.

Only for a data set whose licence flag allows it, and only as far as the store still holds the label maps.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import IGNORE, Dataset
from harness.records.groups import FULL

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.contract.run_record import DatasetInfo
    from harness.leaderboard import Board, Run
    from harness.leaderboard.page.panels import Gallery, Panel, RowMap
    from harness.registry import PluginManager

    Mask = npt.NDArray[np.uint8]
    Maps = dict[tuple[str, str], Any]
    """Row (label, backbone) -> reader of its label maps."""

IMAGES = 4
"""Images of each split."""
SIDE = 160
"""Longest side of a picture in pixels."""

IGNORED_COLOUR = "#e0e0c0"
FIXED, BROKEN, BOTH, SAME = "#1f78b4", "#d95f02", "#9a9a9a", "#f4f4f2"
_NOTE = "{} images of each split, chosen by a hash of their names, the first seed of every row."

_MARKS = {
    "train": [("right", SAME), ("wrong", BROKEN)],
    "val": [("right in both", SAME), ("only here right", FIXED), ("only here wrong", BROKEN), ("wrong in both", BOTH)],
}


@dataclass(frozen=True)
class _Source:
    """Data set and, by split, the label maps of every row."""

    dataset: Dataset
    train: Maps
    val: Maps


def with_gallery(
    board: Board,
    source: Path | None,
    runs: Path,
    selected: Sequence[Run],
    plugins: PluginManager,
    overrides: Sequence[str] = (),
) -> Board:
    """``board`` with pictures when it is made from a benchmark file (``source``), which names the data set."""
    if source is None or not source.is_file():
        return board
    return board.model_copy(update={"gallery": collect(source, runs, selected, plugins, overrides)})


def collect(
    config: Path, runs: Path, selected: Sequence[Run], manager: PluginManager, overrides: Sequence[str] = ()
) -> Gallery | None:
    """Pictures for the rows of ``selected``, or ``None`` where there are none to show.

    Args:
        config: The benchmark file, which names the data set.
        runs: Folder of the store.
        selected: Runs of one benchmark and one fingerprint.
        manager: Plugins that the data set's reader is looked up in.
        overrides: Of the benchmark file.
    """
    from harness.leaderboard.page.panels import Gallery

    if not all(run.record.dataset.show_images for run in selected):
        return None
    dataset = _dataset(config, manager, overrides)
    if not dataset.show_images or _described(dataset) != selected[0].record.dataset:
        return None
    source = _Source(dataset, _maps(runs, selected, "pseudo"), _maps(runs, selected, "val"))
    panels = [*_panels(source, "train"), *_panels(source, "val")]
    colours = _colours(len(dataset.classes))
    palette = [*zip(dataset.classes, map(_hex, colours), strict=True), ("ignored", IGNORED_COLOUR)]
    return Gallery(panels=panels, palette=palette, marks=_MARKS, note=_NOTE.format(IMAGES)) if panels else None


def _dataset(config: Path, manager: PluginManager, overrides: Sequence[str]) -> Dataset:
    from harness.engine.plan.config import load_benchmark
    from harness.engine.plan.rows import build_data

    return build_data(load_benchmark(config, overrides), manager)


def _described(dataset: Dataset) -> DatasetInfo:
    from harness.engine.plan.keys import dataset_info

    return dataset_info(dataset)


def _maps(runs: Path, selected: Iterable[Run], score: str) -> Maps:
    """Readers of the first seed of every row that the store still has."""
    from harness.engine.recorded_labels import stored_labels
    from harness.engine.store.store import Store

    store, found = Store(runs), {}
    for run in sorted(selected, key=lambda run: run.record.seed):
        row = (run.record.label, run.record.backbone)
        if run.record.status == "ok" and row not in found:
            found[row] = stored_labels(store, run.record, score)
    return {row: reader for row, reader in found.items() if reader is not None}


def _panels(source: _Source, split: str) -> list[Panel]:
    maps = source.train if split == "train" else source.val
    if not maps:
        return []
    scored = set.intersection(*(set(reader.ids) for reader in maps.values()))
    return [_panel(source, split, maps, name) for name in choose(scored)]


def choose(ids: Iterable[str], count: int = IMAGES) -> list[str]:
    """The ``count`` ids of smallest hash, by name: nobody picked them."""
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"panel:{name}".encode()).digest())
    return sorted(ranked[:count])


def _panel(source: _Source, split: str, maps: Maps, name: str) -> Panel:
    from harness.leaderboard.page.panels import Panel

    truth = source.dataset.mask(name)
    others = {row[1]: reader.mask(name) for row, reader in maps.items() if row[0] == FULL}
    return Panel.model_validate(
        {
            "split": split,
            "name": name,
            "image": _photograph(source.dataset.image(name)),
            "truth": _label(truth, len(source.dataset.classes)),
            "maps": [_row_map(row, reader.mask(name), truth, source, split, others) for row, reader in maps.items()],
            "against": "truth" if split == "train" or not others else FULL,
        }
    )


def _row_map(
    row: tuple[str, str], label: Mask, truth: Mask, source: _Source, split: str, others: dict[str, Mask]
) -> RowMap:
    from harness.leaderboard.page.panels import RowMap

    other = None if split == "train" else others.get(row[1])
    change, share = changes(label, truth, other)
    return RowMap(
        method=row[0],
        backbone=row[1],
        label=_label(label, len(source.dataset.classes)),
        change=change,
        share=share,
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
    import numpy as np

    wrong = (label != truth) & (truth != IGNORE)
    if other is None:
        index, marks = wrong.astype(np.uint8), _MARKS["train"]
    else:
        was_wrong = (other != truth) & (truth != IGNORE)
        index = np.select([~wrong & was_wrong, wrong & ~was_wrong, wrong & was_wrong], [1, 2, 3], 0).astype(np.uint8)
        marks = _MARKS["val"]
    share = {name: float((index == number).mean()) for number, (name, _) in enumerate(marks) if number}
    return _palette_png(index, [_rgb(colour) for _, colour in marks]), share


def _label(mask: Mask, num_classes: int) -> bytes:
    return _palette_png(mask, [*_colours(num_classes), *[(0, 0, 0)] * (255 - num_classes), _rgb(IGNORED_COLOUR)])


def _palette_png(index: Mask, colours: Sequence[tuple[int, int, int]]) -> bytes:
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(index))
    picture.putpalette([part for colour in colours for part in colour])
    return _png(picture, Image.Resampling.NEAREST)


def _photograph(image: Mask) -> bytes:
    from PIL import Image

    return _png(Image.fromarray(image), Image.Resampling.LANCZOS)


def _png(picture: Any, resampling: Any) -> bytes:
    scale = SIDE / max(picture.size)
    if scale < 1:
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], resampling)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _colours(num_classes: int) -> list[tuple[int, int, int]]:
    """The colours that the field knows (PASCAL VOC), those of the stored label maps."""
    from harness.engine.recorded_labels import palette

    flat = palette()
    return [(flat[3 * n], flat[3 * n + 1], flat[3 * n + 2]) for n in range(num_classes)]


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
