"""Content digests of files and of what is derived from them, with an optional cache on disk.

The cache remembers a text for (path, size, modification time, kind). It is only a cache: a lost or damaged file costs
time, nothing else. A file that changed within the last seconds is not remembered, because a second change could leave
size and time as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_SETTLED_NS = 2_000_000_000


class _Cache:
    def __init__(self) -> None:
        self.path: Path | None = None
        self._texts: dict[str, str] = {}
        self._changed = False

    def open(self, path: Path | None) -> None:
        self.path, self._texts, self._changed = path, {}, False
        if path is not None:
            with suppress(OSError, ValueError):
                stored = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(stored, dict):
                    self._texts = {str(key): text for key, text in stored.items() if isinstance(text, str)}

    def get(self, file: Path, kind: str, compute: Callable[[], str]) -> str:
        if self.path is None:
            return compute()
        stat = file.stat()
        key = f"{file}|{stat.st_size}|{stat.st_mtime_ns}|{kind}"
        if key not in self._texts:
            text = compute()
            if time.time_ns() - stat.st_mtime_ns < _SETTLED_NS:
                return text
            self._texts[key] = text
            self._changed = True
        return self._texts[key]

    def save(self) -> None:
        if self.path is None or not self._changed:
            return
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(self._texts, stream)
            Path(name).replace(self.path)
            self._changed = False


_CACHE = _Cache()


def set_cache(path: Path | str | None) -> None:
    """Remember digests in the JSON file ``path`` from now on; ``None`` forgets the file."""
    _CACHE.open(None if path is None else Path(path))


def save_cache() -> None:
    """Write what was learnt since the cache was set; does nothing without a cache."""
    _CACHE.save()


def cached(file: Path, kind: str, compute: Callable[[], str]) -> str:
    """``compute()``, or the text that it gave for the same content of ``file``.

    Args:
        file: What the text is derived from.
        kind: What the text is; must hold everything else that it depends on.
        compute: Makes the text.
    """
    return _CACHE.get(file, kind, compute)


def file_digest(file: Path) -> str:
    """SHA-256 of the bytes of ``file``."""
    return cached(file, "sha256", lambda: hashlib.sha256(file.read_bytes()).hexdigest())


def combine(parts: Iterable[str]) -> str:
    """SHA-256 of texts in order; no two different sequences are mistaken for each other."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
