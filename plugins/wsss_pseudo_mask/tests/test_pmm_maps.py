"""CVS and PMG hold the numbers of the released code and what the paper's equations imply."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.maps import DenseCRF
from wsss_pseudo_mask import method
from wsss_pseudo_mask.tests.pmm_vectors import VECTORS, planes

OVERFLOW = VECTORS["P1_cov"]["overflow_of_half_precision"]
NUMPY = "numpy1.26" if np.lib.NumpyVersion(np.__version__) < "2.0.0" else "numpy2.4"


def labels(maps, classes, *, image=None, tau=0.05, strength=0.3):
    smoothed = method.smooth(maps, method.coefficient_of_variation(maps, tau=tau, strength=strength), tau=tau)
    foreground = method.class_marginals(smoothed, image) > 0.5
    return method.proportional_labels(maps, foreground, classes)


def test_the_coefficient_of_variation_equals_the_released_code():
    vector = VECTORS["P1_cov"]
    _, maps = planes(vector["input"])
    found = method.coefficient_of_variation(maps)
    np.testing.assert_allclose(found, list(vector["expected_f64"].values()), atol=1e-9)


def test_in_half_precision_it_equals_the_released_code_under_the_same_numpy():
    vector = VECTORS["P1_cov"]
    _, maps = planes(vector["input"], np.float16)
    found = method.coefficient_of_variation(maps)
    np.testing.assert_allclose(found, list(vector[f"expected_f16_{NUMPY}"].values()), atol=1e-9)


@pytest.mark.parametrize("case", OVERFLOW[f"cases_{NUMPY}"], ids=lambda case: f"{case['rows_at_0.8']}-{case['dtype']}")
def test_large_objects_overflow_in_half_precision_and_nowhere_else(case):
    rows = case["rows_at_0.8"]
    plane = np.zeros((375, 500))
    plane[:rows], plane[rows : rows + 40], plane[rows + 40 : rows + 50] = 0.8, 0.2, 0.01
    plane[0, 0] = 1
    maps = plane[None].astype(case["dtype"])
    np.testing.assert_allclose(method.coefficient_of_variation(maps), float(case["cov"]), atol=1e-9)
    found = labels(maps, (1,), image=np.full((375, 500, 3), 128, np.uint8))
    assert (found > 0).sum() == case["fg_pixels"]


def test_smoothing_background_and_labels_equal_the_released_code():
    vector, expected = VECTORS["P2_cvs_background"], VECTORS["P2_cvs_background"]["expected_f64"]
    classes, maps = planes(vector["input"])
    smoothed = method.smooth(maps, method.coefficient_of_variation(maps))
    np.testing.assert_allclose(smoothed[0], expected["fg"], atol=1e-6)
    np.testing.assert_allclose(method.background(smoothed)[0], expected["bg"], atol=1e-6)
    np.testing.assert_allclose(method.class_marginals(smoothed, None)[0], expected["q_fg"], atol=1e-6)
    np.testing.assert_array_equal(labels(maps, classes), expected["label"])


def test_smoothing_in_half_precision_equals_the_released_code():
    vector, expected = VECTORS["P2_cvs_background"], VECTORS["P2_cvs_background"]["expected_f16"]
    _, maps = planes(vector["input"], np.float16)
    smoothed = method.smooth(maps, np.array([expected["cov"]]))
    assert smoothed.dtype == np.float16
    np.testing.assert_allclose(smoothed[0].astype(float), expected["fg"], atol=1e-6)
    np.testing.assert_allclose(method.background(smoothed)[0].astype(float), expected["bg"], atol=1e-6)
    np.testing.assert_allclose(method.class_marginals(smoothed, None)[0], expected["q_fg"], atol=1e-6)


@pytest.mark.parametrize(("alpha", "key"), [(11, "alpha 11"), (24, "alpha 24")])
def test_foreground_begins_where_score_and_background_are_equal(alpha, key):
    root = VECTORS["P2_cvs_background"]["neutral_thresholds"][key]
    scores = np.array([[[root - 1e-6, root + 1e-6]]])
    np.testing.assert_array_equal(method.class_marginals(scores, None, alpha=alpha) > 0.5, [[[False, True]]])


def test_a_small_object_stands_before_a_larger_raw_score():
    vector = VECTORS["P3_ppg"]
    classes, maps = planes(vector["input"])
    foreground = np.array(vector["expected"]["fg"], bool)
    smoothed = method.smooth(maps, method.coefficient_of_variation(maps))
    np.testing.assert_array_equal(method.class_marginals(smoothed, None) > 0.5, foreground)
    np.testing.assert_allclose(method.proportions(maps, foreground), vector["expected"]["importance"], atol=1e-9)
    np.testing.assert_array_equal(labels(maps, classes), vector["expected"]["label"])


def test_zero_scores_ties_and_no_classes_go_as_in_the_released_code():
    zero, tie = VECTORS["P3_ppg"]["zero_raw_score"], VECTORS["P3_ppg"]["tie"]
    for vector, source in ((zero, zero["input"]), (tie, tie["input_in_this_key_order"])):
        classes, maps = planes(source)
        np.testing.assert_array_equal(
            method.proportional_labels(maps, np.ones(maps.shape, bool), classes), vector["label"]
        )
    nothing = np.zeros((0, 2, 2))
    np.testing.assert_array_equal(labels(nothing, ()), VECTORS["P3_ppg"]["no_classes"]["label"])


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_small_proportions_underflow_only_where_numpy_keeps_half_precision(dtype):
    maps = np.full((1, 300, 300), 0.0009)
    maps[:, :, :134] = 1
    found = method.proportional_labels(maps.astype(dtype), np.ones(maps.shape, bool), (6,))
    expected = VECTORS["P3_ppg"]["half_underflow"][f"expected_{NUMPY}"][dtype]
    assert {"bg": int((found == 0).sum()), "fg": int((found == 6).sum())} == expected


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_masks_with_the_crf_equal_the_released_code(dtype):
    vector = VECTORS["P4_ppg_real_crf"]
    classes, maps = planes(vector["cams"], dtype)
    image, expected = np.array(vector["image_as_read_bgr"], np.uint8), vector[dtype]
    variation = method.coefficient_of_variation(maps)
    if dtype == "float64" or NUMPY == "numpy1.26":
        np.testing.assert_allclose(variation, list(expected["cov"].values()), atol=1e-9)
    marginals = method.class_marginals(method.smooth(maps, variation), image)
    np.testing.assert_allclose(marginals, expected["q_fg"], atol=vector["tol_q"])
    np.testing.assert_array_equal(labels(maps, classes, image=image), expected["label"])


FEW = settings(deadline=None, max_examples=25)
MAPS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(0, 1, width=16, allow_subnormal=False),
)


@FEW
@given(MAPS)
def test_labels_are_background_or_present_classes(maps):
    classes = tuple(range(3, 3 + len(maps)))
    for found in (
        labels(maps, classes),
        method.joint_labels(method.smooth(maps, np.zeros(len(maps))), classes, None, alpha=11),
    ):
        assert found.dtype == np.uint8
        assert set(np.unique(found)) <= {0, *classes}


@FEW
@given(MAPS)
def test_without_smoothing_a_single_class_is_a_fixed_threshold(maps):
    root = VECTORS["P2_cvs_background"]["neutral_thresholds"]["alpha 11"]
    maps = maps[:1]
    clear = abs(maps[0] - root) > 1e-4
    found = labels(maps, (7,), strength=0)
    np.testing.assert_array_equal(found[clear], 7 * (maps[0] > root)[clear])


@FEW
@given(MAPS)
def test_smoothing_never_lowers_an_active_score_and_keeps_its_order(maps):
    smoothed = method.smooth(maps, method.coefficient_of_variation(maps))
    assert (smoothed[maps >= 0.05] >= maps[maps >= 0.05] - 1e-6).all()
    assert (smoothed[maps < 0.05] == 0).all()
    for before, after in zip(maps, smoothed, strict=True):
        order = np.argsort(before, axis=None, kind="stable")
        assert (np.diff(after.ravel()[order]) >= -1e-6).all()


def test_flat_maps_stay_as_they_are_and_peaky_maps_gain_pixels():
    flat = np.full((1, 4, 4), 0.5, np.float32)
    np.testing.assert_array_equal(method.smooth(flat, method.coefficient_of_variation(flat)), flat)
    peak = np.linspace(0, 1, 40, dtype=np.float32).reshape(1, 1, 40) ** 3
    variation = method.coefficient_of_variation(peak)
    assert variation > 0.2
    assert (method.smooth(peak, variation) > 0.1556).sum() > (peak > 0.1556).sum()


@FEW
@given(MAPS, st.floats(0.1, 1))
def test_proportions_hardly_depend_on_the_scale_of_a_class(maps, factor):
    """The 1 in the denominator is all that sets the scale; without it the share would not change at all."""
    own = np.ones(maps.shape, bool)
    maps = np.repeat(np.repeat(maps.astype(np.float64) + 0.05, 20, 1), 20, 2)
    own = np.ones(maps.shape, bool)
    np.testing.assert_allclose(
        method.proportions(maps * factor, own), method.proportions(maps, own), rtol=1 / (0.1 * 0.05 * 400) + 1e-6
    )


def test_thresholded_cams_score_as_in_the_released_evaluation():
    """A class that the truth lacks is left out of the mean."""
    from harness.maps import threshold_labels
    from harness.scoring import score
    from harness.scoring.metrics import iou, miou

    vector = VECTORS["P11_cam_eval"]
    classes, maps = planes(vector["cams"], np.float32)
    mask = threshold_labels(maps, classes, vector["threshold"])
    np.testing.assert_array_equal(mask, vector["pred"])
    found = score([("a", np.array(vector["gt"], np.uint8), mask)], vector["num_cls"])
    expected = [np.nan if value < 0 else value / 100 for value in vector["iou_percent"]]
    np.testing.assert_allclose(iou(found.total()), expected, atol=1e-6)
    assert miou(found.total()) == pytest.approx(vector["mIoU"] / 100, abs=1e-6)


def test_the_statistics_are_those_of_maps_from_0_to_1():
    maps = np.random.default_rng(0).random((2, 12, 15)).astype(np.float64)
    lifted = 0.4 + 0.5 * maps
    np.testing.assert_allclose(
        method.coefficient_of_variation(method.min_max(lifted)),
        method.coefficient_of_variation(method.min_max(maps)),
        rtol=1e-3,
    )
    assert not np.allclose(method.coefficient_of_variation(lifted), method.coefficient_of_variation(maps), rtol=0.1)
    assert method.min_max(np.full((1, 3, 3), 0.7)).max() == 0


def test_the_kernels_of_the_crf_scale_with_the_image():
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    smoothed = np.random.default_rng(2).random((2, 40, 50)).astype(np.float32)
    found = method.class_marginals(smoothed, image, crf_side=500)
    tenth = [replace(kernel, sxy=kernel.sxy / 10) for kernel in method.CLASS_CRF]
    problems = np.clip(np.stack([method.background(smoothed), smoothed], axis=1), 1e-5, 1)
    np.testing.assert_allclose(found, DenseCRF(image, pairwise=tenth).infer_many(problems, 10)[:, 1], atol=1e-6)
    assert np.abs(found - method.class_marginals(smoothed, image)).max() > 0.05
