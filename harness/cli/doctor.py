"""``wsss doctor``: what this machine and its packages can do, and what to do about the rest.

Unusual here: packages are imported in a child process, one after the other, so that a broken wheel that ends the
process is a line of the report and not the end of it.
"""

from __future__ import annotations

import importlib.metadata
import json as jsonlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from harness.cli.console import print_json, print_table
from harness.cli.plugins import load_plugins

if TYPE_CHECKING:
    from harness.registry import PluginState

Status = Literal["ok", "warn", "fail"]
Probes = Mapping[str, Mapping[str, Any]]
Versions = Callable[[str], str | None]

UNUSABLE = 2
PROBED = ("torch", "torchvision", "mmengine", "mmcv", "mmseg", "cv2")
MM_STACK = {
    "mmengine": ("onedl-mmengine", "mmengine"),
    "mmcv": ("onedl-mmcv", "mmcv", "mmcv-lite", "mmcv-full"),
    "mmseg": ("onedl-mmsegmentation", "mmsegmentation"),
}
"""Distributions of each import package, the maintained one first."""

OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
KNOWN_ERRORS = {
    "operator torchvision::nms does not exist": "torch and torchvision are different builds (one for the CPU, one for"
    " CUDA): reinstall both in one command from the same package index",
    "libGL.so": "install opencv-python-headless instead of opencv-python",
    "mmcv._ext": "this mmcv has no compiled operations: uninstall it and install onedl-mmcv",
    "is used but incompatible": "the versions do not fit each other: install onedl-mmengine, onedl-mmcv and"
    " onedl-mmsegmentation together",
    "compiled using NumPy 1": "a package was built for numpy 1: upgrade that package",
}
"""Part of an import error's message to what helps."""

_LEAST_MEMORY = 4 * 2**30
_PROBE = """
import importlib, json, sys
for name in sys.argv[1:]:
    report = {"name": name}
    print(json.dumps(report), flush=True)
    try:
        module = importlib.import_module(name)
        report["version"] = str(getattr(module, "__version__", "unknown"))
        if name in ("torch", "torchvision"):
            report["cuda"] = importlib.import_module(name + ".version").cuda
        if name == "torch" and module.cuda.is_available():
            count = range(module.cuda.device_count())
            report["devices"] = [module.cuda.get_device_name(i) for i in count]
            report["bytes"] = [module.cuda.get_device_properties(i).total_memory for i in count]
        report["ok"] = True
    except Exception as error:
        report["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(report), flush=True)
"""


@dataclass(frozen=True)
class Check:
    """One line of the report; ``advice`` says what to do unless all is well."""

    name: str
    status: Status
    found: str
    advice: str = ""


def register(app: typer.Typer) -> None:
    """Add ``wsss doctor``."""
    app.command("doctor")(doctor)


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """Check packages, devices, folders and plugins, and say what to do (exit 0 when usable, 2 when not)."""
    checks = examine()
    usable = all(check.status != "fail" for check in checks)
    if json:
        print_json({"usable": usable, "checks": [asdict(check) for check in checks]})
    else:
        styles = {"ok": "", "warn": "yellow", "fail": "red"}
        print_table(
            ("check", "status", "found", "what to do"),
            [(check.name, check.status, check.found, check.advice) for check in checks],
            styles=[styles[check.status] for check in checks],
        )
    if not usable:
        raise typer.Exit(UNUSABLE)


def examine() -> list[Check]:
    """All checks of this machine."""
    probes = probe(PROBED)
    return [
        check_python(),
        check_torch(probes),
        *check_mm_stack(probes, installed),
        check_opencv(probes, installed),
        check_devices(probes.get("torch", {}), driver=shutil.which("nvidia-smi") is not None),
        check_machine(),
        *check_folders(os.environ),
        *check_plugins(load_plugins().plugins()),
    ]


def installed(distribution: str) -> str | None:
    """Version of an installed distribution."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def probe(names: Iterable[str], *, timeout: float = 300) -> dict[str, dict[str, Any]]:
    """Import each package in one child process.

    Returns:
        By name: ``version`` and ``ok``, or ``error``; what follows a package that ended the process is left out.
    """
    # -P: a file torch.py in the current folder must not be taken for the package.
    command = [sys.executable, "-P", "-W", "ignore", "-c", _PROBE, *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        output, end = done.stdout, f"the import ended Python with code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        end = f"the import took more than {timeout:g} s"
    lines = (jsonlib.loads(line) for line in output.splitlines() if line.startswith('{"name"'))
    reports = {line["name"]: line for line in lines}
    return {
        name: report if "ok" in report or "error" in report else report | {"error": end}
        for name, report in reports.items()
    }


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Python 3.11 or newer."""
    text = ".".join(map(str, version))
    if version < (3, 11):
        return Check("python", "fail", text, "use Python 3.11 or newer")
    return Check("python", "ok", f"{text} ({sys.executable})")


def check_torch(probes: Probes) -> Check:
    """Both import, and both are built for the same major version of CUDA (or both for the CPU)."""
    torch, vision = probes.get("torch", {}), probes.get("torchvision", {})
    for name, probed in (("torch", torch), ("torchvision", vision)):
        if "ok" not in probed:
            missing = f"install torch and torchvision (a matching pair, from the same package index); {name} fails"
            return Check("torch", "fail", _error(probed), _advice(probed, missing))
    found = f"torch {torch['version']} ({_build(torch)}), torchvision {vision['version']} ({_build(vision)})"
    if _major(torch) != _major(vision):
        return Check("torch", "warn", found, KNOWN_ERRORS["operator torchvision::nms does not exist"])
    return Check("torch", "ok", found)


def check_mm_stack(probes: Probes, version: Versions) -> list[Check]:
    """The maintained distributions ``onedl-*``, each alone in its import package."""
    checks = []
    for package, (maintained, *others) in MM_STACK.items():
        probed = probes.get(package, {})
        old = [name for name in others if version(name)]
        present = ", ".join(f"{name} {version(name)}" for name in (maintained, *old) if version(name))
        replace = f"pip uninstall {' '.join(old)}, then pip install --force-reinstall --no-deps {maintained}"
        if not present:
            checks.append(Check(package, "fail", "not installed", f"pip install {maintained}"))
        elif version(maintained) and old:
            checks.append(Check(package, "fail", f"{present} overwrite each other's files", replace))
        elif "ok" not in probed:
            advice = replace if old else f"pip install --force-reinstall {maintained}"
            checks.append(Check(package, "fail", f"{present}: {_error(probed)}", _advice(probed, advice)))
        elif old:
            checks.append(Check(package, "warn", f"{present} (no longer maintained)", replace))
        else:
            checks.append(Check(package, "ok", present))
    return checks


def check_opencv(probes: Probes, version: Versions) -> Check:
    """Exactly one of the distributions that write into the folder ``cv2``."""
    probed = probes.get("cv2", {})
    names = [name for name in OPENCV if version(name)]
    found = ", ".join(f"{name} {version(name)}" for name in names) or "no OpenCV distribution"
    if "ok" not in probed:
        return Check("opencv", "fail", f"{found}: {_error(probed)}", _advice(probed, f"pip install {OPENCV[0]}"))
    if len(names) > 1:
        what = "contrib modules may be missing" if any("contrib" in name for name in names) else "the last one wins"
        return Check(
            "opencv",
            "warn",
            f"{found} share the folder cv2; {what}",
            f"if cv2 misbehaves: pip uninstall {' '.join(names)}, then install one of them",
        )
    return Check("opencv", "ok", found)


def check_devices(torch: Mapping[str, Any], *, driver: bool) -> Check:
    """CUDA devices that torch can use; ``driver`` tells whether a GPU driver is installed."""
    devices = [
        f"cuda:{index} {name} ({size / 2**30:.0f} GiB)"
        for index, (name, size) in enumerate(zip(torch.get("devices", ()), torch.get("bytes", ()), strict=True))
    ]
    if devices:
        return Check("devices", "ok", ", ".join(devices))
    if driver and "ok" in torch:
        why = "was built for the CPU" if torch.get("cuda") is None else f"was built for CUDA {torch['cuda']}"
        advice = "install a torch and torchvision pair that fits the driver"
        return Check("devices", "warn", f"a GPU driver is installed, but torch sees no device; torch {why}", advice)
    return Check("devices", "ok", "no CUDA device; everything runs on the CPU")


def check_machine() -> Check:
    """Cores and memory that this process may use."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory().total
    # In a container the machine's memory is not what this process may use.
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    found = f"{cores} cores, {memory / 2**30:.1f} GiB memory"
    if memory < _LEAST_MEMORY:
        return Check("machine", "warn", found, "training may run out of memory: lower batch_size and use --jobs 1")
    return Check("machine", "ok", found)


def check_folders(environ: Mapping[str, str]) -> list[Check]:
    """The folders of real data sets and of pretrained weights."""
    checks = []
    for name, what in (("WSSS_DATA", "data sets"), ("WSSS_WEIGHTS", "pretrained weights")):
        value = environ.get(name)
        if value is None:
            checks.append(Check(name, "ok", f"not set (only needed for {what})"))
        elif not Path(value).is_dir():
            checks.append(Check(name, "warn", f"{value} is no folder", f"set {name} to the folder of {what}"))
        else:
            checks.append(Check(name, "ok", value))
    return checks


def check_plugins(states: Iterable[PluginState]) -> list[Check]:
    """One line for the sound plugins, one for each quarantined one."""
    states = list(states)
    broken = [state for state in states if state.status == "quarantined"]
    checks = [Check("plugins", "ok", f"{len(states) - len(broken)} loaded")]
    for state in broken:
        advice = "repair or uninstall it; `wsss plugins show " + state.name + "` prints the traceback"
        checks.append(Check("plugins", "warn", f"{state.label} is quarantined: {state.reason}", advice))
    return checks


def _cuda(probed: Mapping[str, Any]) -> str | None:
    """CUDA version of a build: torch says ``"13.2"``, torchvision ``13020``; ``None`` = built for the CPU."""
    cuda = probed.get("cuda")
    return f"{cuda // 1000}.{cuda % 1000 // 10}" if isinstance(cuda, int) else cuda


def _major(probed: Mapping[str, Any]) -> str | None:
    cuda = _cuda(probed)
    return None if cuda is None else cuda.partition(".")[0]


def _build(probed: Mapping[str, Any]) -> str:
    cuda = _cuda(probed)
    return "CPU" if cuda is None else f"CUDA {cuda}"


def _error(probed: Mapping[str, Any]) -> str:
    return " ".join(str(probed.get("error", "not reached: an import before it ended Python")).split())


def _advice(probed: Mapping[str, Any], otherwise: str) -> str:
    return next((advice for text, advice in KNOWN_ERRORS.items() if text in _error(probed)), otherwise)
