"""The code of a stage: which files, found without importing anything, and what a change of each does to keys."""

import ast
import subprocess
import sys
import time
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from harness import __version__
from harness.contract import PluginError
from harness.engine.code import imports
from harness.engine.code.closure import Roots, code_of, importable, version_of
from harness.engine.code.imports import Finder
from harness.engine.code.syntax import scan
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.registry import manager

ROOT = Path(__file__).parents[3]
FILES = {
    path.relative_to(top).as_posix(): path
    for top in (ROOT, ROOT / "plugins")
    for path in top.glob("[hw]*/**/*.py")
    if path.relative_to(top).parts[0].startswith(("harness", "wsss_")) and "tests" not in path.parts[-2:]
}
FACE = "harness/__init__.py"
CRF = "harness/maps/crf/dense.py"


def demo(*overrides):
    found = manager()
    registered = {kind: found.records(kind) for kind in ("method", "backbone")}
    benchmark = load_benchmark(ROOT / "configs/benchmarks/demo.yaml", overrides, registered=registered)
    return build_plan(benchmark, found)


@pytest.fixture(scope="module")
def plan():
    return demo()


@pytest.fixture
def edited(monkeypatch):
    """Read other content in place of a file's."""
    changed = {}
    original = imports.read_bytes
    monkeypatch.setattr(imports, "read_bytes", lambda path, **how: changed.get(path) or original(path, **how))
    monkeypatch.setattr(imports, "_read", imports._read.__wrapped__)

    def edit(label, content):
        changed.clear()
        changed[FILES[label]] = content

    return edit


def keys(plan):
    return {(cell.row.label, role): key for cell in plan.cells for role, key in cell.stages}


def mutated(label):
    """A changed source: one operator, or one more expression where it has none; of the face the version."""
    if label == FACE:
        return FILES[label].read_bytes().replace(__version__.encode(), b"99.0.0")
    tree = ast.parse(FILES[label].read_bytes())
    before, nodes = scan(tree)
    other = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Eq: ast.NotEq, ast.In: ast.NotIn, ast.And: ast.Or, ast.Lt: ast.GtE}
    for node in nodes:
        operators = node.ops if isinstance(node, ast.Compare) else [getattr(node, "op", None)]
        if type(operators[0]) in other:
            changed = other[type(operators[0])]()
            if isinstance(node, ast.Compare):
                node.ops[0] = changed
            else:
                node.op = changed
            break
    else:
        tree.body.append(ast.parse("a = 1 + 1").body[0])
    source = ast.unparse(tree)
    assert scan(ast.parse(source))[0] != before, label
    return source.encode()


def test_what_the_package_offers_to_programs_is_in_no_key(plan, edited):
    (spec, *_) = (spec for spec in plan.stages.values() if spec.name == "segmenter plain")
    assert FACE in spec.key_inputs["code"]
    assert "harness/api/running.py" not in spec.key_inputs["code"]
    edited(FACE, FILES[FACE].read_bytes() + b"\nfrom harness.api import running\nmore = running.run\n")
    assert code_of(spec.roots, Finder()).files == spec.key_inputs["code"]


def test_an_operator_changed_in_a_file_of_the_closure_changes_the_key_and_in_any_other_file_none(plan, edited):
    wanted = ("generate full", "generate cvs_pmg", "segmenter plain", "score labels")
    specs = [next(spec for spec in plan.stages.values() if spec.name == name) for name in wanted]
    parsed = {}  # each file is parsed once as it is, and once changed
    whole = imports._read
    seen = [0, 0]

    def remembered(file, *how):
        at = (file, *how)
        if file == FILES[label]:
            return whole(file, *how)
        if at not in parsed:
            parsed[at] = whole(file, *how)
        return parsed[at]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imports, "_read", remembered)
        for label in FILES:
            edited(label, mutated(label))
            finder = Finder()
            for spec in specs:
                same = code_of(spec.roots, finder).files == spec.key_inputs["code"]
                assert same == (label not in spec.key_inputs["code"]), (label, spec.name)
                seen[same] += 1
    assert min(seen) > 100


def test_an_edit_of_the_dense_crf_leaves_every_row_without_a_crf_cached(plan, edited):
    edited(CRF, mutated(CRF))
    before, after = keys(plan), keys(demo())
    stale = {row for row, role in before if before[row, role] != after[row, role]}
    assert stale == {"pseudo_mask_matters", "class_conditional"}


def test_an_edit_of_cam_inference_leaves_the_rows_without_cams_cached(plan, edited):
    edited("harness/maps/cam.py", mutated("harness/maps/cam.py"))
    before, after = keys(plan), keys(demo())
    stale = {row for row, role in before if before[row, role] != after[row, role]}
    assert not stale & {
        "full",
        "background",
        "box_fill",
        "box_grabcut",
        "pixel_subset",
        "label_uncertainty",
        "bilevel_box",
    }
    assert before["cam", "classifier"] == after["cam", "classifier"]
    assert before["cam", "cams"] != after["cam", "cams"]


def test_comments_and_quoted_numbers_change_no_key(plan, edited):
    for label in (CRF, "wsss_label_uncertainty/card.py", "wsss_pseudo_mask/card.py", "wsss_baselines/__init__.py"):
        edited(label, b"# comment\n" + FILES[label].read_bytes().replace(b"year=20", b"year=19"))
        assert keys(demo()) == keys(plan), label


def test_what_a_paper_reports_and_claims_is_no_code_of_a_stage(plan):
    code = {label for spec in plan.stages.values() for label in spec.key_inputs["code"]}
    assert "wsss_pseudo_mask/params.py" in code
    assert not {label for label in code if label.endswith("/card.py")}


def test_what_a_backbone_record_says_of_its_network_changes_what_is_built_with_it(plan, monkeypatch):
    get = manager().get
    monkeypatch.setattr(manager(), "get", lambda kind, name: _wider(get(kind, name)))
    before, after = keys(plan), keys(demo())
    assert before["cam", "classifier"] != after["cam", "classifier"]
    assert before["cam", "r1/generate cam"] != after["cam", "r1/generate cam"]
    assert before["box_fill", "r1/generate box_fill"] == after["box_fill", "r1/generate box_fill"]


def _wider(record):
    from dataclasses import replace

    return replace(record, channels=(1, 2, 3, 4)) if record.name == "resnet18_x0.125" else record


def test_what_loads_a_network_counts_the_code_that_built_it(plan):
    named = {spec.name: spec.key_inputs["code"] for spec in plan.stages.values()}
    cyclic = demo("methods.pseudo_mask_matters.cycles=1")
    (relabelling,) = (spec for spec in cyclic.stages.values() if spec.name == "generate cyclic")
    assert "wsss_pseudo_mask/puf.py" in relabelling.key_inputs["code"]
    assert "harness/modelling/res2net.py" in named["cams"]
    (predicting,) = (spec for spec in plan.stages.values() if spec.key in plan.cells[0].stages[-2])
    assert set(named["segmenter plain"]) <= set(predicting.key_inputs["code"])


def test_a_score_depends_on_no_method_and_on_no_network(plan):
    for spec in plan.stages.values():
        if spec.kind.startswith("score"):
            parts = {label.split("/")[1] for label in spec.key_inputs["code"] if label.startswith("harness/")}
            assert "modelling" not in parts
            assert not [label for label in spec.key_inputs["code"] if not label.startswith("harness/")]


def test_planning_imports_no_torch_and_finds_the_code_of_all_rows_in_well_under_a_second():
    code = (
        "import sys, time; from tests.engine.code import test_closure as t\n"
        "from harness.engine.code.roots import StageCode\n"
        "spent, of = [0.0], StageCode.of\n"
        "def timed(self, roots):\n"
        "    begun = time.process_time(); found = of(self, roots); spent[0] += time.process_time() - begun\n"
        "    return found\n"
        "StageCode.of = timed\n"
        "t.demo(); print(spent[0]); assert not {'torch', 'mmseg', 'cv2', 'numba'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.0


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write files of a package ``pack``; returns the code of modules of it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(files, *roots, **how):
        for name, source in {"pack/__init__.py": "", **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(source)
        found = code_of(Roots(roots or ("pack.main",), packages=("pack",), **how))
        return {label for label in found.files if not label.startswith("harness/")} - {"pack/__init__.py"}, found

    return write


@pytest.mark.parametrize(
    "source",
    [
        "from pack import used",
        "from pack.used import name",
        "import pack.used as other",
        "from . import used",
        "from .used import name as other",
        "def f():\n    from pack.used import name",
        "import importlib\nimportlib.import_module('pack.used')",
        "import importlib\nimportlib.import_module('.used', __package__)",
        "cfg = dict(type='pack.used.Head')",
        "factory = 'pack.used:make'",
        "cfg = dict(custom_imports=dict(imports=['pack.used']))",
        "import pack\npack.used.name",
        "__import__('pack.used')",
        "cfg = dict(type=f'{__package__}.used.Head')",
        "cfg = dict(type=__package__ + '.used.Head')",
    ],
)
def test_a_module_joins_however_it_is_named(package, source):
    labels, _ = package({"pack/main.py": source, "pack/used.py": "", "pack/unused.py": ""})
    assert labels == {"pack/main.py", "pack/used.py"}


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pack import unused",
        '"""See pack.unused."""',
        "x = 'a text about pack.unused and more'",
        "from harness.contract import GeneratorRecord\nR = GeneratorRecord('a', 'pack.unused:make')",
        "from harness.contract import hookimpl\n@hookimpl\ndef wsss_methods():\n    from pack.unused import METHODS",
    ],
)
def test_a_module_that_does_not_run_does_not_join(package, source):
    labels, _ = package({"pack/main.py": source, "pack/unused.py": ""})
    assert labels == {"pack/main.py"}


@pytest.mark.parametrize(
    "face",
    [
        "from importlib import import_module\n_HOMES = {'a': 'one', 'b': 'two'}\n__all__ = ['a', 'b']\n"
        "def __getattr__(name):\n    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)",
        "from typing import TYPE_CHECKING\nfrom harness.common.lazy import lazy_face\nif TYPE_CHECKING:\n"
        "    from pack.face.one import a\n    from pack.face.two import b\n__getattr__, __dir__ = lazy_face(__name__)",
    ],
)
@pytest.mark.parametrize(
    ("source", "joins"),
    [
        ("from pack.face import a", {"one"}),
        ("import pack.face\npack.face.b", {"two"}),
        ("from pack import face\nface.a()", {"one"}),
        ("from pack import face\ngetattr(face, name)", {"one", "two"}),
        ("from pack.face import *", {"one", "two"}),
        ("import pack.face", set()),
    ],
)
def test_a_name_of_a_lazy_package_leads_to_the_module_that_defines_it(package, face, source, joins):
    files = {"pack/main.py": source, "pack/face/__init__.py": face, "pack/face/one.py": "", "pack/face/two.py": ""}
    labels, _ = package(files)
    expected = {"pack/main.py", "pack/face/__init__.py", *(f"pack/face/{name}.py" for name in joins)}
    assert {label for label in labels if ".py:" not in label} == expected


def test_a_name_added_to_a_lazy_package_changes_nothing_and_one_that_moves_does(package):
    face = "_HOMES = {{'a': '{}'{}}}\ndef __getattr__(name):\n    return _HOMES[name]"
    files = {"pack/main.py": "from pack.face import a", "pack/face/one.py": "", "pack/face/two.py": ""}
    found = [
        package(files | {"pack/face/__init__.py": face.format(home, more) + "\n" * number})[1].files
        for number, (home, more) in enumerate((("one", ""), ("one", ", 'b': 'two'"), ("two", "")))
    ]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    "source",
    [
        "from importlib import import_module\ndef load(name):\n    return import_module(f'pack.{name}')",
        "from importlib import import_module as load\ndef f(name):\n    return load(name)",
        "from importlib import import_module\nmodules = list(map(import_module, names))",
        "import importlib\nimportlib.import_module('.one', somewhere)",
        "import pkgutil\nthing = pkgutil.resolve_name(name)",
        "import importlib.util\nspec = importlib.util.spec_from_file_location('one', path)",
        "from importlib.machinery import SourceFileLoader\none = SourceFileLoader('one', path).load_module()",
        "one = __import__('pack', fromlist=['one'])",
        "one = eval(text)",
        "cfg = dict(type='pack.{}.Head'.format(name))",
        "cfg = dict(type='pack.%s.Head' % name)",
        "cfg = dict(type=f'pack.o{name}.Head')",
        "cfg = dict(type=f'{__package__}.{name}.Head')",
    ],
)
def test_a_plugin_that_imports_by_a_computed_name_counts_with_its_whole_package(package, source):
    labels, _ = package(
        {"pack/main.py": source, "pack/one.py": "", "pack/deep/__init__.py": "", "pack/deep/two.py": ""}
    )
    assert labels == {"pack/main.py", "pack/one.py", "pack/deep/__init__.py", "pack/deep/two.py"}


@pytest.mark.parametrize(
    "tables",
    [
        "A = {'a': 'one'}\nB = {'b': 'two'}\ndef __getattr__(n):\n"
        "    return getattr(import_module(f'{__name__}.{A[n] if n in A else B[n]}'), n)",
        "B = {'b': 'two'}\ndef __getattr__(n):\n    return getattr(import_module(f'pack.face.{B[n]}'), n)",
        "B = {'b': 'o'}\ndef __getattr__(n):\n    return getattr(import_module(f'pack.face.tw{B[n]}'), n)",
    ],
)
def test_a_lazy_package_may_look_into_several_tables_and_make_up_names_from_them(package, tables):
    face = f"from importlib import import_module\n{tables}"
    files = {"pack/main.py": "from pack.face import b", "pack/face/__init__.py": face, "pack/face/two.py": ""}
    assert "pack/face/two.py" in package(files)[0]


def test_a_list_of_offers_may_be_extended(package):
    files = {"pack/main.py": "from pack.face import *", "pack/face/two.py": ""}
    labels, _ = package({**files, "pack/face/__init__.py": "__all__ = ['one']\n__all__ += ['two']"})
    assert "pack/face/two.py" in labels


def test_of_a_compiled_module_and_its_source_the_one_counts_that_python_imports(package):
    compiled = f"pack/fast{EXTENSION_SUFFIXES[0]}"
    labels, _ = package({"pack/main.py": "from pack import fast", "pack/fast.py": "", compiled: "machine code"})
    assert labels == {"pack/main.py", "pack/fast.so"}


def test_a_package_that_a_shared_stage_names_counts_as_a_whole(package):
    labels, _ = package({"pack/main.py": "", "pack/one.py": ""}, names=("pack.",))
    assert labels == {"pack/main.py", "pack/one.py"}


def test_libraries_count_by_version_and_what_is_not_installed_by_its_source(package, tmp_path):
    source = "import numpy as np\nimport beside\nimport json\nimport pydantic"
    labels, found = package({"pack/main.py": source, "beside.py": "import PIL.Image"})
    assert labels == {"pack/main.py", "beside.py"}
    assert set(found.libraries) == {"numpy", "pillow"}


@pytest.mark.parametrize(
    ("version", "counts"), [("2.1.0+cpu", "2.1.0"), ("2.1.0+cu126", "2.1.0"), ("0.1.dev3+g1f2e", "0.1.dev3+g1f2e")]
)
def test_a_version_counts_with_its_commit_and_without_its_device(monkeypatch, version, counts):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    assert version_of.__wrapped__("numpy") == ("numpy", counts)


def test_what_is_missing_or_no_python_is_one_sentence(package):
    with pytest.raises(PluginError, match=r"module 'pack\.main' is named as code of a stage but cannot be found"):
        package({})
    with pytest.raises(PluginError, match=r"main\.py: code of a stage is no Python file"):
        package({"pack/main.py": "def"})


def test_only_what_can_be_imported_under_its_name_is_importable():
    assert importable(Finder) == "harness.engine.code.imports:Finder"
    assert importable(Finder.find) == "harness.engine.code.imports:Finder.find"
    assert importable(lambda: 1) is None
    assert importable(time) is None
