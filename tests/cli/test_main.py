"""How every command ends: exit codes, one sentence for an error, and a quick start."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from harness import __version__
from harness.cli.main import ErrorGroup, _frame
from harness.contract import ConfigError, StoreError
from tests.commands import wsss


@pytest.fixture
def failing():
    """A command line whose command ``go`` raises what it is told."""
    tiny = typer.Typer(cls=ErrorGroup, pretty_exceptions_enable=False)
    tiny.callback()(_frame)
    raised = []

    @tiny.command()
    def go():
        raise raised[0]

    def invoke(error, *options):
        raised[:] = [error]
        return CliRunner().invoke(tiny, [*options, "go"])

    return invoke


@pytest.mark.parametrize("error", [ConfigError("demo.yaml: seed: must be\nan integer"), StoreError("disk full")])
def test_an_error_on_purpose_is_one_sentence_and_exit_2(failing, error):
    result = failing(error)
    assert result.exit_code == 2
    assert result.stderr == f"error: {' '.join(str(error).split())}\n"
    assert result.stdout == ""


def test_an_interrupt_ends_with_130(failing):
    result = failing(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")


def test_a_crash_names_the_class_and_where_the_traceback_lies(failing, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = failing(ZeroDivisionError("division by zero"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unexpected ZeroDivisionError: division by zero (the traceback is in ")
    assert result.stderr.count("\n") == 1
    (log,) = tmp_path.glob("wsss-crash-*.txt")
    assert str(log) in result.stderr
    assert "Traceback" in log.read_text()


def test_a_crash_is_told_even_when_no_file_can_be_written(failing, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert "repeat it with `wsss --debug ...`" in failing(ZeroDivisionError("x")).stderr


def test_debug_prints_the_traceback(failing):
    result = failing(ConfigError("wrong"), "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: wrong\n")


def test_exit_codes_chosen_by_a_command_are_kept(failing):
    assert failing(typer.Exit(3)).exit_code == 3


def test_wrong_usage_ends_with_2():
    assert wsss("plugins", "list", "--absent-option").code == 2
    assert wsss("no-such-command").code == 2


def test_version():
    result = wsss("--version")
    assert (result.code, result.stdout) == (0, f"wsss {__version__}\n")


def test_help_lists_commands_and_exit_codes():
    result = wsss("--help")
    assert result.code == 0
    text = " ".join(result.stdout.split())
    for word in ("leaderboard", "plugins", "datasets", "doctor", "run", "plan", "status"):
        assert word in text
    for code in ("0 all good", "1 crash", "2 wrong usage or bad input", "3 some cells failed", "130 interrupted"):
        assert code in text


def test_no_arguments_show_the_help():
    assert "Usage" in wsss().output


@pytest.mark.parametrize("args", [["--help"], ["plugins", "list"]])
def test_help_and_listing_import_nothing_heavy(args, monkeypatch):
    monkeypatch.setenv("WSSS_PLUGINS", "")
    code = (
        "import sys\nfrom harness.cli.main import app\n"
        f"try: app({args!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'mmengine', 'scipy', 'cv2', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'heavy: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
