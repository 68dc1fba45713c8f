"""Promises of ``wsss leaderboard``."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from harness.cli.leaderboard import register
from harness.contract import ConfigError, PluginError, StoreError


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("WSSS_PLUGINS", "")
    monkeypatch.setenv("COLUMNS", "250")
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)

    def invoke(*args):
        result = CliRunner().invoke(app, ["leaderboard", *map(str, args)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_without_out_the_table_is_printed_and_nothing_written(run, sweep):
    before = sorted(sweep.runs.rglob("*"))
    result = run(sweep.runs)
    assert "cam_new (reconstruction)" in result.stdout
    assert sorted(sweep.runs.rglob("*")) == before


def test_every_written_file_is_named(run, sweep, tmp_path):
    out = tmp_path / "tables" / "new"
    result = run(sweep.runs, "--out", out)
    written = sorted(path.name for path in out.iterdir())
    assert set(written) >= {"demo.csv", "demo.json", "demo.md", "demo.tex"}
    assert sorted(result.stdout.split()) == [str(out / name) for name in written]


def test_format_chooses_and_without_out_goes_to_the_terminal(run, sweep, tmp_path):
    run("--runs", sweep.runs, "--format", "md,csv", "--out", tmp_path / "out")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".csv", ".md"]
    assert run("--runs", sweep.runs, "--format", "csv").stdout == (tmp_path / "out" / "demo.csv").read_text()


def test_writing_twice_gives_the_same_bytes(run, sweep, tmp_path):
    for name in ("one", "two"):
        run(sweep.runs, "--out", tmp_path / name, "--format", "md,csv,json,tex")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_mixed_settings_are_an_error_unless_allowed(run, records):
    records.add("cam")
    records.add("cam", fingerprint="f" * 16, protocol={})
    with pytest.raises(ConfigError, match="--allow-mixed"):
        run(records.runs)
    assert "MIXED SETTINGS" in run(records.runs, "--allow-mixed", "--format", "md").stdout


def test_an_unknown_format_names_the_known_ones(run, sweep, tmp_path):
    with pytest.raises(PluginError, match=r"'mdx'.*md"):
        run(sweep.runs, "--format", "mdx", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_plugin_file_brings_a_renderer(run, sweep, tmp_path):
    plugin = tmp_path / "wsss_count.py"
    plugin.write_text(
        "from harness.contract import RendererRecord, hookimpl\n"
        "@hookimpl\n"
        "def wsss_renderers():\n"
        "    yield RendererRecord('count', lambda params: lambda board: f'{len(board.rows)} rows\\n', suffix='.txt')\n"
    )
    assert run(sweep.runs, "--plugin", plugin, "--format", "count").stdout == "4 rows\n"


def test_a_missing_folder_or_file_is_one_sentence(run, tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere: no such folder"):
        run("--runs", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"nowhere: no such folder"):
        run(tmp_path / "no.yaml", "--runs", tmp_path / "nowhere")


def test_an_out_folder_that_cannot_be_made_is_one_sentence(run, sweep, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file: cannot be written"):
        run(sweep.runs, "--out", tmp_path / "file")


def test_light_modules_import_no_heavy_library():
    code = (
        "import sys, harness.cli.leaderboard, harness.leaderboard, harness.leaderboard.builtin, harness.scoring, "
        "harness.scoring.builtin\n"
        "assert not {'torch', 'numpy', 'pandas', 'mmengine', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_making_a_table_imports_no_torch(sweep):
    code = (
        "import sys, pathlib; from harness.leaderboard import build_board, load_runs; "
        "from harness.leaderboard.render import to_markdown\n"
        f"to_markdown(build_board(load_runs(pathlib.Path({str(sweep.runs)!r}))))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
