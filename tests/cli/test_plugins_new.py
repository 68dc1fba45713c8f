"""``wsss plugins new`` and ``wsss plugins check`` as an author meets them."""

import json
import os
import subprocess
import sys

import pytest

from tests.commands import wsss

WSSS = "from harness.cli.main import main; main()"


def test_a_new_package_installs_and_passes_the_kit_unchanged(tmp_path):
    result = wsss("plugins", "new", "my-method", "--dir", tmp_path)
    assert result.code == 0, result.output
    root = tmp_path / "my-method"
    written = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert written == {
        "pyproject.toml",
        "wsss_my_method/README.md",
        "wsss_my_method/__init__.py",
        "wsss_my_method/params.py",
        "wsss_my_method/card.py",
        "wsss_my_method/method.py",
        "wsss_my_method/generator.py",
        "wsss_my_method/py.typed",
        "wsss_my_method/tests/test_my_method.py",
    }
    assert {line.removeprefix(f"{root}/") for line in result.stdout.split()} == written
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "-t", str(tmp_path / "site"), str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "site" / "wsss_my_method" / "tests").exists()
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "WSSS_PLUGINS": "my-method"}
    done = subprocess.run(
        [sys.executable, "-c", WSSS, "plugins", "check", "my-method"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout
    for check in ("discovery", "labels", "deterministic", "supervision", "images", "resume", "writes"):
        assert f"pass  {check}" in done.stdout


def test_a_new_file_passes_the_kit_unchanged(tmp_path):
    assert wsss("plugins", "new", "my_method", "--file", "--dir", tmp_path).code == 0
    result = wsss("plugins", "check", "my_method", "--plugin", tmp_path / "my_method.py", "--json")
    assert result.code == 0, result.output
    report = json.loads(result.stdout)
    assert report["failed"] == 0
    assert [entry["checked"] for entry in report["checked"]] == ["method my_method"]


def test_a_failing_check_says_why_and_exits_3(tmp_path):
    wsss("plugins", "new", "mine", "--file", "--dir", tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(path.read_text().replace("np.uint8", "np.int64"))
    result = wsss("plugins", "check", "mine", "--plugin", path)
    assert result.code == 3
    assert "fail  runs" in result.stdout
    assert "the mask must be (H, W) uint8" in result.stdout


@pytest.mark.parametrize("name", ["My", "1st", "a b", "a__b", ""])
def test_a_name_that_cannot_be_one_is_refused(tmp_path, name):
    result = wsss("plugins", "new", name, "--dir", tmp_path)
    assert result.code == 2
    assert "is not allowed" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", [[], ["--file"]])
@pytest.mark.parametrize("name", ["cam", "self_guided", "self-guided", "baselines"])
def test_a_name_that_another_plugin_has_is_refused(tmp_path, name, form):
    result = wsss("plugins", "new", name, "--dir", tmp_path, *form)
    assert result.code == 2
    assert f"plugin name '{name}' is taken: " in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", [[], ["--file"]])
def test_nothing_is_overwritten(tmp_path, form):
    assert wsss("plugins", "new", "mine", "--dir", tmp_path, *form).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = wsss("plugins", "new", "mine", "--dir", tmp_path, *form)
    assert result.code == 2
    assert "is there" in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_file_in_place_of_a_name_is_told_where_it_belongs():
    result = wsss("plugins", "check", "mine.py")
    assert result.code == 2
    assert "mine.py is a file; name what it registers: `wsss plugins check NAME --plugin mine.py`" in result.stderr


def test_checking_an_unknown_name_is_one_sentence():
    result = wsss("plugins", "check", "box_fil")
    assert result.code == 2
    assert "did you mean 'box_fill'" in result.stderr
