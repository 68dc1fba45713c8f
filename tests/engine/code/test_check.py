"""What a plugin of one file hides from its key: found when planning, or refused when the stage runs."""

import sys
import types
from pathlib import Path

import pytest

from harness.contract import PluginError
from harness.engine.code.check import check_imports
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.scheduler import run_plan
from harness.registry import PluginSpec, manager_from_spec
from tests.engine import toy

PLUGIN = """
from dataclasses import dataclass
import numpy as np
from harness.contract import Generator, GeneratorRecord, MethodRecord, PseudoLabel, Round, SharedStage, Use, hookimpl

class Zeros(Generator):
    def __init__(self, params): ...
    def generate(self, view, ctx):
        BODY
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.zeros(view.size(image_id), np.uint8))

@hookimpl
def wsss_generators():
    RECORD

@hookimpl
def wsss_methods():
    yield MethodRecord("zeros", rounds=(Round(Use("zeros"), segmenter=Use("toy")),))
"""


@pytest.fixture
def planned(write_config, tmp_path):
    """Plan a benchmark with a plugin file; returns plan and plugin manager."""

    def plan(record='yield GeneratorRecord("zeros", Zeros)', body="pass"):
        file = tmp_path / "zeros.py"
        file.write_text(PLUGIN.replace("RECORD", record).replace("BODY", body))
        builtins = ("harness.engine.executors.builtin",)
        manager = manager_from_spec(PluginSpec(files=(str(toy.PLUGIN), str(file)), env="", builtins=builtins))
        config = write_config(methods=["zeros"])
        benchmark = load_benchmark(config, registered={kind: manager.records(kind) for kind in ("method", "backbone")})
        return build_plan(benchmark, manager, modelling=toy.MODELLING), manager

    return plan


def key(plan):
    return next(key for key, spec in plan.stages.items() if spec.kind == "generate")


def test_a_class_of_parameters_inside_a_hook_counts(planned):
    record = (
        "@dataclass\n    class Params:\n        size: int = 1\n        def area(self):\n"
        "            return self.size ** {}\n    yield GeneratorRecord('zeros', Zeros, params=Params)"
    )
    assert key(planned(record.format(2))[0]) != key(planned(record.format(3))[0])


@pytest.mark.parametrize("function", ["lambda params, view, ctx: None", "__import__('functools').partial(print, 1)"])
def test_a_shared_stage_without_a_name_to_import_is_refused_in_one_sentence(planned, function):
    record = f"yield GeneratorRecord('zeros', Zeros, uses=(SharedStage('made', run={function}),))"
    with pytest.raises(
        PluginError, match=r"shared stage 'made': run=.* cannot be imported by its name; give a function"
    ):
        planned(record)


def test_a_module_that_no_file_made_is_none_of_the_plugin(planned, monkeypatch):
    plan, _ = planned()
    spec = plan.stages[key(plan)]
    before = set(sys.modules)

    class Odd(types.ModuleType):
        __file__ = "_odd.py"  # as torch.classes has

    monkeypatch.chdir(Path(sys.modules[spec.roots.packages[0]].__file__).parent)
    monkeypatch.setitem(sys.modules, "odd", Odd("odd"))
    monkeypatch.setitem(sys.modules, "relative", types.ModuleType("relative"))
    sys.modules["relative"].__file__ = "relative.py"
    check_imports(spec, before)


@pytest.mark.parametrize(
    "body",
    [
        "import sys; sys.path.insert(0, FOLDER); import beside_zeros",
        "import sys, importlib.util as u; s = u.spec_from_file_location('beside_zeros', FOLDER + '/beside_zeros.py');"
        "sys.modules['beside_zeros'] = m = u.module_from_spec(s); s.loader.exec_module(m)",
    ],
)
def test_a_module_that_a_stage_imports_behind_the_back_of_its_key_fails_the_stage(planned, tmp_path, body):
    (tmp_path / "beside_zeros.py").write_text("VALUE = 1")
    plan, manager = planned(body=body.replace("FOLDER", repr(str(tmp_path))))
    outcome = run_plan(
        plan,
        runs=tmp_path / "runs",
        manager=manager,
        make_executor=lambda: toy.LocalExecutor(toy.LocalParams(jobs=1, device="cpu")),
        progress=toy.ProgressDisplay(plan, tmp_path / "runs"),
        device="cpu",
    )
    (record,) = toy.records(tmp_path / "runs").values()
    assert record["status"] == "failed", outcome
    assert "generate zeros: imported" in record["error"]["message"]
    assert "beside_zeros.py, which the stage's key does not cover" in record["error"]["message"]
