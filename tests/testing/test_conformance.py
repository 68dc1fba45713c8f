"""Every built-in method passes the conformance kit; a new one needs no line here."""

import json
from pathlib import Path

import pytest

from harness.registry import PluginSpec, manager_from_spec
from harness.testing import check_row
from harness.testing.method_params import required_params

MANAGER = manager_from_spec(PluginSpec(env=""))


@pytest.mark.parametrize("method", sorted(MANAGER.records("method")))
def test_every_registered_method_conforms(method, tmp_path):
    findings = check_row(method, MANAGER, tmp_path)
    assert [finding for finding in findings if finding.status == "fail"] == []
    names = [finding.check for finding in findings]
    if required_params(MANAGER.get("method", method)):  # files of somebody, which the kit does not have
        assert [(finding.check, finding.status) for finding in findings] == [("discovery", "pass"), ("runs", "n/a")]
        return
    assert names == ["discovery", "runs", "labels", "deterministic", "supervision", "images", "resume", "writes"]


def test_what_a_plugin_prints_is_not_part_of_the_json(tmp_path, capsys):
    from harness.cli.main import app
    from harness.testing.scaffold import new_file

    (path,) = new_file("talks", tmp_path)
    path.write_text(
        path.read_text().replace("import numpy as np\n", "import numpy as np\n\n        print('hello')\n", 1)
    )
    with pytest.raises(SystemExit) as ending:
        app(["plugins", "check", "talks", "--plugin", str(path), "--json"])
    said = capsys.readouterr()
    assert ending.value.code == 0
    assert json.loads(said.out)["failed"] == 0
    assert "hello" in said.err


def test_a_method_of_points_and_scribbles_conforms(tmp_path):
    plugin = Path(__file__).parent / "dots.py"
    findings = check_row("dots", manager_from_spec(PluginSpec(files=(str(plugin),), env="")), tmp_path)
    assert [finding for finding in findings if finding.status == "fail"] == []
    assert "supervision" in [finding.check for finding in findings]
