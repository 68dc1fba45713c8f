"""Checks that a backbone is what its record says, before anything is trained on it.

The network is built and run once on tensors of the meta device, which have shapes and no numbers, so the check takes
milliseconds and no memory. Only a network that cannot run there is built for real, with random weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from harness.contract import BackboneRecord
from harness.contract.errors import ConfigError, PluginError
from harness.modelling import mm
from harness.modelling.backbones import backbone_config

if TYPE_CHECKING:
    from harness.contract.protocol import BackboneSettings

ONE_VALUE = "Expected more than 1 value per channel when training"
"""How torch's BatchNorm begins its complaint about one image of 1 x 1 pixels."""

SIDE = 129
"""Side of the tried image: 2^7 + 1 suits networks that pad and networks that do not."""


def hollow(cfg: dict[str, Any]) -> nn.Module:
    """The network on the meta device, where nothing is drawn at random and nothing takes memory."""
    try:
        with torch.device("meta"):
            return mm.build(cfg)
    except RuntimeError:  # mmseg's MiT reads numbers from tensors while it is built
        return mm.build(cfg).to("meta")


def check_backbone(record: BackboneRecord, output_stride: int) -> None:
    """Compare the network of ``record`` with what the record says of it.

    Raises:
        ConfigError: The backbone does not offer that output stride.
        PluginError: The network cannot be built or run, or ``channels`` or ``output_strides`` is not true of it.
    """
    where = f"backbone {record.name!r}"
    try:
        cfg = backbone_config(record, output_stride)
    except ConfigError:
        raise
    except PluginError as error:
        raise PluginError(f"{where}: factory: {error}") from error
    except Exception as error:  # a factory is a plugin's code, which may raise anything
        raise PluginError(f"{where}: factory: fails at output stride {output_stride}: {_reason(error)}") from error
    shapes = level_shapes(cfg, f"{where}: factory: the network of output stride {output_stride}")
    channels = tuple(shape[1] for shape in shapes)
    if channels != tuple(record.channels):
        raise PluginError(
            f"{where}: channels: the record says {tuple(record.channels)}, "
            f"the network of output stride {output_stride} has {channels}"
        )
    for axis in (2, 3):
        size = shapes[-1][axis]
        if size - (SIDE - 1) // output_stride not in (0, 1):
            raise PluginError(
                f"{where}: output_strides: at output stride {output_stride} the deepest level of an image of "
                f"{SIDE} x {SIDE} pixels is {shapes[-1][2]} x {shapes[-1][3]}, not about {SIDE // output_stride} wide"
            )


def level_shapes(cfg: dict[str, Any], what: str) -> list[torch.Size]:
    """Shapes (1, C, h, w) of the levels that a network gives for an image of ``SIDE`` x ``SIDE`` pixels.

    Args:
        cfg: Configuration of a backbone.
        what: What the network is, as the beginning of an error message.

    Raises:
        PluginError: The network cannot be built or run, or returns anything but a list of feature maps.
    """
    try:
        try:
            levels = _levels(hollow(cfg), "meta")
        except Exception:  # some operations cannot run on the meta device
            levels = _levels(mm.build(cfg), "cpu")
    except Exception as error:  # a library may raise anything while it builds or runs the network
        raise PluginError(f"{what} cannot be built and run: {_reason(error)}") from error
    if not isinstance(levels, list | tuple) or not all(
        isinstance(level, torch.Tensor) and level.ndim == 4 for level in levels
    ):
        raise PluginError(f"{what} returns no list of feature maps (N, C, h, w)")
    return [level.shape for level in levels]


def _levels(network: nn.Module, device: str) -> Any:
    network.eval()  # a statement of its own: the method of an mmseg backbone returns nothing
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return network(torch.zeros(1, 3, SIDE, SIDE, device=device))


def _reason(error: Exception) -> str:
    """The class of an error and the first line of its message."""
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"{type(error).__name__}: {first}"


def trains_on_one_image(section: Literal["classifier", "segmenter"], settings: Any, backbone: BackboneSettings) -> bool:
    """Whether the networks of a protocol section can be trained on one image per step.

    BatchNorm cannot learn from one image of 1 x 1 pixels, which it gets behind the global pooling of a head such as
    PSPNet's, or in a backbone whose deepest level is that small. The networks are tried with a crop of the protocol's
    size.

    Args:
        section: Which of the two networks.
        settings: ``ClassifierSettings`` or ``SegmenterSettings``.
        backbone: The cell's backbone.

    Raises:
        ConfigError: The segmenter's configuration cannot be read or does not fit the backbone.
        PluginError: The backbone is not what its record says.
    """
    from harness.modelling.classifier import classifier_config
    from harness.modelling.segmenter import build_config

    make = classifier_config if section == "classifier" else build_config
    cfg: Any = make(settings, backbone, 2)
    network: Any = hollow(cfg if section == "classifier" else cfg.model)
    network.train()
    if settings.optim.freeze_bn:
        network.backbone.eval()
    image = torch.empty(1, 3, settings.augment.crop, settings.augment.crop, device="meta")
    try:
        with torch.no_grad():
            levels = network.backbone(image)
            for head in (getattr(network, name, None) for name in ("decode_head", "auxiliary_head")):
                for part in head if isinstance(head, nn.ModuleList) else [head]:
                    if part is not None:
                        part(levels)
    except ValueError as error:
        if ONE_VALUE not in str(error):
            raise
        return False
    return True
