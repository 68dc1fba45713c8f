"""What Tab offers: called as the shell calls it, through the environment, and through the shell's own script."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import completion

WSSS = "import sys; sys.argv[0] = 'wsss'; from harness.cli.main import main; main()"
HEAVY = ("torch", "numpy", "pandas", "mmengine", "scipy", "numba")


def complete(line, folder, **environment):
    """What is offered for the last word of ``line``, and the process."""
    words = shlex.split(line)
    done = subprocess.run(
        [sys.executable, "-c", WSSS],
        cwd=folder,
        env=os.environ
        | {"_WSSS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [word for word in done.stdout.split("\n") if word], done.stderr


@pytest.fixture
def folder(sweep, tmp_path):
    """A folder with runs, a benchmark file, and a record of nobody's making."""
    (tmp_path / "mine.yaml").write_text("methods: [cam, {name: cam_mine, method: cam}, {method: box_fill}]\n")
    (sweep.runs / "records" / "demo-01234567" / "\x1b[2J--a--s0.json").write_text("{}")
    (sweep.runs / "records" / "demo-01234567" / "notes.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("wsss show ''", ["box_fill", "broken", "cam_new", "full"]),
        ("wsss show b", ["box_fill", "broken"]),
        ("wsss show --runs nowhere b", []),
        ("wsss compare cam_new fu", ["full"]),
        ("wsss show full --backbone r", ["resnet18"]),
        ("wsss run de", ["demo", "demo_all"]),
        ("wsss run mi", ["mine.yaml"]),
        ("wsss run mine.yaml --methods cam_", ["cam_crf", "cam_mine", "cam_walk"]),
        ("wsss run mine.yaml --methods full,cam_m", ["full,cam_mine"]),
        ("wsss plan demo --methods box_fill,box_", ["box_fill,box_grabcut", "box_fill,box_grabcut_pixels"]),
        ("wsss run demo --backbones resnet18,resnet5", ["resnet18,resnet50", "resnet18,resnet50_v1"]),
        ("wsss leaderboard --runs ru", ["runs", "runs/records/demo-01234567"]),
        ("wsss export full --runs ru", ["runs", "runs/records/demo-01234567"]),
        ("wsss predict full images --runs ru", ["runs", "runs/records/demo-01234567"]),
    ],
)
def test_rows_methods_backbones_benchmarks_and_folders_complete(folder, line, offered):
    found, _ = complete(line, folder)
    assert sorted(found) == sorted(offered)


def test_completing_imports_nothing_heavy(folder):
    for line in ("wsss show b", "wsss run mine.yaml --methods cam_", "wsss run de"):
        _, imported = complete(line, folder, PYTHONPROFILEIMPORTTIME="1")
        names = {row.rpartition("|")[2].strip() for row in imported.splitlines()}
        assert "harness.cli.completion" in names
        assert not names & set(HEAVY)


def test_completing_takes_less_than_half_a_second_of_computing(folder):
    def seconds():
        before = os.times()
        complete("wsss run mine.yaml --methods cam_", folder)
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    assert min(seconds() for _ in range(3)) < 0.5


def test_the_script_of_the_shell_completes_a_row(folder, tmp_path):
    command = tmp_path / "bin" / "wsss"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n{WSSS}\n")
    command.chmod(0o755)
    typed = "COMP_WORDS=(wsss show ca); COMP_CWORD=2; _wsss_completion wsss"
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "plugins")])
    environment = os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": paths}
    done = subprocess.run(
        ["bash", "-c", f'eval "$(_WSSS_COMPLETE=source_bash wsss)"; {typed}; echo "${{COMPREPLY[@]}}"'],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "cam_new\n", done.stderr


def test_a_benchmark_file_that_cannot_be_read_leaves_the_registered_methods(folder):
    (folder / "mine.yaml").write_text("methods: [[[\n")
    found, errors = complete("wsss run mine.yaml --methods cam_", folder)
    assert found == ["cam_crf", "cam_walk"]
    assert errors == ""


def test_no_name_is_offered_that_could_move_the_terminal():
    assert completion._fitting(["a\x1b[2J", "ab", "ab", "b"], "a") == ["ab"]
