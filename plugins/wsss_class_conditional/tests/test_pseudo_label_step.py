"""From maps to labels, and the parameters of the records: presets, supervision letters, refusals."""

import numpy as np
import pytest
import yaml

from harness.common.shipped import configs_folder
from harness.contract import CLASSIFIER, MINIMUM_BARRIER, SALIENCY, ConfigError, InputRule, SoftScores, letters
from harness.registry import PluginSpec, build_params, manager_from_spec
from harness.testing import fake_view
from wsss_class_conditional.generator import ClassConditional, confident_labels, views_of
from wsss_class_conditional.params import InferenceParams, MethodParams

MANAGER = manager_from_spec(PluginSpec(env=""))
THRESHOLD, SCALES = 0.25, (0.5, 1.0, 1.5)


def picture():
    image = np.full((40, 40, 3), 60, np.uint8)
    image[10:30, 10:30] = (220, 40, 40)
    return image


VIEW = fake_view({"a": picture()})


def scores():
    """0.9 on the object, 0.35 on a rim around it, 0.02 elsewhere."""
    values = np.full((1, 40, 40), 0.02, np.float16)
    values[0, 8:32, 8:32], values[0, 10:30, 10:30] = 0.35, 0.9
    return SoftScores((3,), values, (40, 40))


@pytest.mark.parametrize(
    ("params", "area"),
    [({}, 576), ({"threshold": 0.5}, 400), ({"labels": "power", "a_low": 1.0}, 400), ({"labels": "power"}, 576)],
)
def test_labels_follow_the_background_rule(params, area):
    label = ClassConditional(InferenceParams(**params)).label(scores(), VIEW, "a", threshold=THRESHOLD)
    assert int((label == 3).sum()) == area
    assert set(np.unique(label)) == {0, 3}


def test_an_image_without_tags_is_background():
    none = SoftScores((), np.zeros((0, 4, 4), np.float16), (40, 40))
    assert not ClassConditional(InferenceParams()).label(none, VIEW, "a", threshold=THRESHOLD).any()


def test_confident_labels_leave_open_what_the_two_crfs_disagree_on():
    maps = scores().values.astype(np.float32)
    label = confident_labels(picture(), maps, (3,), exponents=(4.0, 32.0))
    assert (label[12:28, 12:28] == 3).all()
    assert set(np.unique(label)) <= {0, 3, 255}
    ambiguous = np.full((1, 40, 40), 0.1, np.float32)  # (1 - 0.1)^4 > 0.1 > (1 - 0.1)^32
    assert (confident_labels(picture(), ambiguous, (3,), exponents=(4.0, 32.0)) == 255).all()


@pytest.mark.parametrize(
    ("switches", "side"), [({}, 500), ({"lengths": "pixels"}, None), ({"preset": "official"}, None)]
)
def test_the_two_crfs_are_told_for_which_images_their_kernels_are_meant(monkeypatch, switches, side):
    asked = []
    monkeypatch.setattr(
        "wsss_class_conditional.generator.kernels_for",
        lambda size, pairwise, reference: asked.append((size, reference)) or pairwise,
    )
    ClassConditional(InferenceParams(labels="confident", **switches)).label(scores(), VIEW, "a", threshold=THRESHOLD)
    assert asked == [((40, 40), side)]


def test_presets_choose_what_was_left_open_and_only_that():
    intended, official = (
        views_of(InferenceParams(preset=name), SCALES, InputRule(), flip=True) for name in ("intended", "official")
    )
    assert (intended.scales, intended.own_sides) == (SCALES, True)
    assert (intended.mask_chain, intended.mask_mirror) == (False, True)
    assert (official.scales, official.own_sides) == ((1.0, 0.5, 1.5, 2.0), False)
    assert (official.mask_chain, official.mask_mirror) == (True, False)
    mixed = InferenceParams(preset="official", mask_mirror="fixed", scales=(1.0,))
    mixed = views_of(mixed, SCALES, InputRule(), flip=True)
    assert (mixed.mask_chain, mixed.mask_mirror, mixed.scales) == (True, True, (1.0,))
    assert MethodParams().segmenter()["amr"] == "on"
    assert MethodParams(preset="official").segmenter()["amr"] == "off"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "I+S"),
        ({"amr": "plain_saliency"}, "I+S"),
        ({"saliency": "minimum_barrier"}, "I"),
        ({"amr": "off"}, "I"),
        ({"preset": "official"}, "I"),
    ],
)
def test_supervision_letters_follow_the_source_of_saliency(params, expected):
    record = MANAGER.get("method", "class_conditional")
    (round_,) = record.rounds(build_params(record, params, where="test"))
    segmenter = MANAGER.get("segmenter", round_.segmenter.name)
    chosen = build_params(segmenter, round_.segmenter.params, where="test")
    assert letters((*CLASSIFIER.needs, *segmenter.needs(chosen), *MINIMUM_BARRIER.needs)) == expected
    assert (SALIENCY in segmenter.needs(chosen)) == ("S" in expected)
    assert (MINIMUM_BARRIER in segmenter.uses(chosen)) == (params.get("saliency") == "minimum_barrier")


WRONG = {
    "generator": (
        {"passes": 0},
        {"buffer": [0, 20]},
        {"scales": []},
        {"stop": 0.0},
        {"threshold": 1.0},
        {"a_low": 40.0},
    ),
    "segmenter": ({"rank": 1.0}, {"weight": -1.0}, {"saliency": "no"}),
}
NAMES = {"generator": "class_conditional", "segmenter": "activation_aware"}


@pytest.mark.parametrize(("kind", "params"), [(kind, params) for kind, wrong in WRONG.items() for params in wrong])
def test_impossible_parameters_are_refused(kind, params):
    with pytest.raises(ConfigError, match=next(iter(params))):
        build_params(MANAGER.get(kind, NAMES[kind]), params, where="test")


def test_every_row_that_a_claim_names_is_in_the_ablation_benchmark():
    path = configs_folder() / "benchmarks/ablation_class_conditional.yaml"
    rows = {row if isinstance(row, str) else row["name"] for row in yaml.safe_load(path.read_text())["methods"]}
    claims = MANAGER.get("method", "class_conditional").card.claims
    assert {name for claim in claims for name in (claim.left, claim.right)} <= rows
