"""``wsss doctor`` recognises what breaks this field's machines and says what to do."""

import json

import pytest

from harness.cli import doctor
from harness.registry import PluginState
from tests import commands

FINE = {
    "torch": {"name": "torch", "version": "2.11.0", "cuda": "12.8", "ok": True},
    "torchvision": {"name": "torchvision", "version": "0.26.0", "cuda": 12080, "ok": True},
    **{name: {"name": name, "version": "1", "ok": True} for name in ("mmengine", "mmcv", "mmseg", "cv2")},
}
MAINTAINED = {
    "onedl-mmengine": "0.10",
    "onedl-mmcv": "2.3",
    "onedl-mmsegmentation": "1.4",
    "opencv-python-headless": "4.10",
}


def broken(name, error):
    return FINE | {name: {"name": name, "error": error}}


def versions(**changes):
    known = MAINTAINED | {name.replace("_", "-"): version for name, version in changes.items()}
    return known.get


def test_a_matching_pair_is_fine():
    check = doctor.check_torch(FINE)
    assert check.status == "ok"
    assert check.found == "torch 2.11.0 (CUDA 12.8), torchvision 0.26.0 (CUDA 12.8)"


def test_a_cpu_torch_with_a_cuda_torchvision_is_recognised():
    check = doctor.check_torch(broken("torchvision", "RuntimeError: operator torchvision::nms does not exist"))
    assert check.status == "fail"
    assert "reinstall both in one command from the same package index" in check.advice


@pytest.mark.parametrize(("cuda", "status"), [(None, "warn"), (13000, "warn"), (12060, "ok")])
def test_builds_for_another_cuda_are_told(cuda, status):
    assert doctor.check_torch(FINE | {"torchvision": FINE["torchvision"] | {"cuda": cuda}}).status == status


def test_a_missing_torch_is_to_be_installed():
    check = doctor.check_torch(broken("torch", "ModuleNotFoundError: No module named 'torch'"))
    assert (check.status, check.found) == ("fail", "ModuleNotFoundError: No module named 'torch'")
    assert "install torch and torchvision" in check.advice


def test_the_maintained_stack_is_fine():
    assert [check.status for check in doctor.check_mm_stack(FINE, versions())] == ["ok"] * 3


def test_the_upstream_stack_is_named_with_its_replacement():
    check = doctor.check_mm_stack(FINE, versions(onedl_mmcv=None, mmcv="2.1.0"))[1]
    assert (check.status, check.found) == ("warn", "mmcv 2.1.0 (no longer maintained)")
    assert "pip uninstall mmcv, then pip install" in check.advice
    assert "onedl-mmcv" in check.advice


def test_both_distributions_at_once_are_a_failure():
    check = doctor.check_mm_stack(FINE, versions(mmsegmentation="1.2.2"))[2]
    assert check.status == "fail"
    assert check.found == "onedl-mmsegmentation 1.4, mmsegmentation 1.2.2 overwrite each other's files"


def test_a_stack_that_is_not_there_is_to_be_installed():
    check = doctor.check_mm_stack(broken("mmengine", "No module named 'mmengine'"), versions(onedl_mmengine=None))[0]
    assert (check.status, check.found, check.advice) == ("fail", "not installed", "pip install onedl-mmengine")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("ModuleNotFoundError: No module named 'mmcv._ext'", "no compiled operations"),
        ("AssertionError: MMCV==2.2.0 is used but incompatible. Please install", "together"),
        ("ImportError: something else", "pip install --force-reinstall onedl-mmcv"),
    ],
)
def test_known_import_errors_of_the_stack_have_advice(error, advice):
    check = doctor.check_mm_stack(broken("mmcv", error), versions())[1]
    assert check.status == "fail"
    assert advice in check.advice


def test_one_opencv_is_fine_and_two_collide():
    assert doctor.check_opencv(FINE, versions()).status == "ok"
    two = doctor.check_opencv(FINE, versions(opencv_python="4.10"))
    assert two.status == "warn"
    assert "share the folder cv2" in two.found
    contrib = doctor.check_opencv(FINE, versions(opencv_contrib_python="4.10"))
    assert "contrib modules may be missing" in contrib.found


def test_an_opencv_without_its_system_library_has_advice():
    check = doctor.check_opencv(broken("cv2", "ImportError: libGL.so.1: cannot open shared object file"), versions())
    assert (check.status, check.advice) == ("fail", "install opencv-python-headless instead of opencv-python")


def test_devices_are_listed():
    torch = FINE["torch"] | {"devices": ["H200"], "bytes": [139 * 2**30]}
    assert doctor.check_devices(torch, driver=True).found == "cuda:0 H200 (139 GiB)"
    assert doctor.check_devices(FINE["torch"], driver=False).status == "ok"
    unseen = doctor.check_devices(FINE["torch"] | {"cuda": None}, driver=True)
    assert unseen.status == "warn"
    assert "built for the CPU" in unseen.found


def test_an_old_python_is_a_failure():
    assert doctor.check_python((3, 10, 4)).status == "fail"
    assert doctor.check_python((3, 12, 1)).status == "ok"


def test_folders_are_checked(tmp_path):
    data, weights = doctor.check_folders({"WSSS_DATA": str(tmp_path / "absent")})
    assert (data.status, weights.status) == ("warn", "ok")
    assert doctor.check_folders({"WSSS_DATA": str(tmp_path)})[0].status == "ok"


def test_quarantined_plugins_are_listed_with_the_reason():
    states = [
        PluginState("fine", "builtin"),
        PluginState("lost", "file", file="lost.py", status="quarantined", reason="import failed"),
    ]
    fine, lost = doctor.check_plugins(states)
    assert fine.found == "1 loaded"
    assert (lost.status, lost.found) == ("warn", "lost (lost.py) is quarantined: import failed")


def test_a_package_that_ends_python_is_reported_and_the_doctor_lives(tmp_path, monkeypatch):
    (tmp_path / "good_wheel.py").write_text("__version__ = '1.0'")
    (tmp_path / "bad_wheel.py").write_text("import os; os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = doctor.probe(["good_wheel", "bad_wheel", "good_wheel_2"])
    assert found["good_wheel"]["version"] == "1.0"
    assert found["bad_wheel"]["error"] == "the import ended Python with code 7"
    assert "good_wheel_2" not in found


def test_an_import_that_hangs_is_reported(tmp_path, monkeypatch):
    (tmp_path / "slow_wheel.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.probe(["slow_wheel"], timeout=1)["slow_wheel"]["error"] == "the import took more than 1 s"


@pytest.fixture
def wsss(monkeypatch):
    def invoke(probes, *args):
        monkeypatch.setattr(doctor, "probe", lambda names: probes)
        monkeypatch.setattr(doctor, "installed", versions())
        return commands.wsss("doctor", *args)

    return invoke


def test_a_usable_machine_exits_0(wsss):
    result = wsss(FINE, "--json")
    report = json.loads(result.stdout)
    assert (result.code, report["usable"]) == (0, True)
    named = {check["name"] for check in report["checks"]}
    assert {"python", "torch", "mmcv", "opencv", "devices", "machine", "WSSS_DATA", "plugins"} <= named


def test_an_unusable_machine_exits_2_and_says_what_to_do(wsss):
    probes = broken("torchvision", "RuntimeError: operator torchvision::nms does not exist")
    result = wsss(probes)
    assert result.code == 2
    assert "reinstall both in one command" in " ".join(result.stdout.split())
    assert not json.loads(wsss(probes, "--json").stdout)["usable"]
