"""The supervision meter of a stage, kept on disk so that a kill loses no read.

A stage counts an image once for each kind: how often a training revisits it is its schedule, not more supervision, and
depends on caches and on where a killed training resumed.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.common.atomic import write_atomically
from harness.common.files import read_bytes
from harness.common.text import parse_json
from harness.contract.errors import StoreError
from harness.data.views import Meter


class ReadLog(Meter):
    """A meter that appends each first read to a file, and begins with what an interrupted attempt had read.

    A context manager: leaving it closes the file. A copy in another process appends to the same file.

    Args:
        path: The file; one JSON pair (kind, image id) per line.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._seen: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        for kind, image_id in _lines(path):
            self._seen.setdefault(kind, set()).add(image_id)
        self._path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def count(self, kind: str, image_id: str) -> None:
        """Note one read; only the first of an image is written."""
        with self._lock:
            super().count(kind, image_id)
            images = self._seen.setdefault(kind, set())
            if image_id not in images:
                images.add(image_id)
                self._file.write(json.dumps([kind, image_id]) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def ids(self) -> dict[str, list[str]]:
        """Ids that were read, by kind, sorted; also those that copies in other processes noted in the file."""
        read: dict[str, set[str]] = {}
        for kind, image_id in _lines(self._path):
            read.setdefault(kind, set()).add(image_id)
        return {kind: sorted(read[kind]) for kind in sorted(read)}

    def __reduce__(self) -> tuple[type[ReadLog], tuple[Path]]:
        return ReadLog, (self._path,)

    def remove(self) -> None:
        """Delete the file, once the artifact holds its content."""
        self._path.unlink(missing_ok=True)


def total(meters: Iterable[Mapping[str, list[str]]]) -> dict[str, dict[str, int]]:
    """Reads over all stages of a cell, and of how many different images, by kind."""
    reads: dict[str, int] = {}
    images: dict[str, set[str]] = {}
    for meter in meters:
        for kind, ids in meter.items():
            reads[kind] = reads.get(kind, 0) + len(ids)
            images.setdefault(kind, set()).update(ids)
    return {kind: {"reads": reads[kind], "images": len(images[kind])} for kind in sorted(reads)}


def mend(path: Path) -> bool:
    """Cut off a last line that a kill cut short; ``False`` when the file is damaged in any other way."""
    if not os.path.lexists(path):
        return True
    try:
        data = read_bytes(path, error=StoreError)
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            write_atomically(path, whole)
        _lines(path)
    except StoreError:
        return False
    return True


def _lines(path: Path) -> list[tuple[str, str]]:
    """The pairs in the file, if there is one; a last line that another process is writing is left out.

    Raises:
        StoreError: The file is damaged.
    """
    if not os.path.lexists(path):
        return []
    pairs = []
    for number, line in enumerate(read_bytes(path, error=StoreError).split(b"\n")[:-1], start=1):
        pair = parse_json(line, where=f"{path}: line {number}", error=StoreError)
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise StoreError(f"{path}: line {number}: is no pair of a kind and an image")
        pairs.append((pair[0], pair[1]))
    return pairs
