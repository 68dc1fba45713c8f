"""Arrays in an uncompressed ``.npz`` file whose bytes depend on the content alone.

Fixed zip timestamps, explicit byte order, no compressor version. Anyone may have written a file, so reading allocates
nothing beyond the bytes that are there and takes no array of another name, type or length.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.atomic import write_atomically
from harness.common.files import read_bytes
from harness.common.text import printable
from harness.contract.errors import DataError

_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<|][a-zA-Z][1-9][0-9]{0,5})', 'fortran_order': False, "
    rb"'shape': \((?:(?P<length>[0-9]{1,12}),)?\), \} *\n",
    re.DOTALL,
)
"""What numpy writes before a vector or a single number."""

LIMIT = 1 << 29
"""Bytes that a file may have: some millions of images."""

_EPOCH = (1980, 1, 1, 0, 0, 0)

UNREADABLE = (zipfile.BadZipFile, ValueError, EOFError, OSError, RuntimeError, struct.error, DataError)
"""What reading the bytes of a damaged file raises."""

Arrays = Mapping[str, npt.NDArray[Any]]


def to_npz(arrays: Arrays) -> bytes:
    """The file as bytes; vectors and single numbers, in the order of ``arrays``."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            member.create_system = 3  # Unix, whatever system writes the file
            data = io.BytesIO()
            np.lib.format.write_array(data, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, data.getvalue())
    return file.getvalue()


def from_npz(data: bytes, types: Mapping[str, str]) -> Iterator[npt.NDArray[Any]]:
    """The arrays of a file as vectors, in the order of ``types``.

    Args:
        data: Bytes of the file.
        types: Pattern of numpy's type of each array, by name. ``num_classes`` is a single number, all others are
            vectors.

    Raises:
        ValueError: An array is missing, compressed, or not what its header says; or another of ``UNREADABLE``.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.namelist() != [f"{name}.npy" for name in types]:
            raise ValueError(f"its arrays must be {', '.join(types)}")
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("its arrays are compressed")
        contents = [archive.read(name) for name in archive.namelist()]
    for (name, pattern), content in zip(types.items(), contents, strict=True):
        header = _HEADER.match(content)
        if header is None or not re.fullmatch(pattern, header["dtype"].decode()):
            raise ValueError(f"array {name} is not of type {pattern}")
        dtype, values = np.dtype(header["dtype"].decode()), content[header.end() :]
        single = header["length"] is None
        if single != (name == "num_classes") or len(values) != dtype.itemsize * int(header["length"] or single):
            raise ValueError(f"array {name} is not of the length that it states")
        # np.frombuffer refuses to make an array of nothing.
        yield np.frombuffer(values, dtype) if values else np.empty(0, dtype)


def names_of(ids: npt.NDArray[Any]) -> tuple[str, ...]:
    """Image ids of an array of text.

    Raises:
        ValueError: An id is not text.
    """
    names = tuple(ids.tolist())
    "".join(names).encode()
    return names


def save_npz(path: Path, data: bytes) -> str:
    """Write the file in one step and return its SHA-256."""
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def load_npz(path: Path, *, sha256: str | None = None) -> bytes:
    """The bytes of a file; with ``sha256`` they must have that hash.

    Raises:
        DataError: The file is missing, too large, or not the one that was hashed.
    """
    data = read_bytes(path, error=DataError, limit=LIMIT)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise DataError(f"{printable(path)}: content hash is {digest[:12]} but the run record names {sha256[:12]}")
    return data
