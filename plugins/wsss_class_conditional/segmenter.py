"""The segmenter that also learns from the refined map: saliency completed by strong activations (a reconstruction)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.contract import (
    BACKGROUND,
    MINIMUM_BARRIER,
    ConfigError,
    Context,
    DataError,
    Mask,
    PluginError,
    PseudoLabel,
    Segmenter,
    View,
)
from harness.maps import ScoreReader, upsample
from wsss_class_conditional.method import refined_target
from wsss_class_conditional.params import TARGET, RefinementParams


class ActivationAware(Segmenter):
    """The protocol's segmenter with L = cross entropy + lambda * L_AMR."""

    def __init__(self, params: RefinementParams) -> None:
        self.params = params
        self.extra_targets = () if params.amr == "off" else (TARGET,)
        self._built_in: ScoreReader | None = None

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Add the loss to an encoder-decoder; with ``amr="off"`` nothing changes."""
        if self.params.amr == "off":
            return cfg
        from wsss_class_conditional import network  # registers loss and segmentor

        if cfg.model.type != "EncoderDecoder":
            raise ConfigError(
                f"activation_aware: segmenter.config: model.type must be EncoderDecoder, got {cfg.model.type}"
            )
        cfg.model.type = network.ActivationAwareSegmentor.__name__
        cfg.model.loss_refinement = {"type": network.ActivationAwareLoss.__name__, "loss_weight": self.params.weight}
        return cfg

    def targets(self, image_id: str, label: PseudoLabel, view: View, ctx: Context) -> Mapping[str, Mask]:
        """The refined map of one image; none with ``amr="off"``."""
        if self.params.amr == "off":
            return {}
        if label.scores is None:
            raise PluginError(f"activation_aware: the label of image {image_id!r} has no soft scores; set amr=off")
        classes = [plane for plane, cls in enumerate(label.scores.classes) if cls != BACKGROUND]
        maps = (
            upsample(label.scores)[classes] if self.params.amr == "on" else np.zeros((0, *label.mask.shape), np.float32)
        )
        saliency = self._saliency(image_id, view, ctx)
        return {TARGET: refined_target(saliency, maps, theta=self.params.theta, rank=self.params.rank)}

    def _saliency(self, image_id: str, view: View, ctx: Context) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1], from the data set or from the built-in method."""
        if self.params.saliency == "dataset":
            try:
                return view.saliency(image_id)
            except DataError as error:
                raise ConfigError(
                    f"activation_aware: {error}; set amr=off, or saliency=minimum_barrier for maps made from the image"
                ) from error
        self._built_in = self._built_in or ScoreReader(ctx.input(MINIMUM_BARRIER.name))
        scores = self._built_in.get(image_id)
        assert scores is not None
        return upsample(scores)[0]
