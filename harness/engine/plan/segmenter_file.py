"""The segmenter's configuration file as the plan sees it: Python source that is read and hashed, not run."""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path

from harness.common.files import file_problem, read_bytes
from harness.common.text import printable
from harness.contract.errors import ConfigError
from harness.engine.plan.keys import digest

MOST_BYTES = 1 << 20
"""Size of one file: far more than any real one."""

MOST_FILES = 50
"""Files of one chain of ``_base_``: far more than any real one."""


def segmenter_config_sha256(path: Path) -> str:
    """Hash of an mmseg configuration and of the files that it is based on, without their paths.

    These are named in ``_base_``, or imported under ``with read_base():``.

    Raises:
        ConfigError: A file is missing, no regular file or no Python source, or ``_base_`` leads back or too far.
    """
    return digest([sha256 for _, sha256 in _chain(path, (), [])])


def segmenter_files(path: Path) -> list[Path]:
    """An mmseg configuration and the files that it is based on; raises like ``segmenter_config_sha256``."""
    return [file for file, _ in _chain(path, (), [])]


def _chain(path: Path, above: tuple[Path, ...], chain: list[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Append ``path`` with its hash to ``chain``, then what it is based on, in order of mention; returns ``chain``."""
    where = printable(path)
    if problem := file_problem(path):
        raise ConfigError(f"{where}: {problem}")
    path = path.resolve()
    if path in above:
        raise ConfigError(f"{where}: _base_ leads back to the file itself")
    if len(chain) >= MOST_FILES:
        raise ConfigError(f"{where}: _base_ leads through more than {MOST_FILES} files")
    source = read_bytes(path, limit=MOST_BYTES)
    chain.append((path, hashlib.sha256(source).hexdigest()))
    for node in _parsed(source, where).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_base_" for t in node.targets):
            try:
                value = ast.literal_eval(node.value)
            except (ValueError, TypeError, RecursionError, MemoryError):
                value = None
            bases = value if isinstance(value, list | tuple) else [value]
            if not all(isinstance(base, str) for base in bases):
                raise ConfigError(f"{where}: _base_ must be a literal file name or a list of them")
            for base in bases:
                _chain(path.parent / base, (*above, path), chain)
        for base in _imported(node):
            _chain(path.parent / base, (*above, path), chain)
    return chain


def _imported(node: ast.stmt) -> Iterator[Path]:
    """Files that ``with read_base():`` imports, relative to the folder of the configuration."""
    if not isinstance(node, ast.With) or not any(
        isinstance(item.context_expr, ast.Call) and ast.unparse(item.context_expr.func).endswith("read_base")
        for item in node.items
    ):
        return
    for statement in node.body:
        if isinstance(statement, ast.ImportFrom) and statement.level and statement.module:
            # an import that is not relative names a module, which counts as code
            yield Path(*[".."] * (statement.level - 1), *statement.module.split(".")).with_suffix(".py")


def _parsed(source: bytes, where: str) -> ast.Module:
    if b"\0" in source:
        raise ConfigError(f"{where}: is no Python file: it holds a NUL byte")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings, which are the file's own business
            return ast.parse(source.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is no Python file: not UTF-8 text (byte {error.start})") from None
    except SyntaxError as error:
        raise ConfigError(f"{where}: is no Python file: line {error.lineno}: {error.msg}") from None
    except ValueError:
        raise ConfigError(f"{where}: is no Python file: it holds a number that is too long") from None
    except (RecursionError, MemoryError):
        raise ConfigError(f"{where}: is no Python file that can be read: nested too deep") from None
