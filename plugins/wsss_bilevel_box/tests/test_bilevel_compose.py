"""Composition: the published example, class-agnosticism, and pixels that never leave their boxes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from harness.contract import Box, ConfigError
from wsss_bilevel_box.labels import Rules, pseudo_labels
from wsss_bilevel_box.method import (
    box_mask,
    classes_in_order,
    compose,
    foreground,
    margins,
    probability_planes,
    soft_compose,
)
from wsss_bilevel_box.params import BilevelBoxParams

VECTORS = json.loads((Path(__file__).parent / "vectors" / "official.json").read_text())
EXAMPLE = VECTORS["compose"]
IDS = {"person": 15, "dog": 12}
H, W = 20, 24


class StubGenerator(nn.Module):
    """Foreground where blue is bright; remembers what it saw."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        blue = functional.avg_pool2d((x[:, 2:3] + 104.008 > 100).float(), 4)
        return torch.cat([1 - blue, blue], 1)


class Preprocessor:
    @staticmethod
    def normalise(images):
        return images.permute(0, 3, 1, 2).float()


class StubSegmenter(nn.Module):
    """Logit 2 for class 15, 0 for the other twenty."""

    def __init__(self):
        super().__init__()
        self.data_preprocessor = Preprocessor()

    def forward(self, x, mode):
        logits = x.new_zeros(len(x), 21, x.shape[2] // 8, x.shape[3] // 8)
        logits[:, 15] = 2
        return logits


def example(first):
    """The published image, its boxes with ``first`` first, and its label map."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :, 2] = 200
    image[:, 36:44, 2] = 0
    named = [(IDS[name], x0 - 1, y0 - 1, x1, y1) for name, x0, y0, x1, y1 in EXAMPLE["boxes_xml_1based"]]
    boxes = tuple(Box(*box) for box in sorted(named, key=lambda box: box[0] != IDS[first]))
    generator = StubGenerator()
    rules = Rules(512, "first", align=True, exact=True, unit=False)
    items = [("x", image, boxes)]
    ((_, label),) = pseudo_labels(generator, items, rules=rules, device="cpu", segmenter=StubSegmenter())
    return boxes, label, generator


@pytest.mark.parametrize("first", ["person", "dog"])
def test_the_published_example(first):
    _, label, _ = example(first)
    counts = {str(cls): int((label == cls).sum()) for cls in np.unique(label)}
    assert counts == EXAMPLE[f"{first}_first_counts"]
    assert label[25].tolist() == EXAMPLE[f"row25_{first}_first"]
    assert label[30, 32] == EXAMPLE["overlap_pixel_30_32"][f"{first}_first"]


def test_the_published_probability_channel():
    boxes, _, generator = example("person")
    (x,) = generator.seen
    assert classes_in_order(boxes) == (15, 12)
    for plane, name in zip(x[:, 0], ("person", "dog"), strict=True):
        torch.testing.assert_close(plane, torch.full_like(plane, EXAMPLE["seg_prob_channel0"][name]))


def test_the_intended_rules_keep_edges_in_place():
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :, 2] = 200
    image[:, 36:44, 2] = 0
    rules = Rules(512, unit=False)
    box = Box(1, 0, 0, 80, 60)
    ((_, label),) = pseudo_labels(StubFour(), [("x", image, (box,))], rules=rules, device="cpu")
    assert np.flatnonzero(label[25] == 0).tolist() == list(range(36, 44))


class StubFour(StubGenerator):
    def forward(self, x):
        return super().forward(functional.pad(x, (0, 0, 0, 0, 1, 0)))


def test_one_call_and_the_union_of_boxes_for_objects_of_one_class():
    generator = StubFour()
    boxes = (Box(3, 10, 10, 50, 40), Box(3, 30, 20, 70, 50))
    image = np.full((60, 80, 3), 255, np.uint8)
    ((_, label),) = pseudo_labels(generator, [("x", image, boxes)], rules=Rules(128, unit=False), device="cpu")
    assert len(generator.seen[0]) == 1
    assert generator.seen[0][0, 1].sum() == 2000
    assert set(np.unique(label)) == {0, 3}


def test_an_image_without_boxes_is_background():
    items = [
        ("a", np.zeros((30, 40, 3), np.uint8), ()),
        ("b", np.full((30, 40, 3), 255, np.uint8), (Box(1, 0, 0, 9, 9),)),
    ]
    found = dict(pseudo_labels(StubFour(), items, rules=Rules(64, unit=False), device="cpu"))
    assert not found["a"].any()
    assert found["b"].sum() == 81


def test_a_large_image_is_reduced_and_its_label_is_not():
    image = np.zeros((200, 300, 3), np.uint8)
    image[50:150, 60:240, 2] = 255
    items = [("x", image, (Box(2, 40, 30, 260, 170),))]
    ((_, label),) = pseudo_labels(StubFour(), items, rules=Rules(128, unit=False), device="cpu")
    truth = np.zeros((200, 300), bool)
    truth[50:150, 60:240] = True
    assert label.shape == (200, 300)
    assert ((label == 2) & truth).sum() / ((label == 2) | truth).sum() > 0.93


boxes_of = st.lists(
    st.builds(
        lambda cls, y, x, h, w: Box(cls, x, y, min(x + w, W), min(y + h, H)),
        st.integers(1, 4),
        st.integers(0, H - 1),
        st.integers(0, W - 1),
        st.integers(1, H),
        st.integers(1, W),
    ),
    min_size=1,
    max_size=6,
)
min_fill_of = st.sampled_from([0.0, 0.05, 0.6])
rules_of = st.sampled_from(["first", "smallest_box", "max_logit"])


def margin_of(seed, boxes):
    """Per class, as a generator would answer: the plane depends on the class's boxes alone."""
    planes = [np.random.default_rng([seed, *box_mask(boxes, c, (H, W)).ravel()]) for c in classes_in_order(boxes)]
    return np.stack([rng.normal(size=(H, W)) for rng in planes]).astype(np.float32)


@given(boxes_of, rules_of, min_fill_of, st.integers(0, 99))
def test_labels_stay_in_the_boxes_of_their_class(boxes, overlap, min_fill, seed):
    label = compose(margin_of(seed, boxes), boxes, (H, W), overlap=overlap, min_fill=min_fill)
    assert set(np.unique(label)) <= {0, *(box.cls for box in boxes)}
    for cls in classes_in_order(boxes):
        assert not label[box_mask(boxes, cls, (H, W)) == 0].tolist().count(cls)


@given(boxes_of, rules_of, min_fill_of, st.integers(0, 99), st.randoms())
def test_which_pixels_are_labelled_does_not_depend_on_the_order(boxes, overlap, min_fill, seed, random):
    shuffled = list(boxes)
    random.shuffle(shuffled)
    found = compose(margin_of(seed, boxes), boxes, (H, W), overlap=overlap, min_fill=min_fill)
    other = compose(margin_of(seed, shuffled), shuffled, (H, W), overlap=overlap, min_fill=min_fill)
    np.testing.assert_array_equal(found > 0, other > 0)


@given(boxes_of, rules_of, min_fill_of, st.integers(0, 99), st.permutations([1, 2, 3, 4]))
def test_renaming_classes_renames_the_label_and_nothing_else(boxes, overlap, min_fill, seed, names):
    renamed = [box._replace(cls=names[box.cls - 1]) for box in boxes]
    found = compose(margin_of(seed, boxes), boxes, (H, W), overlap=overlap, min_fill=min_fill)
    other = compose(margin_of(seed, renamed), renamed, (H, W), overlap=overlap, min_fill=min_fill)
    np.testing.assert_array_equal(np.array([0, *names])[found], other)


def test_the_generator_and_its_segmenter_are_class_agnostic():
    """Permuting class ids together with the segmenter's outputs leaves every foreground unchanged."""
    from wsss_bilevel_box.network import SMALL, MaskGenerator

    torch.manual_seed(0)
    generator = MaskGenerator(5, SMALL).eval()
    nn.init.normal_(generator.head[2].weight)
    nn.init.constant_(generator.head[2].bias, 0.0)
    segmenter = Permutable(torch.arange(4))
    swapped = Permutable(torch.tensor([0, 3, 1, 2]))
    image = np.random.default_rng(0).integers(0, 256, (60, 64, 3), dtype=np.uint8)
    boxes = (Box(1, 2, 2, 40, 40), Box(2, 20, 10, 60, 50), Box(3, 5, 30, 30, 60))
    names = {1: 2, 2: 3, 3: 1}
    renamed = tuple(box._replace(cls=names[box.cls]) for box in boxes)
    rules = Rules(64, "max_logit")
    ((_, one),) = pseudo_labels(generator, [("x", image, boxes)], rules=rules, device="cpu", segmenter=segmenter)
    ((_, two),) = pseudo_labels(generator, [("x", image, renamed)], rules=rules, device="cpu", segmenter=swapped)
    assert one.any()
    np.testing.assert_array_equal(np.array([0, 2, 3, 1])[one], two)


class Permutable(StubSegmenter):
    """Four planes of the picture; output k is plane ``order[k]``."""

    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x, mode):
        planes = functional.avg_pool2d(torch.cat([x.mean(1, keepdim=True), x], 1), 8) / 64
        return planes[:, self.order]


@given(boxes_of, st.integers(0, 99))
def test_the_smallest_box_wins_whatever_the_order_of_the_file(boxes, seed):
    areas = [box.area for box in boxes]
    if len(set(areas)) < len(areas):
        return
    found = compose(margin_of(seed, boxes), boxes, (H, W), overlap="smallest_box")
    other = compose(margin_of(seed, boxes[::-1]), boxes[::-1], (H, W), overlap="smallest_box")
    np.testing.assert_array_equal(found, other)


def scene_of_loose_boxes(seed):
    """Truth of three ellipses that touch no side of their boxes, by gaps of up to 15 % of a side; and the boxes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :128]
    truth, boxes, planes = np.zeros((96, 128), np.uint8), [], []
    for cls in (1, 2, 3):
        cy, cx, ry, rx = rng.integers(20, 76), rng.integers(24, 104), rng.integers(6, 20), rng.integers(6, 24)
        inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        truth[inside] = cls
        gaps = 1 + (0.15 * 2 * np.array([rx, ry, rx, ry]) * rng.random(4)).astype(int)
        x0, y0, x1, y1 = cx - rx - gaps[0], cy - ry - gaps[1], cx + rx + gaps[2], cy + ry + gaps[3]
        boxes.append(Box(cls, max(x0, 0), max(y0, 0), min(x1, 128), min(y1, 96)))
    planes = [np.where(truth == cls, 3.0, -3.0) for cls in (1, 2, 3)]
    return truth, tuple(boxes), np.array(planes, np.float32)


@pytest.mark.parametrize("overlap", ["first", "smallest_box", "max_logit"])
def test_a_perfect_generator_gives_the_truth_also_of_boxes_that_are_not_tight(overlap):
    compared = 0
    for seed in range(30):
        truth, boxes, planes = scene_of_loose_boxes(seed)
        if any((truth == box.cls).sum() < 0.06 * box.area for box in boxes):  # hidden behind another object
            continue
        label = compose(planes, boxes, truth.shape, overlap=overlap, min_fill=BilevelBoxParams().least_fill)
        np.testing.assert_array_equal(label, truth)
        compared += 1
    assert compared >= 15


def test_a_box_in_which_next_to_nothing_is_found_is_filled_and_every_other_is_left_as_it_is():
    plane = np.full((20, 20), -1.0, np.float32)
    plane[2:8, 2:8] = 1.0
    boxes = [Box(1, 0, 0, 10, 10), Box(1, 10, 10, 20, 20), Box(2, 0, 10, 10, 20)]
    found = foreground(plane, boxes, 1, 0.05)
    assert found[:10, :10].sum() == 36
    assert found[10:, 10:].all()
    assert not found[10:, :10].any()
    np.testing.assert_array_equal(foreground(plane, boxes, 1, 0.0), plane > 0)


def test_the_share_below_which_a_box_is_filled_is_one():
    assert BilevelBoxParams().least_fill == 0.05
    assert BilevelBoxParams(preset="official").least_fill == 0.0
    with pytest.raises(ConfigError, match=r"min_fill must lie in \[0, 1\] or be null, got 2"):
        BilevelBoxParams(min_fill=2.0)


@given(st.integers(1, 3), st.integers(0, 99))
def test_a_soft_composition_is_a_distribution(count, seed):
    generator = torch.Generator().manual_seed(seed)
    foreground, masks = torch.rand(2, count, 5, 6, generator=generator)
    masks = masks.round()
    label = soft_compose(foreground, masks)
    torch.testing.assert_close(label.sum(0), torch.ones(5, 6))
    assert (label[1:][masks == 0] == 0).all()


def test_present_planes_alone_give_nearly_the_probability_of_all():
    logits = torch.randn(2, 21, 8, 8, generator=torch.Generator().manual_seed(0))
    images, classes = torch.tensor([0, 1, 1]), torch.tensor([3, 0, 20])
    exact = probability_planes(logits, images, classes, (64, 64), exact=True)
    quick = probability_planes(logits, images, classes, (64, 64), exact=False)
    assert exact.shape == quick.shape == (3, 64, 64)
    assert (exact - quick).abs().mean() < 0.02


def test_align_corners_samples_the_published_coordinates():
    ramp = torch.arange(128.0).expand(1, 1, 128, 128)
    logits = torch.cat([torch.zeros_like(ramp), ramp], 1)
    row = margins(logits, (512, 512), align=True)[0, 0, :9]
    expected = torch.tensor(VECTORS["label_resize"]["up_align_corners_128_to_512_first9"])
    torch.testing.assert_close(row, expected, rtol=0, atol=1e-4)
