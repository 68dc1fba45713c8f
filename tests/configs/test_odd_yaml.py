"""Whatever stands in a benchmark or data set file, one sentence is the answer: any node replaced by odd values."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli.datasets import _configuration
from harness.contract import ConfigError, WsssError
from harness.data.configuration import build_dataset
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.rows import open_data, resolve_backbones, resolve_rows
from harness.registry import manager

CONFIGS = Path(__file__).parents[2] / "configs"
PLUGINS = manager()
BENCHMARKS = ["demo", "voc2012_tags", "camvid_boxes18", "voc_animals", "papers/pseudo_mask_matters"]
DATASETS = sorted(path.stem for path in (CONFIGS / "datasets").glob("*.yaml"))
LENGTHY = {"@digits@": "9" * 5000, "@deep@": "[" * 3000 + "]" * 3000, "@flow@": "{a: " * 150 + "1" + "}" * 150}
"""Written into the text as they are: no library would dump them."""
BOMB = "&a0 [x, x], " + ", ".join(f"&a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(12))
TEXTS = [
    "", " ", "\0", "a\0b", "x" * 300, "x" * 5000, "../../../../etc", "/dev/null", "/", ".", "~", "a/b", "a:b", "-",
    "\x1b[31mred\x07", "\u202egnp.exe", "\ud7ff", "ünïcode 漢字", "${UNSET}", "${", "${PATH}", "${ODD}", "${UNSET:-}",
    "file://", "https://h/w.pth", "://", "torchvision://", "s3://x", "2020-13-45", "1e3", "nan", "null", "%s{0}", "*",
    *LENGTHY,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 5, 3, 10**12, 2**31, 2**63, 10**39, 1.5, -0.0, 1e308, 1e-320, float("inf"), float("nan"),
    [], {}, [[]], [{}], [None], [[["a"]]], [1, [2.0]], ["a", "a"], {"a": {}}, {5: 1}, {None: 1}, {True: 2}, {1.5: "x"},
    {"": 1}, {"name": "x"}, {"name": 5}, {"name": None, "params": 3}, {"name": "cam", "params": []},
    {"method": ["cam"]}, {"rounds": [{"generator": {"a": 1}}]}, {"x\0y": 1, "\x1b": 2}, {"a"}, list(range(200)),
]  # fmt: skip

Address = tuple[str | int, ...]


def nodes(value: Any, at: Address = ()) -> Iterator[Address]:
    """Addresses of a value and of everything below it."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, (*at, key))


def replaced(value: Any, at: Address, new: Any) -> Any:
    """``value`` with the node at ``at`` replaced."""
    if not at:
        return new
    if isinstance(value, dict):
        return {key: replaced(item, at[1:], new) if key == at[0] else item for key, item in value.items()}
    return [replaced(item, at[1:], new) if index == at[0] else item for index, item in enumerate(value)]


def written(value: Any) -> str:
    text = yaml.safe_dump(value, allow_unicode=False, sort_keys=False)
    for name, content in LENGTHY.items():
        text = text.replace(f"'{name}'", content)
    return text


def sources(names: list[str], folder: str) -> dict[str, Any]:
    return {name: yaml.safe_load((CONFIGS / folder / f"{name}.yaml").read_text()) for name in names}


SHIPPED = {"benchmarks": sources(BENCHMARKS, "benchmarks"), "datasets": sources(DATASETS, "datasets")}
ODD = st.sampled_from(VALUES) | st.sampled_from(TEXTS)


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> tuple[str, str]:
    """Name of a shipped file, and its text with one or two nodes replaced."""
    name = draw(st.sampled_from(sorted(SHIPPED[kind])))
    value = SHIPPED[kind][name]
    for _ in range(draw(st.integers(1, 2))):
        addresses = list(nodes(value))
        value = replaced(value, draw(st.sampled_from(addresses)), draw(ODD))
    return name, written(value)


@pytest.fixture(scope="module", autouse=True)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty folder of data, and a variable that holds odd text."""
    empty = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSSS_DATA", str(empty))
        patch.setenv("WSSS_WEIGHTS", str(empty))
        patch.setenv("ODD", "\x1b[2J: [odd\n{")
        patch.delenv("UNSET", raising=False)
        yield


def one_sentence(error: WsssError) -> None:
    text = str(error)
    assert text.isprintable(), text
    assert len(text) <= 12_000, len(text)  # 2,000 characters before control characters are written out


def opened(path: Path, *overrides: str, **selection: Any) -> None:
    """Everything that a plan does with a benchmark file before it looks at the data."""
    benchmark = load_benchmark(path, overrides, **selection)
    resolve_rows(benchmark, PLUGINS)
    resolve_backbones(benchmark, PLUGINS)
    if benchmark.dataset.name != "synthetic":
        open_data(PLUGINS, benchmark.dataset.name, benchmark.dataset.params, where=f"{path}: dataset")


FUZZ = settings(
    max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped files, so that odd ones lie beside what they name and never in the checkout."""
    return Path(shutil.copytree(CONFIGS, tmp_path_factory.mktemp("odd") / "configs"))


@FUZZ
@given(case=mutated("benchmarks"))
def test_a_benchmark_file_with_odd_values_is_valid_or_one_sentence(configs: Path, case: tuple[str, str]) -> None:
    name, text = case
    path = configs / "benchmarks" / f"{name}.yaml"
    path.write_text(text)
    try:
        opened(path)
    except WsssError as error:
        one_sentence(error)


@FUZZ
@given(mutated("datasets"))
def test_a_data_set_file_with_odd_values_is_valid_or_one_sentence(tmp_path_factory: Any, case: tuple[str, str]) -> None:
    path = tmp_path_factory.getbasetemp() / "data.yaml"
    path.write_text(case[1])
    try:
        reader, params, where = _configuration(str(path), PLUGINS, ())
        if reader != "synthetic":
            build_dataset(reader, params, where=where, plugins=PLUGINS, lenient=True)
    except WsssError as error:
        one_sentence(error)


def test_an_alias_bomb_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(f"name: x\nseeds: [{BOMB}]\n")
    with pytest.raises(ConfigError, match=r"b\.yaml: .*values once its aliases are written out"):
        load_benchmark(tmp_path / "b.yaml")


@pytest.mark.parametrize(
    "text", ["", "null", "[1, 2]", "5", "'text'", "- a", "\0", "{a: 1", "---\na: 1\n---\nb: 2\n", "&a [*a]"]
)
def test_a_file_that_is_no_mapping_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"b\.yaml: ") as caught:
        load_benchmark(tmp_path / "b.yaml")
    one_sentence(caught.value)


OVERRIDES = [
    "seeds={}", "methods={}", "backbones={}", "dataset={}", "name={}", "timeout={}", "protocol.test.scales={}",
    "dataset.params.root={}", "protocol.cam={}", "methods.cam.x={}", "methods.{}.x=1", "protocol.{}=1", "{}={}", "{}",
]  # fmt: skip


@FUZZ
@given(st.sampled_from(OVERRIDES), st.sampled_from(TEXTS), ODD)
def test_an_override_with_odd_values_is_valid_or_one_sentence(form: str, text: str, value: Any) -> None:
    override = form.replace("{}", LENGTHY.get(text, text) if "{}=" in form else written(value).strip())
    try:
        opened(CONFIGS / "benchmarks" / "voc2012_tags.yaml", override)
    except WsssError as error:
        one_sentence(error)


def test_an_override_of_three_thousand_levels_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="an override has the form"):
        opened(CONFIGS / "benchmarks" / "demo.yaml", ".".join(["a"] * 3000) + "=1", "seeds=[0]")


SEGMENTERS = {
    "no such file": lambda folder: (folder / "model.py").unlink(),
    "is a folder": lambda folder: [(folder / "model.py").unlink(), (folder / "model.py").mkdir()],
    "is a pipe": lambda folder: [(folder / "model.py").unlink(), os.mkfifo(folder / "model.py")],
    "is a link to a file that does not exist": lambda folder: [
        (folder / "model.py").unlink(),
        (folder / "model.py").symlink_to("absent"),
    ],
    "is a link that leads back": lambda folder: [
        (folder / "model.py").unlink(),
        (folder / "model.py").symlink_to("model.py"),
    ],
    "NUL byte": lambda folder: (folder / "model.py").write_bytes(b"a = 1\0"),
    "not UTF-8": lambda folder: (folder / "model.py").write_bytes(b"a = '\xff'"),
    "line 1: ": lambda folder: (folder / "model.py").write_text("a ="),
    "too many nested parentheses": lambda folder: (folder / "model.py").write_text("a = " + "(" * 5000 + ")" * 5000),
    "no Python file.*": lambda folder: (folder / "model.py").write_text("a = " + "-" * 100_000 + "1"),
    "leads back to the file itself": lambda folder: (folder / "model.py").write_text("_base_ = ['model.py']"),
    "must be a literal": lambda folder: (folder / "model.py").write_text("_base_ = 5"),
    "must be a literal ": lambda folder: (folder / "model.py").write_text("_base_ = [['a.py']]"),
    "must be a literal file": lambda folder: (folder / "model.py").write_text("_base_ = open('x')"),
    "NUL": lambda folder: (folder / "model.py").write_text("_base_ = 'a\\0b.py'"),
    "name is too long": lambda folder: (folder / "model.py").write_text(f"_base_ = {'x' * 300!r}"),
    "more than 50 files": lambda folder: [
        (folder / f"{name}.py").write_text(f"_base_ = '{n + 1}.py'")
        for n, name in enumerate(["model", *range(1, 3000)])
    ],
    "at most 1,048,576 are read": lambda folder: (folder / "model.py").write_text("#" * 2_000_000),
}


@pytest.mark.parametrize("words", SEGMENTERS)
def test_a_segmenter_configuration_that_cannot_be_read_is_one_sentence_at_plan(tmp_path: Path, words: str) -> None:
    (tmp_path / "model.py").write_text("model = {}")
    SEGMENTERS[words](tmp_path)
    with pytest.raises(ConfigError, match=rf"demo\.yaml: protocol\.segmenter\.config: .*{words}") as caught:
        opened(CONFIGS / "benchmarks" / "demo.yaml", f"protocol.segmenter.config={tmp_path / 'model.py'}")
    one_sentence(caught.value)
