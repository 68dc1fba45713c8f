"""Numbers of the authors' code on a toy CLIP, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from wsss_clip_es import method
from wsss_clip_es.network import ImageTower
from wsss_clip_es.tests.clip_toy import VECTORS, formula_image, formula_state

SIZE = (3, 5)


@pytest.fixture(scope="module")
def tower() -> ImageTower:
    tower = ImageTower(width=128, layers=3, patch=16, grid=4, embedding=16)
    tower.load_state_dict({k[7:]: v for k, v in formula_state().items() if k.startswith("visual.")})
    return tower.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def computed(tower: ImageTower) -> dict[str, Any]:
    """Every step of the method on the image of the vectors."""
    tokens, attention = tower.before_last(formula_image())
    texts = torch.tensor(VECTORS["C2_scores"]["text_2_classes_3_background"])
    raw, scores, last = method.grad_cams(tower, tokens, texts, 2, scale=1.0)
    mean = torch.stack([*(weights[0] for weights in attention), last])[-8:].mean(dim=0)[1:, 1:]
    return {
        "tokens": tokens[0, :, :8],
        "attention_0": attention[0][0],
        "scores": scores,
        "last": last,
        "cams": method.cams(raw, SIZE),
        "mean": mean,
        "affinity": method.transition(mean),
    }


@pytest.mark.parametrize(
    ("step", "group", "name", "tolerance"),
    [
        ("tokens", "C1_image_branch", "tokens_before_last_block_first_8_channels", 2e-6),
        ("attention_0", "C1_image_branch", "attention_of_block_0", 1e-7),
        ("scores", "C2_scores", "softmax", 1e-7),
        ("last", "C2_scores", "attention_of_last_block", 1e-7),
        ("cams", "C3_cams", "gradcam_3x5_of_each_class", 2e-6),
        ("mean", "C3_cams", "attention_mean_of_last_8_layers", 1e-7),
    ],
)
def test_each_step_gives_the_numbers_of_the_authors_code(computed, step, group, name, tolerance):
    np.testing.assert_allclose(computed[step].numpy(), VECTORS[group][name], rtol=0, atol=tolerance)


def test_refined_maps_at_the_size_of_the_image_are_those_of_the_authors_code(computed):
    maps = torch.stack([method.refined(cam, computed["affinity"], 0.4) for cam in computed["cams"]])
    large = method.enlarged(method.unit_range(maps), (45, 77))
    expected = VECTORS["C3_cams"]["refined_at_45x77_rows_0_22_44"]
    # Refined values differ by hundredths of their size, which the scaling to [0, 1] enlarges together with rounding.
    np.testing.assert_allclose(large[:, [0, 22, 44]], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(large.mean(axis=(1, 2)), VECTORS["C3_cams"]["refined_at_45x77_mean"], rtol=0, atol=2e-5)


def test_boxes_affinity_and_scaling_are_those_of_the_authors_code():
    group = VECTORS["C4_affinity"]
    score, attention = np.array(group["score"], np.float32), torch.tensor(group["attention"])
    np.testing.assert_array_equal(method.box_mask(score, 0.4), group["mask"])
    refined = method.refined(torch.from_numpy(score), method.transition(attention), 0.4)
    np.testing.assert_allclose(refined.numpy(), group["refined"], rtol=0, atol=1e-6)
    scaled = method.enlarged(method.unit_range(refined)[None], (8, 9))[0]
    np.testing.assert_allclose(scaled, group["scaled"], rtol=0, atol=1e-4)


def test_the_last_row_and_column_belong_to_no_box_and_a_map_of_zeros_has_none():
    assert method.boxes(np.ones((4, 6), np.float32), 0.4) == [(0, 0, 5, 3)]
    assert method.boxes(np.zeros((4, 6), np.float32), 0.4) == []
    apart = np.zeros((5, 9), np.float32)
    apart[1, 1] = apart[2, 2] = apart[0, 6] = 1  # two cells that touch at a corner are one part
    assert sorted(method.boxes(apart, 0.4)) == [(1, 1, 3, 3), (6, 0, 7, 1)]
    assert not method.refined(torch.zeros(4, 6), torch.ones(24, 24), 0.4).any()


def test_positions_in_full_precision_are_a_choice(tower):
    half, full = (tower.positions(SIZE, half=half) for half in (True, False))
    assert 0 < float((half - full).abs().max()) < 5e-4
    same = tower.positions((4, 4), half=False)
    torch.testing.assert_close(same, tower.positional_embedding)


def test_an_image_of_76_patches_runs_every_block_once(tower):
    tokens, attention = tower.before_last(torch.zeros(1, 3, 4 * 16, 19 * 16))
    assert tokens.shape == (1, 77, 128)
    assert len(attention) == 2


def test_logits_in_place_of_the_softmax_give_other_maps(tower):
    tokens, _ = tower.before_last(formula_image())
    texts = torch.tensor(VECTORS["C2_scores"]["text_2_classes_3_background"])
    logits, scores, _ = method.grad_cams(tower, tokens, texts, 2, scale=1.0, softmax=False)
    embedded = tower.embed(tower.last(tokens)[0])[0]
    torch.testing.assert_close(scores, np.e * (texts @ embedded))
    alone, _, _ = method.grad_cams(tower, tokens, texts[:1], 1, scale=1.0, softmax=False)
    torch.testing.assert_close(logits[:1], alone)  # a logit knows no rival


def test_an_uncertain_pixel_is_ignored_and_the_background_is_what_no_class_claims():
    maps = np.array([[[1.0, 0.2, 0.5]], [[0.0, 0.1, 0.5]]], np.float32)
    scores = method.with_background(maps)
    np.testing.assert_allclose(scores[0, 0], [0, 0.8, 0.5])
    np.testing.assert_allclose(method.with_background(maps, 2.0)[0, 0], [0, 0.64, 0.25])
    marginals = np.array([[[0.01, 0.96, 0.4]], [[0.98, 0.02, 0.3]], [[0.01, 0.02, 0.3]]], np.float32)
    assert method.confident_label(marginals, (0, 3, 7), 0.95).tolist() == [[3, 0, 255]]
    assert method.confident_label(marginals, (0, 3, 7), 0).tolist() == [[3, 0, 0]]


def test_the_authors_crf_sees_a_picture_whose_dark_pixels_wrap():
    image = np.array([[[0, 117, 200]]], np.uint8)
    # BGR minus (104.008, 116.669, 122.675): 95.992, 0.331, -122.675, each cut to a whole number and then to a byte
    assert method.official_crf_image(image).tolist() == [[[95, 0, 256 - 122]]]
