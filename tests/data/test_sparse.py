"""The rule that makes points and scribbles from masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.contract import Point, Supervision
from harness.data.params import SyntheticParams
from harness.data.sparse import drawn_line, mask_points, mask_scribbles
from harness.data.synthetic import SyntheticDataset

NONE = 255
SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 60))


def test_a_point_is_the_innermost_pixel_of_each_component_and_of_the_background():
    mask = np.zeros((20, 30), np.uint8)
    mask[2:7, 2:7] = 2
    mask[10:17, 2:9] = 1
    mask[12:15, 20:27] = 1
    assert mask_points(mask) == (Point(1, 5, 13), Point(1, 21, 13), Point(2, 4, 4), Point(0, 15, 7))
    assert mask_points(mask, min_pixels=25) == (Point(1, 5, 13), Point(2, 4, 4), Point(0, 15, 7))


def test_ignored_pixels_and_the_border_of_the_image_count_as_outside():
    mask = np.full((9, 9), 1, np.uint8)
    assert mask_points(mask) == (Point(1, 4, 4),)
    mask[:, 5:] = NONE
    assert mask_points(mask) == (Point(1, 2, 2),)


def test_a_stroke_runs_along_a_region_and_is_three_pixels_wide():
    mask = np.zeros((40, 90), np.uint8)
    mask[10:31, 5:85] = 3
    found = mask_scribbles(mask)
    rows, columns = np.nonzero(found == 3)
    assert columns.min() < 15
    assert columns.max() > 75
    assert 18 <= np.median(rows) <= 22
    assert set((found[:, 30:60] == 3).sum(axis=0)) <= {3, 4, 5}


def test_every_large_part_of_the_background_has_a_stroke_and_a_small_hole_has_none():
    mask = np.zeros((60, 60), np.uint8)
    mask[:, 25:35] = 1
    mask[28:32, 28:32] = 0
    found = mask_scribbles(mask)
    assert (found[:, :25] == 0).any()
    assert (found[:, 35:] == 0).any()
    assert not (found[28:32, 28:32] == 0).any()


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 0, 1, 1, 2, NONE])))
def test_labels_of_any_mask_agree_with_it_and_name_each_of_its_classes(mask):
    points, scribbles = mask_points(mask), mask_scribbles(mask)
    assert scribbles.dtype == np.uint8
    assert (scribbles[scribbles != NONE] == mask[scribbles != NONE]).all()
    assert all(mask[point.y, point.x] == point.cls for point in points)
    shown = set(np.unique(mask)) - {NONE}
    assert {point.cls for point in points} == shown
    assert set(np.unique(scribbles)) - {NONE} == shown


def test_a_line_is_cut_off_at_the_border_and_may_lie_outside():
    assert drawn_line((5, 5), np.array([[2, -100], [2, 2]])).tolist()[2] == [True] * 4 + [False]
    assert not drawn_line((5, 5), np.array([[50, 50], [90, 90]])).any()


def scenes(**more):
    return SyntheticDataset(SyntheticParams(train=4, val=1, size=64, auxiliary_classes=2, auxiliary_train=1, **more))


def test_generated_scribbles_lie_on_their_creatures_and_leave_all_else_as_it_was():
    plain, drawn = scenes(points=2), scenes(points=2, scribbles=True)
    before, after = plain.digests("train"), dict(drawn.digests("train"))
    assert after.pop("scribbles")
    assert after == before
    assert "scribbles" in drawn.auxiliary.digests("train")
    assert drawn.made_from_masks == ()
    for image_id in drawn.ids("train"):
        scribbles, mask = drawn.scribbles(image_id), drawn.mask(image_id)
        assert (scribbles[scribbles != NONE] == mask[scribbles != NONE]).all()
        assert set(np.unique(scribbles)) == {0, NONE, *drawn.tags(image_id)}
        np.testing.assert_array_equal(scribbles, scenes(scribbles=True).read(Supervision.SCRIBBLES, image_id))
        np.testing.assert_array_equal(drawn.image(image_id), plain.image(image_id))
        np.testing.assert_array_equal(mask, plain.mask(image_id))
        assert drawn.points(image_id) == plain.points(image_id)


def test_generated_points_of_the_background_come_last_and_leave_those_of_creatures_as_they_were():
    plain, more = scenes(points=2), scenes(points=2, background_points=3)
    assert more.digests("train")["points"] != plain.digests("train")["points"]
    for image_id in more.ids("train"):
        points, mask = more.points(image_id), more.mask(image_id)
        assert points[:-3] == plain.points(image_id)
        assert [mask[point.y, point.x] for point in points[-3:]] == [point.cls for point in points[-3:]] == [0, 0, 0]
    with pytest.raises(ValueError, match="background_points: set points too"):
        SyntheticParams(background_points=1)
