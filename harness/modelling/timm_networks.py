"""Networks of timm as backbones: ``timm/NAME``, or ``timm/NAME.TAG`` where timm has several weights of one network.

What is unusual here:

* One record is made for each name that is asked for; timm has more than a thousand, and its import takes seconds.
* Mean, deviation and sides are those of the pretrained weights that the tag names, without one of the first that timm
  lists. Norms have the epsilon that timm builds the network with.
* Nothing loads weights by itself. They come from a file with timm's own names, or from the address that timm lists.
* Output strides are ours (``harness.modelling.atrous``): timm has none for many networks, and those of ResNet-D, whose
  average pools it does not dilate, are not exact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.contract import BackboneRecord, Card, InputRule, PluginError
from harness.modelling.atrous import Undilatable, dilate
from harness.modelling.folding import folded
from harness.modelling.mm import BaseModule, quiet
from harness.registry import did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

FAMILY = "timm/"
"""How the names of these backbones begin."""


class _Trained(NamedTuple):
    """A network of timm, which has the norms' epsilon and the padding, and what it wants to see."""

    network: str
    mean: float
    std: float


_TRAINED = {
    "b33994b2f18f94abe8e90ab710d2d46723f72c2bfb5a3990877b50e356a0e8ad": _Trained("tf_efficientnet_lite0", 127.0, 128.0),
}
"""By the SHA-256 of their file, weights that were trained otherwise than timm says of the names that they fit."""

_SIDE = 129
_SHALLOWEST = 4
"""Levels of a smaller stride are left out: heads of the harness read four levels at most."""
_SEES_ALL = re.compile("Attention|Attn|Lambda|Involution")
"""Names of classes that look at cells by another rule than a filter's, so that dilation does not give the same."""


def record(name: str) -> BackboneRecord:
    """The backbone ``timm/name``.

    Args:
        name: Of timm, with or without the tag of its weights.

    Raises:
        PluginError: timm is not installed or has no such network, or the network gives no feature maps of any image.
    """
    return _record(name)


@cache
def _record(name: str) -> BackboneRecord:
    cfg = _pretrained(name)
    if cfg["fixed_input_size"]:
        sides = " x ".join(map(str, cfg["input_size"][1:]))
        raise PluginError(f"backbone {FAMILY}{name}: takes images of {sides} pixels only, which no photograph has")
    levels, own = _levels_at(name, None), _own_stride(name)
    cells = levels[-1].shape[-1]
    whole = (_SIDE - 1) // own
    if cells not in (whole, whole + 1):
        raise PluginError(
            f"backbone {FAMILY}{name}: does not pad: of {_SIDE} pixels its deepest level has {cells} cells, "
            f"where its stride of {own} gives {whole} or {whole + 1}"
        )
    corners = cells == whole + 1
    mean, std = (tuple(round(255.0 * float(value), 3) for value in cfg[key]) for key in ("mean", "std"))
    papers = cfg.get("paper_ids") or ()
    paper = ", ".join([papers] if isinstance(papers, str) else papers).replace("arXiv:", "arXiv ")
    return BackboneRecord(
        f"{FAMILY}{name}",
        factory=f"{__name__}:networks.{name}",
        summary=f"{cfg['architecture']} of timm",
        card=Card(f"{cfg['architecture']}, as timm implements it", paper=paper, licence=cfg.get("license") or ""),
        channels=tuple(level.shape[1] for level in levels),
        output_strides=tuple(stride for stride in (8, 16, 32, 64) if stride <= own and _offers(name, stride, own)),
        init=f"timm://{name}",
        trained_on=cfg["tag"] or None,
        inputs=InputRule(None if corners else own, corners, mean, std),  # type: ignore[arg-type]
    )


def as_trained(record: BackboneRecord, weights_sha256: str | None) -> BackboneRecord:
    """The record for a file of weights, where it is one of which more is known than timm says."""
    trained = _TRAINED.get(weights_sha256 or "")
    if trained is None:
        return record
    inputs = replace(record.inputs, mean=(trained.mean,) * 3, std=(trained.std,) * 3)
    return replace(record, factory=f"{__name__}:networks.{trained.network}", inputs=inputs)


class Network:
    """``networks.NAME`` or ``networks.NAME.TAG``: the factory of a record, which is imported by that name."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def __getattr__(self, part: str) -> Network:
        if part.startswith("_"):
            raise AttributeError(part)
        return Network(f"{self.name}.{part}" if self.name else part)

    def __call__(self, output_stride: int) -> dict[str, Any]:
        """The mmseg ``backbone`` dictionary."""
        return {
            "type": f"{__name__}.{TimmBackbone.__name__}",
            "network": self.name,
            "output_stride": output_stride,
            "norm_cfg": {"type": "SyncBN"},
        }


networks = Network()


class TimmBackbone(BaseModule):
    """A network of timm at an output stride; its levels of stride 4 and more, one for each stride.

    Args:
        network: Name of timm, perhaps with a tag.
        output_stride: Of the deepest level; ``None`` is the network's own.
        norm_cfg: Type ``SyncBN`` makes its norms synchronise between processes.
    """

    def __init__(
        self, network: str, output_stride: int | None = None, norm_cfg: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.name = network
        whole: Any = _built(network)
        self.indices = _indices(whole, network)
        whole.prune_intermediate_layers(list(self.indices), prune_head=True)  # those that are left keep their names
        self.network: nn.Module = whole
        if output_stride is not None:
            dilate(self, output_stride)
        if norm_cfg and norm_cfg["type"] == "SyncBN":
            self.network = _timm().layers.convert_sync_batchnorm(self.network)

    def init_weights(self) -> None:
        """Nothing: timm has drawn its own initial weights."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, h, w) -> levels (N, C, h', w'), shallow to deep."""
        network: Any = self.network
        levels: list[Tensor] = network.forward_intermediates(
            x, indices=list(self.indices), output_fmt="NCHW", intermediates_only=True
        )
        return levels

    def fold_norms(self) -> None:
        """Fold norms into convolutions, see ``harness.modelling.folding``."""
        part = folded(self)
        assert isinstance(part, TimmBackbone)
        self.network = part.network

    def convert_weights(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state under timm's names as that of this network, without the layers behind its deepest level."""
        if any(key.startswith("network.") for key in state):
            return dict(state)
        own = self.state_dict()
        with torch.device("meta"):
            behind = _built(self.name, classes=None).state_dict().keys() - {key.removeprefix("network.") for key in own}
        return {f"network.{key}": value for key, value in state.items() if key not in behind}


def address(name: str) -> str:
    """Where the weights lie that timm lists for ``NAME`` or ``NAME.TAG``.

    Raises:
        PluginError: timm is not installed, or has no such network or no weights of it.
    """
    cfg = _pretrained(name)
    if cfg.get("url"):
        return str(cfg["url"])
    if cfg.get("hf_hub_id"):
        from huggingface_hub import hf_hub_url

        return str(hf_hub_url(cfg["hf_hub_id"], cfg.get("hf_hub_filename") or "model.safetensors"))
    raise PluginError(f"timm://{name}: timm lists no weights of this network")


def _timm() -> ModuleType:
    try:
        with quiet():
            import timm
    except ImportError:
        raise PluginError(f"backbones {FAMILY}NAME need the package timm: pip install 'wsss-harness[timm]'") from None
    return timm  # type: ignore[no-any-return]


def _pretrained(name: str) -> dict[str, Any]:
    """What timm says of the weights of a network."""
    models = _timm().models
    architecture, _, tag = name.partition(".")
    if not models.is_model(architecture):
        known = models.list_models()
        raise PluginError(
            f"backbone {FAMILY}{name}: timm has no network {architecture!r}{did_you_mean(architecture, known)}"
        )
    tags = [full.partition(".")[2] for full in models.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        listed = f" (it has {', '.join(tags)})" if tags else ""
        raise PluginError(f"backbone {FAMILY}{name}: timm has no weights {tag!r} of {architecture!r}{listed}")
    cfg: dict[str, Any] = models.get_pretrained_cfg(name).to_dict()
    return cfg


def _built(name: str, classes: int | None = 0) -> nn.Module:
    """The whole network with random weights, without a classifier or with its own."""
    changes = {} if classes is None else {"num_classes": classes}
    with quiet():
        made = _timm().create_model(name, pretrained=False, **changes)
    if not hasattr(made, "forward_intermediates"):
        raise PluginError(f"backbone {FAMILY}{name}: timm gives no feature maps of this network")
    assert isinstance(made, nn.Module)
    return made


def _indices(network: Any, name: str) -> tuple[int, ...]:
    """Of timm's feature levels, the deepest of each stride from ``_SHALLOWEST`` on."""
    deepest = {level["reduction"]: index for index, level in enumerate(_info(network))}
    found = tuple(index for reduction, index in sorted(deepest.items()) if reduction >= _SHALLOWEST)
    if not found:
        raise PluginError(f"backbone {FAMILY}{name}: timm gives no feature maps of this network")
    return found


def _info(network: Any) -> list[dict[str, Any]]:
    """What timm says of its feature levels, shallow to deep."""
    found: list[dict[str, Any]] = getattr(network.feature_info, "info", network.feature_info)
    return found


def _levels_at(name: str, output_stride: int | None) -> list[Tensor]:
    """Levels of an image of ``_SIDE`` pixels on the meta device, which have shapes and no numbers."""
    with torch.device("meta"):
        network = TimmBackbone(name, output_stride)
        network.eval()
        try:
            with torch.no_grad():
                levels: list[Tensor] = network(torch.zeros(1, 3, _SIDE, _SIDE))
        except (AssertionError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise PluginError(
                f"backbone {FAMILY}{name}: takes no image of {_SIDE} x {_SIDE} pixels ({reason[:80]})"
            ) from None
    return levels


def _own_stride(name: str) -> int:
    """That of the deepest level of the network as it was trained."""
    with torch.device("meta"):
        network: Any = _built(name)
    return int(_info(network)[_indices(network, name)[-1]]["reduction"])


def _offers(name: str, output_stride: int, own: int) -> bool:
    """Whether the network is the pretrained one at that output stride: filters and pools alone look at neighbours."""
    if output_stride == own:
        return True
    with torch.device("meta"):
        parts = [*_built(name).modules()]
    for part in parts:
        has_taps = hasattr(part, "weight") and hasattr(part, "dilation")
        if _SEES_ALL.search(type(part).__name__) or (has_taps and not isinstance(part, nn.Conv2d | nn.Conv1d)):
            return False  # it looks at its neighbours in a way whose dilation is not known
    try:
        cells = _levels_at(name, output_stride)[-1].shape[-1]
    except (PluginError, Undilatable):
        return False
    return cells - (_SIDE - 1) // output_stride in (0, 1)
