"""Activation aware mask refinement: the extra target of the segmenter, and the segmenter that learns from it.

A RECONSTRUCTION. Code of the loss is not public; certain is that it acts while the segmenter trains, consumes
off-the-shelf saliency maps, and does not suppress objects that are not salient. The form here follows the label
completion of the authors' next paper (GETAM, arXiv 2112.02841):

    s   = [S > theta]                                   salient
    t_c = order statistic of rank floor(q N_c) of the N_c positive values of M_c
    a_c = (1 - s) [M_c > t_c]                           not salient, but strongly activated
    f   = s or (sum_c a_c = 1);  w = 0 where sum_c a_c > 1, else 1

Target f and weight w do not depend on the network, so they are one map, made once an image: 1 foreground, 0 background,
255 left open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.contract import (
    BACKGROUND,
    IGNORE,
    ConfigError,
    Context,
    DataError,
    PluginError,
    PseudoLabel,
    Segmenter,
    View,
)
from harness.maps import ScoreReader, upsample
from wsss_class_conditional.params import RefinementParams
from wsss_class_conditional.saliency import STAGE

if TYPE_CHECKING:
    from harness.contract.arrays import Mask

TARGET = "refined"
"""Name of the extra target map."""


def rank_threshold(values: npt.NDArray[np.float32], rank: float) -> float:
    """t: the value at zero-based rank floor(q N) of the N positive ``values``; infinite where there are none."""
    positive = values[values > 0]
    if not positive.size:
        return float("inf")
    at = int(rank * positive.size)
    return float(np.partition(positive, at)[at])


def refined_target(
    saliency: npt.NDArray[np.float32],
    maps: npt.NDArray[np.float32],
    *,
    theta: float = 0.5,
    rank: float = 0.9,
) -> Mask:
    """Saliency, completed by strong activations that are not salient.

    Args:
        saliency: (H, W) float32 in [0, 1].
        maps: (n, H, W) float32 >= 0, one plane a present class; n = 0 leaves the saliency as it is.
        theta: Salient is what lies above.
        rank: q, rank of a class's positive values that strong activations exceed.

    Returns:
        (H, W) uint8: 1 foreground, 0 background, 255 where two classes claim a pixel that is not salient.
    """
    salient = saliency > theta
    claims = np.zeros(saliency.shape, np.int64)
    for plane in maps:
        claims += plane > rank_threshold(plane, rank)
    target = (salient | (claims == 1)).astype(np.uint8)
    target[~salient & (claims > 1)] = IGNORE
    return target


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
        from wsss_class_conditional import loss  # registers loss and segmentor

        if cfg.model.type != "EncoderDecoder":
            raise ConfigError(
                f"activation_aware: segmenter.config: model.type must be EncoderDecoder, got {cfg.model.type}"
            )
        cfg.model.type = loss.ActivationAwareSegmentor.__name__
        cfg.model.loss_refinement = {"type": loss.ActivationAwareLoss.__name__, "loss_weight": self.params.weight}
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
        self._built_in = self._built_in or ScoreReader(ctx.input(STAGE))
        scores = self._built_in.get(image_id)
        assert scores is not None
        return upsample(scores)[0]
