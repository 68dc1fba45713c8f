"""The refiner ``affinity_walk``: labels spread over similar cells, not over the edge between different ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.contract import ConfigError, InputRule, PseudoLabel, SoftScores
from harness.contract.protocol import CamSettings
from harness.maps import AffinityWalkParams, threshold_labels
from harness.modelling.affinity_walk import AffinityWalkRefiner

SIDE = 33
LEFT = np.arange(SIDE) < 16


class Colours:
    """A network whose one level is the image itself, at a stride of 4."""

    inputs = InputRule(multiple=4)
    data_preprocessor = SimpleNamespace(normalise=lambda pixels: pixels.permute(0, 3, 1, 2).float())

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [x[..., ::4, ::4]]


def refined(values: np.ndarray[Any, Any] | None, mask: np.ndarray[Any, Any], **params: Any) -> PseudoLabel:
    image = np.where(LEFT[:, None], (200, 10, 10), (10, 200, 10)) * np.ones((SIDE, 1, 1))
    refiner = AffinityWalkRefiner(AffinityWalkParams(levels=(0,), **params))
    refiner._network = Colours()  # type: ignore[assignment]
    scores = None if values is None else SoftScores((5,), values.astype(np.float16), (SIDE, SIDE))
    view: Any = SimpleNamespace(image=lambda image_id: image.astype(np.uint8))
    ctx: Any = SimpleNamespace(device="cpu", threads=1, settings={"cam": CamSettings(threshold=0.3)})
    (label,) = refiner.refine([PseudoLabel("a", mask.astype(np.uint8), scores)], view, ctx)
    return label


def seed() -> np.ndarray[Any, Any]:
    """Scores of a class in the upper two thirds of the left half."""
    values = np.zeros((1, SIDE, SIDE))
    values[0, :22, :16] = 0.9
    return values


def test_scores_spread_over_cells_of_one_colour_and_not_beyond() -> None:
    values = seed()
    before = threshold_labels(values.astype(np.float32), (5,), 0.3)
    label = refined(values, before)
    assert (label.mask == 5).sum() > 1.3 * (before == 5).sum()
    assert not (label.mask[:, 20:] == 5).any()
    assert label.scores is not None
    assert label.scores.classes == (5,)


def test_without_a_step_the_label_is_that_of_the_protocols_background_score() -> None:
    values = np.tile(np.linspace(0, 1, SIDE), (1, SIDE, 1))
    label = refined(values, np.zeros((SIDE, SIDE)), steps=0)
    found = label.mask == 5
    expected = values[0] > 0.3
    assert (found == expected)[:, ::4].all()
    assert (found != expected).mean() < 0.05


def test_labels_without_scores_are_spread_as_well() -> None:
    mask = np.zeros((SIDE, SIDE))
    mask[:, :16] = 5
    mask[14:19, 4:9] = 0
    label = refined(None, mask, certainty=0.9)
    assert (label.mask[:, :13] == 5).all()
    assert not label.mask[:, 20:].any()


def test_a_level_that_the_backbone_lacks_is_one_sentence() -> None:
    refiner = AffinityWalkRefiner(AffinityWalkParams(levels=(3,)))
    refiner._network = Colours()  # type: ignore[assignment]
    ctx: Any = SimpleNamespace(device="cpu", threads=1)
    with pytest.raises(ConfigError, match="affinity_walk: levels: the backbone has 1 levels, no level 3"):
        refiner.improve(np.zeros((SIDE, SIDE, 3), np.uint8), np.ones((2, SIDE, SIDE), np.float32), ctx)


@pytest.mark.parametrize("field", ["radius", "tau", "beta", "alpha"])
def test_parameters_out_of_range_are_named(field: str) -> None:
    given: dict[str, Any] = {field: 0.0}
    with pytest.raises(ConfigError, match=f"affinity_walk: {field} must be positive"):
        AffinityWalkParams(**given)
    with pytest.raises(ConfigError, match="steps must be 0 or more"):
        AffinityWalkParams(steps=-1)
