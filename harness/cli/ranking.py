"""``wsss ranking``: how far the order of a table's rows can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import completion

if TYPE_CHECKING:
    from harness.records.rankings import Agreement, Ranking

_RUNS = Path("runs")
_NAMED = 8
"""Pairs of rows that are named."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("ranking")(ranking)


def ranking(
    runs: Annotated[
        Path,
        typer.Argument(
            metavar="RUNS",
            help="Folder of records.",
            autocompletion=completion.runs_folders,
        ),
    ] = _RUNS,
    *,
    score: Annotated[str, typer.Option("--score", help="val (predictions) or pseudo (pseudo labels).")] = "val",
    draws: Annotated[int, typer.Option("--draws", min=1, max=100_000, help="How often the images are halved.")] = 100,
) -> None:
    """Try a ranking on random halves of the images and with another backbone.

    Kendall's tau is 1 where all rows stand in the same order and 0 where the orders have nothing in common.
    """
    from harness.cli.console import leaving_out, print_table
    from harness.contract import ConfigError
    from harness.records.comparison import SCORES
    from harness.records.rankings import agreements, rankings
    from harness.records.reader import load_runs, sound_runs

    if score not in SCORES:
        raise ConfigError(f"--score: {score!r} is none of {', '.join(SCORES)}")
    with leaving_out() as left_out:
        found = rankings(sound_runs(load_runs(runs, left_out), left_out), score, draws)
    print_table(
        ("benchmark", "backbone", "rows", "images", f"tau of {draws} halves [5 %, 95 %]"), [_line(one) for one in found]
    )
    for pair in agreements(found):
        typer.echo(_sentence(pair))


def _line(one: Ranking) -> tuple[str, ...]:
    import numpy as np

    low, high = np.nanpercentile(one.halves, (5, 95))
    tau = f"{np.nanmean(one.halves):.2f} [{low:.2f}, {high:.2f}]"
    name = f"{one.benchmark} ({one.fingerprint[:8]})"
    return name, one.backbone, str(len(one.rows)), str(one.images), tau


def _sentence(pair: Agreement) -> str:
    names = [f"{one} and {other}" for one, other in pair.turned]
    if len(names) > _NAMED:
        names = [*names[:_NAMED], f"{len(names) - _NAMED} more"]
    turned = f"{len(pair.turned)} of {pair.pairs} pairs change places" + (f": {', '.join(names)}" if names else "")
    return f"{pair.first.backbone} against {pair.second.backbone}: tau {pair.tau:.2f}; {turned}"
