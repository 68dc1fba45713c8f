"""A reader of a plugin that raises is one sentence, at plan and at check."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.main import app

READER = """
from dataclasses import dataclass
from harness.contract import DatasetRecord, hookimpl

@dataclass(frozen=True)
class Params:
    pass

def read(params):
    raise {error}

@hookimpl
def wsss_datasets():
    yield DatasetRecord("odd", factory=read, params=Params)
"""


@pytest.mark.parametrize("error", ["ZeroDivisionError('no images')", "SystemExit(0)", "KeyboardInterrupt()"])
@pytest.mark.parametrize("command", ["plan", "check"])
def test_a_reader_that_raises_is_one_sentence(
    error: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plugin.py").write_text(READER.format(error=error))
    Path("odd.yaml").write_text("name: odd\nparams: {}\n")
    words = ["datasets", "check", "odd.yaml"] if command == "check" else ["plan", "demo", "-o", "dataset=odd.yaml"]
    result = CliRunner().invoke(app, [*words, "--plugin", "plugin.py"])
    assert result.exit_code == 2, result.output
    assert "reader 'odd': " + error.partition("(")[0] in result.output
    assert len(result.stderr.strip().splitlines()) == 1
