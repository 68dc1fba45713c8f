"""The kit finds each fault that it claims to find, and names what to do."""

import sys
from pathlib import Path

import pytest

from harness.contract import PluginError
from harness.registry import PluginSpec, manager_from_spec
from harness.testing import check_plugin, check_row
from harness.testing.checks import Fault, light_discovery, watched_writes
from harness.testing.conformance import named, row_of
from harness.testing.method_params import idle_params

FAULTY = str(Path(__file__).parent / "faulty.py")
MANAGER = manager_from_spec(PluginSpec(files=(FAULTY,), env=""))


def failures(method, folder):
    return {f.check: f.reason for f in check_row(method, MANAGER, folder) if f.status == "fail"}


def test_a_sound_method_passes(tmp_path):
    assert failures("sound", tmp_path) == {}


@pytest.mark.parametrize(
    ("method", "check", "words"),
    [
        ("shape", "runs", "the mask is 3x3, the image 64x64"),
        ("undeclared", "runs", "masks are not declared; add Need(Supervision.MASKS) to needs"),
        ("stateful", "deterministic", "other bytes in a second run with the same seed"),
        ("sneaky", "supervision", "changes when masks that were not declared become noise"),
        ("neighbours", "images", "change with the images beside it"),
        ("litter", "writes", "left_behind.txt"),
        ("meddler", "writes", "was changed after it had been published"),
        ("forgetful", "resume", "interrupted and resumed it gives other bytes"),
        ("swallows", "resume", "let BaseException through"),
    ],
)
def test_a_fault_is_found_and_named(method, check, words, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # one of the faulty methods writes beside what it was given
    found = failures(method, tmp_path / "kit")
    assert words in found[check]


def test_a_refiner_that_learns_is_interrupted_and_resumed_too(tmp_path):
    row = row_of("refiner", "forgetful")
    assert "fit forgetful: interrupted and resumed it gives other bytes" in failures(row, tmp_path)["resume"]


@pytest.mark.parametrize("method", ["deaf", "deaf_function"])
def test_a_parameter_that_reaches_no_component_is_found(method):
    words = f"parameter 'scale' of method '{method}' reaches no component; make rounds a function of the parameters"
    with pytest.raises(Fault, match=words):
        idle_params(MANAGER, method)


def test_the_check_of_a_method_tells_of_its_idle_parameter_and_only_then(tmp_path):
    assert set(failures("deaf", tmp_path)) == {"params"}
    assert "scale" in idle_params(MANAGER, "hears")
    assert "no parameters" in idle_params(MANAGER, "sound")


def test_a_plugin_that_imports_torch_at_registration_is_found(tmp_path):
    path = tmp_path / "heavy.py"
    path.write_text("import torch\n")
    with pytest.raises(Fault, match=r"imports torch.*name factories as 'module:attribute'"):
        light_discovery(PluginSpec(files=(str(path),), env=""))


def test_writes_outside_are_seen_and_those_inside_are_not(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    with watched_writes([inside]) as written:
        (inside / "a").write_text("")
        (outside / "b").write_text("")
        (outside / "b").read_text()
        (outside / "b").unlink()
    (outside / "c").write_text("")
    assert written == [str(outside / "b")] * 2


def test_a_plugin_stands_for_its_methods_and_the_components_that_none_of_them_uses():
    assert named("cam", MANAGER) == [("method", "cam")]
    kinds = named("wsss_baselines", MANAGER)
    assert ("method", "box_fill") in kinds
    assert ("generator", "box_fill") not in kinds


def test_other_records_are_resolved(tmp_path):
    ((checked, (finding,)),) = check_plugin("md", MANAGER, tmp_path)
    assert (checked, finding.status) == ("renderer md", "pass")


def test_unknown_and_quarantined_names_are_errors(tmp_path):
    with pytest.raises(PluginError, match="did you mean 'sound'"):
        list(check_plugin("soundd", MANAGER, tmp_path))
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('no luck')\n")
    with pytest.raises(PluginError, match="no luck"):
        list(check_plugin("broken", manager_from_spec(PluginSpec(files=(str(broken),), env="")), tmp_path))


def test_importing_the_kit_loads_nothing():
    assert "harness.testing" in sys.modules
    import subprocess

    code = "import sys, harness.testing; sys.exit(bool({'numpy', 'torch', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


BACKBONE = """
from harness.contract import BackboneRecord, hookimpl

@hookimpl
def wsss_backbones():
    tiny = "harness.modelling.backbones:tiny"
    yield BackboneRecord("wrong_channels", factory=tiny, channels=(16, 32, 64, 127), output_strides=(8, 16))
    yield BackboneRecord("no_library", factory="a_library_that_is_absent.nets:net", channels=(1,))
"""


@pytest.mark.parametrize(("name", "words"), [("wrong_channels", "channels"), ("no_library", "a_library_that_is")])
def test_a_backbone_that_is_not_what_its_record_says_fails_the_check(name, words, tmp_path):
    (tmp_path / "nets.py").write_text(BACKBONE)
    ((_, findings),) = check_plugin(
        name, manager_from_spec(PluginSpec(files=(str(tmp_path / "nets.py"),), env="")), tmp_path / "work"
    )
    found = {finding.check: finding for finding in findings}
    assert found["network"].status == "fail"
    assert words in found["network"].reason
