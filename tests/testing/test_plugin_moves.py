"""A plugin's folder moves to a repository of its own: unchanged, installed by pip, found through its entry point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.testing.scaffold import new_package

ROOT = Path(__file__).parents[2]
MOVED = "label_uncertainty"
WSSS = "from harness.cli.main import main; main()"
TINY = (
    "dataset.params.train=8",
    "dataset.params.val=4",
    "dataset.params.size=64",
    "protocol.segmenter.optim.iterations=2",
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A harness that knows nothing of the plugin, and the plugin installed beside it from its own repository."""
    (tmp_path / "own").mkdir()
    new_package(MOVED, tmp_path / "own")
    repository, package = tmp_path / "own" / MOVED, f"wsss_{MOVED}"
    shutil.rmtree(repository / package)
    shutil.copytree(ROOT / "plugins" / package, repository / package)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(site), str(repository)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    unneeded = shutil.ignore_patterns("__pycache__", "tests")
    for folder in (ROOT / "harness", *(ROOT / "plugins").glob("wsss_*")):
        if folder.name != package:
            shutil.copytree(folder, site / folder.name, ignore=unneeded)
    shutil.copytree(ROOT / "configs", site / "harness" / "configs")
    sources = site / "harness" / "registry" / "sources.py"
    text = sources.read_text()
    assert f'    "{package}",\n' in text
    sources.write_text(text.replace(f'    "{package}",\n', ""))
    return site


@pytest.mark.slow
def test_a_plugin_folder_runs_from_a_repository_of_its_own(site: Path, tmp_path: Path) -> None:
    def wsss(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site), "WSSS_PLUGINS": MOVED}
        command = [sys.executable, "-c", WSSS, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert not (site / f"wsss_{MOVED}" / "tests").exists()
    shown = json.loads(wsss("plugins", "show", MOVED, "--json"))
    providers = {(record["provider"]["plugin"], record["provider"]["distribution"]) for record in shown["records"]}
    assert providers == {(MOVED, "wsss-label-uncertainty")}
    options = [word for option in TINY for word in ("-o", option)]
    wsss("run", "demo", "--methods", MOVED, "--jobs", "1", *options)
    (record,) = (tmp_path / "runs" / "records").rglob(f"{MOVED}--*.json")
    told = json.loads(record.read_text())
    assert MOVED in {plugin["name"] for plugin in told["plugins"]}
