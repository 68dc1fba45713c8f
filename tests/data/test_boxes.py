"""Boxes of a mask are its 8-connected components."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.contract import Box
from harness.data.boxes import mask_boxes, mask_tags

masks = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 254, 255]))


def test_diagonal_neighbours_are_one_component_and_classes_are_apart() -> None:
    mask = np.array([[1, 0, 0, 2], [0, 1, 2, 0], [0, 0, 255, 0], [1, 0, 0, 0]], dtype=np.uint8)
    assert mask_boxes(mask) == (Box(1, 0, 0, 2, 2), Box(1, 0, 3, 1, 4), Box(2, 2, 0, 4, 2))
    assert mask_boxes(mask, 2) == (Box(1, 0, 0, 2, 2), Box(2, 2, 0, 4, 2))
    assert mask_tags(mask) == (1, 2)


def test_nothing_but_background_and_ignore_has_neither() -> None:
    mask = np.array([[0, 255]], dtype=np.uint8)
    assert mask_boxes(mask) == ()
    assert mask_tags(mask) == ()


@given(masks)
def test_every_foreground_pixel_lies_in_a_tight_box_of_its_class(mask: np.ndarray) -> None:
    boxes = mask_boxes(mask)
    assert {box.cls for box in boxes} == set(mask_tags(mask)) == set(np.unique(mask).tolist()) - {0, 255}
    covered = np.zeros((*mask.shape, 256), dtype=bool)
    for box in boxes:
        inside = mask[box.y0 : box.y1, box.x0 : box.x1] == box.cls
        assert inside.any(axis=0).all() or inside.any(axis=1).all()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        covered[box.y0 : box.y1, box.x0 : box.x1, box.cls] = True
    for cls in mask_tags(mask):
        assert covered[:, :, cls][mask == cls].all()
