"""Labels and scores of one image in a file that another program wrote, with the numbers that it gave the classes.

Read are palette, grey and colour PNG; ``.npy`` and ``.npz`` of (H, W) or (C, H, W); dictionaries that numpy or pickle
wrote. Of dictionaries these are known: ``{class: map}`` (PSA, SEAM), ``{"keys", "cam", "high_res"}`` (IRN, ReCAM,
AdvCAM) and ``{"keys", "attn_highres"}`` (CLIP-ES). Pickles are read by ``harness.common.pickles``, which runs nothing.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from harness.common.array_files import read_npy, read_npz
from harness.common.files import read_bytes, read_text
from harness.common.pickles import read_pickle
from harness.common.text import printable
from harness.contract import DataError

SUFFIXES = (".png", ".npy", ".npz", ".pkl", ".pickle")
"""Of the files that are read, in the order in which a folder is searched."""

MAPS = ("high_res", "attn_highres", "cam", "scores")
"""Names of the maps beside ``keys``; the first that is there is read, the sharpest first."""

MOST_COLOURS = 256
"""A colour mask with more different colours is a photograph."""

_LARGEST = 65535


@dataclass(frozen=True, eq=False)
class LabelFile:
    """What a file says of one image; one of the three is there.

    Attributes:
        indices: (H, W) int64, the number of each pixel, 0 to 65535.
        colours: (H, W, 3) uint8 RGB.
        planes: (K, h, w) float32 scores, perhaps smaller than the image.
        numbers: Of the planes, ascending; ``None`` where they are all classes in order.
    """

    indices: npt.NDArray[np.int64] | None = None
    colours: npt.NDArray[np.uint8] | None = None
    planes: npt.NDArray[np.float32] | None = None
    numbers: tuple[int, ...] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        found = self.indices if self.indices is not None else self.colours
        height, width = self.planes.shape[1:] if self.planes is not None else found.shape[:2]  # type: ignore[union-attr]
        return int(height), int(width)


def read_label_file(path: Path) -> LabelFile:
    """Read a file by its suffix.

    Raises:
        DataError: One sentence: no such file, a suffix or content that is not read, or a pickle that holds anything but
            arrays, numbers, texts and plain containers.
    """
    readers: dict[str, Callable[[Path], Any]] = {
        ".png": _read_png,
        ".npy": read_npy,
        ".npz": read_npz,
        ".pkl": read_pickle,
        ".pickle": read_pickle,
    }
    if path.suffix.lower() not in readers:
        raise DataError(f"{printable(path)}: a file of labels ends in {', '.join(SUFFIXES)}")
    return as_label_file(readers[path.suffix.lower()](path), printable(path))


def as_label_file(value: Any, where: str) -> LabelFile:
    """What an array, or a dictionary of arrays, says of an image.

    Args:
        value: What a file held.
        where: The file, for messages.

    Raises:
        DataError: It is nothing of what the module lists.
    """
    if isinstance(value, Mapping):
        return _of_mapping(value, where)
    array = np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None
    if array is None or array.dtype.kind not in "biuf":
        kind = type(value).__name__ if array is None else f"an array of {array.dtype}"
        raise DataError(f"{where}: holds {kind}, an array of numbers or a dictionary of maps is needed")
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.shape[0] > 3:
        return LabelFile(colours=array)
    if array.ndim == 3 and array.shape[0] == 1 and array.dtype.kind != "f":
        array = array[0]
    if array.ndim == 2:
        return LabelFile(indices=_indices(array, where))
    if array.ndim != 3 or not array.size:
        raise DataError(f"{where}: holds an array of shape {array.shape}; (H, W) or (C, H, W) is needed")
    return LabelFile(planes=_floats(array, where))


def read_results(path: Path) -> list[tuple[str | None, LabelFile]]:
    """All predictions in the file that mmsegmentation writes with ``--out``, with the paths of their images if there.

    Args:
        path: A pickle: a list of (H, W) class indices, or of dictionaries with ``img_path`` and ``pred_sem_seg``.

    Raises:
        DataError: It is no such file, or holds anything but arrays, numbers, texts and plain containers.
    """
    results = read_pickle(path)
    if not isinstance(results, list) or not results:
        raise DataError(f"{printable(path)}: holds {type(results).__name__}, a list of predictions is needed")
    return [_result(item, f"{printable(path)}: result {number}") for number, item in enumerate(results)]


def _result(item: Any, where: str) -> tuple[str | None, LabelFile]:
    if not isinstance(item, Mapping):
        return None, as_label_file(item, where)
    found = item.get("pred_sem_seg", item.get("seg_logits"))
    data = found.get("data") if isinstance(found, Mapping) else found
    if data is None:
        raise DataError(f"{where}: has no pred_sem_seg")
    name = item.get("img_path", item.get("filename"))
    return name if isinstance(name, str) else None, as_label_file(data, where)


def read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a list of image ids, without blank ones.

    Raises:
        DataError: There is no such text file.
    """
    return tuple(line.strip() for line in read_text(path, error=DataError).splitlines() if line.strip())


def _read_png(path: Path) -> npt.NDArray[Any]:
    """Indices (H, W) of a palette or grey picture, or colours (H, W, 3)."""
    try:
        with PIL.Image.open(io.BytesIO(read_bytes(path, error=DataError)), formats=("PNG",)) as image:
            if image.mode == "RGB":
                return np.asarray(image, np.uint8)
            if image.mode in ("P", "L", "1", "I", "I;16"):
                return np.asarray(image).astype(np.int64)
            mode = image.mode
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"{printable(path)}: no PNG that can be read ({printable(error)})") from None
    raise DataError(f"{printable(path)}: a PNG of mode {mode}; palette, grey or RGB without transparency is needed")


def _of_mapping(value: Mapping[Any, Any], where: str) -> LabelFile:
    if "keys" in value:
        name = next((name for name in MAPS if name in value), None)
        if name is None:
            raise DataError(f"{where}: has 'keys', but none of {', '.join(MAPS)}")
        return _planes(_listed(value["keys"], "keys", where), _listed(value[name], name, where), where)
    names = [int(key) if isinstance(key, str) and re.fullmatch("[0-9]{1,5}", key) else key for key in value]
    if all(isinstance(name, int | np.integer) and not isinstance(name, bool) for name in names):
        return _planes(names, list(value.values()), where)
    if len(value) == 1:
        return as_label_file(next(iter(value.values())), where)
    listed = ", ".join(printable(repr(key)) for key in list(value)[:6])
    raise DataError(f"{where}: a dictionary of {listed}; class numbers, or 'keys' and {' or '.join(MAPS)} are needed")


def _listed(value: Any, name: str, where: str) -> list[Any]:
    """The items of an array, or of a list as it is: what lists hold in turn may be larger than any memory."""
    if isinstance(value, np.ndarray):
        return value.reshape(-1).tolist() if name == "keys" else list(np.atleast_1d(value))
    if not isinstance(value, list | tuple):
        raise DataError(f"{where}: its {name!r} is {type(value).__name__}, an array or a list is needed")
    return list(value)


def _planes(keys: Sequence[Any], maps: Sequence[Any], where: str) -> LabelFile:
    """Maps by class number, ascending."""
    if len(keys) != len(maps):
        raise DataError(f"{where}: {len(keys)} keys and {len(maps)} maps, there must be one for each")
    if not all(isinstance(key, int | np.integer) and 0 <= key <= _LARGEST for key in keys):
        raise DataError(f"{where}: its keys are {printable(shortened(list(keys)))}; class numbers are needed")
    if len(set(keys)) < len(keys):
        raise DataError(f"{where}: a class number occurs twice among its keys")
    other = next((item for item in maps if not isinstance(item, np.ndarray)), None)
    if other is not None:
        raise DataError(f"{where}: one of its maps is {type(other).__name__}, arrays are needed")
    order = sorted(range(len(keys)), key=lambda place: int(keys[place]))
    arrays = [maps[place] for place in order]
    shapes = {array.shape for array in arrays}
    if any(array.ndim != 2 or not array.size or array.dtype.kind not in "biuf" for array in arrays) or len(shapes) > 1:
        raise DataError(f"{where}: its maps must be (H, W) numbers of one size, got {sorted(shapes)}")
    planes = np.stack(arrays) if arrays else np.zeros((0, 1, 1), np.float32)
    return LabelFile(planes=_floats(planes, where), numbers=tuple(int(keys[place]) for place in order))


def _indices(array: npt.NDArray[Any], where: str) -> npt.NDArray[np.int64]:
    if not array.size:
        raise DataError(f"{where}: holds an array of shape {array.shape}")
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise DataError(f"{where}: a single map of fractions does not say its class; save (C, H, W) or a dictionary")
    low, high = array.min(), array.max()
    if low < 0 or high > _LARGEST:
        raise DataError(f"{where}: holds number {low if low < 0 else high}; class numbers are 0 to {_LARGEST}")
    return array.astype(np.int64)


def _floats(array: npt.NDArray[Any], where: str) -> npt.NDArray[np.float32]:
    planes = array.astype(np.float32)
    if not np.isfinite(planes).all():
        raise DataError(f"{where}: its scores hold NaN or infinity")
    return planes
