"""Parameters are validated strictly, and components answer for what they declare."""

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from harness.contract import (
    BOXES,
    CAMS,
    TAGS,
    ConfigError,
    GeneratorRecord,
    MethodRecord,
    PluginError,
    Round,
    Use,
    masks,
)
from harness.registry import (
    build_params,
    component_needs,
    component_uses,
    describe_params,
    method_rounds,
    params_dict,
    resolve,
)


class Mode(Enum):
    MEAN = "mean"
    MAX = "max"


@dataclass(frozen=True)
class Inner:
    depth: int = 2


@dataclass(frozen=True)
class Params:
    threshold: float = field(default=0.25, metadata={"help": "background score"})
    iterations: int = 5
    scales: tuple[float, ...] = (0.5, 1.0)
    mode: Mode = Mode.MEAN
    weights: Path | None = None
    inner: Inner = Inner()
    tags: frozenset[str] = frozenset({"b", "a"})

    def __post_init__(self):
        if not 0 <= self.threshold <= 1:
            raise ValueError("threshold must be in [0, 1]")


class Model(BaseModel):
    alpha: float = Field(0.5, description="mixing weight")
    steps: int = Field(ge=1, description="steps of the inner loop")


RECORD = GeneratorRecord("mine", factory="a:b", params=Params)


def build(record=RECORD, /, **values):
    return build_params(record, values, where="demo.yaml: methods.mine")


def test_what_is_left_out_gets_its_default():
    assert build() == Params()


def test_values_as_yaml_holds_them_fill_python_types():
    built = build(threshold=1, scales=[1, 2], mode="max", weights="a/b.pth", inner={"depth": 3}, tags=["x"])
    assert built == Params(1.0, 5, (1.0, 2.0), Mode.MAX, Path("a/b.pth"), Inner(3), frozenset({"x"}))
    assert isinstance(built.threshold, float)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"treshold": 1.0}, "parameter 'treshold': unknown; did you mean 'threshold'? (parameters: threshold, "),
        ({"iterations": "5"}, "parameter 'iterations': input should be a valid integer, got '5'"),
        ({"iterations": 5.0}, "parameter 'iterations': input should be a valid integer, got 5.0"),
        ({"iterations": True}, "parameter 'iterations': input should be a valid integer, got True"),
        ({"threshold": None}, "parameter 'threshold': input should be a valid number, got None"),
        ({"scales": [1, "x"]}, "parameter 'scales.1': input should be a valid number, got 'x'"),
        ({"mode": "median"}, "parameter 'mode': input should be 'mean' or 'max', got 'median'"),
        ({"inner": {"deep": 1}}, "parameter 'inner.deep': unknown"),
        ({"threshold": 2.0}, ": threshold must be in [0, 1]"),
        ({"iterations": "a", "mode": 1}, "(and 1 more)"),
        ({"iterations": object()}, "parameters must be plain values"),
    ],
)
def test_a_wrong_parameter_is_one_sentence_naming_file_component_and_parameter(values, sentence):
    with pytest.raises(ConfigError) as error:
        build(**values)
    text = str(error.value)
    assert text.startswith("demo.yaml: methods.mine: generator 'mine': ")
    assert sentence in text
    assert "\n" not in text


@pytest.mark.parametrize("mapping", [[], "a=1", {1: 2}])
def test_parameters_must_be_a_mapping_of_names(mapping):
    with pytest.raises(ConfigError, match="must be a mapping of names to values"):
        build_params(RECORD, mapping, where="x")


def test_a_component_without_parameters_says_so():
    with pytest.raises(ConfigError, match=r"parameter 'a': unknown \(it has no parameters\)"):
        build(GeneratorRecord("bare", factory="a:b"), a=1)


def test_pydantic_models_are_held_to_the_same_rules():
    record = GeneratorRecord("model", factory="a:b", params=Model)
    assert build(record, steps=3) == Model(alpha=0.5, steps=3)
    with pytest.raises(ConfigError, match="parameter 'steps': field required"):
        build(record)
    with pytest.raises(ConfigError, match="parameter 'steps': input should be greater than or equal to 1, got 0"):
        build(record, steps=0)
    with pytest.raises(ConfigError, match="parameter 'step': unknown; did you mean 'steps'"):
        build(record, step=1)


def test_a_parameter_class_that_fails_is_the_plugins_fault():
    @dataclass
    class Broken:
        x: int = 1

        def __post_init__(self):
            raise RuntimeError("no")

    with pytest.raises(PluginError, match="RuntimeError: no"):
        build(GeneratorRecord("broken", factory="a:b", params=Broken))


@given(
    threshold=st.floats(0, 1),
    iterations=st.integers(),
    scales=st.lists(st.floats(0.1, 4), max_size=4),
    mode=st.sampled_from(["mean", "max"]),
    depth=st.integers(0, 9),
)
def test_params_dict_is_the_inverse_of_build_params(threshold, iterations, scales, mode, depth):
    built = build(threshold=threshold, iterations=iterations, scales=scales, mode=mode, inner={"depth": depth})
    plain = params_dict(built)
    assert build(**plain) == built
    assert params_dict(build(**plain)) == plain


def test_params_dict_is_canonical_and_holds_defaults():
    plain = params_dict(Params(tags=frozenset({"c", "a", "b"})))
    assert list(plain) == sorted(plain)
    assert plain["tags"] == ["a", "b", "c"]
    assert plain["inner"] == {"depth": 2}
    assert plain["mode"] == "mean"
    assert plain["weights"] is None


@dataclass(frozen=True)
class Nested:
    width: int = 3
    depth: int = 2


@dataclass(frozen=True)
class Ordered:
    table: dict[str, int] = field(default_factory=dict)
    nested: Nested = Nested()
    several: tuple[dict[int, float], ...] = ()


def test_a_mapping_keeps_its_order_and_fields_have_none():
    record = GeneratorRecord("ordered", factory="a:b", params=Ordered)
    table, nested, several = {"zebra": 1, "ant": 2}, {"depth": 5, "width": 4}, [{"9": 0.5, "1": 1.0}]
    plain = params_dict(build(record, table=table, nested=nested, several=several))
    assert list(plain["table"]) == ["zebra", "ant"]
    assert list(plain["several"][0]) == ["9", "1"]
    turned = {"several": several, "nested": dict(reversed(nested.items())), "table": table}
    assert json.dumps(plain) == json.dumps(params_dict(build(record, **turned)))
    assert list(build(record, **plain).table) == ["zebra", "ant"]


def test_described_parameters_carry_type_default_and_help():
    first, *_ = describe_params(Params)
    assert (first.name, first.type, first.default, first.required, first.help) == (
        "threshold",
        "float",
        0.25,
        False,
        "background score",
    )
    alpha, steps = describe_params(Model)
    assert (alpha.default, alpha.help) == (0.5, "mixing weight")
    assert (steps.required, steps.default) == (True, None)


def test_declarations_may_be_constant_or_follow_the_parameters():
    fixed = GeneratorRecord("fixed", factory="a:b", needs=(TAGS,), uses=(CAMS,))
    assert component_needs(fixed, None) == (TAGS,)
    assert component_uses(fixed, None) == (CAMS,)
    free = GeneratorRecord("free", factory="a:b", needs=lambda p: (masks(p),), uses=lambda p: ())
    assert component_needs(free, 0.5) == (masks(0.5),)
    assert component_uses(free, 0.5) == ()
    method = MethodRecord("m", rounds=lambda p: (Round(Use("a")),) * p)
    assert len(method_rounds(method, 3)) == 3


def test_a_callable_that_fails_or_returns_nonsense_names_the_plugin():
    plugin = __name__.partition(".")[0]
    listed = GeneratorRecord("listed", factory="a:b", needs=lambda p: [BOXES])
    with pytest.raises(PluginError, match=f"plugin {plugin}: needs of generator 'listed' must return a tuple of Need"):
        component_needs(listed, None)
    raising = GeneratorRecord("raising", factory="a:b", uses=lambda p: p.absent)
    with pytest.raises(PluginError, match=f"plugin {plugin}: uses of generator 'raising' raised AttributeError"):
        component_uses(raising, None)
    empty = MethodRecord("empty", rounds=lambda p: ())
    with pytest.raises(PluginError, match="rounds of method 'empty' must return a tuple of one or more Round"):
        method_rounds(empty, None)


def test_a_value_that_the_contract_refuses_is_the_users_mistake():
    record = GeneratorRecord("subset", factory="a:b", needs=lambda p: (masks(p),))
    with pytest.raises(ConfigError, match=r"generator 'subset': supervision fraction must be in \(0, 1\], got 2"):
        component_needs(record, 2)


def test_resolve_imports_on_demand():
    assert resolve("os.path:join").__name__ == "join"
    assert resolve("pathlib:Path.cwd")() == Path.cwd()
    assert resolve(build) is build


@pytest.mark.parametrize(
    ("lazy", "reason"),
    [
        ("wsss_absent.method:F", "plugin wsss_absent: cannot import 'wsss_absent.method:F': ModuleNotFoundError"),
        ("harness.contract:Absent", "plugin harness.contract: cannot import 'harness.contract:Absent': AttributeError"),
        ("harness.contract:CONTRACT", "plugin harness.contract: 'harness.contract:CONTRACT' is not callable"),
        ("wsss_file_my_method_0123456789ab:F", "plugin my_method: cannot import"),
    ],
)
def test_resolve_names_plugin_and_reason(lazy, reason):
    with pytest.raises(PluginError) as error:
        resolve(lazy)
    assert reason in str(error.value)


class Odd(BaseModel):
    number: float = 0.0
    text: str = ""
    anything: Any = None


def _nested() -> list[Any]:
    outermost: list[Any] = []
    inner = outermost
    for _ in range(3000):
        inner.append([])
        inner = inner[0]
    return outermost


def _endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


ODD = {
    "a whole number": 5, "nothing": None, "a list": [], "a number as name": {5: 1}, "nothing as name": {None: 1},
    "not a number": {"number": float("nan")}, "infinite": {"number": float("inf")}, "digits": {"number": 10**5000},
    "digits below": {"anything": {"a": [1, 10**400]}},
    "nested": {"anything": _nested()}, "endless": {"anything": _endless()},
    "surrogate": {"text": "\ud800"}, "surrogate as name": {"\ud800": 1}, "bytes": {"text": b"\xff"},
    "set": {"text": {1}}, "object": {"anything": object()},
    "long": {"number": "x" * 100_000}, "control": {"number": "\x1b[2J\0"},
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_values_of_parameters_are_one_printable_sentence(name: str) -> None:
    record = GeneratorRecord("odd", factory=dict, params=Odd)
    with pytest.raises(ConfigError, match=r"f\.yaml: generator 'odd': ") as caught:
        build_params(record, ODD[name], where="f.yaml")  # type: ignore[arg-type]
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 2100
