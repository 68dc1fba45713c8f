"""The files below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.common.files import folder_problem
from harness.common.text import printable
from harness.contract import DataError

MOST = 2_000_000
"""Files that one data set may have; a home folder named by mistake has more."""

_SPLITS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Tree:
    """What lies below ``root``: folder (``""`` = the root itself, else with ``/``) -> names of its files, ascending."""

    root: Path
    folders: Mapping[str, tuple[str, ...]]

    def paths(self, *suffixes: str) -> Iterator[str]:
        """Paths below the root of all files with one of the suffixes, compared without case."""
        for folder, names in self.folders.items():
            for name in names:
                if os.path.splitext(name)[1].lower() in suffixes:  # noqa: PTH122  # paths are slow to make
                    yield joined(folder, name)


def look(root: Path) -> Tree:
    """List a folder with all below it; hidden files and folders do not count, a link that leads back is not followed.

    Raises:
        DataError: There is no such folder, it holds no file, or more than a data set has.
    """
    if problem := folder_problem(root):
        raise DataError(f"{printable(root)}: {problem}")
    folders: dict[str, tuple[str, ...]] = {}
    seen: set[tuple[int, int]] = set()
    count = 0
    for parent, below, names in os.walk(root, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not _hidden(name))
        shown = tuple(sorted(name for name in names if not _hidden(name)))
        count += len(shown)
        if count > MOST:
            raise DataError(f"{printable(root)}: holds more than {MOST:,} files; name the folder of one data set")
        if shown:
            relative = Path(parent).relative_to(root).as_posix()
            folders["" if relative == "." else relative] = shown
    if not folders:
        raise DataError(f"{printable(root)}: holds no file")
    return Tree(root, folders)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def joined(folder: str, name: str) -> str:
    """``folder/name``, where the empty folder is the root."""
    return f"{folder}/{name}" if folder else name


def split_of(path: str) -> str | None:
    """``train``, ``val`` or ``test``, where one part of the path says so: ``images/train``, ``instances_val2017``."""
    for part in PurePosixPath(path).parts:
        words = re.split(r"[^a-z]+", part.lower())
        for split, names in _SPLITS.items():
            if any(name in words for name in names):
                return split
    return None
