"""A method sees the images and what it declared, nothing else, and every access is counted."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract import (
    BOXES,
    MASKS,
    SALIENCY,
    TAGS,
    ConfigError,
    Dataset,
    Need,
    Supervision,
    SupervisionError,
    masks,
)
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.views import DatasetView, choose_fraction, dev_split


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return SyntheticDataset(SyntheticParams(train=10, val=2, size=32, auxiliary_classes=2, auxiliary_train=3))


READS = {
    "tags": (TAGS, lambda view, image_id: view.tags(image_id)),
    "boxes": (BOXES, lambda view, image_id: view.boxes(image_id)),
    "saliency": (SALIENCY, lambda view, image_id: view.saliency(image_id)),
    "masks": (MASKS, lambda view, image_id: view.mask(image_id)),
}


@pytest.mark.parametrize("kind", READS)
def test_only_what_is_declared_can_be_read(dataset: Dataset, kind: str) -> None:
    need, read = READS[kind]
    image_id = dataset.ids("train")[0]
    others = [other for other, _ in READS.values() if other != need]
    with pytest.raises(
        SupervisionError,
        match=rf"{kind} of image '{image_id}' were read .* add Need\(Supervision\.{need.kind.name}\) to",
    ):
        read(DatasetView(dataset, "train", others), image_id)
    view = DatasetView(dataset, "train", [need])
    expected = {"masks": dataset.mask}.get(kind) or getattr(dataset, kind)
    np.testing.assert_array_equal(read(view, image_id), expected(image_id))
    assert view.meter.as_dict() == {kind: {"reads": 1, "images": 1}}


@pytest.mark.parametrize("kind", READS)
def test_one_method_reads_every_kind_and_is_metered_alike(dataset: Dataset, kind: str) -> None:
    need, by_name = READS[kind]
    image_id = dataset.ids("train")[0]
    view = DatasetView(dataset, "train", [need])
    np.testing.assert_array_equal(view.read(need.kind, image_id), by_name(view, image_id))
    assert view.meter.as_dict() == {kind: {"reads": 2, "images": 1}}
    with pytest.raises(SupervisionError, match=f"{kind} of image"):
        DatasetView(dataset, "train", []).read(need.kind, image_id)


def test_the_way_out_of_a_fraction_names_the_ids_of_that_kind(dataset: Dataset) -> None:
    view = DatasetView(dataset, "train", [Need(Supervision.BOXES, 0.5), masks(0.2)])
    assert view.ids_with(Supervision.BOXES) == choose_fraction(view.ids, 0.5, dataset.tags)
    assert view.ids_with(Supervision.MASKS) == view.mask_ids
    assert view.ids_with(Supervision.TAGS) == frozenset()
    outside = min(set(view.ids) - view.ids_with(Supervision.BOXES))
    with pytest.raises(SupervisionError, match=r"boxes are declared for 5 of 10 .* ids_with\(Supervision\.BOXES\), or"):
        view.boxes(outside)
    with pytest.raises(SupervisionError, match=r"masks are declared for 2 of 10 .* ids in mask_ids, or"):
        view.mask(outside)


def test_images_and_sizes_are_free_and_images_are_counted(dataset: Dataset) -> None:
    view = DatasetView(dataset, "train", [])
    first, second = view.ids[:2]
    for image_id in (first, first, second):
        view.image(image_id)
        assert view.size(image_id) == (32, 32)
    assert view.meter.as_dict() == {"images": {"reads": 3, "images": 2}}
    assert view.classes == dataset.classes
    assert view.mask_ids == frozenset()


def test_only_the_images_of_the_split_exist(dataset: Dataset) -> None:
    view = DatasetView(dataset, "train", [MASKS])
    for read in (view.image, view.size, view.mask):
        with pytest.raises(SupervisionError, match="'val_00000' is not among the 10 images"):
            read("val_00000")
    assert view.meter.as_dict() == {}


def test_a_fraction_of_the_masks_is_that_fraction(dataset: Dataset) -> None:
    view = DatasetView(dataset, "train", [masks(0.2)])
    assert view.mask_ids == choose_fraction(dataset.ids("train"), 0.2, dataset.tags)
    inside, outside = min(view.mask_ids), min(set(view.ids) - view.mask_ids)
    view.mask(inside)
    with pytest.raises(SupervisionError, match=rf"'{outside}' .* declared for 2 of 10 images, not for this one"):
        view.mask(outside)
    assert view.meter.as_dict() == {"masks": {"reads": 1, "images": 1}}


def test_the_auxiliary_data_set_needs_a_declaration_of_its_own(dataset: Dataset) -> None:
    with pytest.raises(SupervisionError, match="auxiliary=True"):
        _ = DatasetView(dataset, "train", [MASKS]).auxiliary
    view = DatasetView(dataset, "train", [TAGS, Need(Supervision.MASKS, auxiliary=True)])
    image_id = view.auxiliary.ids[0]
    view.auxiliary.mask(image_id)
    view.auxiliary.image(image_id)
    with pytest.raises(SupervisionError, match=r"tags\(aux\) .* add Need\(Supervision\.TAGS, auxiliary=True\)"):
        view.auxiliary.tags(image_id)
    with pytest.raises(SupervisionError, match="masks of image"):
        view.mask(view.ids[0])
    assert set(view.meter.as_dict()) == {"masks(aux)", "images(aux)"}


def test_a_missing_auxiliary_data_set_is_a_configuration_error() -> None:
    plain = SyntheticDataset(SyntheticParams(train=1, val=1, size=32))
    with pytest.raises(ConfigError, match="'synthetic' has no auxiliary data set"):
        DatasetView(plain, "train", [Need(Supervision.MASKS, auxiliary=True)])


def test_a_pickled_view_reads_the_same_and_keeps_the_rules(dataset: Dataset) -> None:
    view = DatasetView(dataset, "train", [TAGS])
    copy = pickle.loads(pickle.dumps(view))
    assert copy.tags(view.ids[0]) == dataset.tags(view.ids[0])
    with pytest.raises(SupervisionError):
        copy.boxes(view.ids[0])
    assert copy.meter.as_dict() == {"tags": {"reads": 1, "images": 1}}


ids = st.lists(st.text("abc123_", min_size=1, max_size=6), unique=True, min_size=1, max_size=30)


@given(ids, st.floats(0.01, 1.0), st.randoms())
def test_the_fraction_is_a_hash_and_ignores_order(ids: list[str], fraction: float, random: object) -> None:
    chosen = choose_fraction(ids, fraction)
    assert len(chosen) == max(int(fraction * len(ids) + 0.5), 1)
    largest_in = max(hashlib.sha256(f"mask:{i}".encode()).digest() for i in chosen)
    assert all(hashlib.sha256(f"mask:{i}".encode()).digest() > largest_in for i in set(ids) - chosen)
    shuffled = ids[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose_fraction(shuffled, fraction) == chosen
    assert choose_fraction(ids, fraction / 2) <= chosen


tags = st.lists(st.frozensets(st.integers(1, 6), max_size=3).map(sorted).map(tuple), min_size=20, max_size=150)


@settings(deadline=None, max_examples=60)
@given(tags, st.sampled_from([0.05, 0.18, 0.5]), st.randoms())
def test_a_stratified_fraction_ignores_order_and_holds_every_smaller_one(
    tags: list[tuple[int, ...]], fraction: float, random: object
) -> None:
    of_image = {f"image_{number}": classes for number, classes in enumerate(tags)}
    chosen = choose_fraction(of_image, fraction, of_image.__getitem__)
    assert len(chosen) == max(int(fraction * len(tags) + 0.5), 1)
    shuffled = list(of_image)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose_fraction(shuffled, fraction, of_image.__getitem__) == chosen
    assert choose_fraction(of_image, fraction / 2, of_image.__getitem__) <= chosen


@pytest.mark.parametrize("seed", range(20))
def test_the_fraction_holds_every_class_in_its_share_within_one_image(seed: int) -> None:
    """As of photographs with one to three tags; odd sets exist that no order of nested fractions divides so well."""
    rng = np.random.default_rng(seed)
    tags = [tuple(rng.choice(np.arange(1, 7), rng.integers(0, 4), replace=False).tolist()) for _ in range(300)]
    of_image = {f"image_{number}": tuple(sorted(classes)) for number, classes in enumerate(tags)}
    for fraction in (0.05, 0.18, 0.5):
        chosen = choose_fraction(of_image, fraction, of_image.__getitem__)
        for cls in range(1, 7):
            with_class = [image_id for image_id, classes in of_image.items() if cls in classes]
            share = len(chosen) * len(with_class) / len(tags)
            assert abs(sum(image_id in chosen for image_id in with_class) - share) <= 1


def test_six_classes_of_photographs_get_nine_or_ten_masks_each() -> None:
    """54 of 300 with 50 images of a class; by the hash alone one of them has 4."""
    of_image = {f"photograph_{number:03d}": (number % 6 + 1,) for number in range(300)}
    chosen = choose_fraction(of_image, 0.18, of_image.__getitem__)
    counts = Counter(of_image[image_id][0] for image_id in chosen)
    assert sorted(counts.values()) == [9] * 6
    by_hash = Counter(of_image[image_id][0] for image_id in choose_fraction(of_image, 0.18))
    assert min(by_hash.values()) < 9 < max(by_hash.values())


@given(ids, st.floats(0.0, 0.9))
def test_dev_and_scored_part_the_ids_in_order(ids: list[str], fraction: float) -> None:
    try:
        dev, scored = dev_split(ids, fraction)
    except ConfigError:
        assert len(ids) < 6
        return
    assert scored
    assert sorted(dev + scored) == sorted(ids)
    assert list(dev) == [i for i in ids if i in dev]
    assert list(scored) == [i for i in ids if i in scored]
    assert bool(dev) == (fraction > 0)


def test_without_a_dev_fraction_everything_is_scored() -> None:
    assert dev_split(("a", "b"), 0.0) == ((), ("a", "b"))
    with pytest.raises(ConfigError, match="leaves none to score"):
        dev_split(("a",), 0.5)
