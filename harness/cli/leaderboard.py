"""``wsss leaderboard``: run records -> a table on the terminal, or files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.common.shipped import benchmark_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.contract import RendererRecord
    from harness.leaderboard import Board, Run
    from harness.registry import PluginManager

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("leaderboard")(leaderboard)


def leaderboard(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CONFIG|RUNS]",
            help="Benchmark file or shipped name (records of its settings; opens its data), or a folder of records.",
        ),
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
    all_claims: Annotated[
        bool, typer.Option("--all-claims", help="Likewise, and list those that these rows cannot answer.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse rows that different states of the code or parameters computed.")
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="Comma-separated, e.g. rank,method,val_miou: columns of md, tex, csv, terminal; or a metric, e.g. "
            "val_pixel_accuracy, which the page and JSON show as well.",
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("-o", "--override", help="key=value as for `wsss run`: show the records of these settings."),
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option("--plugin", help="A plugin file that brings a renderer, claims or a metric.")
    ] = None,
) -> None:
    """Make a leaderboard from run records.

    With --out every format is written (or those of --format) and each file is named. Without it the table is printed,
    or the text of the formats. A benchmark file stands for its settings as it is now, with the overrides of -o; what
    other records there are is said on the error stream. A record that cannot be used is reported and left out; the exit
    code is 3 then.
    """
    from harness.cli.console import leaving_out, say
    from harness.cli.gallery import with_gallery
    from harness.leaderboard import build_board
    from harness.leaderboard.chosen import NAMES, column_names
    from harness.leaderboard.claims import claims_of
    from harness.leaderboard.metrics import known_metrics
    from harness.registry import manager

    source = source if source is None or source.is_dir() else benchmark_file(source)
    plugins = manager(plugin_files=plugin or (), config_dir=source.parent if source and source.is_file() else None)
    overrides, claims = tuple(override or ()), claims or all_claims
    known = known_metrics(plugins) if columns is not None else {}
    chosen = [] if columns is None else column_names(columns, known)
    metrics = [known[name] for name in chosen if name in known and name not in NAMES]
    with leaving_out() as left_out:
        selected = _selected(source, runs, plugins, overrides, left_out)
        wanted = claims_of(plugins, selected) if claims else ()
        board = build_board(selected, allow_mixed=allow_mixed, claims=wanted, strict=strict, metrics=metrics)
        board = board.model_copy(update={"all_claims": all_claims, "columns": chosen})
        if out is None and formats is None:
            _print_table(board, claims=claims)
            return
        texts = _render(with_gallery(board, source, runs, selected, plugins, overrides), formats, plugins)
        if out is None:
            typer.echo("\n".join(texts.values()), nl=False)
            return
        for path in _write(texts, out, board.benchmark.replace(" + ", "+")):
            say(str(path))


def _selected(
    source: Path | None,
    runs: Path,
    plugins: PluginManager,
    overrides: Sequence[str],
    left_out: Callable[[str], None],
) -> list[Run]:
    """The runs that the table is of; faulty records and other settings that have records are reported."""
    from harness.cli.console import say
    from harness.cli.runs import settings_of
    from harness.contract import ConfigError, DataError
    from harness.leaderboard import load_runs, select_settings
    from harness.records.reader import sound_runs

    if source is None or source.is_dir():
        if overrides:
            raise ConfigError("-o: overrides change the settings of a benchmark file; name the file before them")
        return sound_runs(load_runs(source or runs, left_out), left_out)
    known = load_runs(runs, left_out)
    try:
        wanted = settings_of(source, runs, plugins, overrides)
    except DataError as error:
        raise DataError(f"{error} (a folder of records needs no data set: `wsss leaderboard RECORDS`)") from error
    found = select_settings(known, wanted)
    for sentence in found.sentences:
        say(sentence, stderr=True)
    return sound_runs(found.runs, left_out)


def _print_table(board: Board, *, claims: bool) -> None:
    from harness.cli.console import console
    from harness.leaderboard import to_rich
    from harness.leaderboard.terminal import claims_to_rich

    console().print(to_rich(board))
    if claims:
        console().print(claims_to_rich(board) if board.claims else "no plugin behind these rows states a claim")


def _render(board: Board, formats: str | None, plugins: PluginManager) -> dict[str, str]:
    """Text by file suffix: every named format, or all that are registered."""
    from harness.registry import build_params, resolve

    names = list(plugins.records("renderer")) if formats is None else [name.strip() for name in formats.split(",")]
    records: list[RendererRecord] = [plugins.get("renderer", name) for name in names]
    return {
        record.suffix: resolve(record.factory)(build_params(record, {}, where="--format"))(board) for record in records
    }


def _write(texts: dict[str, str], out: Path, stem: str) -> list[Path]:
    """Write each text in one step; returns the files."""
    from harness.common.atomic import write_atomically, writing

    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    paths = {out / f"{stem}{suffix}": text for suffix, text in texts.items()}
    for path, text in paths.items():
        write_atomically(path, text)
    return list(paths)
