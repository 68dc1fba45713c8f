"""Which pictures are photographs, and which are masks of them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from harness.contract import DataError
from harness.data.files import same_name
from harness.data.images import IMAGE_SUFFIXES, opened
from harness.data.picture_masks import LOSSLESS_SUFFIXES
from harness.data.propose.tree import Tree, joined

ENDINGS = ("", "_mask", "_masks", "-mask", "_label", "_labels", "_gt", "_seg", "_segmentation", "_L", "_annotation")
"""What may stand between the name of a photograph and the dot in the name of its mask."""

_LOOKED_AT = 4
_FEW = 64
"""Values or colours that a mask may have; a photograph has more."""


@dataclass(frozen=True)
class Match:
    """Files that belong to images: the file of an image is ``folder/ID + ending + suffix``.

    Attributes:
        folder: Below the root.
        ending: Between the id and the dot.
        ids: Images that have a file.
    """

    folder: str
    ending: str
    ids: frozenset[str]


def sort_pictures(tree: Tree) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Paths of photographs and of masks, each ascending; without a photograph every picture counts as one."""
    photographs: list[str] = []
    masks: list[str] = []
    for folder, names in tree.folders.items():
        pictures = [name for name in names if _suffix(name) in IMAGE_SUFFIXES]
        stems = {_stem(name) for name in pictures}
        beside = {name for name in pictures if _is_beside(_stem(name), stems)}
        rest = [name for name in pictures if name not in beside]
        masks += [joined(folder, name) for name in sorted(beside)]
        target = (
            masks if rest and all(_looks_like_mask(tree.root / folder / name) for name in _some(rest)) else photographs
        )
        target += [joined(folder, name) for name in rest]
    return (tuple(sorted(photographs)), tuple(sorted(masks))) if photographs else (tuple(sorted(masks)), ())


def _is_beside(stem: str, stems: set[str]) -> bool:
    """Whether a picture is the mask of another one in the same folder."""
    return any(ending and stem.endswith(ending) and stem.removesuffix(ending) in stems for ending in ENDINGS)


def _some(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())[:_LOOKED_AT]


def _looks_like_mask(path: Path) -> bool:
    """Whether a lossless picture has few values or colours, or a palette."""
    if path.suffix.lower() not in LOSSLESS_SUFFIXES:
        return False
    try:
        with opened(path) as picture:
            if picture.mode in ("1", "P", "I", "I;16", "I;16B"):
                return True
            if picture.mode not in ("L", "RGB", "RGBA"):
                return False
            values = np.array(picture.convert("RGB"), dtype=np.int64)
    except DataError:
        return False
    numbers = np.unique(values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2])
    return len(numbers) <= min(_FEW, max(values[..., 0].size // 16, 2))


def match(paths: Iterable[str], ids: Iterable[str], endings: Iterable[str] = ("",)) -> Match | None:
    """The folder below which most images of ``ids`` have a file among ``paths``, or ``None`` where no image has one."""
    endings = tuple(endings)
    places: dict[str, list[str]] = {}
    for path in paths:
        places.setdefault(same_name(_stem(PurePosixPath(path).name)), []).append(str(PurePosixPath(path).parent))
    found: dict[tuple[str, str], set[str]] = {}
    for image_id in ids:
        parent, _, name = image_id.rpartition("/")
        for ending in endings:
            for place in places.get(name + ending, ()):
                base = _base(place, parent)
                if base is not None:
                    found.setdefault((base, ending), set()).add(image_id)
    if not found:
        return None
    counts = Counter({place: len(images) for place, images in found.items()})
    (folder, ending), _ = max(counts.items(), key=lambda item: (item[1], -len(item[0][0]), item[0]))
    return Match(folder, ending, frozenset(found[folder, ending]))


def _base(place: str, parent: str) -> str | None:
    """The folder of which ``place`` is the folder ``parent``; ``None`` where it is of none."""
    place = "" if place == "." else place
    if not parent or place == parent:
        return "" if place == parent else place
    return place.removesuffix(f"/{parent}") if place.endswith(f"/{parent}") else None


def ids_below(paths: Iterable[str], folder: str) -> Mapping[str, str]:
    """Id -> path of the pictures that lie below ``folder``, as the reader ``folder`` calls them."""
    prefix = f"{folder}/" if folder else ""
    below = (path for path in paths if path.startswith(prefix))
    return {same_name(os.path.splitext(path[len(prefix) :])[0]): path for path in below}  # noqa: PTH122


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122  # paths are slow to make


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122
