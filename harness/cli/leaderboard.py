"""``wsss leaderboard``: run records -> a table on the terminal, or files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion
from harness.common.shipped import benchmark_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.api.runs import OpenedBenchmark
    from harness.contract import RendererRecord
    from harness.leaderboard import Board
    from harness.registry import PluginManager

Source = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CONFIG|RUNS]",
        help="Benchmark file or shipped name (records of its settings; opens its data), or a folder of records.",
        autocompletion=completion.benchmarks,
    ),
]
Runs = Annotated[
    Path,
    typer.Option("--runs", help="Folder of store and records.", autocompletion=completion.runs_folders),
]
Formats = Annotated[
    str | None, typer.Option("--format", help="Comma-separated: md, csv, json, tex, html, or a plugin's renderer.")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the files; without it, print.")]
AllowMixed = Annotated[
    bool, typer.Option("--allow-mixed", help="Put records of different settings into one table, labelled so.")
]
Claims = Annotated[
    bool, typer.Option("--claims", help="Answer the claims of the papers behind the rows, below the table.")
]
AllClaims = Annotated[
    bool, typer.Option("--all-claims", help="Like --claims, and list the claims that these rows cannot answer.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse rows that different states of the code or parameters computed.")
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        help="Comma-separated, e.g. rank,method,val_miou: columns of md, tex, csv, terminal; or a metric, e.g. "
        "val_pixel_accuracy, which the page and JSON show as well.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", help="key=value as for `wsss run`: show the records of these settings."),
]
PluginFiles = Annotated[
    list[Path] | None, typer.Option("--plugin", help="A plugin file that brings a renderer, claims or a metric.")
]

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("leaderboard")(leaderboard)


def leaderboard(
    source: Source = None,
    *,
    runs: Runs = _RUNS,
    formats: Formats = None,
    out: Out = None,
    allow_mixed: AllowMixed = False,
    claims: Claims = False,
    all_claims: AllClaims = False,
    strict: Strict = False,
    columns: Columns = None,
    override: Overrides = None,
    plugin: PluginFiles = None,
) -> None:
    """Make a leaderboard from run records.

    With --out every format is written (or those of --format) and each file is named. Without it the table is printed,
    or the text of the formats. A benchmark file stands for its settings as it is now, with the overrides of -o; records
    of its other settings are named on the error stream. A record that cannot be used is reported and left out; the exit
    code is 3 then.
    """
    from harness.cli.console import console, leaving_out, say
    from harness.common.atomic import write_atomically, writing
    from harness.contract import ConfigError
    from harness.leaderboard import build_board, load_runs, select_settings, to_rich
    from harness.leaderboard.chosen import asked_columns
    from harness.leaderboard.claims import claims_of
    from harness.leaderboard.terminal import claims_to_rich
    from harness.records.reader import sound_runs
    from harness.registry import manager

    config = None if source is None or source.is_dir() else benchmark_file(source)
    if override and config is None:
        raise ConfigError("-o: overrides change the settings of a benchmark file; name the file before them")
    plugins = manager(plugin_files=plugin or (), config_dir=config.parent if config else None)
    chosen, metrics = asked_columns(columns, plugins)
    claims = claims or all_claims
    with leaving_out() as left_out:
        selected = load_runs(runs if config else source or runs, left_out)
        benchmark = None
        if config:
            benchmark = _open(config, runs, plugins, override or ())
            selected, sentences = select_settings(selected, benchmark.settings)
            for sentence in sentences:
                say(sentence, stderr=True)
        selected = sound_runs(selected, left_out)
        wanted = claims_of(plugins, selected) if claims else ()
        board = build_board(selected, allow_mixed=allow_mixed, claims=wanted, strict=strict, metrics=metrics)
        board = board.model_copy(update={"all_claims": all_claims, "columns": chosen})
        if out is None and formats is None:
            console().print(to_rich(board))
            if claims:
                console().print(claims_to_rich(board) if board.claims else "no plugin behind these rows states a claim")
            return
        if benchmark:
            from harness.cli.gallery import collect

            gallery = collect(benchmark.dataset, benchmark.described, runs, selected)
            board = board.model_copy(update={"gallery": gallery})
        texts = _render(board, formats, plugins)
        if out is None:
            typer.echo("\n".join(texts.values()), nl=False)
            return
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            path = out / f"{board.benchmark.replace(' + ', '+')}{suffix}"
            write_atomically(path, text)
            say(str(path))


def _open(config: Path, runs: Path, plugins: PluginManager, overrides: Sequence[str]) -> OpenedBenchmark:
    """The benchmark file as it is now; where its data set is not there, the error says how to do without."""
    from harness.api.runs import open_benchmark
    from harness.contract import DataError

    try:
        return open_benchmark(config, runs, plugins, overrides)
    except DataError as error:
        raise DataError(f"{error} (a folder of records needs no data set: `wsss leaderboard RECORDS`)") from error


def _render(board: Board, formats: str | None, plugins: PluginManager) -> dict[str, str]:
    """Text by file suffix: every named format, or all that are registered."""
    from harness.registry import build_params, resolve

    names = list(plugins.records("renderer")) if formats is None else [name.strip() for name in formats.split(",")]
    records: list[RendererRecord] = [plugins.get("renderer", name) for name in names]
    return {
        record.suffix: resolve(record.factory)(build_params(record, {}, where="--format"))(board) for record in records
    }
