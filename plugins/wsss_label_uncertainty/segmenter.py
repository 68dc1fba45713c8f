"""The segmenter: every head with a variance, the attenuated loss, and batches that mix masks and boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.contract import Context, Mask, PseudoLabel, Segmenter, View
from wsss_label_uncertainty.boxes import fill_ratios, paint
from wsss_label_uncertainty.params import EXACT, LabelUncertaintyParams


class LabelUncertainty(Segmenter):
    """The protocol's network, each head with a variance beside its means, trained with the attenuated loss."""

    extra_targets = ("origin", "beneath")

    def __init__(self, params: LabelUncertaintyParams) -> None:
        self.params = params

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Widen every head, set the loss, and draw a fixed share of each batch from the images with a mask."""
        from wsss_label_uncertainty.network import uncertain

        params, iterations = self.params, ctx.settings["segmenter"].optim.iterations
        loss = {
            "fill": fill_ratios(masked(view), ctx.num_classes),
            "attenuate": params.attenuate,
            "form": params.form,
            "exact_weight": params.exact_weight,
            "rule": params.rule,
            "start": round(params.start * iterations),
            "warmup": params.warmup,
            "min_fill": params.min_fill,
            "min_variance": params.min_variance,
            "overlap": params.overlap,
            "attenuate_kept": params.attenuate_kept,
        }
        for name in ("decode_head", "auxiliary_head"):
            if cfg.model.get(name) is not None:
                cfg.model[name] = uncertain(cfg.model[name], loss, shared_variance=params.shared_variance)
        if params.exact_share is not None:
            cfg.train_dataloader.sampler = {
                "type": "TwoStreams",
                "first": sorted(view.mask_ids),
                "share": params.exact_share,
                "seed": ctx.seed("train"),
            }
        return cfg

    def targets(self, image_id: str, label: PseudoLabel, view: View, ctx: Context) -> Mapping[str, Mask]:
        """Where each pixel's label comes from, and the class beneath the front box."""
        if image_id in view.mask_ids:
            exact = np.full(label.mask.shape, EXACT, np.uint8)
            return {"origin": exact, "beneath": np.zeros_like(exact)}
        painted = paint(view.boxes(image_id), label.mask.shape)
        return {"origin": painted.origin, "beneath": painted.beneath}


def masked(view: View) -> Iterator[tuple[Mask, Mask]]:
    """Pixel mask and painted boxes of the images that have a mask."""
    for image_id in sorted(view.mask_ids):
        yield view.mask(image_id), paint(view.boxes(image_id), view.size(image_id)).label
