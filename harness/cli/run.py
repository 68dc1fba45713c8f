"""``wsss run``, ``wsss plan`` and ``wsss status``: compute a benchmark, foresee it, watch it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion
from harness.common.shipped import benchmark_file

if TYPE_CHECKING:
    from harness.engine.scheduler import Outcome

Config = Annotated[
    Path,
    typer.Argument(
        help="Benchmark file (YAML), or the name of a shipped one such as demo.",
        callback=benchmark_file,
        autocompletion=completion.benchmarks,
        show_default=False,
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        help="Rows to keep, comma-separated, * and ? allowed; or registered methods.",
        autocompletion=completion.methods,
    ),
]
Backbones = Annotated[
    str | None,
    typer.Option("--backbones", help="Backbones to keep, likewise.", autocompletion=completion.backbones),
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="Seeds in place of the file's, for example 0,1,2.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", help="key=value, for example protocol.segmenter.optim.lr=0.01. Repeatable."),
]
PluginFiles = Annotated[list[Path] | None, typer.Option("--plugin", help="Plugin file to load as well. Repeatable.")]
Runs = Annotated[
    Path,
    typer.Option("--runs", help="Folder of store and records.", autocompletion=completion.runs_folders),
]
Strict = Annotated[bool, typer.Option("--strict-plugins", help="A faulty plugin is an error.")]
Jobs = Annotated[
    str, typer.Option("--jobs", help="Stages at a time, or auto: one per device, else by cores and memory.")
]

_RUNS = Path("runs")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("run")(run)
    app.command("plan")(plan)
    app.command("status")(status)


def run(
    config: Config,
    *,
    methods: Methods = None,
    backbones: Backbones = None,
    seeds: Seeds = None,
    override: Overrides = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    jobs: Jobs = "auto",
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            help="Where stages run: local, torchrun, dask or one of a plugin; by default the file's, else local.",
            show_default=False,
        ),
    ] = None,
    executor_option: Annotated[
        list[str] | None,
        typer.Option(
            "--executor-option",
            help="key=value, a parameter of the executor (`wsss plugins show local`). Repeatable.",
        ),
    ] = None,
    plugin: PluginFiles = None,
    runs: Runs = _RUNS,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds that one stage may take.")] = None,
    strict_plugins: Strict = False,
    table: Annotated[bool, typer.Option("--table/--no-table", help="Print the leaderboard at the end.")] = True,
) -> None:
    """Run a benchmark: compute what is missing, write a record for each cell, print the leaderboard.

    Exit code 0 when every cell has numbers, 3 when some failed or timed out, 2 for wrong input.
    """
    from harness.api.running import check_place, compute, prepare
    from harness.cli.console import console

    check_place(device, jobs)
    prepared, manager = prepare(
        config,
        runs=runs,
        overrides=override or (),
        methods=methods,
        backbones=backbones,
        seeds=seeds,
        plugins=plugin or (),
        strict_plugins=strict_plugins,
        timeout=timeout,
    )
    outcome = compute(
        prepared,
        manager,
        runs=runs,
        device=device,
        jobs=jobs,
        executor=executor,
        executor_options=executor_option or (),
        progress=console(),
    )
    if table:
        from harness.leaderboard import build_board, load_runs, to_rich

        console().print(to_rich(build_board(load_runs(outcome.records))))
    for line in _failures(outcome, runs):
        typer.echo(line)
    typer.echo(f"records: {outcome.records}")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def plan(
    config: Config,
    *,
    methods: Methods = None,
    backbones: Backbones = None,
    seeds: Seeds = None,
    override: Overrides = None,
    plugin: PluginFiles = None,
    runs: Runs = _RUNS,
    strict_plugins: Strict = False,
    tflops: Annotated[
        float, typer.Option("--tflops", min=1e-3, help="TFLOP/s that a GPU sustains, for the estimate of GPU hours.")
    ] = 40.0,
) -> None:
    """Show what a run would compute and why, what is cached, the time that earlier stages suggest, and the disk used.

    Plans at the scale of an accelerator get an estimate of GPU hours too, from counted operations.
    """
    from harness.api.running import prepare
    from harness.cli.console import print_table
    from harness.engine.forecast import forecast
    from harness.engine.progress import duration
    from harness.engine.store.store import Store

    prepared, manager = prepare(
        config,
        runs=runs,
        overrides=override or (),
        methods=methods,
        backbones=backbones,
        seeds=seeds,
        plugins=plugin or (),
        strict_plugins=strict_plugins,
    )
    expected = forecast(prepared, Store(runs), manager, tflops=tflops)
    lines = []
    for line in expected.lines:
        time = "unknown" if line.seconds is None else duration(line.seconds)
        lines.append((line.name, str(line.missing), str(line.cached), time if line.missing else "-"))
    print_table(("stage", "to compute", "cached", "expected"), lines)
    for line in expected.lines:
        if line.why:
            typer.echo(f"to compute {line.name}: {'; or '.join(line.why)}")
    typer.echo(f"cells: {len(prepared.cells)}, finished: {expected.finished_cells}")
    time = "nothing to compute"
    if expected.missing:
        least = "at least " if expected.unknown else ""
        time = f"expected {least}{duration(expected.seconds)} one after another"
        if expected.unknown == expected.missing:
            time = "expected time unknown"
    missing = f"{expected.missing} to compute ({expected.unknown} of them never timed)"
    typer.echo(f"stages: {missing}, {expected.cached} cached; {time}")
    if expected.gpu:
        left_out = f"; not counted: {', '.join(expected.gpu.uncounted)}" if expected.gpu.uncounted else ""
        typer.echo(f"GPU: about {expected.gpu.hours:.1f} hours at {tflops:g} TFLOP/s (estimate{left_out})")
    if expected.features_mib:
        typer.echo(f"features of the frozen backbone: {expected.features_mib:.1f} MiB will be stored")
    typer.echo(f"disk: {expected.disk_mib:.1f} MiB in {runs}, {expected.free_mib / 1024:.1f} GiB free")
    typer.echo(f"fingerprint: {prepared.fingerprint}")


def status(runs: Runs = _RUNS) -> None:
    """Show how far the sweeps of a runs folder are, from any terminal."""
    from harness.cli.console import console
    from harness.common.text import printable
    from harness.engine.plan.reasons import told
    from harness.engine.progress import read_status, summary, table

    sweeps = read_status(runs)
    if not sweeps:
        typer.echo(f"no sweep has run in {runs}")
        return
    folders = [sweep.records for sweep in sweeps]
    for sweep in sweeps:
        where = str(runs / sweep.records)
        if folders.count(sweep.records) > 1:  # the same settings with other rows, backbones or seeds
            where += f": {told([cell.name for cell in sweep.cells])}"
        where = printable(where)
        if sweep.finished:
            typer.echo(f"{summary(sweep)} (finished; {where})")
        elif sweep.alive is False:
            typer.echo(f"{summary(sweep)} (process {sweep.pid} is gone; `wsss run` again resumes it; {where})")
        else:
            typer.echo(f"running as process {sweep.pid} on {printable(sweep.host)} ({where})")
            console().print(table(sweep))


def _failures(outcome: Outcome, runs: Path) -> Iterator[str]:
    """For each failure, once for all rows that it took down: the sentence, the log with the traceback, a record."""
    rows: dict[tuple[str, str, str | None], list[str]] = {}
    for stem, failure in outcome.failures.items():
        rows.setdefault((failure.kind, failure.message, failure.log), []).append(stem)
    for (kind, message, log), stems in rows.items():
        more = f" and {len(stems) - 1} more" if len(stems) > 1 else ""
        yield f"failed: {stems[0]}{more}: {outcome.failures[stems[0]].stage}: {kind}: {message}"
        yield f"  log: {runs / log if log else 'none was written'}"
        yield f"  record: {outcome.records / stems[0]}.json"
