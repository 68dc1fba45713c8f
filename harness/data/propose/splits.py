"""Which images are for training and which for validation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from harness.common.files import read_text
from harness.contract import DataError
from harness.data.formats.source import ImageNames
from harness.data.images import IMAGE_SUFFIXES
from harness.data.propose.pictures import ids_below
from harness.data.propose.tree import Tree, split_of

SHARE = 0.2
"""Share of the images that validates where nothing says which images do."""

_LONGEST_LIST = 50 << 20


@dataclass(frozen=True)
class Part:
    """The images of one split.

    Attributes:
        images: Folder of the images, below the root.
        ids: Chosen images, ascending.
        whole: The folder holds no other picture, so that no list is needed.
        listed: Path of a list that names just these images, ``None`` where there is none.
    """

    images: str
    ids: tuple[str, ...]
    whole: bool
    listed: str | None = None

    def only(self, ids: Iterable[str]) -> Part:
        """The part without the images that are not in ``ids``."""
        kept = frozenset(ids)
        chosen = tuple(image_id for image_id in self.ids if image_id in kept)
        return self if chosen == self.ids else replace(self, ids=chosen, whole=False, listed=None)


@dataclass(frozen=True)
class Splits:
    """Training and validation images, and what is to be said about how they were found."""

    train: Part
    val: Part | None
    notes: tuple[str, ...] = ()


def find_splits(tree: Tree, photographs: Sequence[str]) -> Splits:
    """Splits by the names of folders, else by lists; ``val`` is ``None`` where neither tells any."""
    by_split: dict[str | None, list[str]] = {}
    for path in photographs:
        by_split.setdefault(split_of(str(PurePosixPath(path).parent)), []).append(path)
    if "train" not in by_split:
        return _by_lists(tree, photographs)
    train = _part(tree, by_split["train"])
    used = "val" if "val" in by_split else "test"
    notes = []
    if used == "test" and used in by_split:
        notes.append("no folder is called val; the images of the folder test validate")
    left = sum(len(paths) for split, paths in by_split.items() if split not in ("train", used))
    if left:
        notes.append(f"{left} images lie in folders of no split or of test, and are left out")
    return Splits(train, _part(tree, by_split[used]) if used in by_split else None, tuple(notes))


def _part(tree: Tree, paths: Sequence[str]) -> Part:
    folder = _common(paths)
    ids = ids_below(paths, folder)
    everything = sum(1 for _ in _pictures_below(tree, folder))
    return Part(folder, tuple(sorted(ids)), whole=everything == len(paths))


def _common(paths: Iterable[str]) -> str:
    return os.path.commonpath([str(PurePosixPath("/", path).parent) for path in paths]).lstrip("/")


def _pictures_below(tree: Tree, folder: str) -> Iterable[str]:
    prefix = f"{folder}/" if folder else ""
    return (path for path in tree.paths(*IMAGE_SUFFIXES) if path.startswith(prefix))


def _by_lists(tree: Tree, photographs: Sequence[str]) -> Splits:
    """Splits by text files that name images; the list of the shortest path counts."""
    whole = _part(tree, photographs)
    names = ImageNames(whole.ids)
    found: dict[str, Part] = {}
    notes = []
    for path in sorted(tree.paths(".txt", ".lst"), key=_likely):
        split = split_of(PurePosixPath(path).name)
        ids = () if split is None else _listed(tree, path, names)
        if split is None or not ids:
            continue
        if split in found:
            notes.append(f"{path} is a list of {split} images too; {found[split].listed} is used")
        else:
            found[split] = replace(whole, ids=ids, whole=False, listed=path)
    train, val = found.get("train"), found.get("val") or found.get("test")
    if train is not None and val is not None and "val" not in found:
        notes.append(f"no list is called val; the images of {val.listed} validate")
    if train is not None and val is not None and set(train.ids) & set(val.ids):
        both = len(set(train.ids) & set(val.ids))
        notes.append(f"{both} images are in both {train.listed} and {val.listed}; they only validate")
        train = train.only(set(train.ids) - set(val.ids))
    return Splits(train or whole, val, tuple(notes))


def _likely(path: str) -> tuple[bool, int, int, str]:
    """Sort key of lists: VOC's of segmentation first, then the least deep and the shortest name."""
    return "segmentation" not in path.lower(), path.count("/"), len(path), path


def _listed(tree: Tree, path: str, names: ImageNames) -> tuple[str, ...]:
    """The images that a list names, in order; nothing where a line names none, for then it is no list of ids."""
    try:
        lines = read_text(tree.root / path, error=DataError, limit=_LONGEST_LIST).splitlines()
    except DataError:
        return ()
    ids = [names.find(line.strip()) for line in lines if line.strip()]
    return tuple(dict.fromkeys(image_id for image_id in ids if image_id is not None)) if ids and None not in ids else ()


def hold_out(part: Part, able: Iterable[str]) -> tuple[Part, Part]:
    """Take a fifth of the images for validation, by a hash of their ids and so always the same ones.

    Args:
        part: All images.
        able: Those that can validate, because they have masks; all where none has.
    """
    ranked = sorted(able, key=lambda image_id: hashlib.sha256(f"val:{image_id}".encode()).digest())
    most = len(ranked) if len(ranked) < len(part.ids) else len(ranked) - 1
    count = min(max(round(SHARE * len(part.ids)), 1), most)
    chosen = set(ranked[:count])
    return part.only(set(part.ids) - chosen), part.only(chosen)
