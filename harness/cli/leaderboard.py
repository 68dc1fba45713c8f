"""``wsss leaderboard``: run records -> a table on the terminal, or files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.contract import RendererRecord
    from harness.leaderboard import Board, Run
    from harness.plugins import PluginManager

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("leaderboard")(leaderboard)


def leaderboard(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG|RUNS]", help="Benchmark file (only its latest records), or a runs folder."),
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder with the store and the records.")] = _RUNS,
    formats: Annotated[
        str | None, typer.Option("--format", help="Comma-separated: md, csv, json, tex, html, or a plugin's renderer.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the files; without it, print.")] = None,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Put records of different settings into one table, labelled so.")
    ] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="Answer the claims of the papers behind the rows, below the table.")
    ] = False,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="A plugin file that brings a renderer or claims.")
    ] = None,
) -> None:
    """Make a leaderboard from run records.

    With --out every format is written (or those of --format) and each file is named. Without it the table is printed,
    or the text of the formats. A record that cannot be used is reported and left out; the exit code is 3 then.
    """
    from harness.cli.console import leaving_out, say
    from harness.cli.gallery import with_gallery
    from harness.leaderboard import build_board
    from harness.leaderboard.claims import claims_of
    from harness.plugins import manager

    plugins = manager(plugin_files=plugin or ())
    with leaving_out() as left_out:
        selected, older = _selected(source, runs, left_out)
        if older:
            say(f"left out: records of older settings ({', '.join(name[:8] for name in older)})", stderr=True)
        wanted = claims_of(plugins, selected) if claims else ()
        board = build_board(selected, allow_mixed=allow_mixed, claims=wanted)
        if out is None and formats is None:
            _print_table(board, claims=claims)
            return
        texts = _render(with_gallery(board, source, runs, selected, plugins), formats, plugins)
        if out is None:
            typer.echo("\n".join(texts.values()), nl=False)
            return
        for path in _write(texts, out, board.benchmark.replace(" + ", "+")):
            say(str(path))


def _selected(source: Path | None, runs: Path, left_out: Callable[[str], None]) -> tuple[list[Run], list[str]]:
    """The runs that the table is of, and the older fingerprints that were left out; faulty records are reported."""
    from harness.data.load import load_yaml
    from harness.leaderboard import load_runs, select_benchmark
    from harness.leaderboard.loading import sound_runs

    if source is None or source.is_dir():
        return sound_runs(load_runs(source or runs, left_out), left_out), []
    name = load_yaml(source).get("name", source.stem)
    selected, older = select_benchmark(load_runs(runs, left_out), str(name))
    return sound_runs(selected, left_out), older


def _print_table(board: Board, *, claims: bool) -> None:
    from harness.cli.console import console
    from harness.leaderboard import to_rich
    from harness.leaderboard.terminal import claims_to_rich

    console().print(to_rich(board))
    if claims:
        console().print(claims_to_rich(board) if board.claims else "no plugin behind these rows states a claim")


def _render(board: Board, formats: str | None, plugins: PluginManager) -> dict[str, str]:
    """Text by file suffix: every named format, or all that are registered."""
    from harness.plugins import build_params, resolve

    names = list(plugins.records("renderer")) if formats is None else [name.strip() for name in formats.split(",")]
    records: list[RendererRecord] = [plugins.get("renderer", name) for name in names]
    return {
        record.suffix: resolve(record.factory)(build_params(record, {}, where="--format"))(board) for record in records
    }


def _write(texts: dict[str, str], out: Path, stem: str) -> list[Path]:
    """Write each text in one step; returns the files."""
    from harness.contract import StoreError

    paths = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            path = out / f"{stem}{suffix}"
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_bytes(text.encode())
            temporary.replace(path)
            paths.append(path)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror})") from error
    return paths
