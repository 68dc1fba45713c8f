"""Reference rows of two kinds of supervision, and those whose CAMs are refined."""

import numpy as np
import pytest

from harness.contract import BOXES, MINIMUM_BARRIER, TAGS, Box, ConfigError, DataError, SoftScores, masks
from harness.maps import ScoreWriter
from harness.registry import build_params, component_needs, manager, method_rounds
from harness.testing import fake_context, fake_view
from wsss_baselines.generator import BoxGrabCut, BoxGrabCutPixels, SaliencyTags
from wsss_baselines.method import salient_classes
from wsss_baselines.params import GrabCutParams, GrabCutPixelsParams, SaliencyTagsParams

SIDE = 32


def picture(seed=0):
    image = np.random.default_rng(seed).integers(60, 90, (SIDE, SIDE, 3)).astype(np.uint8)
    image[8:24, 8:24] = (220, 30, 30)
    return image


def needs_of(method, **params):
    """What the components of a registered method declare together."""
    plugins = manager()
    record = plugins.get("method", method)
    (only,) = method_rounds(record, build_params(record, params, where="test"))
    parts = (("generator", only.generator), ("segmenter", only.segmenter))
    needs = []
    for kind, use in parts:
        component = plugins.get(kind, use.name)
        needs += component_needs(component, build_params(component, use.params, where="test"))
    return needs


@pytest.mark.parametrize("fraction", [None, 0.3])
def test_every_row_with_some_masks_has_the_masks_of_the_same_images(fraction):
    given = {} if fraction is None else {"fraction": fraction}
    images = {f"image-{n}": picture() for n in range(50)}
    truth = {image_id: np.full((SIDE, SIDE), 1 + n % 2, np.uint8) for n, image_id in enumerate(images)}
    annotations = {"masks": truth, "boxes": {image_id: [] for image_id in images}}
    chosen = {
        method: fake_view(images, needs=needs_of(method, **given), **annotations).mask_ids
        for method in ("box_grabcut_pixels", "pixel_subset", "label_uncertainty")
    }
    assert len(set(chosen.values())) == 1
    assert len(chosen["box_grabcut_pixels"]) == round(50 * (fraction or 0.18))


def test_grabcut_stands_in_for_the_masks_that_are_not_given(tmp_path):
    images = {f"image-{n}": picture(n) for n in range(8)}
    truth = {image_id: np.full((SIDE, SIDE), 2, np.uint8) for image_id in images}
    boxes = {image_id: [Box(1, 4, 4, 28, 28)] for image_id in images}
    view = fake_view(images, needs=[BOXES, masks(0.25)], masks=truth, boxes=boxes)
    mixed = {label.image_id: label.mask for label in BoxGrabCutPixels(GrabCutPixelsParams()).generate(view, None)}
    cut = {label.image_id: label.mask for label in BoxGrabCut(GrabCutParams()).generate(view, None)}
    assert 0 < len(view.mask_ids) < 8
    for image_id in images:
        expected = truth[image_id] if image_id in view.mask_ids else cut[image_id]
        np.testing.assert_array_equal(mixed[image_id], expected)


def test_a_salient_pixel_takes_the_class_with_the_highest_map_and_a_tie_the_first():
    salient = np.array([[True, True, True, False]])
    maps = np.array([[[0.2, 0.9, 0.5, 0.9]], [[0.8, 0.1, 0.5, 0.1]]], np.float32)
    np.testing.assert_array_equal(salient_classes(salient, maps, (3, 7)), [[7, 3, 3, 0]])


def cams_of(folder, tags):
    """CAMs on a grid of two columns: the first class wins on the left, the second on the right."""
    with ScoreWriter(folder) as writer:
        for image_id, classes in tags.items():
            values = np.array([[[0.9, 0.1]], [[0.1, 0.9]]], np.float16)[: len(classes)]
            writer.write(image_id, SoftScores(classes, values, (SIDE, SIDE)))
    return folder


def test_one_tag_names_all_that_is_salient_and_cams_tell_several_apart(tmp_path):
    tags = {"one": (2,), "two": (1, 2), "none": ()}
    saliency = np.zeros((SIDE, SIDE), np.float32)
    saliency[8:24] = 0.9
    view = fake_view(dict.fromkeys(tags, picture()), tags=tags, saliency=dict.fromkeys(tags, saliency))
    ctx = fake_context(tmp_path, inputs={"cams": cams_of(tmp_path / "cams", {"one": (2,), "two": (1, 2)})})
    found = {label.image_id: label.mask for label in SaliencyTags(SaliencyTagsParams()).generate(view, ctx)}
    np.testing.assert_array_equal(found["one"], np.where(saliency > 0.5, 2, 0))
    halves = np.where(np.arange(SIDE) < SIDE // 2, 1, 2)
    np.testing.assert_array_equal(found["two"], np.where(saliency > 0.5, halves, 0))
    assert not found["none"].any()


def test_saliency_made_from_the_image_needs_tags_alone(tmp_path):
    params = SaliencyTagsParams(saliency="minimum_barrier")
    assert needs_of("saliency_tags", saliency="minimum_barrier") == [TAGS]
    made = tmp_path / "made"
    with ScoreWriter(made) as writer:
        writer.write("a", SoftScores((1,), np.array([[[0.9, 0.1]]], np.float16), (SIDE, SIDE)))
    inputs = {"cams": cams_of(tmp_path / "cams", {"a": (2,)}), MINIMUM_BARRIER.name: made}
    view = fake_view({"a": picture()}, tags={"a": (2,)})
    (label,) = SaliencyTags(params).generate(view, fake_context(tmp_path, inputs=inputs))
    assert (label.mask[:, : SIDE // 4] == 2).all()
    assert not label.mask[:, -SIDE // 4 :].any()


def test_tags_without_cams_are_an_error_that_names_the_image(tmp_path):
    view = fake_view({"a": picture()}, tags={"a": (2,)}, saliency={"a": np.ones((SIDE, SIDE), np.float32)})
    ctx = fake_context(tmp_path, inputs={"cams": cams_of(tmp_path / "cams", {"b": (2,)})})
    with pytest.raises(DataError, match="image 'a' has tags, but no CAMs"):
        list(SaliencyTags(SaliencyTagsParams()).generate(view, ctx))
    with pytest.raises(ConfigError, match="theta"):
        SaliencyTagsParams(theta=1.0)


@pytest.mark.parametrize(("name", "refiner"), [("cam_crf", "dense_crf"), ("cam_walk", "affinity_walk")])
def test_a_refined_row_is_the_row_cam_behind_one_refiner_with_the_background_score_of_the_protocol(name, refiner):
    plugins = manager()
    record = plugins.get("method", name)
    (only,) = method_rounds(record, build_params(record, {}, where="test"))
    (plain,) = method_rounds(plugins.get("method", "cam"), build_params(plugins.get("method", "cam"), {}, where="test"))
    assert only.generator.name == plain.generator.name
    assert [use.name for use in only.refiners] == [refiner]
    params = build_params(plugins.get("refiner", refiner), only.refiners[0].params, where="test")
    assert params.alpha is None
    assert record.reference
