"""Promises of what is counted beside the confusion: boundary regions, and objects by size."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from harness.contract import DataError
from harness.contract.protocol import ScoringSettings
from harness.contract.records import COUNTS
from harness.scoring import score
from harness.scoring.image_counts import KINDS, Counter, ImageCounts, boundary_areas, size_areas
from harness.scoring.measure import Measure, measured
from harness.scoring.metrics import boundary_iou, iou_by_size

CLASSES = 3
SIDES = st.tuples(st.integers(1, 70), st.integers(1, 70))
LABELS = st.sampled_from([0, 1, 2, 255])


@st.composite
def images(draw):
    """Truth and label map: blocks of pixels, so that there are insides as well as boundaries."""
    side, block = draw(SIDES), draw(st.integers(1, 12))
    coarse = tuple(-(-length // block) for length in side)
    maps = [draw(arrays(np.uint8, coarse, elements=LABELS)) for _ in range(2)]
    return tuple(np.kron(one, np.ones((block, block), np.uint8))[: side[0], : side[1]] for one in maps)


def slow_boundary(mask, width):
    """The mask without its erosion, as the paper's code has it: a frame of zeros, a 3 x 3 kernel, ``width`` times."""
    return mask & ~ndimage.binary_erosion(np.pad(mask, 1), np.ones((3, 3)), width)[1:-1, 1:-1]


@settings(deadline=None)
@given(images())
def test_the_boundary_is_that_of_the_paper_class_by_class(pair):
    truth, pred = pair
    scored = truth != 255
    width = max(1, round(0.02 * math.hypot(*truth.shape)))
    areas = boundary_areas(truth, pred, CLASSES)
    for cls in range(CLASSES):
        one = slow_boundary((truth == cls) & scored, width)
        two = slow_boundary((pred == cls) & scored, width)
        assert areas[:, cls].tolist() == [(one & two).sum(), one.sum(), two.sum()]


def test_a_boundary_by_hand():
    truth, pred = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    truth[2:7, 2:7] = 1
    pred[2:7, 3:8] = 1
    areas = boundary_areas(truth, pred, 2)
    assert areas[:, 1].tolist() == [8, 16, 16], "four pixels of the upper edge and four of the lower one"


def test_a_shifted_small_mask_costs_more_at_the_boundary_than_in_the_whole():
    truth, pred = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    truth[10:90, 10:90] = 1
    pred[12:92, 10:90] = 1
    hit, held, found = boundary_areas(truth, pred, 2)[:, 1]
    whole = (truth & pred).sum() / (truth | pred).sum()
    assert hit / (held + found - hit) < whole - 0.2


def slow_sizes(truth, pred):
    """Every region of its own, pixel sets, no vectorisation."""
    pixels = truth.size

    def regions(mask):
        labelled, count = ndimage.label(mask, np.ones((3, 3)))
        return [set(zip(*np.nonzero(labelled == number + 1), strict=True)) for number in range(count)]

    def size(region):
        return 0 if len(region) * 300 < pixels else 1 if len(region) * 100 < 3 * pixels else 2

    areas = np.zeros((3, 3, CLASSES), int)
    for cls in range(1, CLASSES):
        objects = regions(truth == cls)
        for one in objects:
            areas[size(one), 1, cls] += len(one)
        for region in regions((pred == cls) & (truth != 255)):
            best = max(objects, key=lambda one: (len(one & region), len(one)), default=set())
            wrong = region - set().union(*objects)
            areas[size(best if best & region else region), 2, cls] += len(wrong)
            for one in objects:
                areas[size(one), [0, 2], cls] += len(one & region)
    return areas


@settings(deadline=None, max_examples=60)
@given(images())
def test_sizes_are_those_of_a_slow_reference(pair):
    assert size_areas(*pair, CLASSES).tolist() == slow_sizes(*pair).tolist()


@settings(deadline=None)
@given(images())
def test_the_sizes_add_up_to_the_areas_of_the_confusion(pair):
    truth, pred = pair
    total = size_areas(truth, pred, CLASSES).sum(0)
    whole = score([("a", truth, pred)], CLASSES).areas()[0]
    assert total[:, 1:].tolist() == whole[:, 1:].tolist()
    assert not total[:, 0].any(), "background is no object"


def test_sizes_by_hand():
    truth, pred = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    truth[0:5, 0:5] = 1  # 25 pixels: small is below 33.3
    truth[20:30, 20:30] = 1  # 100: medium
    truth[50:90, 50:90] = 1  # 1600: large
    pred[0:5, 0:7] = 1  # a region of 35, matched with the small object
    pred[20:30, 25:30] = 1
    pred[50:90, 50:90] = 1
    pred[99, 0:4] = 1  # matched with nothing: small by itself
    areas = size_areas(truth, pred, 2)[..., 1]
    assert areas.tolist() == [[25, 25, 35 + 4], [50, 100, 50], [1600, 1600, 1600]]
    values = [float(iou_by_size(size)(None, size_areas(truth, pred, 2))) for size in range(3)]
    assert values == [25 / 39, 0.5, 1.0]


def counted(pairs, kinds=COUNTS):
    counter = Counter(kinds, CLASSES)
    return score(counter.passing(pairs), CLASSES), counter.counted()


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    maps = rng.choice(np.array([0, 1, 2, 255], np.uint8), (6, 2, 5, 5)).repeat(4, 2).repeat(4, 3)
    return [(f"i{number}", truth, pred) for number, (truth, pred) in enumerate(maps)]


def test_counts_are_kept_image_by_image_whatever_the_order_of_arrival(pairs):
    _, forward = counted(pairs)
    _, backward = counted(pairs[::-1])
    for kind, counts in forward.items():
        assert counts.to_bytes() == backward[kind].to_bytes()
        expected = [KINDS[kind].count(truth, pred, CLASSES) for _, truth, pred in pairs]
        np.testing.assert_array_equal(counts.dense(), expected)


def test_a_file_comes_back_as_it_was_and_a_changed_one_is_refused(pairs, tmp_path):
    _, found = counted(pairs)
    for kind, counts in found.items():
        sha256 = counts.save(tmp_path / f"{kind}.npz")
        again = ImageCounts.load(tmp_path / f"{kind}.npz", kind, sha256=sha256)
        assert again.to_bytes() == counts.to_bytes()
        with pytest.raises(DataError, match="content hash"):
            ImageCounts.load(tmp_path / f"{kind}.npz", kind, sha256="0" * 64)
    with pytest.raises(DataError, match="belongs to no image or no class"):
        ImageCounts.load(tmp_path / "size.npz", "boundary")
    (tmp_path / "size.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"size\.npz: not a readable file of counts"):
        ImageCounts.load(tmp_path / "size.npz", "size")


def test_the_metric_of_all_images_is_that_of_the_summed_counts(pairs):
    confusions, found = counted(pairs)
    seeds = [{"confusion": confusions, **found}]
    measures = [
        Measure("boundary_iou", boundary_iou, ("confusion", "boundary")),
        Measure("small_iou", iou_by_size(0), ("confusion", "size")),
        Measure("large_iou", iou_by_size(2), ("confusion", "size")),
    ]
    edge, small, large = measured(seeds, measures, resamples=100)
    hit, truth, pred = found["boundary"].dense().sum(0)
    assert edge.value == pytest.approx(np.mean(hit / (truth + pred - hit)))
    assert edge.low < edge.value < edge.high
    hit, truth, pred = found["size"].dense().sum(0)[2, :, 1:]
    assert large.value == pytest.approx(np.mean(hit / (truth + pred - hit)))
    assert small is None, "no image holds an object of one pixel or less in 300"


def test_kinds_have_one_list_of_names():
    assert tuple(KINDS) == COUNTS
    assert ScoringSettings(counts=["size", "boundary", "size"]).counts == COUNTS
    assert "counts" not in ScoringSettings().model_dump()
