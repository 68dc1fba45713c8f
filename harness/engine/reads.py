"""The supervision meter of a stage, kept on disk so that a kill loses no read.

A stage counts an image once for each kind: how often a training revisits it is its schedule, not more supervision, and
depends on caches and on where a killed training resumed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.data.views import Meter


class ReadLog(Meter):
    """A meter that appends each first read to a file, and begins with what an interrupted attempt had read.

    A context manager: leaving it closes the file. A copy in another process appends to the same file.

    Args:
        path: The file; one JSON pair (kind, image id) a line.
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


def _lines(path: Path) -> list[tuple[str, str]]:
    """The pairs in the file; a last line cut short by a kill is left out."""
    if not path.exists():
        return []
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            kind, image_id = json.loads(line)
        except ValueError:
            continue
        pairs.append((str(kind), str(image_id)))
    return pairs
