"""The protocol's segmenter on sparse labels: partial cross entropy, tree energy loss, What's the Point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.contract import (
    IGNORE,
    MINIMUM_BARRIER,
    ConfigError,
    Context,
    DataError,
    Mask,
    PseudoLabel,
    Segmenter,
    View,
)
from harness.maps import ScoreReader, upsample
from wsss_tree_energy.params import INSIDE, OBJECTNESS, STEPS, TreeEnergyParams, WhatsThePointParams


class PartialCrossEntropy(Segmenter):
    """Cross entropy as its mean over the labelled pixels, whatever the protocol's heads average over."""

    def __init__(self, params: object) -> None: ...

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Set ``avg_non_ignore`` of every cross entropy.

        Raises:
            ConfigError: A head has no softmax cross entropy.
        """
        return partially_labelled(cfg, "partial_ce")


class TreeEnergy(Segmenter):
    """Partial cross entropy and tree energy loss."""

    extra_targets = (INSIDE,)

    def __init__(self, params: TreeEnergyParams) -> None:
        self._params = params

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Add the loss to an encoder-decoder.

        Raises:
            ConfigError: The model is no encoder-decoder, or a head has no softmax cross entropy.
        """
        from wsss_tree_energy import network  # registers the model

        params = self._params
        _replace_model(partially_labelled(cfg, "tree_energy"), network.TreeEnergySegmentor.__name__, "tree_energy")
        cfg.model.levels = params.levels.split("_")
        cfg.model.weight, cfg.model.sigma = params.weight, params.sigma
        cfg.model.official = params.preset == "official"
        return cfg

    def targets(self, image_id: str, label: PseudoLabel, view: View, ctx: Context) -> Mapping[str, Mask]:
        """Where the image is: padding, which looks like unlabelled pixels in the label, is 255."""
        return {INSIDE: np.ones_like(label.mask)}


class WhatsThePoint(Segmenter):
    """The losses of What's the Point in place of the decode head's; auxiliary heads keep partial cross entropy."""

    def __init__(self, params: WhatsThePointParams) -> None:
        self._params = params
        self._built_in: ScoreReader | None = None

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Replace the losses of an encoder-decoder.

        Raises:
            ConfigError: The model is no encoder-decoder, or a head has no softmax cross entropy.
        """
        from wsss_tree_energy import network  # registers the model

        planes = -(-ctx.num_classes // network.CLASSES_EACH)
        self.extra_targets = tuple(network.CLASSES.format(plane) for plane in range(planes))
        if self._params.objectness != "off":
            self.extra_targets += (OBJECTNESS,)
        _replace_model(
            partially_labelled(cfg, "whats_the_point"), network.WhatsThePointSegmentor.__name__, "whats_the_point"
        )
        cfg.model.extra_targets, cfg.model.image_level = list(self.extra_targets), self._params.image_level
        return cfg

    def targets(self, image_id: str, label: PseudoLabel, view: View, ctx: Context) -> Mapping[str, Mask]:
        """The classes of the label, the same number at all pixels, and the prior of objects if there is one."""
        from wsss_tree_energy import network

        classes = set(np.unique(label.mask).tolist()) - {IGNORE}
        found = {}
        for plane in range(-(-ctx.num_classes // network.CLASSES_EACH)):
            first = plane * network.CLASSES_EACH
            number = sum(1 << cls - first for cls in classes if first <= cls < first + network.CLASSES_EACH)
            found[network.CLASSES.format(plane)] = np.full_like(label.mask, number)
        if self._params.objectness != "off":
            found[OBJECTNESS] = (STEPS * self._objectness(image_id, view, ctx)).round().astype(np.uint8)
        return found

    def _objectness(self, image_id: str, view: View, ctx: Context) -> Any:
        """(H, W) float32 in [0, 1]."""
        if self._params.objectness == "dataset":
            try:
                return view.saliency(image_id)
            except DataError as error:
                raise ConfigError(f"whats_the_point: {error}; set objectness: off or minimum_barrier") from error
        self._built_in = self._built_in or ScoreReader(ctx.input(MINIMUM_BARRIER.name))
        scores = self._built_in.get(image_id)
        assert scores is not None
        return upsample(scores)[0]


def partially_labelled(cfg: Any, segmenter: str) -> Any:
    """``cfg``, whose heads take the mean of their cross entropy over labelled pixels alone.

    Raises:
        ConfigError: A head has no softmax cross entropy.
    """
    for name, head in _heads(cfg):
        losses = head.get("loss_decode") or {"type": "CrossEntropyLoss", "loss_weight": 1.0}
        listed = losses if isinstance(losses, list) else [losses]
        entropies = [loss for loss in listed if loss.get("type") == "CrossEntropyLoss" and not loss.get("use_sigmoid")]
        if not entropies:
            named = ", ".join(str(loss.get("type")) for loss in listed)
            raise ConfigError(
                f"{segmenter}: segmenter.config: model.{name}.loss_decode has no softmax CrossEntropyLoss: {named}"
            )
        for loss in entropies:
            loss["avg_non_ignore"] = True
        head["loss_decode"] = losses
    return cfg


def _heads(cfg: Any) -> Iterator[tuple[str, Any]]:
    for name in ("decode_head", "auxiliary_head"):
        heads = cfg.model.get(name)
        for head in heads if isinstance(heads, list) else [heads]:
            if head is not None:
                yield name, head


def _replace_model(cfg: Any, model: str, segmenter: str) -> None:
    if cfg.model.type != "EncoderDecoder":
        raise ConfigError(f"{segmenter}: segmenter.config: model.type must be EncoderDecoder, got {cfg.model.type}")
    cfg.model.type = model
