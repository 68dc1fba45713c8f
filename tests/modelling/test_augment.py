from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contract.protocol import AugmentSettings
from harness.modelling.augment import PAD_COLOUR, Draw, augment, draw, shrink

STILL = Draw(scale=1.0, x=0.0, y=0.0, flip=False, brightness=1.0, contrast=1.0, saturation=1.0)


def picture(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(height * 1000 + width)
    mask = rng.integers(0, 200, (height, width), dtype=np.uint8)
    return np.repeat(mask[:, :, None], 3, axis=2), mask


def test_without_change_the_crop_is_the_image() -> None:
    image, mask = picture(32, 32)
    view, (label,) = augment(image, [mask], AugmentSettings(crop=32), STILL, long_side=32)
    np.testing.assert_array_equal(view, image)
    np.testing.assert_array_equal(label, mask)


@given(
    height=st.integers(5, 60),
    width=st.integers(5, 60),
    x=st.floats(0, 0.999),
    y=st.floats(0, 0.999),
    flip=st.booleans(),
)
def test_labels_stay_on_their_pixels_and_the_outside_is_padding(
    height: int, width: int, x: float, y: float, flip: bool
) -> None:
    image, mask = picture(height, width)
    drawn = Draw(scale=1.0, x=x, y=y, flip=flip, brightness=1.0, contrast=1.0, saturation=1.0)
    view, (label, extra) = augment(image, [mask, mask], AugmentSettings(crop=32), drawn, long_side=max(height, width))
    inside = label != 255
    np.testing.assert_array_equal(view[inside, 0], label[inside])
    np.testing.assert_array_equal(label, extra)
    assert (view[~inside] == PAD_COLOUR).all()
    assert inside.sum() == min(height, 32) * min(width, 32)


@given(seed=st.integers(0, 2**31), position=st.integers(0, 2**40))
def test_a_draw_depends_on_seed_and_position_alone_and_keeps_its_ranges(seed: int, position: int) -> None:
    settings = AugmentSettings(crop=32, scale=(0.5, 1.5), colour=0.3)
    drawn = draw(settings, seed, position)
    assert drawn == draw(settings, seed, position)
    assert 0.5 <= drawn.scale <= 1.5
    assert all(0.7 <= f <= 1.3 for f in (drawn.brightness, drawn.contrast, drawn.saturation))


def test_turning_colour_off_keeps_geometry() -> None:
    plain = draw(AugmentSettings(crop=32, colour=0.0), 3, 7)
    jittered = draw(AugmentSettings(crop=32, colour=0.3), 3, 7)
    assert (plain.scale, plain.x, plain.y, plain.flip) == (jittered.scale, jittered.x, jittered.y, jittered.flip)
    assert plain.brightness == plain.contrast == plain.saturation == 1.0


def test_scaling_is_centred_on_pixels() -> None:
    """A ramp scaled by two keeps its centre of mass: no half-pixel shift between image and label."""
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[6:10, 6:10] = 200
    image = np.repeat(mask[:, :, None], 3, axis=2)
    drawn = Draw(scale=2.0, x=0.0, y=0.0, flip=False, brightness=1.0, contrast=1.0, saturation=1.0)
    view, (label,) = augment(image, [mask], AugmentSettings(crop=32), drawn, long_side=16)
    assert label[12:20, 12:20].min() == 200
    assert label.sum() == 64 * 200
    rows = np.arange(32)
    grey = view[:, :, 0].astype(float)
    assert (grey.sum(1) @ rows) / grey.sum() == pytest.approx(15.5, abs=0.05)


def test_jitter_is_neutral_on_grey_and_scales_brightness() -> None:
    image = np.full((32, 32, 3), 100, dtype=np.uint8)
    drawn = Draw(scale=1.0, x=0.0, y=0.0, flip=False, brightness=1.2, contrast=0.7, saturation=0.5)
    view, _ = augment(image, [], AugmentSettings(crop=32), drawn, long_side=32)
    assert abs(int(view[0, 0, 0]) - 120) <= 1
    assert (view == view[0, 0]).all()


def test_shrinking_keeps_what_the_largest_scale_needs() -> None:
    image, mask = picture(300, 400)
    small, (label,) = shrink(image, [mask], AugmentSettings(crop=64, base=96, scale=(0.75, 1.5)))
    assert small.shape == (108, 144, 3)
    assert label.shape == (108, 144)
    assert set(np.unique(label)) <= set(np.unique(mask))
    same, _ = shrink(image, [mask], AugmentSettings(crop=64))
    assert same is image
