"""One COCO instances file: images, categories and annotations, checked and held compactly.

What the file as a whole gets wrong (a list that is missing, an id twice) is an error; what one entry gets wrong is a
defect, and the entry is left out. Numbers are numbers: the text "17" is no id of a category.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from harness.common.files import read_json
from harness.common.text import printable
from harness.contract import DataError
from harness.data.files import Defect, same_name
from harness.data.outlines import TOLERANCE, paint_polygons, paint_runs, read_polygons, read_runs, shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.contract.arrays import Mask

_LARGEST_SIDE = 65_535
"""Pixels: what a JPEG can have; a larger side in an entry is a slip, and its masks would fill the memory."""


@dataclass(frozen=True)
class Instance:
    """One annotation.

    Attributes:
        category: Category id of the file, 1 to 90 in COCO.
        crowd: Whether it outlines a group of objects.
        area: Pixels, as annotated.
        box: x, y, width, height; real numbers.
        polygons: Outlines, each (2 * n,) float64 x, y, x, y...; empty for a run-length mask or a box alone.
        runs: Run-length mask as COCO writes it, ``None`` for polygons or a box alone.
    """

    category: int
    crowd: bool
    area: float
    box: tuple[float, float, float, float]
    polygons: tuple[npt.NDArray[np.float64], ...] = ()
    runs: Mapping[str, Any] | None = None

    @property
    def outlined(self) -> bool:
        """Whether it has an outline; otherwise it is a box alone."""
        return bool(self.polygons) or self.runs is not None

    def region(self, size: tuple[int, int]) -> Mask:
        """(H, W) uint8, 1 inside, of an annotation that is outlined."""
        if self.runs is not None:
            return paint_runs(read_runs(self.runs, size), size)
        return paint_polygons(self.polygons, size)

    def digest(self) -> str:
        """SHA-256 of the outline."""
        content = hashlib.sha256(json.dumps(self.runs, sort_keys=True).encode())
        for polygon in self.polygons:
            content.update(len(polygon).to_bytes(8, "big") + polygon.tobytes())
        return content.hexdigest()


@dataclass(frozen=True)
class Photograph:
    """One entry of ``images`` with its annotations in the order of the file.

    Attributes:
        file_name: Path below the folder of images.
        image_id: The same without suffix.
        size: (H, W).
        instances: Annotations that are sound.
    """

    file_name: str
    image_id: str
    size: tuple[int, int]
    instances: list[Instance] = field(default_factory=list)


@dataclass(frozen=True)
class InstancesFile:
    """A parsed file.

    Attributes:
        categories: Category id -> name, ascending.
        photographs: By image id, the name of the image file without suffix, in the order of the file.
        defects: What is wrong with single entries; these are left out.
    """

    categories: Mapping[int, str]
    photographs: Mapping[str, Photograph]
    defects: tuple[Defect, ...]


def read_instances(path: Path, split: str) -> InstancesFile:
    """Parse ``path``.

    Raises:
        DataError: The file is missing, no JSON, or lacks a part; a category is malformed; an id of an image, category
            or annotation, a file name or the name of a category occurs more than once.
    """
    where = printable(path)
    content = read_json(path, error=DataError)
    for part in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise DataError(f"{where}: the top level needs the list {part!r}")
    categories = _categories(content["categories"], where)
    defects: list[Defect] = []
    by_number = _photographs(content["images"], where, split, defects)
    _attach(content["annotations"], by_number, categories, where=where, split=split, defects=defects)
    photographs = {p.image_id: p for p in by_number.values() if p is not None}
    return InstancesFile(dict(sorted(categories.items())), photographs, tuple(defects))


def _categories(entries: list[Any], where: str) -> dict[int, str]:
    """Category id -> name, in the order of the file."""
    pairs = []
    for index, entry in enumerate(entries):
        try:
            number, name = _whole(entry, "id"), _get(entry, "name")
            if not isinstance(name, str) or not name.strip() or printable(name) != name:
                raise ValueError(f"name: text on one line is needed, got {shown(name)}")
        except ValueError as error:
            raise DataError(f"{where}: categories.{index}: {error}") from None
        pairs.append((number, name))
    _refuse_repeated((number for number, _ in pairs), f"{where}: categories: id")
    _refuse_repeated((name for _, name in pairs), f"{where}: categories: name")
    return dict(pairs)


def _photographs(
    entries: list[Any], where: str, split: str, defects: list[Defect]
) -> dict[Hashable, Photograph | None]:
    """Id of an entry -> photograph, ``None`` for one that is malformed."""
    pairs: list[tuple[Hashable, Photograph | None]] = []
    for index, entry in enumerate(entries):
        number: Hashable = object()  # stands for an id that cannot be read, and equals no other
        try:
            number = _key(entry, "id")
            file_name = _get(entry, "file_name")
            if not isinstance(file_name, str):
                raise ValueError(f"file_name: text is needed, got {shown(file_name)}")
            path = PurePosixPath(file_name)
            if not path.name or path.is_absolute() or ".." in path.parts or printable(file_name) != file_name:
                raise ValueError(f"file_name: a file below the image folder is needed, got {shown(file_name)}")
            size = _side(entry, "height"), _side(entry, "width")
            pairs.append((number, Photograph(str(path), same_name(str(path.with_suffix(""))), size)))
        except ValueError as error:
            pairs.append((number, None))
            defects.append(Defect("list", split, None, f"{where}: images.{index}: {error}"))
    _refuse_repeated((number for number, _ in pairs), f"{where}: images: id")
    ids = (photograph.image_id for _, photograph in pairs if photograph is not None)
    _refuse_repeated(ids, f"{where}: images: file_name (without suffix)")
    return dict(pairs)


def _attach(
    entries: list[Any],
    by_number: Mapping[Hashable, Photograph | None],
    categories: Mapping[int, str],
    *,
    where: str,
    split: str,
    defects: list[Defect],
) -> None:
    """Add every annotation to its photograph; those of malformed photographs are dropped."""
    numbers = []
    for index, entry in enumerate(entries):
        image_id = number = None
        try:
            if _get(entry, "id", None) is not None:
                number = _key(entry, "id")
                numbers.append(number)
            key = _key(entry, "image_id")
            if key not in by_number:
                raise ValueError(f"image_id {shown(key)} is none of images")
            photograph = by_number[key]
            if photograph is not None:
                image_id = photograph.image_id
                photograph.instances.append(_instance(entry, photograph.size, categories))
        except ValueError as error:
            which = f"annotations.{index}" + ("" if number is None else f" (id {shown(number)})")
            defects.append(Defect("mask", split, image_id, f"{where}: {which}: {error}"))
    _refuse_repeated(numbers, f"{where}: annotations: id")


def _instance(entry: Mapping[str, Any], size: tuple[int, int], categories: Mapping[int, str]) -> Instance:
    category = _whole(entry, "category_id")
    if category not in categories:
        raise ValueError(f"category_id {shown(category)} is none of categories")
    crowd = _get(entry, "iscrowd", 0)
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd: 0 or 1 is needed, got {shown(crowd)}")
    bbox = _get(entry, "bbox")
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
        raise ValueError(f"bbox: four numbers x, y, width, height are needed, got {shown(bbox)}")
    x, y, width, height = map(float, bbox)
    right, bottom = size[1] + TOLERANCE, size[0] + TOLERANCE
    inside = min(x, y) >= -TOLERANCE and x + width <= right and y + height <= bottom
    if not (width >= 0 and height >= 0 and inside):
        raise ValueError(f"bbox: x, y, width, height {shown(bbox)} do not lie in the {size[1]}x{size[0]} image")
    area = _get(entry, "area", width * height)
    if not _is_number(area) or not 0 <= area < math.inf:
        raise ValueError(f"area: a number from 0 is needed, got {shown(area)}")
    outline = _get(entry, "segmentation", None)
    if isinstance(outline, dict):
        read_runs(outline, size)
    elif outline is not None and not isinstance(outline, list):
        raise ValueError(f"segmentation: polygons or run lengths are needed, or [] for none, got {shown(outline)}")
    return Instance(
        category=category,
        crowd=bool(crowd),
        area=float(area),
        box=(x, y, width, height),
        polygons=read_polygons(outline, size) if isinstance(outline, list) else (),
        runs=outline if isinstance(outline, dict) else None,
    )


_REQUIRED = object()


def _get(entry: Any, key: str, default: Any = _REQUIRED) -> Any:
    if not isinstance(entry, dict):
        raise ValueError(f"a mapping of fields is needed, got {shown(entry)}")
    value = entry.get(key, default)
    if value is _REQUIRED:
        raise ValueError(f"{key}: required field is missing")
    return value


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _whole(entry: Any, key: str) -> int:
    value = _get(entry, key)
    if not _is_number(value) or not math.isfinite(value) or value != int(value):
        raise ValueError(f"{key}: a whole number is needed, got {shown(value)}")
    return int(value)


def _key(entry: Any, key: str) -> Hashable:
    """An id, which may be text: nothing is made of it but a comparison."""
    value = _get(entry, key)
    return value if isinstance(value, str) else _whole(entry, key)


def _side(entry: Any, key: str) -> int:
    value = _whole(entry, key)
    if not 1 <= value <= _LARGEST_SIDE:
        raise ValueError(f"{key}: 1 to {_LARGEST_SIDE:,} pixels are possible, got {value}")
    return value


def _refuse_repeated(values: Iterable[Hashable], where: str) -> None:
    """Check that no value occurs twice: of two entries with one id the last would win in silence.

    Raises:
        DataError: ``WHERE VALUE occurs N times``.
    """
    repeated = [(value, times) for value, times in Counter(values).items() if times > 1]
    if repeated:
        value, times = repeated[0]
        more = f" (and {len(repeated) - 1} more are repeated)" if len(repeated) > 1 else ""
        raise DataError(f"{where} {shown(value)} occurs {times} times{more}; each may occur once")
