"""One COCO instances file: images, categories and annotations, checked and held compactly."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.contract import ConfigError, DataError
from harness.data.files import Defect

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask


@dataclass(frozen=True)
class Instance:
    """One annotation.

    Attributes:
        category: Category id of the file, 1 to 90 in COCO.
        crowd: Whether it outlines a group of objects.
        area: Pixels, as annotated.
        box: x, y, width, height; real numbers.
        polygons: Outlines, each (2 * n,) float64 x, y, x, y...; empty for a run-length mask.
        runs: Run-length mask as COCO writes it, ``None`` for polygons.
    """

    category: int
    crowd: bool
    area: float
    box: tuple[float, float, float, float]
    polygons: tuple[npt.NDArray[np.float64], ...] = ()
    runs: Mapping[str, Any] | None = None

    def region(self, size: tuple[int, int]) -> Mask:
        """(H, W) uint8, 1 inside."""
        tool = _pycocotools()
        height, width = size
        if self.runs is not None:
            runs = self.runs
            encoded = runs if isinstance(runs["counts"], str) else tool.frPyObjects(runs, height, width)
        else:
            encoded = tool.merge(tool.frPyObjects([polygon.tolist() for polygon in self.polygons], height, width))
        with warnings.catch_warnings():  # of an array conversion inside pycocotools that numpy 2 deprecates
            warnings.simplefilter("ignore", DeprecationWarning)
            region: Mask = tool.decode(encoded)
        return region

    def digest(self) -> str:
        """SHA-256 of the outline."""
        content = hashlib.sha256(json.dumps(self.runs, sort_keys=True).encode())
        for polygon in self.polygons:
            content.update(len(polygon).to_bytes(8, "big") + polygon.tobytes())
        return content.hexdigest()


@dataclass(frozen=True)
class Photograph:
    """One entry of ``images`` with its annotations in the order of the file."""

    file_name: str
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
        DataError: The file is missing, no JSON, or lacks a part.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no valid JSON: {error}") from None
    for part in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise DataError(f"{path}: the top level needs the list {part!r}")
    try:
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: categories: wrong or missing field: {error}") from None
    defects: list[Defect] = []
    by_number = dict(_photographs(content["images"], path, split, defects))
    _attach(content["annotations"], by_number, categories, path, split, defects)
    photographs = {PurePosixPath(photograph.file_name).stem: photograph for photograph in by_number.values()}
    return InstancesFile(dict(sorted(categories.items())), photographs, tuple(defects))


def _photographs(entries: list[Any], path: Path, split: str, defects: list[Defect]) -> Iterator[tuple[int, Photograph]]:
    names: set[str] = set()
    numbers: set[int] = set()
    for index, entry in enumerate(entries):
        where = f"{path}: images.{index}"
        try:
            number, name = int(entry["id"]), str(entry["file_name"])
            size = int(entry["height"]), int(entry["width"])
        except (KeyError, TypeError, ValueError) as error:
            defects.append(Defect("list", split, None, f"{where}: wrong or missing field: {error}"))
            continue
        stem = PurePosixPath(name).stem
        if number in numbers or stem in names or min(size) < 1:
            problem = f"height and width {size}" if min(size) < 1 else f"id {number} or file_name {name} is repeated"
            defects.append(Defect("list", split, stem, f"{where}: {problem}"))
            continue
        names.add(stem)
        numbers.add(number)
        yield number, Photograph(name, size)


def _attach(
    entries: list[Any],
    by_number: Mapping[int, Photograph],
    categories: Mapping[int, str],
    path: Path,
    split: str,
    defects: list[Defect],
) -> None:
    """Put every annotation to its photograph."""
    for index, entry in enumerate(entries):
        stem = None
        try:
            photograph = by_number.get(entry["image_id"])
            if photograph is None:
                raise ValueError(f"image_id {entry['image_id']} is none of images")
            stem = PurePosixPath(photograph.file_name).stem
            instance = _instance(entry, photograph.size)
            if instance.category not in categories:
                raise ValueError(f"category_id {instance.category} is none of categories")
            photograph.instances.append(instance)
        except (KeyError, TypeError) as error:
            defects.append(Defect("mask", split, stem, f"{path}: annotations.{index}: missing or wrong: {error}"))
        except ValueError as error:
            defects.append(Defect("mask", split, stem, f"{path}: annotations.{index}: {error}"))


def _instance(entry: Mapping[str, Any], size: tuple[int, int]) -> Instance:
    x, y, width, height = map(float, entry["bbox"])
    if not (np.isfinite((x, y, width, height)).all() and width >= 0 and height >= 0):
        raise ValueError(f"bbox {entry['bbox']} is no box")
    outline = entry["segmentation"]
    polygons: tuple[npt.NDArray[np.float64], ...] = ()
    if isinstance(outline, dict):
        if tuple(outline["size"]) != size:
            raise ValueError(f"segmentation.size {outline['size']}, but the image has {list(size)}")
        if isinstance(outline["counts"], list) and sum(outline["counts"]) != size[0] * size[1]:
            raise ValueError("segmentation.counts do not add up to the pixels of the image")
    else:
        polygons = tuple(np.array(polygon, np.float64) for polygon in outline)
        if not polygons or any(p.ndim != 1 or len(p) < 6 or len(p) % 2 or not np.isfinite(p).all() for p in polygons):
            raise ValueError("segmentation: a polygon needs three or more points")
    return Instance(
        category=int(entry["category_id"]),
        crowd=bool(entry.get("iscrowd", 0)),
        area=float(entry.get("area", width * height)),
        box=(x, y, width, height),
        polygons=polygons,
        runs=outline if isinstance(outline, dict) else None,
    )


def _pycocotools() -> ModuleType:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ConfigError(
            f"data set coco: pycocotools cannot be imported ({error}); install wsss-harness[coco]"
        ) from None
    module: ModuleType = mask
    return module
