"""Dictionaries that other programs wrote are maps by class number, or one sentence."""

from __future__ import annotations

import pickle
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.contract import DataError
from harness.data import read_label_file

ONE = np.ones((2, 3), np.float32)
LARGE: Any = reduce(lambda inner, _: (inner,) * 50, range(15), 1)
"""A small pickle whose values, written out or as an array, no memory holds."""


@pytest.mark.parametrize(
    "content",
    [
        {0: ONE, 4: ONE},
        {"0": ONE, "4": ONE},
        {"keys": [4, 0], "high_res": [ONE, ONE]},
        {"keys": np.array([0, 4]), "cam": np.ones((2, 2, 3))},
    ],
)
def test_maps_by_class_number_are_read_from_each_form(tmp_path: Path, content: Any) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    found = read_label_file(tmp_path / "a.pkl")
    assert found.planes is not None
    assert (found.numbers, found.planes.shape) == ((0, 4), (2, 2, 3))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({1: LARGE}, "one of its maps is tuple, arrays are needed"),
        ({"keys": LARGE, "cam": [ONE] * 50}, "its keys are .*; class numbers are needed"),
        ({"keys": [1], "cam": LARGE}, "1 keys and 50 maps"),
        ({"keys": 1, "cam": ONE[None]}, "its 'keys' is int, an array or a list is needed"),
        ({"\u00b2": ONE, "1": ONE}, "class numbers, or 'keys'"),
        ({"9" * 5000: ONE, "1": ONE}, "class numbers, or 'keys'"),
    ],
)
def test_a_dictionary_of_anything_else_is_one_sentence_at_once(tmp_path: Path, content: Any, sentence: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=sentence) as caught:
        read_label_file(tmp_path / "a.pkl")
    assert len(str(caught.value)) < 6000
