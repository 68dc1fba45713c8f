"""A poisoned data set hides nothing but the masks that were not declared."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from harness.contract import BOXES, MASKS, Dataset, Need, Supervision, masks
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.views import DatasetView, choose_fraction
from harness.testing.poison import PoisonedDataset


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return SyntheticDataset(SyntheticParams(train=10, val=2, size=32, auxiliary_classes=2, auxiliary_train=2))


def clean(poisoned: PoisonedDataset, original: Dataset, split: str) -> set[str]:
    return {i for i in original.ids(split) if np.array_equal(poisoned.mask(i), original.mask(i))}


@pytest.mark.parametrize("needs", [[], [BOXES], [Need(Supervision.MASKS, auxiliary=True)]])
def test_undeclared_masks_are_noise_everywhere(dataset: Dataset, needs: list[Need]) -> None:
    poisoned = PoisonedDataset(dataset, needs)
    assert clean(poisoned, dataset, "train") == clean(poisoned, dataset, "val") == set()
    noise = poisoned.mask("train_00000")
    assert noise.shape == (32, 32)
    assert noise.dtype == np.uint8
    assert set(np.unique(noise)) == {0, 1, 2, 3, 4, 5, 255}


def test_declared_masks_are_kept_and_validation_masks_never(dataset: Dataset) -> None:
    every = PoisonedDataset(dataset, [MASKS])
    assert clean(every, dataset, "train") == set(dataset.ids("train"))
    assert clean(every, dataset, "val") == set()
    some = PoisonedDataset(dataset, [masks(0.3)])
    assert clean(some, dataset, "train") == choose_fraction(dataset.ids("train"), 0.3, dataset.tags)


def test_auxiliary_masks_are_kept_only_where_declared(dataset: Dataset) -> None:
    declared = PoisonedDataset(dataset, [Need(Supervision.MASKS, auxiliary=True)])
    hidden = PoisonedDataset(dataset, [MASKS])
    assert dataset.auxiliary
    assert declared.auxiliary
    assert hidden.auxiliary
    assert clean(declared.auxiliary, dataset.auxiliary, "train") == set(dataset.auxiliary.ids("train"))
    assert clean(hidden.auxiliary, dataset.auxiliary, "train") == set()


def test_everything_else_stays_the_original(dataset: Dataset) -> None:
    poisoned = PoisonedDataset(dataset, [])
    assert poisoned.classes == dataset.classes
    for split in ("train", "val"):
        assert poisoned.ids(split) == dataset.ids(split)
        assert poisoned.digests(split) == dataset.digests(split)
    for image_id in dataset.ids("train"):
        assert poisoned.tags(image_id) == dataset.tags(image_id)
        assert poisoned.boxes(image_id) == dataset.boxes(image_id)
        assert poisoned.size(image_id) == dataset.size(image_id)
        np.testing.assert_array_equal(poisoned.image(image_id), dataset.image(image_id))
        np.testing.assert_array_equal(poisoned.saliency(image_id), dataset.saliency(image_id))


def test_the_noise_is_seeded_and_survives_pickling(dataset: Dataset) -> None:
    poisoned = PoisonedDataset(dataset, [])
    copy = pickle.loads(pickle.dumps(poisoned))
    np.testing.assert_array_equal(copy.mask("train_00001"), poisoned.mask("train_00001"))
    other = PoisonedDataset(dataset, [], seed=1)
    assert not np.array_equal(other.mask("train_00001"), poisoned.mask("train_00001"))
    assert not np.array_equal(poisoned.mask("train_00001"), poisoned.mask("train_00002"))


def test_a_view_of_it_hands_out_what_was_declared(dataset: Dataset) -> None:
    needs = [masks(0.3)]
    view = DatasetView(PoisonedDataset(dataset, needs), "train", needs)
    for image_id in view.mask_ids:
        np.testing.assert_array_equal(view.mask(image_id), dataset.mask(image_id))
