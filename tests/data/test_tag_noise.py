"""Mistakes in tags are those of seed, image and class alone, are told, and leave everything else as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.contract import BOXES, TAGS, ConfigError
from harness.data.configuration import build_dataset
from harness.data.tag_noise import NoisyTags
from harness.engine.plan.keys import data_for_key, dataset_info
from harness.engine.plan.rows import open_data
from harness.registry import manager

SIZES = {"train": 300, "val": 2, "size": 32, "classes": 5}


def synthetic(**noise: float) -> Any:
    return build_dataset("synthetic", {**SIZES, **({"tag_noise": noise} if noise else {})}, where="test")


def mistakes(noisy: Any) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """(image, class) pairs that are left out, and added."""
    clean = synthetic()
    truth = {(image_id, cls) for image_id in clean.ids("train") for cls in clean.tags(image_id)}
    said = {(image_id, cls) for image_id in noisy.ids("train") for cls in noisy.tags(image_id)}
    return truth - said, said - truth


def test_the_shares_are_those_that_were_asked_for() -> None:
    clean = synthetic()
    tags = sum(len(clean.tags(image_id)) for image_id in clean.ids("train"))
    dropped, added = mistakes(synthetic(drop=0.2, add=0.1))
    assert len(dropped) == pytest.approx(0.2 * tags, rel=0.3)
    assert len(added) == pytest.approx(0.1 * (300 * 5 - tags), rel=0.3)


def test_a_larger_share_holds_the_mistakes_of_a_smaller_one_and_another_seed_has_others() -> None:
    small, large = mistakes(synthetic(drop=0.1, add=0.1)), mistakes(synthetic(drop=0.3, add=0.2))
    assert small[0] < large[0]
    assert small[1] < large[1]
    assert mistakes(synthetic(drop=0.1, add=0.1)) == small
    assert mistakes(synthetic(drop=0.1, add=0.1, seed=1)) != small


def test_masks_boxes_and_validation_stay_and_only_keys_of_tags_change() -> None:
    clean, noisy = synthetic(), synthetic(drop=1.0)
    first, val = noisy.ids("train")[0], noisy.ids("val")[0]
    assert noisy.tags(first) == ()
    assert noisy.tags(val) == clean.tags(val)
    assert noisy.boxes(first) == clean.boxes(first)
    np.testing.assert_array_equal(noisy.mask(first), clean.mask(first))
    changed = {kind for kind, text in noisy.digests("train").items() if text != clean.digests("train")[kind]}
    assert changed == {"tags"}
    assert noisy.digests("val") == clean.digests("val")
    assert data_for_key(noisy, "train", [BOXES]) == data_for_key(clean, "train", [BOXES])
    assert data_for_key(noisy, "train", [TAGS]) != data_for_key(clean, "train", [TAGS])


def test_the_record_tells_the_noise_and_is_as_before_without_any() -> None:
    told = dataset_info(synthetic(drop=0.1)).model_dump(mode="json")
    assert told["tag_noise"] == {"drop": 0.1, "add": 0.0, "seed": 0}
    for params in ({}, {"tag_noise": None}, {"tag_noise": {"drop": 0.0}}):
        dataset = open_data(manager(), "synthetic", {**SIZES, **params}, where="test")
        assert not isinstance(dataset, NoisyTags)
        assert "tag_noise" not in dataset_info(dataset).model_dump(mode="json")


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        ({"drop": 1.5}, "tag_noise.*drop: input should be less than or equal to 1"),
        ({"dorp": 0.1}, "tag_noise.*dorp: unknown field, did you mean 'drop'"),
        ("much", "tag_noise"),
    ],
)
def test_noise_that_is_no_noise_is_one_sentence(noise: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_dataset("synthetic", {**SIZES, "tag_noise": noise}, where="test")
    with pytest.raises(ConfigError, match=words):
        open_data(manager(), "synthetic", {**SIZES, "tag_noise": noise}, where="test")
