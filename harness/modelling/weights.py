"""Initial weights: from a file, a URL or an mmseg scheme into a backbone, every key accounted for.

Whatever a file holds, it is read by torch's loader of plain tensors or by that of safetensors: no code from a weights
file ever runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from harness.contract.errors import ConfigError
from harness.modelling.weight_sources import SAFETENSORS, file_of

_CLASSIFIER_HEADS = ("fc", "head", "classifier", "conv2")
"""Top-level layers of image classifiers behind the backbone; ``conv2`` is the last convolution of MobileNetV2."""


def load_weights(backbone: nn.Module, source: str, sha256: str | None = None) -> None:
    """Load ``source`` into ``backbone``; every parameter and statistic must be there, and nothing else.

    Accepted are a flat state dictionary or one under ``state_dict``; the prefixes ``module.`` and ``backbone.`` and the
    layers of an image classifier behind the backbone are dropped.

    Args:
        backbone: The network. If it has ``convert_weights``, that turns a state of another layout into its own, and
            gets the classifier's layers too.
        source: A path, a URL, or a scheme such as ``open-mmlab://resnet50_v1c``.
        sha256: SHA-256 of the file or its first digits; a URL needs it unless its file name carries it.

    Raises:
        ConfigError: The file is missing, damaged, not the one of the checksum, or belongs to another network.
    """
    state = _from_torchvision(_without_prefixes(read_state(source, sha256)), backbone)
    convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = getattr(backbone, "convert_weights", dict)
    state = {key: value for key, value in convert(state).items() if key.split(".")[0] not in _CLASSIFIER_HEADS}
    own = backbone.state_dict()
    optional = {key for key in own if key.endswith("num_batches_tracked")}
    problems = (
        ("lacks", sorted(own.keys() - state.keys() - optional)),
        ("has the unexpected", sorted(state.keys() - own.keys())),
    )
    for what, keys in problems:
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise ConfigError(f"backbone.weights: {source} {what} key {keys[0]!r}{more}: not weights of this backbone")
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise ConfigError(
                f"backbone.weights: {source} has {key!r} of shape {tuple(value.shape)}, "
                f"the backbone needs {tuple(own[key].shape)}"
            )
    backbone.load_state_dict({**{key: own[key] for key in optional}, **state})


def read_state(source: str, sha256: str | None = None) -> dict[str, Tensor]:
    """The state dictionary in ``source``, on the CPU. Files are read without running code from them.

    Raises:
        ConfigError: The file is missing, is not the one of the checksum, or is no PyTorch weights file.
    """
    try:
        path = file_of(source, sha256)
    except ConfigError as error:
        raise ConfigError(f"backbone.weights: {error}") from None
    try:
        if path.suffix == SAFETENSORS:
            from safetensors.torch import load_file  # an extra's package

            content = load_file(path, device="cpu")
        else:
            content = torch.load(path, "cpu", weights_only=True)
    except ImportError:
        raise ConfigError(f"backbone.weights: {source}: pip install safetensors to read files of that kind") from None
    except Exception as error:  # a damaged or hostile file may make torch's reader raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"backbone.weights: {source}: cannot be read as PyTorch weights ({reason})") from None
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(f"backbone.weights: {source}: holds no state dictionary")
    return dict(state)


def _without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = {key.removeprefix("module."): value for key, value in state.items()}
    if any(key.startswith("backbone.") for key in state):
        return {key[len("backbone.") :]: value for key, value in state.items() if key.startswith("backbone.")}
    return state


def _from_torchvision(state: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Torchvision's MobileNetV2 under mmseg's names: equal layers in equal order, without the last one."""
    if type(backbone).__name__ != "MobileNetV2" or "features.0.0.weight" not in state:
        return state
    theirs = [key for key in state if key.startswith("features.") and not key.startswith("features.18.")]
    values = [state[key] for key in theirs if not key.endswith("num_batches_tracked")]
    own = [key for key in backbone.state_dict() if not key.endswith("num_batches_tracked")]
    return dict(zip(own, values, strict=True)) if len(own) == len(values) else state
