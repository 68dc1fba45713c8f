from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.text import DEPTH, _deeper, parse_json, parse_xml, parse_yaml, printable
from harness.contract import ConfigError, DataError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 3000 + "]" * 3000, "nested more than 100 levels deep"),
        ("a: " + "{b: " * 200 + "1" + "}" * 200, "nested more than 100 levels deep"),
        (BOMB, "once its aliases are written out"),
        ("a: &x [*x]", "once its aliases are written out"),
        ("a: " + "7" * 5000, "a number of over 40 digits"),
        ("a: !!int foo", "'foo' cannot be read as int"),
        ("a: !!float foo", "'foo' cannot be read as float"),
        ("a: !!bool foo", "'foo' cannot be read as bool"),
        ("? !!set {a}\n: 1", "could not determine a constructor"),
        ("? [a]\n: 1", "a key must be a name or a number"),
        ("? {a: 1}\n: 1", "a key must be a name or a number"),
        ("a: 1\na: 2", "key 'a' is repeated"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: \x01", "special characters are not allowed"),
        ("<<: 5", "expected a mapping"),
    ],
)
def test_odd_yaml_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        parse_yaml(text, where="file.yaml")
    assert str(caught.value).startswith("file.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_date_is_text() -> None:
    text = "a: 2020-13-45\nb: 2020-01-02\nc: !!timestamp x\nd: 1e-3"
    assert parse_yaml(text, where="f") == {"a": "2020-13-45", "b": "2020-01-02", "c": "x", "d": 1e-3}


def test_ordinary_aliases_are_read() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2", where="f")["d"] == {"b": 1, "e": 2}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 100_000, "nested more than"),
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "nested more than"),
        ("7" * 5000, "a number of 5000 digits"),
        (b"\xff", "is not UTF-8"),
        ("", "no valid JSON"),
        ('{"a": 1', "no valid JSON"),
    ],
)
def test_odd_json_is_one_sentence(text: str | bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        parse_json(text, where="f.json", error=DataError)
    assert str(caught.value).startswith("f.json: ")


def test_json_as_deep_as_allowed_is_read() -> None:
    assert parse_json(b"\xef\xbb\xbf" + b"[" * DEPTH + b"]" * DEPTH, where="f") is not None


def _depth(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if below is None else 1 + max(map(_depth, below), default=0)


@given(
    st.recursive(
        st.text('[]{}"\\\\a') | st.none(),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text('[{"\\\\b'), below, max_size=3),
    ),
    st.integers(0, 6),
)
def test_brackets_in_strings_do_not_count_as_levels(value: object, levels: int) -> None:
    assert _deeper(json.dumps(value).encode(), levels) == (_depth(value) > levels)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="utf-8"?><a>\xff</a>',
        b'<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>',
        b"<a>" * 100_000,
    ],
)
def test_odd_xml_is_one_sentence(data: bytes) -> None:
    with pytest.raises(DataError, match=r"f\.xml: ") as caught:
        parse_xml(data, where="f.xml", error=DataError)
    assert "\n" not in str(caught.value)


def test_names_cannot_steer_a_terminal() -> None:
    assert printable("\x1b[2Jred\nnext\u202edlrow") == r"\x1b[2Jred\nnext\u202edlrow"
    assert printable("Größe 猫.png") == "Größe 猫.png"
    assert printable(b"a\xff".decode("utf-8", "surrogateescape")) == r"a\xff"


@given(st.text())
def test_whatever_is_printable_has_one_line(text: str) -> None:
    assert len(printable(text).splitlines()) <= 1
    printable(text).encode("ascii", "replace")
