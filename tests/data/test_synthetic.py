"""Synthetic scenes are the same everywhere, exact, and leave weak supervision something to do."""

from __future__ import annotations

import pickle
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.contract import DataError
from harness.data import synthetic
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.wrapped import WrappedDataset


def make(**changes: Any) -> SyntheticDataset:
    return SyntheticDataset(SyntheticParams(**({"train": 40, "val": 8, "size": 64} | changes)))


@pytest.fixture(scope="module")
def dataset() -> SyntheticDataset:
    return make()


def iou(truth: np.ndarray, label: np.ndarray, classes: int) -> float:
    values = [((truth == c) & (label == c)).sum() / ((truth == c) | (label == c)).sum() for c in range(classes)]
    return float(np.mean(values))


def test_the_same_parameters_give_the_same_pixels(dataset: SyntheticDataset) -> None:
    again = pickle.loads(pickle.dumps(make()))
    for image_id in reversed(dataset.ids("train")):
        np.testing.assert_array_equal(again.image(image_id), dataset.image(image_id))
        np.testing.assert_array_equal(again.mask(image_id), dataset.mask(image_id))
        np.testing.assert_array_equal(again.saliency(image_id), dataset.saliency(image_id))


def test_a_longer_data_set_begins_with_the_shorter_one(dataset: SyntheticDataset) -> None:
    longer = make(train=50)
    assert longer.ids("train")[:40] == dataset.ids("train")
    np.testing.assert_array_equal(longer.image("train_00039"), dataset.image("train_00039"))


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(32, 80), st.integers(32, 80)),
    classes=st.integers(1, 20),
    seed=st.integers(0, 10**6),
)
def test_masks_tags_boxes_and_saliency_agree(size: tuple[int, int], classes: int, seed: int) -> None:
    dataset = make(train=2, size=size, classes=classes, seed=seed)
    for image_id in dataset.ids("train"):
        mask, boxes = dataset.mask(image_id), dataset.boxes(image_id)
        assert dataset.size(image_id) == mask.shape == size
        assert dataset.image(image_id).shape == (*size, 3)
        assert dataset.image(image_id).dtype == mask.dtype == np.uint8
        assert mask.max() < len(dataset.classes) == classes + 1
        assert dataset.tags(image_id) == tuple(c for c in np.unique(mask) if c)
        assert {box.cls for box in boxes} == set(dataset.tags(image_id))
        inside = np.zeros(size, dtype=bool)
        for box in boxes:
            assert (mask[box.y0 : box.y1, box.x0 : box.x1] == box.cls).any()
            inside[box.y0 : box.y1, box.x0 : box.x1] = True
        assert not mask[~inside].any()
        saliency = dataset.saliency(image_id)
        assert saliency.shape == size
        assert saliency.dtype == np.float32
        assert 0 <= saliency.min() <= saliency.max() <= 1


def test_callers_cannot_change_what_is_remembered(dataset: SyntheticDataset) -> None:
    before = dataset.image("train_00000")
    dataset.image("train_00000")[:] = 0
    np.testing.assert_array_equal(dataset.image("train_00000"), before)


def test_the_memory_of_drawn_scenes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make()
    monkeypatch.setattr(synthetic, "_CACHE_BYTES", 3 * dataset._scene("train_00000").nbytes)
    for image_id in dataset.ids("train"):
        dataset.image(image_id)
    assert len(dataset._drawn) == 3


def test_every_class_leads_as_many_scenes(dataset: SyntheticDataset) -> None:
    counts = np.zeros(6, dtype=int)
    for image_id in dataset.ids("train"):
        counts[list(dataset.tags(image_id))] += 1
    assert counts[1:].min() >= 8


def test_boxes_hold_much_background_and_grabcut_finds_the_creature() -> None:
    dataset = make(size=96)
    truth, filled, cut, share = [], [], [], []
    for image_id in dataset.ids("train"):
        image, mask = dataset.image(image_id), dataset.mask(image_id)
        label, refined = np.zeros_like(mask), np.zeros_like(mask)
        for box in sorted(dataset.boxes(image_id), key=lambda box: -box.area):
            inside = (slice(box.y0, box.y1), slice(box.x0, box.x1))
            share.append((mask[inside] == 0).mean())
            label[inside] = box.cls
            state = np.full(mask.shape, cv2.GC_BGD, dtype=np.uint8)
            state[inside] = cv2.GC_PR_FGD
            models = np.zeros((1, 65)), np.zeros((1, 65))
            cv2.setRNGSeed(0)
            cv2.grabCut(image, state, None, *models, 3, cv2.GC_INIT_WITH_MASK)
            refined[state == cv2.GC_PR_FGD] = box.cls
        truth.append(mask)
        filled.append(label)
        cut.append(refined)
    assert 0.35 <= np.mean(share) <= 0.45
    fill, grabcut = (iou(np.stack(truth), np.stack(labels), 6) for labels in (filled, cut))
    assert 0.45 < fill < 0.7
    assert grabcut > fill + 0.15


def test_the_auxiliary_data_set_has_other_kinds() -> None:
    dataset = make(auxiliary_classes=3, auxiliary_train=4)
    auxiliary = dataset.auxiliary
    assert auxiliary is not None
    assert len(auxiliary.ids("train")) == 4
    assert len(auxiliary.classes) == 4
    assert not set(auxiliary.classes[1:]) & set(dataset.classes)
    assert make().auxiliary is None


def test_digests_follow_what_is_drawn(dataset: SyntheticDataset) -> None:
    kinds = {"ids", "images", "tags", "boxes", "masks", "saliency"}
    digests = dataset.digests("train")
    assert set(digests) == kinds
    assert digests == make().digests("train")
    assert make(val=9).digests("train") == digests
    for change in ({"train": 41}, {"seed": 1}, {"size": 65}, {"classes": 4}):
        assert not set(make(**change).digests("train").values()) & (set(digests.values()) - {digests["ids"]})
    assert not set(dataset.digests("val").values()) & set(digests.values())


def test_an_unknown_id_and_a_tiny_size_are_refused(dataset: SyntheticDataset) -> None:
    with pytest.raises(DataError, match="'synthetic': no image 'x'"):
        dataset.image("x")
    with pytest.raises(ValidationError, match="size must be at least 32 pixels, got 31"):
        SyntheticParams(size=(31, 64))


class BoxesOfMasks(SyntheticDataset):
    boxes_from_masks = ("cat",)


def test_generated_boxes_are_priced_as_generated_masks_are(dataset: SyntheticDataset) -> None:
    """All supervision of generated images is made alike, so no kind of it is marked beside another."""
    assert dataset.boxes_from_masks == ()
    assert WrappedDataset(BoxesOfMasks(SyntheticParams())).boxes_from_masks == ("cat",)
