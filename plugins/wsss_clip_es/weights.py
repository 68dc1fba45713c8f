"""CLIP's weights in a file that somebody named, as OpenAI's state dictionary; nothing of the file is run.

OpenAI publishes its models as TorchScript archives, which ``torch.jit.load`` would compile and run. Here an archive is
taken apart: its pickle is read with stand-ins for its classes, and its tensors come from the bytes beside it.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.contract import DataError
from wsss_clip_es.network import HEAD, ImageTower, TextTower, blocks_of

State = dict[str, Tensor]

MOST_BYTES = 1 << 33
"""Of an archive's members together."""

_OTHERS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's archives hold beside the parameters."""


@dataclass(frozen=True)
class Clip:
    """What labels are made with.

    Attributes:
        image: The image tower.
        text: The text tower, where the weights have one.
        scale: Logarithm of the inverse temperature of the softmax.
    """

    image: ImageTower
    text: TextTower | None
    scale: float


def load_clip(path: Path) -> Clip:
    """Build the towers that a file holds, in float32 on the CPU and without gradients.

    Raises:
        DataError: One sentence: no file of weights, or not those of a CLIP with a vision transformer.
    """
    state = {key: value for key, value in read_state(path).items() if key not in _OTHERS}
    try:
        return _built(state)
    except _Foreign as wrong:
        raise DataError(f"{path}: {wrong}; OpenAI's state dictionary of a ViT, such as ViT-B/16, is needed") from None


class _Foreign(Exception):
    """Why a state dictionary is not of this network, as the rest of a sentence."""


def _built(state: State) -> Clip:
    _dims(state, "logit_scale", 0)
    width, _, patch, _ = _dims(state, "visual.conv1.weight", 4)
    positions, _ = _dims(state, "visual.positional_embedding", 2)
    _, embedding = _dims(state, "visual.proj", 2)
    layers = blocks_of(list(state), "visual.transformer.resblocks.")
    grid = round((positions - 1) ** 0.5)
    if width % HEAD or grid * grid + 1 != positions or not layers:
        raise _Foreign(f"has {width} channels, {positions} positions and {layers} blocks")
    with torch.device("meta"):
        image = ImageTower(width=width, layers=layers, patch=patch, grid=grid, embedding=embedding)
        text = _text_tower(state, embedding)
    ours = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    rest = {key: value for key, value in state.items() if not key.startswith("visual.") and key != "logit_scale"}
    _load(image, ours, "visual.")
    if text is not None:
        _load(text, rest, "")
    return Clip(image.eval(), text.eval() if text is not None else None, float(state["logit_scale"]))


def _text_tower(state: State, embedding: int) -> TextTower | None:
    if "token_embedding.weight" not in state:
        return None
    vocabulary, width = _dims(state, "token_embedding.weight", 2)
    length, _ = _dims(state, "positional_embedding", 2)
    layers = blocks_of(list(state), "transformer.resblocks.")
    if width % HEAD:
        raise _Foreign(f"has {width} channels of texts")
    return TextTower(width=width, layers=layers, length=length, vocabulary=vocabulary, embedding=embedding)


def _dims(state: State, key: str, count: int) -> tuple[int, ...]:
    if key not in state:
        raise _Foreign(f"lacks {key!r}")
    if state[key].ndim != count:
        raise _Foreign(f"has {key!r} of shape {tuple(state[key].shape)}")
    return tuple(state[key].shape)


def _load(tower: torch.nn.Module, state: State, prefix: str) -> None:
    own = tower.state_dict()
    for key in sorted({*own, *state}):
        if key not in state or key not in own:
            raise _Foreign(f"{'lacks' if key in own else 'has the unexpected'} {prefix + key!r}")
        if own[key].shape != state[key].shape:
            raise _Foreign(f"has {prefix + key!r} of shape {tuple(state[key].shape)}, not {tuple(own[key].shape)}")
    tower.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    tower.requires_grad_(False)


def read_state(path: Path) -> State:
    """The tensors of a ``.safetensors`` file, of a file that ``torch.save`` wrote, or of a TorchScript archive.

    Raises:
        DataError: One sentence: none of them, damaged, or it holds what only running code could make.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # of the extra timm

            return load_file(path, device="cpu")
        if _is_torchscript(path):
            return _of_torchscript(path)
        content = _of_torch(path)
    except ImportError:
        raise DataError(f"{path}: needs the package safetensors; install wsss-harness[timm]") from None
    except Exception as error:  # a damaged or hostile file makes its readers raise anything
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{path}: cannot be read as weights ({why})") from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path}: holds no state dictionary")
    return {str(key): value for key, value in state.items()}


def _of_torch(path: Path) -> Any:
    """What ``torch.save`` wrote; a pickle that names other code is refused in words of ours, not in torch's."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, LookupError):
        raise ValueError("no file of torch.save, or one that only running code in it could read") from None


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _of_torchscript(path: Path) -> State:
    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > MOST_BYTES:
            raise ValueError(f"its members are larger than {MOST_BYTES:,} bytes")
        name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), "")
        if not name:
            raise ValueError("an archive without data.pkl")
        root = _Unpickler(archive, name.removesuffix(".pkl")).load()
    return dict(_tensors(root, ""))


class _Node:
    """Stands for a module of an archive: its attributes, and none of its code."""

    def __init__(self, *_: object) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        self.attributes = dict(state) if isinstance(state, Mapping) else {}


def _tensors(value: Any, prefix: str) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(prefix, value)]
    if not isinstance(value, _Node):
        return []
    dot = f"{prefix}." if prefix else ""
    return [item for name, below in value.attributes.items() for item in _tensors(below, f"{dot}{name}")]


class _Unpickler(pickle.Unpickler):
    """Reads ``data.pkl`` of an archive: stand-ins, tensors, numbers and texts; any other name is refused."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}.pkl")))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        """What a name of the pickle stands for."""
        if module.startswith("__torch__"):
            return _Node
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): OrderedDict,
            **{("torch.jit._pickle", f"build_{kind}list"): list for kind in ("int", "bool", "double", "tensor")},
        }
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"names {module}.{name}, which is not read")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        """The numbers of a tensor: ("storage", kind, name of the member, place, how many)."""
        _, dtype, name, _, _ = pid
        content = bytearray(self._archive.read(f"{self._folder}/{name}"))
        return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)


_STORAGES = {
    "HalfStorage": torch.float16,
    "FloatStorage": torch.float32,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


def _tensor(numbers: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    """A view of the numbers, copied; torch refuses one that leaves them."""
    return numbers.as_strided(tuple(size), tuple(stride), offset).clone()
