"""The image classifier whose class activation maps tag-supervised methods share.

Backbone, 1x1 convolution without bias, global average pooling, multi-label soft margin loss: the class activation map
of class c is the ReLU of channel c before pooling ("Learning Deep Features for Discriminative Localization",
arXiv 1512.04150, with the convolution before the pooling, which is the same network).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.contract import InputRule
from harness.contract.errors import ConfigError, StoreError
from harness.modelling import preprocess
from harness.modelling.backbones import FROM_CONFIG, backbone_config, record_of
from harness.modelling.frozen import freeze
from harness.modelling.mm import MODELS, BaseModel, build, fuse_conv_bn, place
from harness.modelling.networks import CURVE, save_network, seeded
from harness.modelling.probe import check_backbone
from harness.modelling.weights import load_weights

if TYPE_CHECKING:
    from harness.contract import Context
    from harness.contract.protocol import BackboneSettings, ClassifierSettings

WEIGHTS = "classifier.pth"
CONFIG = "classifier.json"


@MODELS.register_module(force=True)
class CamClassifier(BaseModel):
    """A multi-label classifier that localises.

    Args:
        backbone: mmseg backbone configuration.
        channels: Channels of the backbone's levels.
        levels: Which levels the head reads; several are resized to the largest of them and concatenated.
        num_classes: C, foreground classes; channel i is class i + 1.
        inputs: Fields of the backbone's ``InputRule``, by default that of ImageNet.
        data_preprocessor: Fields of the preprocessor's configuration that replace those that follow from ``inputs``.
    """

    def __init__(
        self,
        *,
        backbone: dict[str, Any],
        channels: Sequence[int],
        num_classes: int,
        levels: Sequence[int] = (-1,),
        inputs: Mapping[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (inputs or {}).items()}
        rule = InputRule(**fields)
        super().__init__({**preprocess.preprocessor(rule), **(data_preprocessor or {})})
        self.inputs = rule
        self.backbone = build(backbone)
        self.levels = tuple(levels)
        self.head = nn.Conv2d(sum(channels[i] for i in self.levels), num_classes, 1, bias=False)
        nn.init.normal_(self.head.weight, std=0.01)

    def features(self, x: Tensor) -> Sequence[Tensor]:
        """All levels of the backbone, shallow to deep, (B, c_l, h_l, w_l)."""
        levels: Sequence[Tensor] = self.backbone(x)
        return levels

    def forward_logits(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) normalised float32 -> (B, C) class logits."""
        logits: Tensor = self.head(functional.adaptive_avg_pool2d(self._joined(x), 1))
        return logits.flatten(1)

    def forward_cam(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) normalised float32 -> (B, C, h', w') float32 >= 0; channel i is class i + 1."""
        return functional.relu(self.head(self._joined(x)))

    def losses(self, images: Tensor, tags: Tensor) -> dict[str, Tensor]:
        """The losses that training minimises, by name; a method with a loss of its own overrides this.

        Args:
            images: (B, 3, h, w) normalised float32.
            tags: (B, C) float32 multi-hot; column i is class i + 1.
        """
        return {"loss_cls": functional.multilabel_soft_margin_loss(self.forward_logits(images), tags)}

    def forward(self, inputs: Tensor, data_samples: Tensor | None = None, mode: str = "tensor") -> Any:
        """Logits, or with ``mode="loss"`` the losses against (B, C) multi-hot float32 tags."""
        if mode != "loss":
            return self.forward_logits(inputs)
        assert data_samples is not None
        return self.losses(inputs, data_samples)

    def _joined(self, x: Tensor) -> Tensor:
        levels = self.features(x)
        chosen = [levels[i] for i in self.levels]
        if len(chosen) == 1:
            return chosen[0]
        size = max((level.shape[2:] for level in chosen), key=lambda shape: shape.numel())
        resized = [functional.interpolate(level, size, mode="bilinear", align_corners=False) for level in chosen]
        return torch.cat(resized, dim=1)


def build_classifier(
    ctx: Context, network: type[CamClassifier] = CamClassifier, *, train_backbone: bool = False, **extra: Any
) -> CamClassifier:
    """A classifier on the protocol's backbone with its initial weights, ready for ``fit``.

    Whatever ``network`` shares with the protocol's classifier starts from the same numbers. Where the protocol freezes
    the backbone it keeps these weights.

    Args:
        ctx: The stage's context, with the sections ``classifier`` and ``backbone``.
        network: A subclass, for example with ``losses`` of its own.
        train_backbone: The backbone learns even where the protocol freezes it; the record of the component that asks
            for this says ``trains_backbone``.
        **extra: Further arguments of that class.

    Raises:
        ConfigError: The backbone comes from a segmenter configuration, or its weights cannot be read.
    """
    settings, backbone = ctx.settings["classifier"], ctx.settings["backbone"]
    config = classifier_config(settings, backbone, ctx.num_classes)
    del config["type"]
    model = seeded(lambda: network(**config, **extra), ctx.seed("init"))
    if backbone.weights is not None:
        load_weights(model.get_submodule("backbone"), backbone.weights, backbone.weights_sha256)
    if "freeze" in ctx.settings and not train_backbone:
        freeze(model.get_submodule("backbone"))
    return model


def classifier_config(settings: ClassifierSettings, backbone: BackboneSettings, num_classes: int) -> dict[str, Any]:
    """The configuration of the protocol's classifier.

    Args:
        settings: Its section of the protocol.
        backbone: The cell's backbone.
        num_classes: Classes of the data set, background included.

    Raises:
        ConfigError: The backbone is unknown, or lacks the output stride or a level.
        PluginError: The backbone is not what its record says.
    """
    if backbone.name == FROM_CONFIG:
        raise ConfigError("backbone.name: a backbone from a segmenter configuration has no classifier; name one")
    record = record_of(backbone)
    check_backbone(record, settings.output_stride)
    return {
        "type": CamClassifier.__name__,
        "backbone": backbone_config(record, settings.output_stride),
        "channels": record.channels,
        "levels": settings.levels,
        "num_classes": num_classes - 1,
        "inputs": asdict(record.inputs.at(settings.output_stride)),
    }


def save_classifier(state: Mapping[str, Tensor], ctx: Context, *, curve: Any = ()) -> None:
    """Write what ``load_classifier`` reads into ``ctx.out``.

    Args:
        state: Weights of a classifier, or of a network that holds one; what is neither backbone nor head is left out.
        ctx: The stage's context.
        curve: What to keep of the training beside it, as JSON; for example the loss curve.
    """
    kept = {name: value for name, value in state.items() if name.startswith(("backbone.", "head."))}
    config = classifier_config(ctx.settings["classifier"], ctx.settings["backbone"], ctx.num_classes)
    save_network(ctx.out, kept, weights=WEIGHTS, configs={CONFIG: config, CURVE: curve})


def load_classifier(folder: Path, device: str = "cpu", *, fold: bool = True) -> CamClassifier:
    """The trained classifier in ``folder``, in evaluation mode.

    Args:
        folder: Artifact of a stage that called ``save_classifier``.
        device: Where to compute.
        fold: Fold BatchNorm into the convolutions. This gives the same maps up to rounding and takes about a third
            off the time on a CPU; a network to train on must not be folded.

    Raises:
        StoreError: The folder holds no classifier.
    """
    try:
        cfg = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"{folder}: no readable classifier ({error})") from None
    model = build(cfg)
    assert isinstance(model, CamClassifier)
    model.load_state_dict(state)
    if fold:
        fuse_conv_bn(model)
    place(model, device)
    model.eval()
    return model
