"""Pickles that anyone may have written: arrays and plain containers, or one sentence says why not.

A pickle is a program, and ``pickle.load`` and ``numpy.load(allow_pickle=True)`` run whatever it calls. Unusual here:
not even numpy's own functions are called. Each name that a pickle of an array mentions stands for one of ours, which
builds the array from its bytes; any other name is refused. Tensors of torch become arrays.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, Literal

from harness.common.files import read_bytes
from harness.common.text import printable
from harness.contract.errors import DataError, WsssError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DEPTH = 20
"""Levels that containers may nest: far above any real file."""

_KINDS = re.compile(r"[<>|=]?[biufc]\d{1,2}|[<>|=]?O8?|[<>|=]?[SU]\d{1,4}|\?")
_NUMPY = re.compile(r"numpy\.(_core|core)\.(multiarray|numeric)")


class _Refused(Exception):
    """Why a pickle is not read, as the rest of a sentence."""


class _Call:
    """A function that a pickle may call and cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _Refused("changes what it calls")


class _Dtype:
    """Stands for ``numpy.dtype`` while a pickle is read: only its kind and byte order are taken over."""

    def __init__(self, kind: object, *_: object) -> None:
        if not isinstance(kind, str) or not _KINDS.fullmatch(kind):
            raise _Refused(f"holds an array of type {shortened(kind)}, only numbers, truth values and texts are read")
        self._kind = kind.lstrip("<>|=")
        self._order: Literal["<", ">", "|", "="] = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise _Refused("holds an array of an unknown byte order")
        self._order = state[1]

    def made(self) -> np.dtype[Any]:
        import numpy as np

        return np.dtype(self._kind).newbyteorder(self._order)


class _Array:
    """Stands for an array while a pickle is read; ``made`` gives the array."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def made(self) -> npt.NDArray[Any]:
        if len(self.state) != 5 or not isinstance(self.state[2], _Dtype):
            raise _Refused("holds an array without content")
        _, shape, dtype, fortran, content = self.state
        return _array(content, dtype, shape, "F" if fortran else "C")


def _array(content: Any, kind: _Dtype, shape: Any, order: Any) -> npt.NDArray[Any]:
    """An array of its own memory from the bytes of a pickle; one of objects from a list of values."""
    import numpy as np

    dtype = kind.made()
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 8:
        raise _Refused(f"holds an array of shape {shortened(shape)}")
    if dtype.hasobject:
        if not isinstance(content, list) or len(content) != int(np.prod(shape, dtype=object)):
            raise _Refused("holds an array of objects that are not listed")
        objects: npt.NDArray[Any] = np.empty(len(content), dtype=object)
        for place, item in enumerate(content):
            objects[place] = item
        return objects.reshape(shape, order="F" if order == "F" else "C")
    if isinstance(content, str):  # protocols 0 to 2 of Python 2
        content = content.encode("latin1")
    if not isinstance(content, bytes | bytearray):
        raise _Refused("holds an array whose content is no bytes")
    try:
        flat = np.frombuffer(content, dtype=dtype)
        return flat.reshape(shape, order="F" if order == "F" else "C").copy()
    except ValueError as error:
        raise _Refused(f"holds an array whose bytes do not fit its shape {shape} ({error})") from None


def _scalar(kind: Any, content: Any = b"") -> Any:
    if not isinstance(kind, _Dtype):
        raise _Refused("holds a number without a type")
    return _array(content, kind, (), "C")[()]


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
    if not isinstance(kind, _Dtype):
        raise _Refused("holds an array without a type")
    return _array(content, kind, shape, order)


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused("holds text in another encoding than latin1")
    return text.encode("latin1")


def _bytes(content: Any = b"", encoding: Any = "latin1") -> bytes:
    """What old protocols call for bytes; a number, which would be a size, is refused."""
    return content if isinstance(content, bytes) else _encoded(content, encoding)


def _storage(content: Any) -> npt.NDArray[Any]:
    """The numbers of a tensor, which torch packs as a pickle of its own; torch's loader of weights alone reads them."""
    import torch

    if not isinstance(content, bytes | bytearray):
        raise _Refused("holds a tensor whose content is no bytes")
    try:
        storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        numbers: npt.NDArray[Any] = torch.tensor([], dtype=storage.dtype).set_(storage).numpy()
    except Exception as error:
        raise _Refused(f"holds a tensor that cannot be read ({type(error).__name__})") from None
    return numbers


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> npt.NDArray[Any]:
    """The array of a tensor; the strides must stay inside its storage."""
    import numpy as np

    places = (size, stride)
    if not isinstance(storage, np.ndarray) or type(offset) is not int or len(size) != len(stride):
        raise _Refused("holds a tensor without content")
    if offset < 0 or any(type(number) is not int or number < 0 for place in places for number in place):
        raise _Refused(f"holds a tensor of size {shortened(size)} and stride {shortened(stride)}")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if 0 not in size and last >= len(storage):
        raise _Refused("holds a tensor that reaches beyond its content")
    if 0 in size:
        return np.empty(size, storage.dtype)
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


_OF_NUMPY = {"_reconstruct": _Array, "scalar": _Call(_scalar), "_frombuffer": _Call(_from_buffer)}
_OTHERS = {
    **{(module, kind.__name__): _Call(kind) for kind in (set, frozenset) for module in ("builtins", "__builtin__")},
    **{(module, name): _Call(_bytes) for name in ("bytes", "bytearray") for module in ("builtins", "__builtin__")},
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _Call(_encoded),
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_tensor),
    ("torch.storage", "_load_from_bytes"): _Call(_storage),
}
"""What stands for a name in a pickle."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _OF_NUMPY.get(name) if _NUMPY.fullmatch(module) else _OTHERS.get((module, name))
        if found is None:
            raise _Refused(
                f"holds {module}.{name}, which is not read: of a pickle only arrays, numbers, texts and plain "
                "containers are, and nothing is run"
            )
        return found

    def persistent_load(self, pid: object) -> Any:
        raise _Refused("refers to data outside itself")


def read_pickle(path: Path | str, *, error: type[WsssError] = DataError, limit: int | None = None) -> Any:
    """The value in a pickle of arrays, numbers, texts and plain containers.

    Args:
        path: The file.
        error: What to raise.
        limit: Bytes that such a file may have at most.

    Raises:
        WsssError: ``error`` with one sentence: no regular file, no pickle, or one that holds anything else.
    """
    return parse_pickle(read_bytes(path, error=error, limit=limit), where=printable(path), error=error)


def parse_pickle(data: bytes, *, where: str, error: type[WsssError] = DataError) -> Any:
    """The value of a pickle, as ``read_pickle``.

    Args:
        data: Its bytes.
        where: File that they came from, for messages.
        error: What to raise.

    Raises:
        WsssError: ``error`` with one sentence.
    """
    try:
        _check_program(data)
        return _made(_Unpickler(io.BytesIO(data), encoding="latin1").load(), {}, 0)
    except _Refused as refused:
        raise error(f"{where}: {printable(refused)}") from None
    except (MemoryError, RecursionError):
        raise error(f"{where}: no pickle that can be read: too large or nested too deep") from None
    except Exception as wrong:  # an unpickler raises whatever the program that it follows makes it raise
        raise error(f"{where}: no pickle that can be read ({type(wrong).__name__}: {printable(wrong)[:200]})") from None


def _check_program(data: bytes) -> None:
    """Check every step of a pickle before one is taken: whole, and no place in its memory further than it is long.

    The unpickler itself would reserve as much memory as the largest place asks for.
    """
    for step, argument, _ in pickletools.genops(data):
        if "PUT" in step.name and isinstance(argument, int) and argument > len(data):
            raise _Refused("asks for more memory than its size explains")


def _made(value: Any, known: dict[int, tuple[Any, Any]], depth: int) -> Any:
    """``value`` with arrays in place of what stood for them; what occurs twice is made once.

    Args:
        value: What the unpickler built.
        known: What was made of each object so far, with the object, so that no other gets its number.
        depth: Levels of containers around it.

    Raises:
        _Refused: Containers nest too deep or in themselves, or a function is among the values.
    """
    if depth > DEPTH:
        raise _Refused(f"nests more than {DEPTH} levels deep")
    if id(value) in known:
        return known[id(value)][1]
    made = value
    if isinstance(value, _Array | _Dtype):
        made = value.made()
    if isinstance(made, dict):
        made = {_made(key, known, depth + 1): _made(item, known, depth + 1) for key, item in made.items()}
    elif isinstance(made, list | tuple | set | frozenset):
        made = type(made)(_made(item, known, depth + 1) for item in made)
    elif getattr(made, "dtype", None) is not None and made.dtype.hasobject:
        flat = made.reshape(-1)
        for place, item in enumerate(flat):
            flat[place] = _made(item, known, depth + 1)
        made = flat.reshape(made.shape)
    elif callable(made):
        raise _Refused("holds a function or a class, which is not read")
    known[id(value)] = value, made
    return made
