"""Files and folders that parameters of components name: found beside the benchmark file, and told by their content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.files import file_problem, folder_problem
from harness.common.text import printable
from harness.contract.errors import ConfigError, DataError
from harness.contract.input_files import InputPath
from harness.data.digests import combine, file_digest, save_cache

if TYPE_CHECKING:
    from harness.contract.input_files import Input


Finder = Callable[["Input", Path], Path]
"""Finds the file or folder that a parameter names."""


def finder(base: Path) -> Finder:
    """What finds the files that parameters name (the ``context`` of ``build_params``).

    Args:
        base: Folder that relative paths begin at.
    """

    def find(wanted: Input, path: Path) -> Path:
        from pydantic_core import PydanticCustomError

        place = (base / path).absolute()
        problem = (file_problem if wanted.kind == "file" else folder_problem)(place)
        if problem:
            raise PydanticCustomError("input", "{problem}", {"problem": f"{printable(place)}: {problem}"})
        return place

    return find


def digested(params: Any, where: str) -> Any:
    """Parameters in which each file and folder (``InputPath``, or ``Path`` of a shared stage) knows its digest.

    Args:
        params: Parameters as JSON.
        where: File and field that they come from, for messages.

    Raises:
        ConfigError: One cannot be read; names it.
    """

    def digest(path: Path | InputPath) -> InputPath:
        known = InputPath(path)
        try:
            known.sha256 = content_sha256(Path(path))
        except DataError as error:
            raise ConfigError(f"{where}: {error}") from None
        return known

    return _replaced(params, digest)


def for_key(params: Any) -> Any:
    """Digested parameters as they enter a key: content in place of paths."""
    return _replaced(params, lambda path: {"sha256": path.sha256})


def for_record(params: Any) -> Any:
    """Digested parameters as records show them: digest and name, without the folder that this machine has it in."""
    return _replaced(params, lambda path: {"name": Path(path).name, "sha256": path.sha256})


def check_inputs(params: Any, where: str) -> None:
    """Check that each file of digested parameters still has the content that it was planned with.

    Raises:
        DataError: It was changed since, so a result would bear the name of another content.
    """
    for path in _paths(params):
        if content_sha256(Path(path)) != path.sha256:
            raise DataError(f"{where}: {printable(path)} was changed after the run had been planned; start it again")


def content_sha256(path: Path) -> str:
    """Digest of the content of a file, or of the names and contents of all files in a folder and below.

    Raises:
        DataError: A file cannot be read, or the folder has none; names it.
    """
    if not path.is_dir():
        return file_digest(path)
    files = sorted(_files(path))
    if not files:
        raise DataError(f"{printable(path)}: holds no file")
    parts = [part for name in files for part in (name, file_digest(path / name))]
    save_cache()  # a folder of thousands of files takes a while, which a later error must not lose
    return combine(parts)


def _files(folder: Path) -> Iterator[str]:
    """Names of all files below a folder, relative to it, without hidden ones.

    Raises:
        DataError: A folder inside it is a link, which may lead anywhere.
    """
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (here / name).is_symlink():
                raise DataError(f"{printable(here / name)}: is a link to a folder; name that folder itself")
        yield from ((here / name).relative_to(folder).as_posix() for name in names if not name.startswith("."))


def _paths(value: Any) -> Iterator[InputPath]:
    """All digested paths in parameters."""
    if isinstance(value, InputPath):
        yield value
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for item in items:
        yield from _paths(item)


def _replaced(value: Any, replace: Callable[[Any], Any]) -> Any:
    """``value`` with each path in it replaced."""
    if isinstance(value, InputPath | Path):
        return replace(value)
    if isinstance(value, Mapping):
        return {name: _replaced(item, replace) for name, item in value.items()}
    return [_replaced(item, replace) for item in value] if isinstance(value, list | tuple) else value
