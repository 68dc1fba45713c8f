"""Folders that are there whole or not at all, whatever becomes of the process while they are filled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from harness.common.atomic import writing
from harness.common.text import printable
from harness.contract.errors import ConfigError


def refuse_filled(folder: Path, *, force: bool = False, keep: Path | None = None) -> None:
    """Refuse a place for a new folder that is taken.

    Args:
        folder: Where the folder shall be.
        force: Whether what a folder holds may go.
        keep: A folder of which nothing may go even so.

    Raises:
        ConfigError: It is no folder, or a folder that holds something and may not be replaced.
    """
    with writing(folder):
        if os.path.lexists(folder) and not folder.is_dir():
            raise ConfigError(f"{printable(folder)}: is there and is no folder; name another one")
        if folder.is_dir() and not force and any(folder.iterdir()):
            raise ConfigError(f"{printable(folder)}: is not empty; name another folder, or add --force to replace it")
        if folder.is_dir() and any(folder.iterdir()):
            if nested(folder, Path.cwd(), either=False):
                raise ConfigError(f"{printable(folder)}: the current folder lies there and stays; name another folder")
            if keep is not None and nested(folder, keep):
                raise ConfigError(f"{printable(folder)}: {printable(keep)} is never replaced; name another folder")


def nested(outer: Path, inner: Path, *, either: bool = True) -> bool:
    """Whether ``inner`` is ``outer`` or lies in it, or the other way round where ``either`` will do; links count."""
    real = [Path(os.path.realpath(path)) for path in (outer, inner)]  # a link to itself is no error there
    return real[1].is_relative_to(real[0]) or (either and real[0].is_relative_to(real[1]))


@contextmanager
def replacing_folder(folder: Path, *, force: bool = False, keep: Path | None = None) -> Iterator[Path]:
    """A new folder beside ``folder`` that takes its place when the context ends without an error.

    Args:
        folder: Where the content shall be.
        force: Whether a folder with other content may be replaced; an empty one may.
        keep: A folder of which nothing may be replaced.

    Raises:
        ConfigError: ``folder`` is taken.
        StoreError: The disk is full or read-only; ``folder`` is as it was.
    """
    refuse_filled(folder, force=force, keep=keep)
    folder = Path(os.path.realpath(folder))
    fresh, old = (folder.with_name(f".{folder.name}.{uuid4().hex[:8]}") for _ in range(2))
    with writing(folder):
        fresh.mkdir(parents=True)
        try:
            yield fresh
            if folder.is_dir():
                folder.rename(old)
            fresh.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
