"""Configuration is strict, and every mistake is one sentence that names the file and the field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from harness.contract import ConfigError, NoParams
from harness.data.configuration import apply_overrides, expand_env, load_yaml, validate


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    threshold: float = 0.5
    sides: tuple[int, int] = (1, 2)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    inner: Inner = Inner()
    many: list[Inner] = []
    classes: dict[str, int | list[int]] = {}
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Plain:
    rounds: int = 3
    scales: tuple[float, ...] = (1.0,)


def sentence(model: type, data: object) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(model, data, where="x.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_lists_become_tuples_and_integers_become_floats() -> None:
    made = validate(Outer, {"name": "n", "inner": {"threshold": 1, "sides": [3, 4]}}, where="x.yaml")
    assert made.inner == Inner(threshold=1.0, sides=(3, 4))
    assert validate(Plain, {"scales": [1, 2.5]}, where="x.yaml") == Plain(scales=(1.0, 2.5))


def test_text_is_never_taken_for_a_number() -> None:
    assert sentence(Plain, {"rounds": "3"}) == "x.yaml: rounds: input should be a valid integer, got '3'"


def test_unknown_keys_suggest_the_closest_name_at_every_depth() -> None:
    assert sentence(Outer, {"nam": "n"}) == "x.yaml: nam: unknown field, did you mean 'name'?"
    nested = {"name": "n", "many": [{"treshold": 1}]}
    assert sentence(Outer, nested) == "x.yaml: many.0.treshold: unknown field, did you mean 'threshold'?"
    assert sentence(Plain, {"qqq": 1}) == "x.yaml: qqq: unknown field, known are rounds, scales"
    assert sentence(NoParams, {"qqq": 1}) == "x.yaml: qqq: unknown field, there are none"


def test_missing_fields_are_named() -> None:
    assert sentence(Outer, {}) == "x.yaml: name: required field is missing"


def test_a_failed_union_names_the_field_not_the_branches() -> None:
    text = sentence(Outer, {"name": "n", "classes": {"cat": "eight"}})
    assert text.startswith("x.yaml: classes.cat: ")
    assert "list[int]" not in text


def test_every_mistake_is_in_the_one_sentence() -> None:
    text = sentence(Outer, {"name": 3, "mode": "c"})
    assert "name: " in text
    assert "mode: " in text


def test_a_value_that_is_no_mapping_is_refused() -> None:
    assert sentence(Outer, 3).startswith("x.yaml: ")


def test_yaml_reads_exponents_as_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("lr: 1e-3\nclip: 2E5\nname: e3\n")
    assert load_yaml(file) == {"lr": 0.001, "clip": 200000.0, "name": "e3"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: 1\na: 2\n", "line 2, column 1: key 'a' is repeated"),
        ("a: [1\nb: 2\n", "line 2"),
        ("- 1\n", "the top level must be a mapping of fields, not a list"),
        ("", "the top level must be a mapping of fields, not nothing"),
    ],
)
def test_bad_yaml_names_file_and_line(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(file)
    assert str(file) in str(caught.value)
    assert part in str(caught.value)


@pytest.mark.timeout(20)
def test_yaml_without_end_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "long.yaml"
    file.write_text("a: " + "x" * 100_000_000)
    with pytest.raises(ConfigError, match=r"long\.yaml: has 100,000,003 bytes, at most 1,048,576 are read"):
        load_yaml(file)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: is not UTF-8 text"):
        load_yaml(tmp_path / "latin.yaml")


def test_variables_are_expanded_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_X", "there")
    monkeypatch.delenv("WSSS_Y", raising=False)
    value = {"a": ["${WSSS_X}/b", 3], "c": {"d": "${WSSS_Y:-else}${WSSS_X:-no}", "e": "$plain {x}", "f": "${WSSS_Y:-}"}}
    expected = {"a": ["there/b", 3], "c": {"d": "elsethere", "e": "$plain {x}", "f": ""}}
    assert expand_env(value, where="x.yaml") == expected


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_variable_names_variable_file_and_field(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("WSSS_Y", raising=False)
    else:
        monkeypatch.setenv("WSSS_Y", value)
    with pytest.raises(ConfigError, match=r"^x\.yaml: params\.root: environment variable WSSS_Y is not set$"):
        expand_env({"params": {"root": "${WSSS_Y}/d"}}, where="x.yaml")


def test_overrides_are_typed_and_leave_the_original_alone() -> None:
    original = {"a": {"b": 1}, "m": [{"x": 1}]}
    made = apply_overrides(original, ["a.b=1e-2", "a.c=[1, two]", "new.deep.key=null", "m.0.x=true", "t=a=b"])
    assert made == {"a": {"b": 0.01, "c": [1, "two"]}, "m": [{"x": True}], "new": {"deep": {"key": None}}, "t": "a=b"}
    assert original == {"a": {"b": 1}, "m": [{"x": 1}]}


@pytest.mark.parametrize("override", ["a", "=1", "a..b=1", "s.x=1", "m.7=1", "m.x=1", "a=[1"])
def test_a_bad_override_is_one_sentence_that_quotes_it(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides({"a": {}, "s": "text", "m": [1]}, [override])
    assert f"-o {override}: " in str(caught.value)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.floats() | st.none()))
def test_validation_never_fails_in_any_other_way(data: dict[str, object]) -> None:
    try:
        made = validate(Plain, data, where="x")
    except ConfigError:
        return
    assert isinstance(made, Plain)
