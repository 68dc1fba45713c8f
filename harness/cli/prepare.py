"""``wsss datasets prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import console, print_error, print_table, progress_bars
from harness.contract import DataError

_STYLES = {"done before": "", "done now": "green", "missing": "red", "failed": "red", "waiting": "dim"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prepare")(prepare_dataset)


def prepare_dataset(
    name: Annotated[str, typer.Argument(help="voc2012, coco2014, coco2017 or cityscapes.")],
    root: Annotated[Path, typer.Option(envvar="WSSS_DATA", help="Folder of all data sets; archives go there too.")],
    download: Annotated[bool, typer.Option(help="Fetch archives that are missing, where no account is needed.")] = True,
) -> None:
    """Fetch, verify, unpack and convert a published data set; repeat it to go on (exit 2 when something is missing)."""
    from harness.data.prepare import prepare

    with progress_bars() as progress:
        outcomes = list(prepare(name, root, download=download, progress=progress))
    wrong = [outcome for outcome in outcomes if outcome.state in ("missing", "failed")]
    print_table(
        ("step", "state", ""),
        [(done.step, done.state, "see below" if done in wrong else done.text) for done in outcomes],
        styles=[_STYLES[outcome.state] for outcome in outcomes],
    )
    for outcome in wrong:
        print_error(outcome.text)
    if wrong:
        raise typer.Exit(DataError.exit_code)
    folder = root.expanduser().absolute()
    console().print(f"ready: configs/datasets/{name}.yaml with WSSS_DATA={folder}", soft_wrap=True)
