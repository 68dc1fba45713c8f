"""What the reference generators paint, image by image."""

import numpy as np

from harness.contract import Box, masks
from harness.testing import fake_context, fake_view
from wsss_baselines.generator import BoxFill, BoxGrabCut, PixelSubset
from wsss_baselines.method import grabcut, largest_first
from wsss_baselines.params import GrabCutParams


def picture():
    """A red square on noise."""
    image = np.random.default_rng(0).integers(60, 90, (48, 48, 3)).astype(np.uint8)
    image[16:32, 16:32] = (220, 30, 30)
    return image


def test_boxes_come_by_falling_area_and_empty_ones_not_at_all():
    small, large, empty, same = Box(1, 0, 0, 2, 2), Box(2, 0, 0, 9, 9), Box(3, 4, 4, 4, 9), Box(4, 5, 5, 7, 7)
    assert largest_first([small, large, empty, same]) == [large, small, same]


def test_the_smaller_box_is_painted_in_front(tmp_path):
    view = fake_view({"a": picture()}, boxes={"a": [Box(1, 10, 10, 20, 20), Box(2, 0, 0, 40, 40)]})
    (label,) = BoxFill(None).generate(view, fake_context(tmp_path))
    assert label.mask[15, 15] == 1
    assert label.mask[30, 30] == 2
    assert label.mask[45, 45] == 0


def test_grabcut_finds_the_object_in_a_loose_box():
    found = grabcut(picture(), Box(1, 10, 10, 38, 38), GrabCutParams())
    expected = np.zeros((28, 28), bool)
    expected[6:22, 6:22] = True
    assert (found == expected).mean() > 0.95


def test_a_box_in_which_grabcut_finds_too_little_is_filled():
    assert grabcut(picture(), Box(1, 10, 10, 38, 38), GrabCutParams(min_fill=1.0)).all()
    assert grabcut(picture(), Box(1, 0, 0, 3, 3), GrabCutParams()).all()


def test_grabcut_labels_leave_what_is_outside_all_boxes_background(tmp_path):
    view = fake_view({"a": picture()}, boxes={"a": [Box(2, 10, 10, 38, 38)]})
    (label,) = BoxGrabCut(GrabCutParams()).generate(view, fake_context(tmp_path))
    assert label.mask[24, 24] == 2
    assert not label.mask[:10].any()


def test_images_outside_the_subset_carry_no_label_at_all(tmp_path):
    images = {f"image-{n}": picture() for n in range(20)}
    truth = {image_id: np.ones((48, 48), np.uint8) for image_id in images}
    view = fake_view(images, needs=[masks(0.25)], masks=truth)
    labels = list(PixelSubset(None).generate(view, fake_context(tmp_path)))
    known = {label.image_id for label in labels if (label.mask == 1).all()}
    assert known == set(view.mask_ids)
    assert 0 < len(known) < 20
    assert all((label.mask == 255).all() for label in labels if label.image_id not in known)
