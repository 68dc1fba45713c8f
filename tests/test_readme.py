"""README and guides promise nothing that does not run.

The commands of the README and of the first run are pasted into a shell, one after another, in a copy of what a checkout
holds. A command whose comment begins with "needs" asks for what this machine may lack, and is not pasted.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from harness.cli.main import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [(m[2], m[3]) for m in FENCE.finditer(page.read_text()) if m[1] == language]


def typed(page):
    """The commands of the console blocks of a page, in order, each in one line."""
    lines = "".join(text for _, text in blocks(page, "console")).replace("\\\n", "").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def commands():
    """Every `wsss ...` command of the pages, word by word."""
    for line in (line for page in PAGES for line in typed(page)):
        found = re.search(r"wsss ([^#|>]+)", line)
        if found:
            yield found[1].split()


def test_the_demo_table_is_made_of_the_committed_records_by_the_command_beside_it():
    text = (ROOT / "README.md").read_text()
    shown = text.split("see tests/test_readme.py -->")[1].split("<!-- end")[0].strip()
    (columns,) = re.findall(r"--columns (\S+)`", text)
    command = ["leaderboard", str(ROOT / "leaderboards/demo/records"), "--format", "md", "--columns", columns]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert f"\n\n{shown}\n\n" in result.stdout
    assert len(columns.split(",")) <= 7


def test_the_papers_of_the_readme_are_those_of_the_cards():
    from harness.cli.plugins import load_plugins

    lines = re.findall(
        r"^\| `(\w+)` \| (\S+) \| (.+), (?:\w+ )?(\d{4})(?: Workshops)?, \[arXiv ([\d.]+)\]\((\S+)\) \|$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    plugins = load_plugins(None)
    for name, _, title, year, number, link in lines:
        card = plugins.get("method", name).card
        about = [card.paper, *(path.read_text() for path in (ROOT / "plugins").glob("wsss_*/README.md"))]
        words = " ".join(" ".join(text.split()) for text in about if number in text)
        assert (str(card.year), link) == (year, f"https://arxiv.org/abs/{number}")
        assert number in card.paper
        assert title.lower() in words.lower(), title
    assert sorted(name for name, *_ in lines) == [
        "afa", "bilevel_box", "class_conditional", "irn", "label_uncertainty", "pseudo_mask_matters", "recam",
        "seam", "self_guided", "tree_energy", "whats_the_point"
    ]  # fmt: skip


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_each_command_and_option_of_the_pages_exists(words):
    names = [w for w in words if not w.startswith("-")]
    depth = 2 if names[0] in ("plugins", "datasets", "store", "configs", "weights") else 1
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


def test_the_data_set_of_the_readme_is_read():
    from harness.data.params import VocParams

    (text,) = [text for name, text in blocks(ROOT / "README.md", "yaml") if name == "mine.yaml"]
    params = VocParams.model_validate(yaml.safe_load(text)["params"], strict=False)
    assert list(params.classes) == ["background", "cat", "dog"]


def test_the_benchmark_file_of_the_guide_is_planned(tmp_path):
    from harness.cli.plugins import load_plugins
    from harness.engine.plan.config import load_benchmark
    from harness.engine.plan.layout import build_plan

    (text,) = [text for name, text in blocks(ROOT / "docs/benchmark-files.md", "yaml") if name == "comparison.yaml"]
    assert CliRunner().invoke(app, ["configs", "copy", "demo", "--to", str(tmp_path / "my")]).exit_code == 0
    path = tmp_path / "comparison.yaml"
    path.write_text(text)
    small = ["dataset.params.train=4", "dataset.params.val=2", "dataset.params.size=32"]
    plan = build_plan(load_benchmark(path, small), load_plugins(None))
    cells = {cell.row.label: cell for cell in plan.cells if cell.seed == 0}
    assert list(cells) == ["full", "pixel_subset", "cam_and_crf", "grabcut_bootstrapped", "cvs", "two_rounds"]
    assert cells["cvs"].val is None
    assert len([spec for spec in plan.stages.values() if spec.name == "classifier"]) == 3


def test_the_benchmark_file_with_a_frozen_backbone_is_planned(tmp_path):
    from harness.cli.plugins import load_plugins
    from harness.engine.plan.config import load_benchmark
    from harness.engine.plan.layout import build_plan

    (text,) = [text for name, text in blocks(ROOT / "docs/protocol.md", "yaml") if name == "frozen.yaml"]
    assert CliRunner().invoke(app, ["configs", "copy", "demo", "--to", str(tmp_path / "my")]).exit_code == 0
    path = tmp_path / "frozen.yaml"
    path.write_text(text)
    plan = build_plan(load_benchmark(path, ["dataset.params.train=4", "dataset.params.val=2"]), load_plugins(None))
    assert len(plan.cells) == 6
    assert len([spec for spec in plan.stages.values() if spec.name == "features"]) == 1


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


TESTS_THEMSELVES = "make test"
"""Pasted, it would run this test again."""

WSSS = """#!/bin/sh
exec {python} -c "from harness.cli.main import main; main()" "$@"
"""


def pasted(page):
    """The commands of the console blocks of a page, in order, but those that need what is not here."""
    return [line for line in typed(page) if "# needs " not in line and TESTS_THEMSELVES not in line]


def draw_photographs(folder):
    """Six photographs of a cat or a dog in the layout that the README asks for."""
    names = [f"photo {index}" for index in range(6)]
    for part in ("JPEGImages", "SegmentationClass"):
        (folder / part).mkdir(parents=True)
    for index, name in enumerate(names):
        mask = np.zeros((72, 96), np.uint8)
        mask[10:50, 10 + 4 * index : 60] = (8, 12)[index % 2]
        Image.fromarray(np.stack([mask * 15, 200 - mask, mask * 9], axis=-1)).save(
            folder / "JPEGImages" / f"{name}.jpg"
        )
        Image.fromarray(mask).save(folder / "SegmentationClass" / f"{name}.png")
    (folder / "train.txt").write_text("\n".join(names[:4]))
    (folder / "val.txt").write_text("\n".join(names[4:]))


@pytest.fixture
def checkout(tmp_path):
    """A checkout as `make` leaves it, with the images and the data set that the README has its reader write."""
    for name in ("harness", "plugins", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "wsss").write_text(WSSS.format(python=sys.executable))
    (programs / "wsss").chmod(0o755)
    (programs / "activate").write_text(f"PATH='{programs}':$PATH\n")
    (tmp_path / ".venv" / ".installed").touch()
    (text,) = [text for name, text in blocks(ROOT / "README.md", "yaml") if name == "mine.yaml"]
    (tmp_path / "mine.yaml").write_text(text)
    draw_photographs(tmp_path / "my_data")
    return tmp_path


def make_small(demo):
    """The demo with four of its rows, few images and two steps: the same commands in seconds."""
    content = yaml.safe_load(demo.read_text())
    content["dataset"] = {"name": "synthetic", "params": {"train": 8, "val": 4, "size": 48, "classes": 2}}
    content["methods"] = ["full", "box_grabcut", "box_fill", "background"]
    content["protocol"]["segmenter"]["optim"]["iterations"] = 2
    demo.write_text(yaml.safe_dump(content, sort_keys=False))


def paste(commands, folder, source):
    """Run the commands in one shell, which ends at the first that fails; what they printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(source), str(source / "plugins")))}
    environment.pop("MAKEFLAGS", None)
    script = "set -e\n" + "".join(f"echo {shlex.quote('$ ' + line)}\n{line}\n" for line in commands)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    printed = done.stdout.decode()
    assert done.returncode == 0, printed[-4000:]
    return printed


def check_the_readme(checkout):
    printed = paste(pasted(ROOT / "README.md"), checkout, checkout)
    after = dict(re.findall(r"^\$ wsss (\w+)[^\n]*\n(.*?)(?=^\$ |\Z)", printed, re.MULTILINE | re.DOTALL)[:4])
    assert "finished; runs/records/demo-" in after["status"]
    assert " 0 to compute" in after["plan"]
    assert "Field required" not in printed
    assert (checkout / "tables" / "demo.html").exists()


@pytest.mark.slow  # three real runs: 40 s
def test_the_commands_of_the_readme_work_one_after_another(checkout):
    make_small(checkout / "configs" / "benchmarks" / "demo.yaml")
    check_the_readme(checkout)


@pytest.mark.slow
def test_the_commands_of_the_readme_work_one_after_another_on_the_whole_demo(checkout):
    check_the_readme(checkout)


@pytest.mark.slow
def test_the_commands_of_the_first_run_work_one_after_another(checkout):
    make_small(checkout / "configs" / "benchmarks" / "demo.yaml")
    (checkout / "empty").mkdir()
    for name in ("mine.yaml", "my_data"):
        (checkout / name).rename(checkout / "empty" / name)
    activate = f"source {shlex.quote(str(checkout / '.venv/bin/activate'))}"
    printed = paste([activate, *pasted(ROOT / "docs/first-run.md")], checkout / "empty", checkout)
    assert "no defects" in printed


def test_little_is_left_out_of_what_is_pasted():
    lines = typed(ROOT / "README.md")
    left_out = [line for line in lines if line not in pasted(ROOT / "README.md")]
    reasons = [line.partition("# needs ")[2].split() for line in left_out if TESTS_THEMSELVES not in line]
    assert all({"network,", "network:", "data"} & set(words) for words in reasons), left_out
    assert len(left_out) <= 6 < len(lines) / 4
