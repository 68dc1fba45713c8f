"""The response maps equal the published vectors, and keep what the intended preset promises."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from harness.contract import InputRule, PluginError
from wsss_class_conditional.inference import Inference
from wsss_class_conditional.method import centre_of_mass, fill_erased, split_boxes, view_masks
from wsss_class_conditional.params import InferenceParams
from wsss_class_conditional.responses import Views
from wsss_class_conditional.tests.stub import SCALES, VECTORS, Stub, canvas, infer, ramp

RED = (255, 0, 0)
GRID = np.s_[4::8, 4::8]
CASES = VECTORS["split_boxes"]["cases"]
BEHAVIOURS = VECTORS["behaviours"]


def shapes(boxes):
    return [[bottom - top, right - left] for top, bottom, left, right in boxes]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["tag"])
def test_official_split_boxes(case):
    centres = [tuple(map(int, centre)) for centre in case["mass_centres"]]
    boxes = split_boxes(centres, (case["H"], case["W"]), clamp=False)
    assert shapes(boxes) == [case["boxes"][str(k)]["hw"] for k in range(1, 5)]
    assert [[top, left] for top, _, left, _ in boxes] == [case["boxes"][str(k)]["top_left"] for k in range(1, 5)]


def test_intended_split_boxes_are_cut_at_the_border():
    boxes = split_boxes([(16, 19), (44, 67)], (64, 96))
    assert shapes(boxes) == [[64, 87], [64, 96], [64, 87], [64, 96]]


@pytest.mark.parametrize(("lengths", "reach"), [("pixels", 10), ("image", 2), (None, 2)])
def test_patches_reach_the_same_share_of_an_image_of_any_size_beyond_the_centres(lengths, reach):
    """A square of 20 pixels on 80 x 100: the buffer of 10 pixels of 500 is 2."""
    image = canvas(80, 100, (30, 49, 40, 59, (255, 0, 0)))
    found = infer(image, (0,), preset="intended", lengths=lengths)
    top, left = found.boxes[0][1] - reach, found.boxes[0][3] - reach
    assert (top, left) == centre_of_mass(found.plain[0])
    assert found.boxes == list(dict.fromkeys(split_boxes([(top, left)], (80, 100), buffer=(reach, 0))))


def test_a_cam_of_zeros_is_looked_at_once_a_patch_around_the_centre():
    expected = VECTORS["split_boxes"]["exactly_zero_CAM"]
    forward = Stub(stride=1)
    found = infer(canvas(64, 96), [0], forward=forward)
    assert shapes(found.boxes) == list(expected["patches_hw"].values())
    assert forward.views == 8 + expected["infer_forwards"]
    assert found.response.max() == expected["infer_max"]


def test_official_end_to_end():
    expected = VECTORS["end_to_end"]
    forward = Stub()
    found = infer(ramp(), [0], forward=forward)
    assert shapes(found.boxes) == list(expected["patches"].values())
    assert found.passes == expected["passes"]
    assert forward.views == 8 + 8 * sum(expected["passes"])
    for maps, name in ((found.plain[0], "base"), (found.response[0], "out")):
        np.testing.assert_allclose(maps[GRID], expected[f"{name}_grid"], atol=1e-5)
        assert float(maps.sum(dtype=np.float64)) == pytest.approx(expected[f"{name}_sum"], abs=1e-3)
    areas = [float((maps[0] >= 0.7).mean()) for maps in (found.plain, found.response)]
    assert areas == pytest.approx(expected["area_ge_0p7"], abs=1e-5)


@pytest.mark.parametrize("done", [1, 2])
def test_official_erased_share_of_every_view(done):
    (top, bottom, left, right), *_ = infer(ramp(), [0]).boxes
    patch = ramp()[top:bottom, left:right]
    merged = infer(patch, [0], split=False, passes=done).response[0]
    masks = view_masks(torch.from_numpy(merged < 0.7), Views(SCALES).sizes(*patch.shape[:2], 1.0), chain=True)
    erased = [1 - float(mask.float().mean()) for mask in masks]
    assert np.repeat(erased, 2) == pytest.approx(VECTORS["end_to_end"]["erased_fraction"][0][done], abs=1e-5)


def test_intended_end_to_end():
    expected = VECTORS["end_to_end_corrected_variant_NOT_OFFICIAL"]
    found = infer(ramp(), [0], preset="intended")
    assert found.passes == expected["passes"]
    assert float(found.response.sum(dtype=np.float64)) == pytest.approx(expected["sum"], abs=1e-3)
    np.testing.assert_allclose(found.response[0][GRID], expected["grid"], atol=1e-5)
    apart = np.abs(found.response - infer(ramp(), [0]).response).mean()
    assert apart == pytest.approx(expected["mean_abs_diff_vs_official"], abs=1e-5)


def noise_picture():
    grey = (0, 85, 85)
    return canvas(64, 64, (0, 31, 0, 31, RED), (48, 55, 48, 55, (100, 85, 85)), background=grey)


def test_noise_without_a_split():
    expected = BEHAVIOURS["noise"]
    forward = Stub((1, 14, 6))
    found = infer(noise_picture(), [1, 14, 6], forward=forward)
    assert found.passes == [expected["passes_per_patch"]]
    assert forward.views == 8 * expected["passes_per_patch"]  # the first pass is that of the centres
    for maps, name in ((found.plain, "base"), (found.response, "infer")):
        assert maps[0, 52, 52] == pytest.approx(expected[f"{name}_spot"], abs=1e-5)
        assert maps[0, 16, 16] == pytest.approx(expected[f"{name}_object"], abs=1e-5)


def test_erased_pixels_become_the_mean_of_the_unmasked_view():
    expected = BEHAVIOURS["fill"]
    image = torch.from_numpy(noise_picture()).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    first = infer(noise_picture(), [1, 14, 6], forward=Stub((1, 14, 6)), passes=1).response
    kept = torch.from_numpy(first.max(0) < 0.7)
    filled = fill_erased(((image - mean) / std)[None], kept[None])[0]
    assert int((~kept).sum()) == expected["erased_px"]
    assert filled[:, ~kept][:, 0].tolist() == pytest.approx(expected["fill"], abs=1e-6)


def test_a_small_object_stops_after_one_pass():
    expected = BEHAVIOURS["small_object"]
    image = canvas(96, 96, (40, 47, 40, 47, RED), (40, 47, 48, 71, (120, 0, 0)))
    found = infer(image, [1, 14, 6], forward=Stub((1, 14, 6)))
    assert found.passes == [expected["passes"]]
    assert float((found.response[0] >= 0.7).mean()) == pytest.approx(expected["frac_ge_0p7"], abs=1e-9)
    np.testing.assert_array_equal(found.response, found.plain)


def test_a_patch_without_the_object_promotes_noise():
    expected = BEHAVIOURS["diagonal_noise"]
    image = canvas(128, 128, (16, 31, 16, 31, RED), (96, 111, 96, 111, RED), (16, 31, 96, 111, (40, 0, 0)))
    forward = Stub()
    found = infer(image, [0], forward=forward)
    assert forward.views == 8 + expected["forwards"]
    for maps, name in ((found.plain, "base"), (found.response, "infer")):
        assert maps[0, 24, 104] == pytest.approx(expected[f"{name}_spot"], abs=1e-5)
        assert maps[0, 24, 24] == pytest.approx(expected[f"{name}_object"], abs=1e-5)
    for renorm in ("image", "shared"):  # one scale for all patches does not promote it
        kept_scale = infer(image, [0], preset="intended", renorm=renorm).response[0]
        assert kept_scale[24, 104] < 0.5 * found.response[0, 24, 104]


def dead_zone_picture():
    return canvas(64, 96, (0, 7, 40, 55, RED), (24, 31, 40, 55, (40, 0, 0)))


def test_a_wrapped_start_leaves_a_dead_zone_that_the_intended_preset_covers():
    expected = BEHAVIOURS["dead_zone"]
    forward = Stub()
    found = infer(dead_zone_picture(), [0], forward=forward)
    assert shapes(found.boxes) == list(expected["patches"].values())
    assert forward.views == 8 + expected["forwards"]
    assert found.plain[0, 28, 48] == pytest.approx(expected["base_at_28_48"], abs=1e-5)
    assert found.response[0, 28, 48] == expected["infer_at_28_48"]
    repaired = infer(dead_zone_picture(), [0], preset="intended").response
    assert repaired[0, 28, 48] > expected["base_at_28_48"]


def test_a_centre_that_cannot_be_found_is_an_error_or_silently_the_middle():
    expected = BEHAVIOURS["silent_centre_fallback"]
    image = canvas(64, 96, (10, 25, 60, 75, RED))
    assert shapes(infer(image, [0]).boxes) == list(expected["patches"].values())
    broken = np.full((64, 96), np.nan, np.float32)
    centre = centre_of_mass(broken, fallback=True)
    boxes = split_boxes([centre], (64, 96), clamp=False)
    assert shapes(boxes) == list(expected["patches_when_center_of_mass_raises"].values())

    def not_finite(batch):
        return Stub()(batch) + torch.nan

    with pytest.raises(PluginError, match="'picture': its CAM is not finite"):
        infer(image, [0], preset="intended", forward=not_finite)
    assert shapes(infer(image, [0], forward=not_finite, passes=1).boxes) == shapes(boxes)


def test_a_patch_of_one_pixel_is_an_error_that_names_the_remedy():
    image = canvas(64, 96, (16, 23, 16, 23, RED), (48, 63, 64, 95, (0, 255, 0)))
    with pytest.raises(PluginError, match="neg_slice"):
        infer(image, [0, 14], forward=Stub(stride=1))
    assert infer(image, [0, 14], preset="intended").response.max() > 0.9


# What the intended preset promises


def in_blocks(colours):
    """(8 h, 8 w, 3) uint8 picture of 8 x 8 blocks of (h, w, 3) colours."""
    return np.kron(colours.astype(np.uint8), np.ones((8, 8, 1), np.uint8))


def pictures():
    size = st.tuples(st.integers(3, 9), st.integers(3, 9), st.just(3))
    return size.flatmap(lambda shape: arrays.arrays(np.uint8, shape)).map(in_blocks)


few = settings(max_examples=15, deadline=None)


@few
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 59)), min_size=1, max_size=4))
def test_patches_cover_every_pixel_and_hold_a_centre_each(centres):
    covered = np.zeros((40, 60), bool)
    for top, bottom, left, right in split_boxes(centres, (40, 60)):
        covered[top:bottom, left:right] = True
        assert any(top <= row < bottom and left <= column < right for row, column in centres)
    assert covered.all()
    if len(centres) == 1:
        assert all(t <= centres[0][0] < b and le <= centres[0][1] < r for t, b, le, r in split_boxes(centres, (40, 60)))


@few
@given(pictures(), st.sampled_from([(0,), (0, 14), (0, 6, 14)]), st.booleans())
def test_maps_never_fall_with_more_passes_and_stay_below_one(image, classes, split):
    before = None
    for passes in (1, 2, 4):
        found = infer(image, classes, preset="intended", passes=passes, split=split).response
        assert found.shape == (len(classes), *image.shape[:2])
        assert found.min() >= 0
        assert found.max() < 1
        assert before is None or (found >= before - 1e-6).all()
        before = found


class Leaning(Stub):
    """A network that treats left and right differently."""

    def __call__(self, batch):
        maps = super().__call__(batch)
        return maps + 0.5 * functional.pad(maps, (1, 0))[..., :-1]


def mirror_gap(image, classes, preset):
    """Largest difference of the map of the mirrored image to the mirrored map.

    The patch is the image, because truncated centres are not symmetric, and no scale is below 1, because the nearest
    neighbour of a mask that shrinks is not.
    """
    views = Views((1.0, 2.0), mask_chain=preset == "official", mask_mirror=preset == "intended")
    found, mirrored = (
        infer(np.ascontiguousarray(picture), classes, preset=preset, forward=Leaning(), views=views, split=False)
        for picture in (image, image[:, ::-1])
    )
    return np.abs(found.response - mirrored.response[:, :, ::-1]).max()


@few
@given(arrays.arrays(np.uint8, (6, 8, 3)), st.sampled_from([(0,), (0, 14), (0, 6, 14)]))
def test_a_mirrored_image_gives_the_mirrored_map(blocks, classes):
    assert mirror_gap(in_blocks(blocks), classes, "intended") < 1e-4


def test_the_official_preset_is_not_symmetric():
    assert mirror_gap(ramp(), [0], "official") > 0.01


def test_images_share_batches_without_changing_each_other():
    rng = np.random.default_rng(0)
    tags = [(1,), (), (1, 15), (1, 7, 15), (7,)]
    items = [(str(k), in_blocks(rng.integers(0, 256, (7 + k, 9, 3))), tag) for k, tag in enumerate(tags)]
    views = Views((1.0, 0.5), inputs=InputRule(16), own_sides=True)
    together = list(Inference(Stub(), InferenceParams(), views)(items))
    one_view = Inference(Stub(), InferenceParams(), views, batch_pixels=1, window_pixels=1)
    for item, found in zip(items, together, strict=True):
        (alone,) = one_view([item])
        assert (found.image_id, found.passes, found.boxes) == (item[0], alone.passes, alone.boxes)
        np.testing.assert_allclose(found.response, alone.response, atol=1e-5)


def test_erasing_by_class_is_the_union_of_single_class_searches():
    image = canvas(64, 64, (4, 27, 4, 27, RED), (36, 59, 36, 59, (0, 255, 0)), (36, 59, 4, 27, (0, 90, 0)))
    both = infer(image, [0, 14], preset="intended", split=False, erase_scope="class").response
    for plane, cls in enumerate((0, 14)):
        alone = infer(image, [cls], preset="intended", split=False).response[0]
        np.testing.assert_allclose(both[plane], alone, atol=1e-6)


def test_switches_off_leave_the_plain_cam():
    found = infer(ramp(), [0], preset="intended", split=False, iterate=False)
    np.testing.assert_array_equal(found.response, found.plain)
