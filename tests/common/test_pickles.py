"""Files of arrays that anyone may have written: what was saved comes back, and nothing that a pickle says is run."""

from __future__ import annotations

import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.common.array_files import parse_npy, read_npy, read_npz
from harness.common.pickles import parse_pickle, read_pickle
from harness.contract import DataError

SAVED: dict[Any, Any] = {
    "keys": torch.tensor([1, 14]),
    "cam": torch.arange(24.0).reshape(2, 3, 4)[:, ::2],
    "high_res": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    np.int64(3): np.asfortranarray(np.arange(6).reshape(2, 3)),
    7: np.array([True, False]),
    "texts": np.array(["ab", "c"]),
    "turned": np.arange(3, dtype=">i4"),
    "objects": np.array([{"a": 1}, None], dtype=object),
    "plain": (1, 2.5, "x", None, b"bytes", b"", bytearray(b"x"), frozenset({4}), OrderedDict(a=[1]), {2, 3}),
    "number": np.float32(1.5),
}


def assert_same(found: Any, saved: Any) -> None:
    """The same value, a tensor being an array."""
    if isinstance(saved, dict):
        assert list(found) == list(saved)
        for key in saved:
            assert_same(found[key], saved[key])
    elif isinstance(saved, torch.Tensor | np.ndarray):
        expected = np.asarray(saved)
        assert isinstance(found, np.ndarray)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == saved


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_tensors_and_plain_containers_come_back_from_every_protocol(protocol: int) -> None:
    assert_same(parse_pickle(pickle.dumps(SAVED, protocol), where="f"), SAVED)


def test_a_dictionary_that_numpy_saved_comes_back_as_a_dictionary(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", SAVED, allow_pickle=True)  # type: ignore[arg-type]
    assert_same(read_npy(tmp_path / "a.npy"), SAVED)


@pytest.mark.parametrize("array", [np.ones((2, 3)), np.asfortranarray(np.eye(3)), np.float32(2), np.zeros(0)])
def test_a_plain_array_comes_back(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", first=array, second=np.arange(2))
    assert_same(read_npy(tmp_path / "a.npy"), np.asarray(array))
    found = read_npz(tmp_path / "a.npz")
    assert_same(found, {"first": np.asarray(array), "second": np.arange(2)})
    found["first"][...] = 0  # it is the reader's own


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def raw_array(kind: str, shape: Any, content: Any) -> bytes:
    """The pickle of an array whose type, shape and bytes were chosen freely."""
    array = pickle.dumps(np.zeros(2, np.uint8), 2)
    assert array.count(b"u1") == 1
    state = pickle.dumps((1, shape, None, False, content), 2)[2:-1]
    begin = array[: array.index(b"(K\x01K\x02")]
    dtype = array[array.index(b"cnumpy\ndtype") : array.rindex(b"\x89")].replace(b"u1", kind.encode())
    return begin + state.replace(b"N", dtype, 1) + b"b."


LARGE: Any = reduce(lambda inner, _: (inner,) * 50, range(15), 1)

HOSTILE = {
    "a command": pickle.dumps(Calls(os.system, "touch owned")),
    "a command in a list in a dictionary": pickle.dumps({1: [Calls(subprocess.check_output, ["touch", "owned"])]}),
    "eval": b'cbuiltins\neval\n(S\'open("owned","w")\'\ntR.',
    "eval of Python 2": b"c__builtin__\neval\n(S'1'\ntR.",
    "a class of ours": pickle.dumps(Calls(Path, "owned")),
    "an attribute of numpy": b"cnumpy\nload\n(S'owned'\ntR.",
    "a name with dots": b"\x80\x04\x8c\x05numpy\x8c\x0dlib.npyio.loadz\x93.",
    "a function that is only named": b"c_codecs\nencode\n.",
    "a change of what is called": b"c_codecs\nencode\n(N}S'__defaults__'\n(S'rot13'\ntstb.",
    "the largest place in memory": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "a list in itself": b"]q\x00h\x00a.",
    "lists nested deep": b"(" * 5000 + b"l" * 5000 + b".",
    "no end": pickle.dumps(SAVED)[:-9],
    "nothing": b"",
    "bytes of any size": b"c__builtin__\nbytes\n(I1000000000000\ntR.",
    "text": b"these are no labels",
    "a tensor beyond its content": pickle.dumps(torch.zeros(2)).replace(b"K\x02\x85", b"K\x09\x85"),
    "an array beyond its content": raw_array("u1", (9,), b"ab"),
    "an array of negative size": raw_array("u1", (-1, -2), b"ab"),
    "an array of a shape that no text holds": raw_array("u1", LARGE, b"ab"),
    "an array of records": raw_array("V2", (1,), b"ab"),
    "an array of objects from bytes": raw_array("O8", (1,), b"12345678"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_holds_anything_else_is_one_sentence_and_runs_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cams.npy").write_bytes(HOSTILE[name])
    with pytest.raises(DataError, match=r"^cams.npy: .+") as caught:
        read_pickle("cams.npy")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()
    assert parse_pickle(pickle.dumps(b"a", 2), where="f") == b"a"  # what is called is as it was


def test_a_hostile_dictionary_in_an_npy_file_names_what_it_would_have_called(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", {0: Calls(os.system, "touch owned")}, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"a\.npy: holds posix\.system, which is not read: of a pickle only arrays"):
        read_npy(tmp_path / "a.npy")


def npy_of(header: str, content: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", b"12345678"),
        npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", b"12345678"),
        npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2**62), }"),
        npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 8), }"),
        npy_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", b"1234"),
        npy_of("{'descr': 'nothing', 'fortran_order': False, 'shape': (1,), }", b"1234"),
        npy_of("(" * 100, b"1234"),
    ],
)
def test_a_damaged_npy_file_is_one_sentence(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^a\.npy: .+"):
        parse_npy(data, where="a.npy")


def test_a_damaged_npz_file_is_one_sentence(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", np.arange(1000))
    whole = (tmp_path / "a.npz").read_bytes()
    for data in (whole[:-30], whole[:200] + b"\0" * 40 + whole[240:], b"no archive"):
        (tmp_path / "b.npz").write_bytes(data)
        with pytest.raises(DataError, match=r"b\.npz: no \.npz file that can be read"):
            read_npz(tmp_path / "b.npz")


def test_an_npz_file_that_promises_too_much_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(1000))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    place = data.index(b"PK\x01\x02") + 24  # the size that the list of contents states
    data[place : place + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.npz"):
        read_npz(tmp_path / "a.npz")
