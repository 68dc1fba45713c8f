"""The command ``wsss``: commands, exit codes, and how an error reaches the user."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from harness import __version__
from harness.cli import (
    compare,
    configs,
    datasets,
    doctor,
    export,
    leaderboard,
    plugins,
    predict,
    ranking,
    run,
    show,
    store,
    verify,
    weights,
)
from harness.cli.console import print_error
from harness.contract import WsssError

CRASHED = 1
INTERRUPTED = 130

_EPILOG = "Exit codes: 0 all good, 1 crash, 2 wrong usage or bad input, 3 some cells failed or differ, 130 interrupted."

_CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""Base of click's errors, reached through a public name: typer brings its own click in newer versions."""

_NOT_CRASHES = (typer.Exit, typer.Abort, _CLICK_ERROR, BrokenPipeError, EOFError)


class ErrorGroup(TyperGroup):
    """Ends every failure in one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except _NOT_CRASHES:
            raise
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params["debug"]:
                traceback.print_exc()
            message, code = _outcome(error)
            print_error(message)
            raise typer.Exit(code) from None


def _outcome(error: BaseException) -> tuple[str, int]:
    """Sentence and exit code."""
    if isinstance(error, WsssError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    log = Path(tempfile.gettempdir()) / f"wsss-crash-{os.getpid()}.txt"
    try:
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        where = f"the traceback is in {log}"
    except OSError:
        where = "repeat it with `wsss --debug ...` to see the traceback"
    return f"unexpected {type(error).__name__}: {error} ({where})", CRASHED


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wsss {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="wsss",
    cls=ErrorGroup,
    help="Compare weakly-supervised segmentation methods under identical settings.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _frame(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of any error.")] = False,
) -> None: ...


run.register(app)
leaderboard.register(app)
show.register(app)
compare.register(app)
ranking.register(app)
verify.register(app)
export.register(app)
predict.register(app)
app.add_typer(plugins.app, name="plugins")
app.add_typer(datasets.app, name="datasets")
app.add_typer(store.app, name="store")
app.add_typer(weights.app, name="weights")
configs.register(app)
doctor.register(app)


def main() -> None:
    """Entry point of the command ``wsss``."""
    app(prog_name="wsss")
