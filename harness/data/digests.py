"""Content digests of files and of what is derived from them, with an optional cache on disk.

The cache remembers a text for (path, size, modification time, kind). It is only a cache: a lost or damaged file costs
time, nothing else; a checksum tells a sound one. A file that changed within the last seconds is not remembered, because
a second change could leave size and time as they are.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from harness.common.atomic import write_atomically
from harness.common.files import file_sha256, read_json, reason
from harness.common.text import printable
from harness.contract import DataError, StoreError

_SETTLED_NS = 2_000_000_000
"""Age from which a file is remembered: some file systems count modification times in steps of two seconds."""


class _Cache:
    def __init__(self) -> None:
        self._path: Path | None = None
        self._texts: dict[str, str] = {}
        self._changed = False

    def open(self, path: Path | str | None) -> None:
        """Remember digests in the JSON file ``path`` from now on; ``None`` forgets the file."""
        self._path, self._texts, self._changed = None if path is None else Path(path), {}, False
        if self._path is None:
            return
        with suppress(DataError):
            stored = read_json(self._path, error=DataError)
            texts = stored.get("texts") if isinstance(stored, dict) else None
            if isinstance(texts, dict) and stored.get("sha256") == _checksum(texts):
                self._texts = texts if all(isinstance(text, str) for text in texts.values()) else {}

    def get(self, file: Path, kind: str, compute: Callable[[], str]) -> str:
        """``compute()``, or the text that it gave for the same content of ``file``.

        Args:
            file: What the text is derived from.
            kind: What the text is; must hold everything else that it depends on.
            compute: Makes the text.

        Raises:
            DataError: There is no such file.
        """
        if self._path is None:
            return compute()
        try:
            stat = file.stat()
        except (OSError, ValueError) as error:
            raise DataError(f"{printable(file)}: {reason(file, error)}") from None
        key = f"{file}|{stat.st_size}|{stat.st_mtime_ns}|{kind}"
        if key not in self._texts:
            text = compute()
            if time.time_ns() - stat.st_mtime_ns < _SETTLED_NS:
                return text
            self._texts[key] = text
            self._changed = True
        return self._texts[key]

    def save(self) -> None:
        """Write what was learnt since the cache was set; does nothing without a cache."""
        if self._path is None or not self._changed:
            return
        with suppress(StoreError):
            write_atomically(self._path, json.dumps({"sha256": _checksum(self._texts), "texts": self._texts}))
            self._changed = False


def _checksum(texts: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


_CACHE = _Cache()
set_cache, save_cache, cached = _CACHE.open, _CACHE.save, _CACHE.get


def file_digest(file: Path) -> str:
    """SHA-256 of the bytes of ``file``.

    Raises:
        DataError: It is missing, unreadable or no regular file.
    """
    return cached(file, "sha256", lambda: file_sha256(file, error=DataError))


def described(file: Path, kind: str, describe: Callable[[], Iterable[int]]) -> tuple[str, tuple[int, ...]]:
    """SHA-256 of the bytes of ``file`` and what ``describe`` tells of it, remembered together.

    Raises:
        DataError: As ``file_digest``, or what ``describe`` raises.
    """

    def compute() -> str:
        return json.dumps([*describe(), file_sha256(file, error=DataError)])

    *numbers, sha256 = json.loads(cached(file, f"sha256 and {kind}", compute))
    return sha256, tuple(numbers)


def combine(parts: Iterable[str]) -> str:
    """SHA-256 of texts in order; no two different sequences are mistaken for each other."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
