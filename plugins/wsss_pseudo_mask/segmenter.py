"""The protocol's segmenter with pretended under-fitting in every head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.contract import ConfigError, Context, Segmenter, View
from wsss_pseudo_mask.params import PufParams

_DEFAULT = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
"""The loss of an mmseg head that names none."""
_KEPT = ("loss_weight", "class_weight", "avg_non_ignore", "loss_name")


class PretendedUnderFitting(Segmenter):
    """Replaces the softmax cross entropy of the decode head and of auxiliary heads; weights and names stay."""

    def __init__(self, params: PufParams) -> None:
        self._params = params

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Exchange the losses.

        Raises:
            ConfigError: A head has no softmax cross entropy.
        """
        from wsss_pseudo_mask import puf  # registers the loss

        for key in ("decode_head", "auxiliary_head"):
            heads = cfg.model.get(key)
            for head in heads if isinstance(heads, list) else [heads]:
                if head is None:
                    continue
                losses = head.get("loss_decode", _DEFAULT)
                listed = losses if isinstance(losses, list) else [losses]
                changed = [self._exchanged(loss, puf.PretendedUnderfittingLoss.__name__) for loss in listed]
                if changed == listed:
                    named = ", ".join(str(loss.get("type")) for loss in listed)
                    raise ConfigError(
                        f"pretended_underfitting: model.{key}.loss_decode has no softmax CrossEntropyLoss "
                        f"(it is {named})"
                    )
                head["loss_decode"] = changed if isinstance(losses, list) else changed[0]
        return cfg

    def _exchanged(self, loss: Mapping[str, Any], loss_type: str) -> Mapping[str, Any]:
        """``loss`` as it is, or PUF under its names and weights if it is a softmax cross entropy."""
        if loss.get("type") != "CrossEntropyLoss" or loss.get("use_sigmoid") or loss.get("use_mask"):
            return loss
        params, official = self._params, self._params.preset == "official"
        kept = {"loss_name": "loss_ce", **{name: loss[name] for name in _KEPT if name in loss}}
        if official:
            kept["avg_non_ignore"] = False
        return {
            "type": loss_type,
            "puf": params.puf,
            "beta": params.beta,
            "k": params.k,
            "gate_pixels": "all" if official else "valid",
            "gate_scope": params.gate_scope,
            **kept,
        }
