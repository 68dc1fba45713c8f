"""The adapter between the harness and the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np

from harness.contract import Context, Mask, PseudoLabel, Segmenter, View
from wsss_afa.params import AfaParams, check_views


class Afa(Segmenter):
    """The protocol's network with a classifier and an affinity beside its head; tags are all that it learns from."""

    tags: ClassVar[bool] = True
    extra_targets = ("inside",)

    def __init__(self, params: AfaParams) -> None:
        self.params = params

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """The same network as one that labels its own training images.

        Raises:
            ConfigError: The backbone has no attention that an affinity can be read from, or it is frozen; or a view is
                too small for it.
        """
        check_views(self.params, ctx.settings["segmenter"].augment.crop)
        from wsss_afa import network  # registers it

        cfg.model.update(
            type=network.AfaSegmenter.__name__,
            afa=asdict(self.params),
            iterations=ctx.settings["segmenter"].optim.iterations,
            auxiliary_head=None,
        )
        return cfg

    def targets(self, image_id: str, label: PseudoLabel, view: View, ctx: Context) -> Mapping[str, Mask]:
        """Zeros: what is 255 in a crop lies outside the image."""
        return {"inside": np.zeros(label.mask.shape, np.uint8)}
