"""``.npy`` and ``.npz`` files that anyone may have written: arrays and plain containers, or one sentence of reason."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

from harness.common.files import read_bytes
from harness.common.pickles import parse_pickle
from harness.common.text import printable
from harness.contract.errors import DataError, WsssError

MOST_BYTES = 1 << 32
"""What the arrays of one ``.npz`` may hold together: a small archive can promise any size."""


def read_npy(path: Path | str, *, error: type[WsssError] = DataError) -> Any:
    """The array of an ``.npy`` file; of one that ``numpy.save`` pickled, the value: a dictionary, a list, an array.

    Raises:
        WsssError: ``error`` with one sentence: no regular file, no ``.npy``, cut short, or a pickle that holds more
            than ``read_pickle`` reads.
    """
    return parse_npy(read_bytes(path, error=error), where=printable(path), error=error)


def parse_npy(data: bytes, *, where: str, error: type[WsssError] = DataError) -> Any:
    """The content of an ``.npy`` file as ``read_npy`` gives it.

    Args:
        data: Its bytes.
        where: File that they came from, for messages.
        error: What to raise.

    Raises:
        WsssError: ``error`` with one sentence.
    """
    import numpy as np

    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
    except Exception as wrong:  # numpy evaluates the header as a literal, which fails in many ways
        raise error(f"{where}: no .npy file that can be read ({printable(wrong)[:200]})") from None
    rest = data[file.tell() :]
    if dtype.hasobject:
        value = parse_pickle(rest, where=where, error=error)
        return value[()] if getattr(value, "shape", None) == () else value
    if dtype.names is not None:
        raise error(f"{where}: holds records with fields, an array of numbers is needed")
    try:
        if min(shape, default=0) < 0:
            raise ValueError("a negative side")
        return np.frombuffer(rest, dtype=dtype).reshape(shape, order="F" if fortran else "C").copy()
    except ValueError:
        raise error(f"{where}: holds {len(rest)} bytes, its header promises {shape} values of type {dtype}") from None


def read_npz(path: Path | str, *, error: type[WsssError] = DataError) -> dict[str, Any]:
    """The arrays of an ``.npz`` file by name.

    Raises:
        WsssError: ``error`` with one sentence: no regular file, no archive, damaged, or more than ``MOST_BYTES``; an
            entry as ``read_npy``.
    """
    where, data = printable(path), read_bytes(path, error=error)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            if sum(member.file_size for member in members) > MOST_BYTES:
                raise error(f"{where}: its arrays are larger than {MOST_BYTES:,} bytes")
            contents = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError) as wrong:
        raise error(f"{where}: no .npz file that can be read ({printable(wrong)[:200]})") from None
    return {name: parse_npy(content, where=f"{where}: {name}", error=error) for name, content in contents.items()}
