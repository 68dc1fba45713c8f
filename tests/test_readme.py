"""README and guides promise nothing that does not run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.main import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [(m[2], m[3]) for m in FENCE.finditer(page.read_text()) if m[1] == language]


def commands():
    """Every distinct `wsss ...` line of the pages, as (command words, options)."""
    for page in PAGES:
        for _, text in blocks(page, "console"):
            for line in text.splitlines():
                found = re.search(r"wsss ([^#|>]+)", line)
                if line.startswith("$") and found:
                    yield found[1].split()


def test_the_demo_table_is_the_committed_one():
    text = (ROOT / "README.md").read_text()
    shown = text.split("see tests/test_readme.py -->")[1].split("<!-- end")[0].strip()
    table = (ROOT / "leaderboards/demo/demo.md").read_text()
    assert shown
    assert shown in table


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_each_command_and_option_of_the_pages_exists(words):
    names = [w for w in words if not w.startswith("-")]
    depth = 2 if names[0] in ("plugins", "datasets", "store", "configs") else 1
    result = CliRunner().invoke(app, [*names[:depth], "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for option in (w for w in words if w.startswith("-")):
        assert option in result.output


def test_files_and_links_of_the_pages_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
        for path in re.findall(r"\b((?:configs|plugins|leaderboards)/[\w./-]+\.(?:yaml|py|md))", page.read_text()):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_data_set_of_the_readme_is_read(tmp_path, monkeypatch):
    from harness.data.params import VocParams

    (text,) = [text for name, text in blocks(ROOT / "README.md", "yaml") if name == "mine.yaml"]
    monkeypatch.setenv("MY_DATA", str(tmp_path))
    content = yaml.safe_load(text)
    params = VocParams.model_validate({**content["params"], "root": str(tmp_path)}, strict=False)
    assert list(params.classes) == ["background", "cat", "dog"]


def test_the_benchmark_file_of_the_guide_is_planned(tmp_path):
    from harness.cli.plugins import load_plugins
    from harness.engine.config import load_benchmark
    from harness.engine.plan import build_plan

    (text,) = [text for name, text in blocks(ROOT / "docs/benchmark-files.md", "yaml") if name == "comparison.yaml"]
    for folder in ("datasets", "segmenters"):
        (tmp_path / folder).symlink_to(ROOT / "configs" / folder)
    (tmp_path / "benchmarks").mkdir()
    path = tmp_path / "benchmarks" / "comparison.yaml"
    path.write_text(text)
    small = ["dataset.params.train=4", "dataset.params.val=2", "dataset.params.size=32"]
    plan = build_plan(load_benchmark(path, small), load_plugins(None))
    cells = {cell.row.label: cell for cell in plan.cells if cell.seed == 0}
    assert list(cells) == ["full", "pixel_subset", "cam_30", "grabcut_bootstrapped", "cvs", "two_rounds"]
    assert cells["cvs"].val is None
    assert len([spec for spec in plan.stages.values() if spec.name == "classifier"]) == 3


def test_make_knows_the_targets_of_the_readme():
    for target in re.findall(r"^\$ make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_method_of_the_guide_is_short_and_runs(tmp_path):
    (source,) = [text for name, text in blocks(ROOT / "docs/add-a-method.md", "python") if name == "my_method.py"]
    code = [line for line in source.splitlines() if line.strip() and not line.startswith(('"""', "import", "from"))]
    assert len(code) <= 20
    plugin = tmp_path / "my_method.py"
    plugin.write_text(source)
    options = [
        "dataset.params.train=8",
        "dataset.params.val=4",
        "dataset.params.size=64",
        "protocol.segmenter.optim.iterations=2",
    ]
    arguments = ["run", "configs/benchmarks/demo.yaml", "--plugin", str(plugin), "--methods", "box_fill,box_ellipse"]
    arguments += [part for option in options for part in ("-o", option)]
    arguments += ["--seeds", "0", "--jobs", "1", "--runs", str(tmp_path / "runs")]
    wsss = "from harness.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", wsss, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "box_ellipse" in done.stdout
