"""The contract page is true, and plugins of every supported number keep loading."""

import logging
import re
from pathlib import Path

import pytest

from harness.contract import CONTRACT, SUPPORTED_CONTRACTS, RunEvent, StageEvent, letters
from harness.registry import KINDS, build_params, component_uses, method_rounds

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
BLOCK = re.compile(r"^```python(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_contract_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_PLUGINS", "")
    blocks = BLOCK.findall((ROOT / "docs" / "contract.md").read_text())
    assert len(blocks) == 5
    names = {}
    for file, code in blocks:
        if file:
            Path(file).write_text(code)
        else:
            exec(compile(code, "docs/contract.md", "exec"), names)


def test_the_contract_page_names_every_hook():
    page = (ROOT / "docs" / "contract.md").read_text()
    for kind, record in KINDS.items():
        assert f"| `wsss_{kind}s` | `{record.__name__}` |" in page


def test_the_host_supports_its_number_and_the_one_before_it():
    assert CONTRACT in SUPPORTED_CONTRACTS
    assert SUPPORTED_CONTRACTS.issubset({CONTRACT - 1, CONTRACT})


@pytest.mark.parametrize("number", sorted(SUPPORTED_CONTRACTS))
def test_a_plugin_of_each_supported_number_keeps_loading(site, number, caplog):
    loaded = site.manager(GOLDEN / f"contract_{number}.py")
    (state,) = loaded.plugins()
    assert state.status == "ok", state.reason
    for kind in KINDS:
        assert "golden" in loaded.records(kind)
    method = loaded.get("method", "golden")
    assert len(method_rounds(method, build_params(method, {"rounds": 3}, where="x"))) == 3
    generator = loaded.get("generator", "golden")
    assert [stage.name for stage in component_uses(generator, None)] == ["cams", "edges"]
    assert letters(loaded.needs("method", "golden")) == "I+B+S+F"
    run = RunEvent("demo", "f", (("golden", "golden", 0),))
    with caplog.at_level(logging.WARNING, "harness.registry"):
        loaded.notify("wsss_run_started", run=run)
        loaded.notify("wsss_stage_finished", stage=StageEvent("cams", "k", "done", 1.0, 2.0))
        loaded.notify("wsss_run_finished", run=run)
    assert not caplog.records
