"""Pseudo labels and predictions of a row as files that any repository reads.

* A mask is a palette PNG, or ``labels`` of an ``.npz``. Its values are the data set's own class ids, or class indices
  (0, 1, 2, ...); 255 is ignored. Its name is the id of the image, with folders where the id has some.
* Beside the masks stand the list of ids, the classes, and a README.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from harness.common.folders import replacing_folder
from harness.contract.arrays import IGNORE
from harness.contract.errors import ConfigError, DataError
from harness.export.readme import labels_page
from harness.maps.labels import voc_palette
from harness.maps.scores import upsample

if TYPE_CHECKING:
    from harness.contract.arrays import Mask, SoftScores
    from harness.contract.interfaces import Dataset
    from harness.export.rows import Row
    from harness.maps.labels import LabelReader

Ids = Literal["dataset", "dense"]
Form = Literal["png", "npz"]
Progress = Callable[[int, int], None]
"""Told how many of how many images are done."""

MASKS, SCORES, CLASSES, README = "masks", "scores", "classes.csv", "README.md"


@dataclass(frozen=True)
class ClassTable:
    """The classes of a row and the number that each has in a file.

    Attributes:
        names: By class index.
        numbers: By class index.
        ids: What the numbers are.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]
    ids: Ids

    def mapped(self, mask: Mask, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore -> the numbers of a file.

        Raises:
            DataError: A pixel is ignored, and 255 is the id of a class.
        """
        table = np.full(256, IGNORE, np.uint8)
        table[: len(self.numbers)] = self.numbers
        if IGNORE in self.numbers and (mask == IGNORE).any():
            name = self.names[self.numbers.index(IGNORE)]
            raise DataError(
                f"image {image_id!r}: ignored pixels are {IGNORE}, which is the data set's id of class {name!r} too; "
                "use --ids dense"
            )
        return table[mask]

    def to_csv(self) -> str:
        """Index, number in the masks, name and colour of each class."""
        colours = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["index", "id", "name", "red", "green", "blue"])
        for index, (number, name) in enumerate(zip(self.numbers, self.names, strict=True)):
            writer.writerow([index, number, name, *colours[number].tolist()])
        return text.getvalue()


def class_table(row: Row, ids: Ids, dataset: Dataset | None = None) -> ClassTable:
    """The classes of a row, numbered as its data set's masks or by their indices.

    Args:
        row: The row.
        ids: ``dataset`` or ``dense``.
        dataset: The data set where it is open already; indices do not need it.

    Raises:
        ConfigError: An id does not fit into 8 bits, or two classes share one.
        DataError: The data set is missing.
    """
    names = tuple(row.record.dataset.classes)
    if ids == "dense":
        return ClassTable(names, tuple(range(len(names))), ids)
    numbers = (dataset or row.dataset()).class_ids
    wrong = next((place for place, number in enumerate(numbers) if not 0 <= number <= 255), None)
    if wrong is not None:
        raise ConfigError(
            f"--ids dataset: class {names[wrong]!r} has id {numbers[wrong]}, a mask holds 0 to 255; use --ids dense"
        )
    if len(set(numbers)) < len(numbers):
        raise ConfigError("--ids dataset: two classes of the data set have the same id; use --ids dense")
    return ClassTable(names, numbers, ids)


def export_labels(
    row: Row,
    out: Path,
    *,
    ids: Ids = "dataset",
    form: Form = "png",
    soft: bool = False,
    dataset: Dataset | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the pseudo labels of the training images.

    Args:
        row: The row.
        out: A folder that does not exist or is empty.
        ids: The data set's own class ids, or class indices.
        form: Palette PNG, or ``.npz``.
        soft: Also write the soft scores behind the labels.
        dataset: The data set where it is open already.
        force: Replace what ``out`` holds.
        progress: Told how far it is.

    Returns:
        ``out``.

    Raises:
        ConfigError: ``out`` is not empty, or the class ids do not fit into a mask.
        DataError: The data set is missing; ``--ids dense`` does not need it. Or the labels have no soft scores.
        StoreError: The store does not hold the labels any more, or nothing can be written.
    """
    reader, table = row.labels(), class_table(row, ids, dataset)
    if soft and reader.scores(reader.ids[0]) is None:
        raise DataError(f"row {row.name}: its labels have no soft scores; leave --soft out")
    with replacing_folder(out, force=force, keep=row.folder) as folder:
        _write_masks(reader, folder, table, form, progress, soft=soft)
        (folder / "train.txt").write_text("".join(f"{name}\n" for name in reader.ids), encoding="utf-8")
        (folder / README).write_text(labels_page(row, table, form, "train", soft=soft), encoding="utf-8")
    return out


def export_predictions(
    row: Row,
    out: Path,
    *,
    ids: Ids = "dataset",
    form: Form = "png",
    dataset: Dataset | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the predictions of the scored validation images, as the store holds them.

    Arguments, result and errors are those of ``export_labels``; a row that ends with its labels has no predictions.
    """
    reader, table = row.predictions(), class_table(row, ids, dataset)
    with replacing_folder(out, force=force, keep=row.folder) as folder:
        _write_masks(reader, folder, table, form, progress)
        (folder / "val.txt").write_text("".join(f"{name}\n" for name in reader.ids), encoding="utf-8")
        (folder / README).write_text(labels_page(row, table, form, "val"), encoding="utf-8")
    return out


def _write_masks(
    reader: LabelReader, folder: Path, table: ClassTable, form: Form, progress: Progress | None, *, soft: bool = False
) -> None:
    (folder / CLASSES).write_text(table.to_csv(), encoding="utf-8")
    for done, image_id in enumerate(reader.ids, start=1):
        _refuse_escape(image_id)
        write_mask(folder / MASKS / f"{image_id}.{form}", table.mapped(reader.mask(image_id), image_id))
        scores = reader.scores(image_id) if soft else None
        if scores is not None:
            _write_scores(folder / SCORES / f"{image_id}.npz", scores, table)
        if progress is not None:
            progress(done, len(reader.ids))


def _refuse_escape(image_id: str) -> None:
    """An id names a file below the folder, whoever made the store."""
    path = PurePosixPath(image_id)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"image {image_id!r}: an id that leaves its folder names no file")


def write_mask(path: Path, mask: Mask) -> None:
    """Write (H, W) uint8 by the suffix: palette PNG in the colours of PASCAL VOC, or ``labels`` of an ``.npz``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez_compressed(path, labels=mask)
        return
    image = Image.fromarray(np.ascontiguousarray(mask))
    image.putpalette(voc_palette())
    image.save(path)


def _write_scores(path: Path, scores: SoftScores, table: ClassTable) -> None:
    """``keys`` (K,) numbers of classes, ``scores`` (K, H, W) float16 at the size of the image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = np.array([table.numbers[cls] for cls in scores.classes], np.uint8)
    np.savez_compressed(path, keys=keys, scores=upsample(scores).astype(np.float16))
