"""The protocol's segmenter as it is, and one that always answers background."""

from __future__ import annotations

from typing import Any

from harness.contract import Context, Segmenter, View


class Plain(Segmenter):
    """The protocol's segmenter, unchanged."""

    def __init__(self, params: object) -> None: ...


class Constant(Segmenter):
    """A model that always answers background; without parameters there is nothing to train."""

    def __init__(self, params: object) -> None: ...

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Replace the network by ``ConstantSegmentor``."""
        from wsss_baselines.network import ConstantSegmentor  # registers the model

        cfg.model = {"type": ConstantSegmentor.__name__, "num_classes": ctx.num_classes}
        return cfg
