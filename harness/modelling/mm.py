"""The door to the mm-stack: quiet import, default scope, building.

mmengine looks names up in a process-wide *default scope* and writes to a process-wide *current logger*. Both are set
and checked here and nowhere else, and the rest of the package imports mmengine and mmseg through this module.
"""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from harness.contract.errors import ConfigError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow the warnings and prints of the mm-stack's imports and constructors."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


with quiet():
    from mmcv.cnn import ConvModule, build_norm_layer
    from mmcv.cnn import fuse_conv_bn as _fuse_conv_bn
    from mmengine.config import Config
    from mmengine.dist import get_dist_info, get_rank
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.model import BaseDataPreprocessor, BaseModel, BaseModule
    from mmengine.registry import DefaultScope
    from mmengine.structures import PixelData
    from mmengine.visualization import Visualizer
    from mmseg import datasets as _datasets  # noqa: F401  # registers them
    from mmseg.models.backbones import MixVisionTransformer, ResNet
    from mmseg.models.decode_heads import decode_head
    from mmseg.models.utils import nlc_to_nchw
    from mmseg.registry import DATA_SAMPLERS, DATASETS, MODELS
    from mmseg.structures import SegDataSample

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "MODELS",
    "BaseDataPreprocessor",
    "BaseModel",
    "BaseModule",
    "Config",
    "ConvModule",
    "MMLogger",
    "MessageHub",
    "MixVisionTransformer",
    "PixelData",
    "ResNet",
    "SegDataSample",
    "Visualizer",
    "build",
    "build_norm_layer",
    "build_sampler",
    "decode_head",
    "distributed",
    "enter_scope",
    "fuse_conv_bn",
    "get_dist_info",
    "get_rank",
    "nlc_to_nchw",
    "place",
    "plain",
    "quiet",
    "refuse_own_weights",
]

M = TypeVar("M", bound=nn.Module)

# Images come in all sizes, and features lie at corners whatever the size is; mmseg would warn of most images.
warnings.filterwarnings("ignore", message="When align_corners=True", category=UserWarning)

SCOPE = "mmseg"
_LOADING = ("pretrained", "checkpoint_path", "load_from")
"""Fields by which networks of mmseg, timm and mmengine load weights on their own."""


def enter_scope() -> None:
    """Make ``mmseg`` the default scope of mmengine's registries in this process, and its logger silent."""
    current = DefaultScope.get_current_instance()
    if current is None or current.scope_name != SCOPE:
        DefaultScope.get_instance(f"wsss-{time.monotonic_ns()}", scope_name=SCOPE)
        MMLogger.get_instance(f"wsss-{time.monotonic_ns()}").handlers.clear()
    current = DefaultScope.get_current_instance()
    if current is None or current.scope_name != SCOPE:
        raise RuntimeError(f"mmengine's default scope is {current}, not {SCOPE!r}")


def distributed() -> bool:
    """Whether this process is one of several that train together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def plain(cfg: Any, *, sync_bn: bool = False) -> Any:
    """``cfg`` as plain dictionaries and lists, with ``SyncBN`` as ``BN`` unless ``sync_bn``."""
    if isinstance(cfg, Mapping):
        items = {str(key): plain(value, sync_bn=sync_bn) for key, value in cfg.items()}
        if items.get("type") == "SyncBN" and not sync_bn:
            items["type"] = "BN"
        return items
    if isinstance(cfg, list | tuple):
        return [plain(value, sync_bn=sync_bn) for value in cfg]
    return cfg


def refuse_own_weights(cfg: Any, where: str) -> None:
    """A network never loads weights by itself: they would be neither checked nor part of a key, and could run code.

    Args:
        cfg: A model configuration.
        where: What it is called, for the message.

    Raises:
        ConfigError: Some part has ``pretrained``, ``checkpoint_path``, ``load_from`` or an ``init_cfg`` that loads.
    """
    if isinstance(cfg, Mapping):
        loads = _name(cfg.get("type")) in ("Pretrained", "PretrainedInit")
        field = "type" if loads else next((name for name in _LOADING if cfg.get(name)), None)
        if field is not None:
            raise ConfigError(
                f"{where}.{field}: loads weights by itself; take it away and name them as weights of the backbone, "
                "where they are checked and become part of the key"
            )
        for key, value in cfg.items():
            refuse_own_weights(value, f"{where}.{key}")
    elif isinstance(cfg, list | tuple):
        for index, value in enumerate(cfg):
            refuse_own_weights(value, f"{where}.{index}")


def _name(kind: Any) -> str:
    return (kind if isinstance(kind, str) else getattr(kind, "__name__", "")).rpartition(".")[2]


def build(cfg: Any) -> nn.Module:
    """Build a registered module from its configuration; norm layers synchronise only between several GPUs.

    Raises:
        ConfigError: Some part of it would load weights by itself.
    """
    enter_scope()
    refuse_own_weights(cfg, "model")
    sync = distributed() and torch.distributed.get_backend() == "nccl"
    with quiet():
        module = MODELS.build(plain(cfg, sync_bn=sync))
    assert isinstance(module, nn.Module)
    return module


def fuse_conv_bn(module: M) -> M:
    """``module`` with norms folded into convolutions, in place; a part that has ``fold_norms`` does it itself."""
    parts = [(parent, name, part) for parent in module.modules() for name, part in parent.named_children()]
    own = [(parent, name, part) for parent, name, part in parts if hasattr(part, "fold_norms")]
    for parent, name, _ in own:
        setattr(parent, name, nn.Identity())
    _fuse_conv_bn(module)
    for parent, name, part in own:
        fold: Any = part.fold_norms
        fold()
        setattr(parent, name, part)
    return module


def place(module: nn.Module, device: str) -> None:
    """Move ``module`` to ``device``, its convolutions in channels-last layout."""
    module.to(device=device)
    module.to(memory_format=torch.channels_last)


def build_sampler(cfg: Mapping[str, Any], dataset: Any) -> Any:
    """Build a registered sampler of the indices of ``dataset``."""
    enter_scope()
    with quiet():
        return DATA_SAMPLERS.build(dict(cfg), default_args={"dataset": dataset})
