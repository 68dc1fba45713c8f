"""The shape of the code: imports point one way, plugins see only public names, light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "contract": set(),
    "common": {"contract"},
    "plugins": {"contract"},
    "scoring": {"contract"},
    "data": {"contract", "plugins"},
    "maps": {"contract", "data"},
    "modelling": {"contract", "data", "maps", "plugins"},
    "testing": {"contract", "data", "engine", "maps", "modelling", "scoring", "plugins"},
    "leaderboard": {"contract", "scoring", "plugins"},
    "engine": {"contract", "plugins", "data", "maps", "modelling", "scoring"},
    "cli": {"contract", "plugins", "data", "modelling", "scoring", "engine", "leaderboard", "testing"},
}
PUBLIC = {"contract", "maps", "modelling", "data", "scoring", "testing"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _harness_parts(path: Path) -> set[str]:
    found = {name.split(".")[1] for name in _imports(path) if name.startswith("harness.")}
    return {part for part in found if (ROOT / "harness" / part).is_dir() or (ROOT / "harness" / f"{part}.py").is_file()}


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", _modules("harness"), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    part = path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")
    if part == "__init__":
        assert not _harness_parts(path)
        return
    assert _harness_parts(path) - ({part} if part == "contract" else {part, "common"}) <= MAY_IMPORT[part]


@pytest.mark.parametrize("path", _modules("plugins"), ids=lambda p: str(p.relative_to(ROOT)))
def test_plugins_import_only_public_harness_names(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[0]
    assert _harness_parts(path) <= PUBLIC
    others = {p.name for p in (ROOT / "plugins").iterdir() if p.is_dir()} - {own}
    assert not {name.split(".")[0] for name in _imports(path)} & others
    private = [name for name in _imports(path) if name.startswith("harness.") and "._" in name]
    assert not private


def test_only_modelling_touches_the_mm_stack() -> None:
    for path in _modules("harness"):
        if path.relative_to(ROOT / "harness").parts[0] == "modelling" or path.name == "doctor.py":
            continue
        stack = {name.split(".")[0] for name in _imports(path)} & {"mmengine", "mmcv", "mmseg"}
        assert not stack, f"{path} imports {stack}"


def test_the_contract_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, harness.contract; sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_registration_modules_import_nothing_heavy() -> None:
    light = ["data", "modelling", "leaderboard", "engine", "maps"]
    names = [f"harness.{part}.records" for part in light if (ROOT / "harness" / part / "records.py").is_file()]
    names += [p.name for p in (ROOT / "plugins").iterdir() if p.is_dir()]
    code = (
        f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'mmengine', 'scipy', 'cv2', 'numba'} & set(sys.modules)\n"
        "sys.exit(f'heavy: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
