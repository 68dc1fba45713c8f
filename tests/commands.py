"""``wsss`` in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from typer.testing import CliRunner

from harness.cli.main import app


@dataclass(frozen=True)
class Ending:
    """How a command ended; ``code, output = wsss(...)`` takes the two that matter most.

    Attributes:
        code: Exit code.
        output: Both streams, mixed as a terminal shows them.
        stdout: What a pipe would get.
        stderr: What it would not get.
    """

    code: int
    output: str
    stdout: str
    stderr: str

    def __iter__(self) -> Iterator[int | str]:
        return iter((self.code, self.output))


def wsss(*arguments: object) -> Ending:
    """Run ``wsss ARGUMENTS``; each argument is given as its text."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return Ending(result.exit_code, result.output, result.stdout, result.stderr)
