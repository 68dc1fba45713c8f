"""The sentence of an error is one printable line of bounded length, whatever names it holds."""

import pickle

import pytest

from harness.contract import ConfigError, WsssError
from harness.contract.errors import LONGEST


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.yaml: field: wrong", "a.yaml: field: wrong"),
        ("ünïcode 漢字 €", "ünïcode 漢字 €"),
        ("\x1b[2J\x07\0", "\\x1b[2J\\x07\\x00"),
        ("two\nlines\tand\u00a0more", "two lines and more"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_shown_and_never_sent(text: str, shown: str) -> None:
    assert str(WsssError(text)) == shown


def test_a_long_name_does_not_hide_the_reason() -> None:
    text = str(ConfigError(f"a.yaml: {'x' * 100_000}: no such file"))
    assert text.startswith("a.yaml: xxx")
    assert text.endswith("xxx: no such file")
    assert len(text) <= LONGEST


def test_an_error_arrives_from_a_worker_as_it_was() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("a\0b")))
    assert (type(error), error.args, str(error)) == (ConfigError, ("a\0b",), "a\\x00b")
