"""Regions of one image that somebody outlined without saying their class, as SAM does, in a file or a folder.

Read are a stack (N, H, W) in ``.npz`` or ``.npy``; what SAM's automatic generator returns, a list of records with
``segmentation``, as ``.npy`` or ``.pkl``; the same as ``.json`` with run lengths, as SAM's script ``amg.py
--convert-to-rle`` and SA-1B have it; and a folder with one PNG for each region, as the script writes it by default.
Nothing is run that a pickle names, and pycocotools is not needed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from harness.common.array_files import read_npy, read_npz
from harness.common.files import folder_problem, read_bytes, read_json
from harness.common.pickles import read_pickle
from harness.common.text import printable
from harness.contract import DataError
from harness.data.digests import described
from harness.data.outlines import paint_runs, read_runs

REGION_SUFFIXES = ("", ".npz", ".npy", ".json", ".pkl")
"""What follows an image's id: nothing for a folder of PNG."""

MOST_REGIONS = 5000
"""Run lengths of a few bytes can promise a mask of any size."""

Regions = npt.NDArray[np.bool_]
"""(N, H, W), True inside."""


def find_regions(folder: Path, image_id: str) -> Path | None:
    """The file or folder with the regions of an image, or ``None``.

    Raises:
        DataError: There are several, so nobody knows which one counts.
    """
    paths = [folder / f"{image_id}{suffix}" for suffix in REGION_SUFFIXES]
    there = [path for path in paths if os.path.lexists(path)]
    if len(there) > 1:
        raise DataError(f"image {image_id!r} has {there[0].name} and {there[1].name} in {folder}; take one away")
    return there[0] if there else None


def read_regions(place: Path, size: tuple[int, int]) -> Regions:
    """Read the regions of one image.

    Args:
        place: As ``find_regions`` found it.
        size: (H, W) of the image.

    Returns:
        (N, H, W) bool, by file name in a folder, else in the order of the file; N may be 0.

    Raises:
        DataError: One sentence: what is there is none of what the module lists, is damaged, or has another size.
    """
    parts = [_read(path, size) for path in _files(place)]
    return np.concatenate(parts) if parts else np.zeros((0, *size), np.bool_)


def check_regions(place: Path, size: tuple[int, int]) -> None:
    """Check that ``read_regions`` will succeed; what was read once is remembered with the file's digest.

    Raises:
        DataError: It will not.
    """
    for path in _files(place):

        def count(path: Path = path) -> tuple[int]:
            return (len(_read(path, size)),)

        described(path, f"regions 1 of {size[0]}x{size[1]}", count)


def _files(place: Path) -> list[Path]:
    if place.suffix in REGION_SUFFIXES[1:] and not place.is_dir():
        return [place]
    if problem := folder_problem(place):
        raise DataError(f"{printable(place)}: {problem}")
    found = sorted(path for path in place.iterdir() if path.suffix == ".png" and not path.name.startswith("."))
    if not found:
        raise DataError(f"{printable(place)}: holds no .png")
    return found


def _read(path: Path, size: tuple[int, int]) -> Regions:
    readers: Mapping[str, Callable[[Path], Any]] = {
        ".png": _read_png,
        ".npz": _one_stack,
        ".npy": read_npy,
        ".json": lambda path: read_json(path, error=DataError),
        ".pkl": read_pickle,
    }
    value, where = readers[path.suffix](path), printable(path)
    if isinstance(value, Mapping) and isinstance(value.get("annotations"), list):  # SA-1B
        value = value["annotations"]
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:  # numpy.save of a list
        value = value.tolist()
    if isinstance(value, list):
        if len(value) > MOST_REGIONS:
            raise DataError(f"{where}: holds {len(value):,} masks; up to {MOST_REGIONS:,} of one image are read")
        regions = [_of_record(item, size, f"{where}: mask {number}") for number, item in enumerate(value)]
        return np.stack(regions) if regions else np.zeros((0, *size), np.bool_)
    if not isinstance(value, np.ndarray) or value.ndim != 3:
        kind = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"{where}: holds {kind}; masks (N, H, W), or a list of records with 'segmentation', are needed")
    return _binary(value, size, where)


def _one_stack(path: Path) -> Any:
    """The array ``masks`` of an archive, its only array, or all of its (H, W) arrays by name."""
    arrays = read_npz(path)
    if "masks" in arrays or len(arrays) == 1:
        return arrays.get("masks", next(iter(arrays.values())))
    shapes = {getattr(array, "shape", ()) for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        names = ", ".join(map(printable, list(arrays)[:6])) or "nothing"
        raise DataError(f"{printable(path)}: holds {names}; one array (N, H, W), or 'masks', is needed")
    return np.stack([arrays[name] for name in sorted(arrays)])


def _read_png(path: Path) -> npt.NDArray[Any]:
    """(1, H, W) values of a grey or palette picture, or of one whose colours are all grey."""
    try:
        with PIL.Image.open(io.BytesIO(read_bytes(path, error=DataError)), formats=("PNG",)) as image:
            values = np.asarray(image if image.mode in ("1", "L", "P") else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"{printable(path)}: no PNG that can be read ({printable(error)})") from None
    if values.ndim == 3 and (values != values[..., :1]).any():
        raise DataError(f"{printable(path)}: a coloured PNG; a mask of 0 and 255 is needed")
    return (values[..., 0] if values.ndim == 3 else values)[None]


def _of_record(record: Any, size: tuple[int, int], where: str) -> Regions:
    """(H, W) bool of one record: an array, or run lengths."""
    outline = record.get("segmentation") if isinstance(record, Mapping) else None
    if isinstance(outline, np.ndarray) and outline.ndim == 2:
        region: Regions = _binary(outline[None], size, where)[0]
        return region
    if not isinstance(outline, Mapping):
        raise DataError(f"{where}: has no 'segmentation' with an array (H, W), or with 'size' and 'counts'")
    text = outline.get("counts")
    if isinstance(text, bytes):  # as pycocotools encodes
        outline = {**outline, "counts": text.decode("latin1")}
    try:
        region = paint_runs(read_runs(outline, size), size) > 0
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    return region


def _binary(stack: npt.NDArray[Any], size: tuple[int, int], where: str) -> Regions:
    """(N, H, W) bool of two values: False and True, 0 and 1, or 0 and 255."""
    if stack.shape[1:] != size:
        height, width = stack.shape[1:]
        raise DataError(f"{where}: is {height}x{width}, the image {size[0]}x{size[1]} (height x width)")
    if stack.dtype.kind not in "buif" or not any(((stack == 0) | (stack == inside)).all() for inside in (1, 255)):
        raise DataError(f"{where}: a mask has the values 0 and 1, or 0 and 255, this one others")
    regions: Regions = stack != 0
    return regions
