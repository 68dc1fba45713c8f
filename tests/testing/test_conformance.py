"""Every built-in method passes the conformance kit; a new one needs no line here."""

import pytest

from harness.registry import PluginSpec, manager_from_spec
from harness.testing import check_row

MANAGER = manager_from_spec(PluginSpec(env=""))


@pytest.mark.parametrize("method", sorted(MANAGER.records("method")))
def test_every_registered_method_conforms(method, tmp_path):
    findings = check_row(method, MANAGER, tmp_path)
    assert [finding for finding in findings if finding.status == "fail"] == []
    names = [finding.check for finding in findings]
    assert names == ["discovery", "runs", "labels", "deterministic", "supervision", "images", "resume", "writes"]
