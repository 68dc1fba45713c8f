"""The wheel alone is enough: unpacked beside the libraries, in an empty folder, without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMALL = (
    "dataset.params.train=8",
    "dataset.params.val=4",
    "dataset.params.size=64",
    "protocol.segmenter.optim.iterations=2",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_licence_types_and_configurations(site: Path) -> None:
    assert (site / "harness" / "py.typed").exists()
    assert (site / "harness" / "configs" / "benchmarks" / "demo.yaml").exists()
    assert (site / "harness" / "configs" / "weights" / "creatures.pth").exists()
    assert list(site.glob("wsss_harness-*.dist-info/licenses/LICENSE"))
    plugins = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()}
    assert plugins <= {path.name for path in site.iterdir()}
    assert not list(site.glob("wsss_*/tests"))


@pytest.mark.slow
def test_the_demo_runs_by_name_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    path = os.pathsep.join((str(site), sysconfig.get_path("purelib")))  # .pth files of a path from here are not read
    environment = {**os.environ, "PYTHONPATH": path}

    def python(code: str, *words: str) -> str:
        command = [sys.executable, "-S", "-c", code, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    options = [word for option in SMALL for word in ("-o", option)]
    assert python("import harness; print(harness.__file__)").startswith(str(site))
    command = ("run", "demo", "--methods", "box_fill,background", "--jobs", "1", *options)
    assert "box_fill" in python("from harness.cli.main import main; main()", *command)
    assert (tmp_path / "runs" / "records").is_dir()
