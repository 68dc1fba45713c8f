"""The mmseg segmenter: its configuration, its initial weights, and what a method may change of it.

A file in ``configs/segmenters`` is an ordinary mmseg model configuration with gaps. Backbone and classes are filled in,
and so are ``in_channels`` and ``c1_in_channels`` where they are ``"auto"``. The method's ``Segmenter.configure`` then
changes losses, heads and sampler; whatever else it changed is put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from harness.contract.errors import ConfigError, PluginError
from harness.modelling import mm, preprocess
from harness.modelling.backbones import FROM_CONFIG, backbone_config, input_rule, record_of
from harness.modelling.mm import Config
from harness.modelling.networks import copy_fitting, seeded_model
from harness.modelling.probe import check_backbone, level_shapes
from harness.modelling.weights import load_weights

if TYPE_CHECKING:
    from harness.contract import Context, Segmenter, View
    from harness.contract.protocol import BackboneSettings, SegmenterSettings

AUTO = "auto"


def build_config(settings: SegmenterSettings, backbone: BackboneSettings, num_classes: int) -> Config:
    """The mmengine configuration that every method starts from: ``model`` and ``train_dataloader.sampler``.

    Raises:
        ConfigError: The file is missing, is no mmseg model configuration, or does not fit the backbone.
        PluginError: The backbone is not what its record says, or that of the file cannot be built and run.
    """
    model = _read_model(Path(settings.config))
    if backbone.name == FROM_CONFIG:
        if "backbone" not in model:
            raise ConfigError(f"{settings.config}: model.backbone is missing, and the backbone is named 'config'")
        shapes = level_shapes(model["backbone"], f"{settings.config}: model.backbone")
        channels: Sequence[int] = tuple(shape[1] for shape in shapes)
    else:
        record = record_of(backbone)
        check_backbone(record, settings.output_stride)
        model["backbone"] = backbone_config(record, settings.output_stride)
        channels = record.channels
    model.setdefault("type", "EncoderDecoder")
    model.setdefault("train_cfg", {})
    model["test_cfg"] = {"mode": "whole"}
    model["data_preprocessor"] = preprocess.preprocessor(input_rule(backbone))
    for key in ("decode_head", "auxiliary_head"):
        heads = model.get(key)
        for head in heads if isinstance(heads, list) else [heads]:
            if isinstance(head, dict):
                _fill_head(head, channels, num_classes, where=f"{settings.config}: model.{key}")
            elif head is not None:
                raise ConfigError(f"{settings.config}: model.{key} must be a dictionary")
    return Config({"model": model, "train_dataloader": {"sampler": {"type": "ShuffleStream"}}})


def configure(segmenter: Segmenter, cfg: Config, view: View, ctx: Context) -> Config:
    """The configuration as the method changes it, with the protocol's part put back.

    Raises:
        PluginError: The method returns no configuration or changes the backbone; a model without one is allowed.
    """
    name = type(segmenter).__name__
    changed = segmenter.configure(Config(mm.plain(cfg.to_dict(), sync_bn=True)), view, ctx)
    if not isinstance(changed, Config) or "model" not in changed:
        raise PluginError(f"segmenter {name}: configure must return the configuration, got {type(changed).__name__}")
    model = mm.plain(changed.model, sync_bn=True)
    if model.get("backbone") not in (None, mm.plain(cfg.model.backbone, sync_bn=True)):
        raise PluginError(f"segmenter {name}: configure changed model.backbone, which is the protocol's")
    model["data_preprocessor"] = mm.plain(cfg.model.data_preprocessor)
    model["test_cfg"] = mm.plain(cfg.model.test_cfg)
    sampler = mm.plain(changed.get("train_dataloader", cfg.train_dataloader).get("sampler", {}))
    return Config({"model": model, "train_dataloader": {"sampler": sampler or {"type": "ShuffleStream"}}})


def initial_model(
    cfg: Config, protocol: Config, *, seed: int, weights: str | None, sha256: str | None = None
) -> nn.Module:
    """The method's network with the protocol's initial weights.

    What the protocol's own network has under the same name and shape starts from the same numbers for every method.
    Only the parts that a method adds or reshapes have initial weights of their own.
    """
    common = seeded_model(protocol.model, seed)
    if weights is not None:
        load_weights(common.get_submodule("backbone"), weights, sha256)
    model = seeded_model(cfg.model, seed)
    copy_fitting(model, common.state_dict())
    return model


def _read_model(path: Path) -> dict[str, Any]:
    try:
        cfg = Config.fromfile(path, format_python_code=False)
    except FileNotFoundError:
        raise ConfigError(f"segmenter.config: {path}: no such file") from None
    except Exception as error:  # a configuration is a program, which may raise anything
        with mm.quiet():
            error.__traceback__ = None  # mmengine leaves a file open in these frames
        raise ConfigError(f"segmenter.config: {path}: cannot be read ({type(error).__name__}: {error})") from None
    model = cfg.get("model")
    if not model or "decode_head" not in model:
        raise ConfigError(f"segmenter.config: {path}: no mmseg model configuration (model.decode_head is missing)")
    plain = mm.plain(model, sync_bn=True)
    assert isinstance(plain, dict)
    mm.refuse_own_weights(plain, f"{path}: model")
    return plain


def _fill_head(head: dict[str, Any], channels: Sequence[int], num_classes: int, *, where: str) -> None:
    head["num_classes"] = num_classes
    head.setdefault("align_corners", False)
    try:
        if head.get("in_channels") == AUTO:
            index = head.get("in_index", -1)
            head["in_channels"] = [channels[i] for i in index] if isinstance(index, list) else channels[index]
        if head.get("c1_in_channels") == AUTO:
            head["c1_in_channels"] = channels[0]
    except IndexError:
        raise ConfigError(f"{where}.in_index: the backbone has {len(channels)} levels") from None
