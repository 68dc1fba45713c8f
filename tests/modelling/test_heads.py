"""The heads that mmseg does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings
from harness.modelling.networks import seeded_model
from harness.modelling.segmenter import build_config

CONFIGS = Path(__file__).parents[2] / "configs" / "segmenters"


@pytest.fixture
def head() -> Any:
    """The head of ``context_stride8`` on the backbone ``tiny``, four classes, as at prediction."""
    settings = SegmenterSettings(
        config=str(CONFIGS / "context_stride8.py"), optim=OptimSettings(iterations=1), augment=AugmentSettings(crop=33)
    )
    model = seeded_model(build_config(settings, BackboneSettings(name="tiny"), 4).model, seed=3)
    return model.get_submodule("decode_head").eval()


@pytest.fixture
def levels() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, channels, side, side) for channels, side in ((16, 17), (32, 9), (64, 5), (128, 5))]


def test_the_context_head_is_a_classifier_of_joined_levels_and_their_mean(
    head: Any, levels: list[torch.Tensor]
) -> None:
    torch.nn.init.normal_(head.conv_seg.weight)
    joined = torch.cat(
        [functional.interpolate(x, (9, 9), mode="bilinear", align_corners=True) for x in levels[1:]], dim=1
    )
    projected = torch.einsum("oi,bihw->bohw", head.join.conv.weight[:, :, 0, 0], joined) / (1 + head.join.bn.eps) ** 0.5
    context = levels[-1].mean(dim=(2, 3)) @ head.context.weight.T + head.context.bias
    hidden = (projected + context[:, :, None, None]).clamp(min=0)
    expected = torch.einsum("oi,bihw->bohw", head.conv_seg.weight[:, :, 0, 0], hidden)
    expected += head.conv_seg.bias[:, None, None]
    torch.testing.assert_close(head(levels), expected, rtol=1e-4, atol=1e-4)


def test_each_cell_of_the_context_head_sees_the_whole_image(head: Any, levels: list[torch.Tensor]) -> None:
    torch.nn.init.normal_(head.conv_seg.weight)
    before = head(levels)
    levels[-1][:, :, -1, -1] += 5.0
    changed = (head(levels) - before).abs().amax(dim=1)
    assert (changed[:, :3, :3] > 1e-4).all(), "the corner that lies farthest from the change"
    with torch.no_grad():
        head.context.weight.zero_()
    alone = head(levels)
    levels[-1][:, :, -1, -1] -= 5.0
    assert torch.equal(head(levels)[:, :, :3, :3], alone[:, :, :3, :3])
