"""Soft scores on disk and back: one append-only binary file and one index.

* Only present classes are stored, as float16, at a stride: 10,582 VOC images need about 0.4 GB.
* ``scores.f16`` holds the planes one after another, ``scores.json`` says where each image's planes lie. The index is
  written last, so a killed writer leaves nothing that could be mistaken for a finished store.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.contract.arrays import SoftScores
from harness.contract.errors import DataError

PLANES = "scores.f16"
INDEX = "scores.json"
_DTYPE = np.dtype("<f2")
_VERSION = 1


class ScoreWriter:
    """Writes soft scores, image by image; a context manager.

    Args:
        folder: Where the two files go; created when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._planes = (self._folder / PLANES).open("wb")
        self._entries: dict[str, dict[str, Any]] = {}

    def write(self, image_id: str, scores: SoftScores) -> None:
        """Append the scores of one image.

        Raises:
            DataError: The image was already written, or classes, shape or values are not as ``SoftScores`` says.
        """
        if image_id in self._entries:
            raise DataError(f"soft scores of image {image_id!r} were written twice")
        values, classes = scores.values, scores.classes
        problem = None
        if values.dtype != np.float16 or values.ndim != 3 or len(values) != len(classes):
            problem = f"must be ({len(classes)}, h, w) float16, got {values.shape} {values.dtype}"
        elif list(classes) != sorted(set(classes)):
            problem = f"must list each class once, ascending, got {classes}"
        elif not np.isfinite(values).all():
            problem = "hold NaN or infinity"
        if problem:
            raise DataError(f"soft scores of image {image_id!r} {problem}")
        self._entries[image_id] = {
            "classes": [int(c) for c in classes],
            "shape": list(values.shape[1:]),
            "size": [int(side) for side in scores.size],
            "offset": self._planes.tell(),
        }
        self._planes.write(values.astype(_DTYPE, order="C").tobytes())

    def close(self) -> None:
        """Finish the planes and write the index."""
        if not self._planes.closed:
            self._planes.close()
            index = {"version": _VERSION, "images": self._entries}
            text = json.dumps(index, separators=(",", ":"), ensure_ascii=False)
            (self._folder / INDEX).write_text(text, encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._planes.close()


class ScoreReader:
    """Reads what ``ScoreWriter`` wrote; memory-mapped, cheap to send to another process.

    Args:
        folder: Folder of the two files.

    Attributes:
        ids: Image ids in the order of writing.

    Raises:
        DataError: A file is missing, damaged or cut short.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        path, planes = self._folder / INDEX, self._folder / PLANES
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            version, images = index["version"], index["images"]
        except FileNotFoundError:
            raise DataError(f"{path}: no soft scores here") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: damaged index of soft scores ({error})") from None
        if version != _VERSION:
            raise DataError(f"{path}: field 'version' is {version!r}, this release reads {_VERSION}")
        self._entries: dict[str, dict[str, Any]] = dict(images)
        self.ids: tuple[str, ...] = tuple(self._entries)
        promised = sum(map(_count, self._entries.values())) * _DTYPE.itemsize
        if not planes.exists() or planes.stat().st_size != promised:
            raise DataError(f"{planes}: missing or cut short, its index promises {promised} bytes")
        # An empty file cannot be mapped.
        self._planes = np.memmap(planes, dtype=_DTYPE, mode="r") if promised else np.empty(0, dtype=_DTYPE)

    def get(self, image_id: str) -> SoftScores | None:
        """Scores of one image as a fresh array, or ``None`` where the image has none."""
        entry = self._entries.get(image_id)
        if entry is None:
            return None
        start = entry["offset"] // _DTYPE.itemsize
        planes = np.array(self._planes[start : start + _count(entry)], dtype=np.float16)
        height, width = entry["size"]
        return SoftScores(
            classes=tuple(entry["classes"]),
            values=planes.reshape(len(entry["classes"]), *entry["shape"]),
            size=(height, width),
        )

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __reduce__(self) -> tuple[type[ScoreReader], tuple[Path]]:
        return ScoreReader, (self._folder,)


def upsample(scores: SoftScores) -> npt.NDArray[np.float32]:
    """Bilinear to the image's own size, as ``align_corners=False``.

    Returns:
        (K, H, W) float32.
    """
    return _resize(scores.values, scores.size, Image.Resampling.BILINEAR)


def downsample(values: npt.NDArray[np.floating[Any]], stride: int) -> npt.NDArray[np.float16]:
    """Area mean at a stride.

    Args:
        values: (K, H, W) floats.
        stride: How many times smaller the result is; 1 only changes the type.

    Returns:
        (K, ceil(H / stride), ceil(W / stride)) float16.
    """
    height, width = (-(-side // stride) for side in values.shape[1:])
    return _resize(values, (height, width), Image.Resampling.BOX).astype(np.float16)


def _resize(
    values: npt.NDArray[np.floating[Any]], size: tuple[int, int], rule: Image.Resampling
) -> npt.NDArray[np.float32]:
    """Resize the planes of (K, h, w) to (K, H, W) float32."""
    planes = np.ascontiguousarray(values, dtype=np.float32)
    if planes.shape[1:] == tuple(size):
        return planes
    resized = np.empty((len(planes), *size), dtype=np.float32)
    for plane, target in zip(planes, resized, strict=True):
        target[:] = np.asarray(Image.fromarray(plane).resize((size[1], size[0]), rule))
    return resized


def _count(entry: dict[str, Any]) -> int:
    """How many numbers the planes of one image hold."""
    height, width = entry["shape"]
    return len(entry["classes"]) * int(height) * int(width)
