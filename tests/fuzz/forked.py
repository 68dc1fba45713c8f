"""One ``wsss`` command in a forked child of this warm process, so that a crash or a hang is seen for what it is."""

from __future__ import annotations

import atexit
import os
import resource
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer

from harness.cli.main import app

DEADLINE = float(os.environ.get("WSSS_FUZZ_DEADLINE", "60"))
"""Seconds that a command may take."""

MEMORY = 6 << 30
"""Bytes of address space that a command may take: a bomb ends as an error and not with the machine."""


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        code: Exit status, the negative number of a signal, or ``None`` for one that was still running at the deadline.
        orphans: Whether it left processes behind, which are ended by now.
    """

    code: int | None
    out: str
    err: str
    orphans: bool = False


def run(
    arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str], log: Path, before: Callable[[], None]
) -> Ending:
    """Run ``wsss ARGUMENTS`` in a child, after ``before`` there.

    Args:
        log: Folder for the two streams; it is no part of what is judged.
    """
    streams = log / "out", log / "err"
    assert len(list(Path("/proc/self/task").iterdir())) == 1, (
        "a thread was started, its locks would be held in the child"
    )
    pid = os.fork()
    if pid == 0:
        _child(arguments, cwd, environment, streams, before)
    with suppress(OSError):
        os.setpgid(pid, pid)
    code = _await(pid)
    orphans = _end_group(pid)
    out, err = (path.read_bytes().decode("utf-8", "backslashreplace") for path in streams)
    return Ending(code, out, err, orphans and code is not None)


def _await(pid: int) -> int | None:
    """Exit status, or ``None`` and the child is gone."""
    watch = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([watch], [], [], DEADLINE)
    finally:
        os.close(watch)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def _end_group(pid: int) -> bool:
    """Whether anything of the child's group was left; it is killed."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _child(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    streams: tuple[Path, Path],
    before: Callable[[], None],
) -> None:
    """Never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        for number, stream in enumerate(streams, start=1):
            os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(cwd)
        os.environ.update(environment)
        tempfile.tempdir = None
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        before()
        code = _exit_code(arguments)
        atexit._run_exitfuncs()  # as the interpreter would: temporary folders go now
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        code = 1
    finally:
        os._exit(code)


COMMAND = typer.main.get_command(app)
"""What ``wsss`` is, built once."""


def _exit_code(arguments: Sequence[str]) -> int:
    try:
        COMMAND(list(arguments), prog_name="wsss")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    return 0
