"""What the shell offers when Tab is pressed: rows, methods, backbones, benchmarks, folders of runs.

* Nothing is opened but what names the candidates: file names of records, one benchmark file, the registered plugins.
* Paths are left to the shell, which completes them by itself where a function here offers nothing.
* A fault in a file is no message here, between two letters that somebody types: the command itself tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import typer

from harness.common.text import printable
from harness.contract.errors import WsssError

_RUNS = Path("runs")
_CELL = re.compile(r"(?P<row>.+)--(?P<backbone>.+)--s\d+\.json")
"""Name of a record's file, see ``Cell.stem`` in ``harness.engine.plan.layout``."""


def rows(ctx: typer.Context, incomplete: str) -> list[str]:
    """Rows of the folder of ``--runs``."""
    return _fitting((cell["row"] for cell in _cells(ctx)), incomplete)


ROW_OR_CELL = typer.Argument(
    metavar="ROW", help="Row of the table, or a cell of it: ROW--BACKBONE--sN.", autocompletion=rows
)
"""The argument of commands that take one row, or one cell of it."""


def row_backbones(ctx: typer.Context, incomplete: str) -> list[str]:
    """Backbones of the folder of ``--runs``."""
    return _fitting((cell["backbone"] for cell in _cells(ctx)), incomplete)


def methods(ctx: typer.Context, incomplete: str) -> list[str]:
    """Rows of the benchmark file and registered methods, after the last comma."""
    return _after_comma([*_rows_of_file(ctx), *_registered(ctx, "method")], incomplete)


def backbones(ctx: typer.Context, incomplete: str) -> list[str]:
    """Registered backbones, after the last comma."""
    return _after_comma(_registered(ctx, "backbone"), incomplete)


def benchmarks(incomplete: str) -> list[str]:
    """Shipped benchmarks by their names, and YAML files of this folder."""
    from harness.common.shipped import shipped_files

    shipped = [full.rpartition("/")[2] for full in shipped_files() if full.startswith("benchmarks/")]
    return _fitting([*shipped, *(path.name for path in Path().glob("*.yaml"))], incomplete)


def runs_folders(incomplete: str) -> list[str]:
    """Folders of runs below this one, and their folders of records."""
    with suppress(OSError):
        found = [path for path in Path().glob("*/records") if path.is_dir()]
        below = [folder for records in found for folder in records.iterdir() if folder.is_dir()]
        return _fitting(map(str, [*(path.parent for path in found), *below]), incomplete)
    return []


def _cells(ctx: typer.Context) -> Iterator[re.Match[str]]:
    """Names of the records below the folder of ``--runs``, taken apart."""
    given = Path(ctx.params.get("runs") or _RUNS)
    folder = given / "records" if (given / "records").is_dir() else given
    with suppress(OSError):
        for path in (*folder.glob("*.json"), *folder.glob("*/*.json")):
            if cell := _CELL.fullmatch(path.name):
                yield cell


def _rows_of_file(ctx: typer.Context) -> list[str]:
    """Rows of the benchmark file that was typed before."""
    from harness.common.files import read_text
    from harness.common.text import parse_yaml

    config = _config(ctx)
    listed: object = None
    if config is not None:
        with suppress(WsssError):
            content = parse_yaml(read_text(config), where=str(config))
            listed = content.get("methods") if isinstance(content, dict) else None
    names = [
        row.get("name") or row.get("method") if isinstance(row, dict) else row
        for row in (listed if isinstance(listed, list) else ())
    ]
    return [name for name in names if isinstance(name, str)]


def _config(ctx: typer.Context) -> Path | None:
    """The benchmark file that was typed before; beside an option that still lacks its value it is an argument left."""
    from harness.common.shipped import benchmark_file

    given = ctx.params.get("config") or next(iter(ctx.args), None)
    with suppress(WsssError):
        return None if given is None else benchmark_file(Path(given))
    return None


def _registered(ctx: typer.Context, kind: str) -> Sequence[str]:
    """Names of a kind of component, with those of the plugin files that were typed before."""
    from harness.registry import manager

    config = _config(ctx)
    files = [Path(file) for file in ctx.params.get("plugin") or ()]
    with suppress(WsssError):
        return list(manager(plugin_files=files, config_dir=config.parent if config else None).records(kind))
    return []


def _after_comma(names: Iterable[str], incomplete: str) -> list[str]:
    """The whole text with its last name completed; names that stand there already are not offered again."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in _fitting(names, last) if name not in taken]


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Each name once that begins like the text, and that is safe to show in a terminal."""
    return sorted({name for name in names if name.startswith(incomplete) and name == printable(name)})
