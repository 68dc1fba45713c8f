"""The configuration files that come with the package: benchmarks, data sets, segmenters, and weights that they name.

Unusual here: in a checkout they lie in ``configs/`` beside ``harness/``, in an installed wheel inside the package as
``harness/configs/``; everything else asks this module.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.common.files import read_text
from harness.common.text import parse_yaml
from harness.contract.errors import ConfigError

KINDS = ("benchmarks", "datasets", "segmenters")
_WEIGHTS = ".pth"
_PACKAGE = Path(__file__).resolve().parent.parent


def configs_folder() -> Path:
    """The folder that holds ``benchmarks``, ``datasets`` and ``segmenters``."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def shipped_files() -> dict[str, Path]:
    """Every shipped file by its name, such as ``benchmarks/demo`` or ``benchmarks/papers/recam``, in order of name."""
    root = configs_folder()
    files = [path for kind in KINDS for path in (root / kind).rglob("*") if path.suffix in (".yaml", ".py")]
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(files)}


def shipped_file(name: str) -> Path:
    """The shipped file of a full name (``datasets/voc2012``) or of a last part that only one file has (``demo``).

    A name that several files have means the benchmark.

    Raises:
        ConfigError: There is no such file, or several; the sentence names the nearest.
    """
    files = shipped_files()
    ending = [full for full in files if full == name or full.endswith(f"/{name}")]
    benchmarks = [full for full in ending if full.startswith("benchmarks/")]
    fitting = ending if len(ending) == 1 else benchmarks
    if len(fitting) == 1:
        return files[fitting[0]]
    if ending:
        raise ConfigError(f"{name!r} is the name of several shipped files: {', '.join(ending)}; give it in full")
    short = {full.rpartition("/")[2]: full for full in files}
    close = difflib.get_close_matches(name, [*files, *short], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`wsss configs list` shows them"
    raise ConfigError(f"{name!r} is neither a file nor a shipped configuration; {hint}")


def benchmark_file(given: Path) -> Path:
    """A benchmark as a user names it: a path, or the bare name of a shipped benchmark such as ``demo``.

    Raises:
        ConfigError: It is a bare name that neither a file nor a shipped benchmark has.
    """
    return shipped_file(given.name) if _is_bare(given) else given


def dataset_file(given: Path) -> Path:
    """A data set's configuration as a user names it: a path, or the bare name of a shipped one such as ``voc2012``.

    Raises:
        ConfigError: It is a bare name that neither a file nor a shipped configuration has.
    """
    return shipped_file(f"datasets/{given.name}") if _is_bare(given) else given


def _is_bare(given: Path) -> bool:
    return len(given.parts) == 1 and not given.suffix and not given.exists()


def with_needed(path: Path) -> list[Path]:
    """A shipped file and the shipped files that it names, directly or through others, each once.

    Raises:
        ConfigError: A file cannot be read.
    """
    root, needed, pending = configs_folder().resolve(), [], [path.resolve()]
    while pending:
        current = pending.pop()
        if current in needed:
            continue
        needed.append(current)
        if current.suffix == _WEIGHTS:
            continue
        content = read_text(current)
        if current.suffix == ".py":
            values = [node.value for node in ast.walk(ast.parse(content)) if isinstance(node, ast.Constant)]
        else:
            values = list(_leaves(parse_yaml(content, where=str(current))))
        texts = [value for value in values if isinstance(value, str) and value.endswith((".yaml", ".py", _WEIGHTS))]
        files = [(current.parent / text).resolve() for text in texts]
        pending += [file for file in files if file.is_relative_to(root) and file.is_file()]
    return sorted(needed)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value
