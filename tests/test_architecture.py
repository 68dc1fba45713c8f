"""The shape of the code: imports point one way, plugins see only public names, light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.testing.scaffold import new_package

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "contract": set(),
    "common": {"contract"},
    "registry": {"contract"},
    "scoring": {"contract"},
    "records": {"contract", "scoring"},
    "data": {"contract", "registry"},
    "maps": {"contract", "data"},
    "modelling": {"contract", "data", "maps", "registry"},
    "engine": {"contract", "registry", "data", "maps", "modelling", "scoring", "records"},
    "leaderboard": {"contract", "registry", "scoring", "records"},
    "export": {"contract", "registry", "data", "maps", "modelling", "scoring", "records", "engine"},
    "testing": {"contract", "data", "engine", "maps", "modelling", "scoring", "registry"},
    "api": {
        "contract",
        "registry",
        "data",
        "maps",
        "modelling",
        "scoring",
        "records",
        "engine",
        "leaderboard",
        "export",
    },
    "cli": {
        "api",
        "contract",
        "registry",
        "data",
        "maps",
        "modelling",
        "scoring",
        "records",
        "engine",
        "leaderboard",
        "export",
        "testing",
    },
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
    """Python files of a folder; of plugins without their tests, which may look behind the faces."""
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "tests" not in path.relative_to(ROOT).parts)


def _offered(face: str) -> set[str]:
    """``__all__`` of a package of the harness."""
    for node in ast.parse((ROOT / "harness" / face / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"harness.{face} has no __all__")


def _behind_the_faces(path: Path) -> Iterator[str]:
    """Names of the harness that a file imports although no public package offers them."""
    faces = {f"harness.{face}": _offered(face) for face in PUBLIC}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "harness")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "harness":
            offered = faces.get(node.module or "", set())
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name not in offered)


@pytest.mark.parametrize("path", _modules("harness"), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    part = path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")
    if part == "__init__":
        assert not _imported_when_loaded_of(path) - {"harness.common.lazy", "harness.common.lazy.lazy_face"}
        assert _harness_parts(path) == {"api", "common", "contract"}
        return
    assert _harness_parts(path) - ({part} if part == "contract" else {part, "common"}) <= MAY_IMPORT[part]


@pytest.mark.parametrize("path", _modules("plugins"), ids=lambda p: str(p.relative_to(ROOT)))
def test_plugins_import_only_public_harness_names(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[0]
    assert not list(_behind_the_faces(path))
    others = {p.name for p in (ROOT / "plugins").iterdir() if p.is_dir()} - {own}
    assert not {name.split(".")[0] for name in _imports(path)} & others


def test_a_name_that_no_face_offers_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(
        "import harness.maps\nfrom harness.maps import upsample, scores\nfrom harness.maps.scores import downsample\n"
        "def late():\n    from harness.engine import anything\n    from harness.contract import Box, protocol\n"
    )
    assert set(_behind_the_faces(file)) == {
        "harness.maps",
        "harness.maps.scores",
        "harness.maps.scores.downsample",
        "harness.engine.anything",
        "harness.contract.protocol",
    }


PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists())


def _is_registration(node: ast.stmt) -> bool:
    """An import, a docstring, a constant, or a hook."""
    if isinstance(node, ast.FunctionDef):
        return [ast.unparse(decorator) for decorator in node.decorator_list] == ["hookimpl"]
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign)


@pytest.fixture
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a plugin of this repository, or of one that ``wsss plugins new`` has just written."""
    if request.param is None:
        new_package("mine", tmp_path)
        return tmp_path / "mine" / "wsss_mine"
    folder: Path = request.param
    return folder


@pytest.mark.parametrize("plugin", [*PLUGINS, None], ids=lambda p: p.name if p else "new", indirect=True)
def test_every_plugin_has_the_same_anatomy(plugin: Path) -> None:
    assert {"params.py", "card.py", "method.py", "README.md", "py.typed", "tests"} <= {p.name for p in plugin.iterdir()}
    assert not {name for path in plugin.glob("*.py") for name in _behind_the_faces(path)}
    text = (plugin / "__init__.py").read_text()
    assert text.count("\n") < 80
    assert all(map(_is_registration, ast.parse(text).body))


@pytest.mark.parametrize("plugin", [*PLUGINS, None], ids=lambda p: p.name if p else "new", indirect=True)
def test_modules_of_a_plugin_need_nothing_of_their_own_init(plugin: Path) -> None:
    own = {path.stem for path in plugin.glob("*.py")}
    for path in plugin.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == plugin.name:
                assert {alias.name for alias in node.names} <= own, f"{path}:{node.lineno}"


@pytest.mark.parametrize("plugin", [*PLUGINS, None], ids=lambda p: p.name if p else "new", indirect=True)
def test_the_mathematics_of_a_plugin_touches_no_file_and_no_record(plugin: Path) -> None:
    """``method.py`` knows arrays, parameters and constants: no view, no context, no component, no registry."""
    used = set(_imports(plugin / "method.py"))
    tops = {name.split(".")[0] for name in used}
    assert not tops & {"pathlib", "os", "io", "json", "shutil", "mmengine", "mmseg", "mmcv"}
    assert not {f"harness.contract.{name}" for name in ("View", "Context", "Generator", "Segmenter", "Refiner")} & used
    assert not {name for name in used if name.startswith(("harness.modelling", "harness.data", "harness.testing"))}


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
    files = sorted((ROOT / "harness").rglob("builtin.py"))
    assert len(files) >= 6
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    names += [p.name for p in (ROOT / "plugins").iterdir() if p.is_dir()]
    code = (
        f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'mmengine', 'scipy', 'cv2', 'numba'} & set(sys.modules)\n"
        "sys.exit(f'heavy: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _imported_when_loaded(node: ast.AST) -> Iterator[str]:
    """Modules that loading a file imports: not those inside functions or under ``TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
            yield child.module or ""
        else:
            yield from _imported_when_loaded(child)


def _imported_when_loaded_of(path: Path) -> set[str]:
    return {name for name in _imported_when_loaded(ast.parse(path.read_text())) if name.startswith("harness.")}


def test_no_two_modules_import_each_other() -> None:
    modules = {_dotted(path): path for folder in ("harness", "plugins") for path in _modules(folder)}
    arrows = {
        name: (set(_imported_when_loaded(ast.parse(path.read_text()))) & set(modules)) - {name}
        for name, path in modules.items()
    }
    while True:
        free = {name for name, targets in arrows.items() if not targets & set(arrows)}
        if not free:
            break
        arrows = {name: targets for name, targets in arrows.items() if name not in free}
    assert not arrows, f"these import each other: {sorted(arrows)}"


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[parts[0] == "plugins" : -1 if parts[-1] == "__init__" else None])


def test_files_and_functions_stay_readable() -> None:
    for path in [*_modules("harness"), *_modules("plugins")]:
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path}: more than 400 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 80, f"{path}:{node.lineno}: {node.name} is too long"
