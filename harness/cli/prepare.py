"""``wsss datasets prepare``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.console import console, print_error, print_table
from harness.contract import DataError

if TYPE_CHECKING:
    from harness.data.prepare import Outcome
    from harness.data.prepare.steps import Progress

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

    with _progress() as progress:
        outcomes = list(prepare(name, root, download=download, progress=progress))
    print_table(
        ("step", "state", ""),
        [(outcome.step, outcome.state, _note(outcome)) for outcome in outcomes],
        styles=[_STYLES[outcome.state] for outcome in outcomes],
    )
    wrong = [outcome.text for outcome in outcomes if outcome.state in ("missing", "failed")]
    for text in wrong:
        print_error(text)
    if wrong:
        raise typer.Exit(DataError.exit_code)
    folder = root.expanduser().absolute()
    console().print(f"ready: configs/datasets/{name}.yaml with WSSS_DATA={folder}", soft_wrap=True)


def _note(outcome: Outcome) -> str:
    """What stands in the table; what is wrong comes below it, as sentences."""
    return outcome.text if outcome.ok or outcome.state == "waiting" else "see below"


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar a step on a terminal, nothing elsewhere."""
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    with Bars(console=console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step)
            bars.update(tasks[step], completed=done, total=total)

        yield tell
