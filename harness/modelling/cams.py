"""The stage that infers the CAMs of the protocol's image classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from harness.maps.cam import CamItem
from harness.maps.cam import infer_cams as cams
from harness.maps.scores import ScoreWriter
from harness.modelling.classifier import load_classifier

if TYPE_CHECKING:
    from harness.contract import Context, View


def infer_cams(params: Mapping[str, Any], view: View, ctx: Context) -> None:
    """Write the CAMs of the tagged classes of every training image into ``ctx.out``."""
    torch.set_num_threads(ctx.threads)
    model = load_classifier(ctx.input("classifier"), ctx.device)
    items = (CamItem(image_id, view.image(image_id), view.tags(image_id)) for image_id in view.ids)
    with ScoreWriter(ctx.out) as writer:
        maps = cams(model.forward_cam, items, settings=ctx.settings["cam"], device=ctx.device, inputs=model.inputs)
        for done, (image_id, scores) in enumerate(maps, start=1):
            writer.write(image_id, scores)
            ctx.progress(done, len(view.ids))
