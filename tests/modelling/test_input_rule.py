"""Mean, standard deviation and sides of a backbone's record reach everything that shows images to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.contract import InputRule
from harness.contract.protocol import (
    AugmentSettings,
    BackboneSettings,
    CamSettings,
    ClassifierSettings,
    OptimSettings,
    SegmenterSettings,
)
from harness.maps import infer_cams
from harness.modelling import backbones, build_classifier, load_classifier, save_classifier, tagged_images
from harness.modelling.segmenter import build_config, initial_model
from harness.testing import fake_context, fake_view

RULE = InputRule(16, corners=False, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
SEGMENTER = Path(__file__).parents[2] / "configs" / "segmenters" / "fcn.py"


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    backbones.use_records([replace(backbones.find_backbone("tiny"), name="centred", inputs=RULE)])
    optim, augment = OptimSettings(iterations=1), AugmentSettings(crop=96)
    settings = {
        "backbone": BackboneSettings(name="centred"),
        "classifier": ClassifierSettings(optim=optim, augment=augment),
        "segmenter": SegmenterSettings(config=str(SEGMENTER), optim=optim, augment=augment),
    }
    return fake_context(tmp_path, settings=settings)


def pixels(value: int = 255) -> np.ndarray:
    return np.full((40, 56, 3), value, np.uint8)


def test_the_classifier_normalises_as_the_record_says_also_when_it_is_loaded_again(ctx: Any) -> None:
    model = build_classifier(ctx)
    save_classifier(model.state_dict(), ctx)
    for network in (model, load_classifier(ctx.out)):
        seen = network.data_preprocessor.normalise(torch.from_numpy(pixels())[None])
        torch.testing.assert_close(seen, torch.ones_like(seen))
        assert network.inputs == RULE


def test_the_segmenter_normalises_as_the_record_says(ctx: Any) -> None:
    cfg = build_config(ctx.settings["segmenter"], ctx.settings["backbone"], 3)
    model: Any = initial_model(cfg, cfg, seed=0, weights=None)
    seen = model.data_preprocessor.normalise(torch.from_numpy(pixels(127))[None])
    torch.testing.assert_close(seen, torch.zeros_like(seen))


def test_activation_maps_see_images_at_sides_and_values_that_suit_the_network() -> None:
    seen = []

    def network(batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch)
        return torch.ones(len(batch), 1, 4, 4)

    settings = CamSettings(scales=(1.0,), flip=False)
    list(infer_cams(network, [("a", pixels(), (1,))], settings=settings, inputs=RULE))
    assert seen[0].shape == (1, 3, 48, 64) or seen[0].shape == (1, 3, 32, 64)
    torch.testing.assert_close(seen[0], torch.ones_like(seen[0]))


def test_what_lies_outside_an_image_is_next_to_zero_for_the_network(ctx: Any) -> None:
    dataset = tagged_images(fake_view({"a": pixels(0)}, tags={"a": (1,)}), ctx)
    crop = dataset.sample(0, 0).image
    assert {tuple(pixel) for pixel in crop.reshape(-1, 3)} == {(0, 0, 0), (127, 127, 127)}


def test_a_rule_that_is_none_is_refused_where_the_plugin_is_loaded(tmp_path: Path) -> None:
    from harness.registry import manager

    plugin = tmp_path / "odd.py"
    plugin.write_text(
        "from harness.contract import BackboneRecord, InputRule, hookimpl\n"
        "@hookimpl\ndef wsss_backbones():\n"
        "    yield BackboneRecord('odd', factory='a:b', channels=(8,), inputs=InputRule(std=(0.0, 1.0, 1.0)))\n"
    )
    (state,) = [state for state in manager(plugin_files=[plugin]).plugins() if state.name == "odd"]
    assert "inputs" in str(state.reason)
    assert "positive" in str(state.reason)


@pytest.mark.parametrize(("output_stride", "side"), [(32, 65), (16, 81), (8, 73)])
def test_activation_maps_are_inferred_at_sides_that_suit_the_output_stride(
    ctx: Any, output_stride: int, side: int
) -> None:
    settings = ClassifierSettings(
        output_stride=output_stride, optim=OptimSettings(iterations=1), augment=AugmentSettings(crop=96)
    )
    ctx.settings.update(backbone=BackboneSettings(name="mobilenet_v2_x0.35"), classifier=settings)
    model = build_classifier(ctx)
    save_classifier(model.state_dict(), ctx)
    assert model.inputs.side(75) == load_classifier(ctx.out).inputs.side(75) == side
    assert InputRule().side(75) == 65
    assert InputRule(32).at(8).side(75) == 65
