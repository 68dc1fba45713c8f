"""The stage that trains the protocol's image classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.modelling.classifier import build_classifier, save_classifier
from harness.modelling.dataset import tagged_images
from harness.modelling.training import fit

if TYPE_CHECKING:
    from harness.contract import Context, View


def train_classifier(params: Mapping[str, Any], view: View, ctx: Context) -> None:
    """Train the protocol's classifier on tags and write it into ``ctx.out``; an untagged image holds no class."""
    model = build_classifier(ctx)
    curve = fit(model, tagged_images(view, ctx), ctx.settings["classifier"].optim, ctx)
    save_classifier(model.state_dict(), ctx, curve=curve)
