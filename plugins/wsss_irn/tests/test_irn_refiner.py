"""The refiner: seeds, training, walk, on both kinds of protocol."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import wsss_irn
from harness.contract import CLASSIFIER, ConfigError, DataError, PseudoLabel, SoftScores
from harness.contract.protocol import (
    AugmentSettings,
    BackboneSettings,
    CamSettings,
    ClassifierSettings,
    FreezeSettings,
    OptimSettings,
)
from harness.maps import threshold_labels, upsample
from harness.modelling import build_classifier, save_classifier
from harness.testing import fake_context, fake_view
from wsss_irn.network import IrnNetwork, build_network, chosen_taps
from wsss_irn.params import IrnParams, shifted, uses
from wsss_irn.refiner import Irn, Seeds, boundary_map

SIZE = (49, 65)
RECT = {"a": ((8, 40, 6, 30),), "b": ((8, 40, 6, 30), (20, 44, 40, 60)), "c": ()}
COLOURS = ((200, 40, 40), (40, 40, 220))
TAGS = {"a": (1,), "b": (1, 2), "c": ()}
SETTINGS = {
    "cam": CamSettings(threshold=0.4),
    "backbone": BackboneSettings(name="tiny"),
    "classifier": ClassifierSettings(
        optim=OptimSettings(iterations=5, batch_size=2), augment=AugmentSettings(crop=49, scale=(0.8, 1.2))
    ),
}
QUICK = IrnParams(radius=4, walk_radius=3, steps=8, crf=False)


def picture(name):
    image = np.random.default_rng(ord(name)).integers(80, 110, (*SIZE, 3)).astype(np.uint8)
    for (top, bottom, left, right), colour in zip(RECT[name], COLOURS, strict=False):
        image[top:bottom, left:right] = colour
    return image


VIEW = fake_view({name: picture(name) for name in TAGS}, tags=TAGS)


def scores(name):
    """A blob in the middle of each rectangle, float16 at stride 4."""
    y, x = np.mgrid[: SIZE[0] : 4, : SIZE[1] : 4]
    blobs = [
        np.exp(-(((y - (top + bottom) / 2) / 20) ** 2) - ((x - (left + right) / 2) / 15) ** 2)
        for top, bottom, left, right in RECT[name]
    ]
    return SoftScores(TAGS[name], np.array(blobs, np.float16).reshape(-1, *y.shape), SIZE)


def given(name):
    found = scores(name)
    return PseudoLabel(name, threshold_labels(upsample(found), found.classes, 0.4), found)


LABELS = [given(name) for name in TAGS]


def context(folder, settings=SETTINGS, **inputs):
    return fake_context(folder, settings=settings, inputs=inputs)


def refined(folder, params=QUICK, labels=LABELS, **more):
    made = context(folder / "fit", **more)
    Irn(params).fit(labels, VIEW, made)
    ctx = context(folder / "refine", **more)
    ctx.inputs = {**ctx.inputs, "fit": made.out}
    return made, {label.image_id: label for label in Irn(params).refine(labels, VIEW, ctx)}


@pytest.mark.parametrize(
    "params", [replace(QUICK, preset="official", crf=True, displacement=True), replace(QUICK, taps=(-1, 1))]
)
def test_every_label_has_the_size_of_its_image_and_its_own_classes(tmp_path, params):
    _, found = refined(tmp_path, params)
    assert list(found) == list(TAGS)
    for name, label in found.items():
        assert (label.mask.shape, label.mask.dtype) == (SIZE, np.uint8)
        assert set(np.unique(label.mask)) <= {0, *TAGS[name]}
        assert label.scores.classes == TAGS[name]
    assert found["a"].scores.values.max() == pytest.approx(1, abs=0.05)
    assert not found["c"].mask.any()


def test_seeds_are_the_objects_where_scores_are_high_and_the_rest_where_they_are_low(tmp_path):
    seeds = Seeds(replace(QUICK, foreground=0.8, background=0.2), VIEW, context(tmp_path))
    for label in LABELS:
        seeds.add(label)
    seed, planes = seeds.read("b"), upsample(scores("b"))
    assert (seed[planes[0] > 0.8] == 1).all()
    assert (seed[planes[1] > 0.8] == 2).all()
    assert (seed[planes.max(0) < 0.2] == 0).all()
    assert (seed[(planes.max(0) > 0.2) & (planes.max(0) < 0.8)] == 255).all()
    assert not seeds.read("c").any()


def test_behind_a_dense_crf_seeds_follow_the_image(tmp_path):
    inside = np.zeros(SIZE, bool)
    inside[8:40, 6:30] = True
    found = []
    for number, crf in enumerate(({"crf": False}, {"crf": True}, {"crf": True, "crf_side": 40})):
        seeds = Seeds(replace(QUICK, **crf), VIEW, context(tmp_path / str(number)))
        seeds.add(LABELS[0])
        found.append(seeds.read("a") == 1)
    thresholded, *both = found
    for snapped in both:
        assert not (snapped & ~inside).any()
        assert snapped.sum() > 1.1 * thresholded.sum()


def test_seeds_that_are_there_are_not_made_again_and_a_half_written_one_is_not_there(tmp_path):
    ctx = context(tmp_path)
    first = Seeds(replace(QUICK, foreground=0.9), VIEW, ctx)
    first.add(LABELS[0])
    (ctx.work / "seeds" / "1.7.part").write_bytes(b"half")
    again = Seeds(QUICK, VIEW, ctx)
    for label in LABELS[:2]:
        again.add(label)
    np.testing.assert_array_equal(first.read("a"), again.read("a"))
    assert again.read("b").shape == SIZE


def branch(folder):
    state = torch.load(folder / "branches.pth")
    return {name: value for name, value in state.items() if name.startswith("boundary.")}


def test_the_displacement_branch_learns_and_changes_neither_boundaries_nor_labels(tmp_path):
    (alone, one), (both, two) = (
        refined(tmp_path / str(switch), replace(QUICK, displacement=switch)) for switch in (False, True)
    )
    first, second = branch(alone.out), branch(both.out)
    assert all(torch.equal(first[name], second[name]) for name in first)
    state = torch.load(both.out / "branches.pth")
    initial = build_network(replace(QUICK, displacement=True), context(tmp_path / "initial")).state_dict()
    moved = [name for name in state if name.startswith("displacement.") and not torch.equal(state[name], initial[name])]
    assert len(moved) == sum(name.startswith("displacement.") for name in state)
    for name in TAGS:
        np.testing.assert_array_equal(one[name].mask, two[name].mask)


def test_the_backbone_stays_as_it_is_while_the_branches_learn(tmp_path):
    network = build_network(QUICK, context(tmp_path))
    network.train()
    assert not any(part.training for part in network.backbone.modules())
    assert not any(parameter.requires_grad for parameter in network.backbone.parameters())
    made, _ = refined(tmp_path)
    initial = network.state_dict()
    assert all(not torch.equal(value, initial[name]) for name, value in branch(made.out).items())
    assert not any(name.startswith("backbone.") for name in torch.load(made.out / "branches.pth"))


def test_a_frozen_backbone_is_read_from_its_stored_features(tmp_path, monkeypatch):
    """In training it computes nothing, and the branches become those of a backbone that computes."""
    from harness.modelling.feature_stage import compute_features
    from harness.modelling.frozen import FrozenBackbone

    body = build_classifier(context(tmp_path / "body"))
    torch.save(body.backbone.state_dict(), tmp_path / "tiny.pth")
    augment = SETTINGS["classifier"].augment
    settings = {
        **SETTINGS,
        "backbone": BackboneSettings(name="tiny", weights=str(tmp_path / "tiny.pth")),
        "freeze": FreezeSettings(views=2, augment=augment, output_stride=16),
    }
    features = context(tmp_path / "features", settings)
    compute_features({}, VIEW, features)
    computed = []
    plain = FrozenBackbone._compute
    monkeypatch.setattr(FrozenBackbone, "_compute", lambda self, x: computed.append(len(x)) or plain(self, x))
    made = context(tmp_path / "fit", settings, features=features.out)
    Irn(QUICK).fit(LABELS, VIEW, made)
    assert computed == []
    every = context(tmp_path / "every", settings, features=features.out)
    assert chosen_taps(QUICK, every, 4) == (1, 2, 3)
    Irn(replace(QUICK, taps=(0, 1, 2, 3))).fit(LABELS, VIEW, every)
    assert len(computed) == 3  # level 0 is not stored


def test_the_walk_spreads_scores_up_to_boundaries(tmp_path, monkeypatch):
    """With the true edges as boundaries, a score in a part of the rectangle fills it and nothing else."""
    edges = np.ones(SIZE, bool)
    edges[9:39, 7:29] = False
    edges[:7], edges[41:], edges[:, :5], edges[:, 31:] = False, False, False, False

    def truth(self, images):
        return torch.from_numpy(edges[None, ::2, ::2]).float()

    monkeypatch.setattr(IrnNetwork, "boundaries", truth)
    _, found = refined(tmp_path, replace(QUICK, steps=256, threshold=0.3))
    mask = found["a"].mask
    assert (mask[12:36, 10:26] == 1).all()
    assert not mask[:, 34:].any()


def test_scores_are_needed_where_there_are_objects(tmp_path):
    bare = PseudoLabel("a", np.ones(SIZE, np.uint8))
    with pytest.raises(DataError, match="irn: the label of image 'a' carries no soft scores; put irn behind"):
        Irn(QUICK).fit([bare], VIEW, context(tmp_path))
    empty = PseudoLabel("a", np.zeros(SIZE, np.uint8))
    _, found = refined(tmp_path, labels=[empty, *LABELS[1:]])
    assert not found["a"].mask.any()


def test_a_stored_background_plane_is_left_out(tmp_path):
    planes = np.concatenate([np.ones_like(scores("a").values), scores("a").values])
    with_background = PseudoLabel("a", LABELS[0].mask, SoftScores((0, 1), planes, SIZE))
    made, found = refined(tmp_path)
    ctx = context(tmp_path / "again", fit=made.out)
    (again,) = Irn(QUICK).refine([with_background], VIEW, ctx)
    np.testing.assert_array_equal(again.mask, found["a"].mask)


def test_the_branches_may_stand_on_the_trained_classifier(tmp_path):
    classifier = context(tmp_path / "classifier")
    save_classifier(build_classifier(classifier).state_dict(), classifier)
    params = replace(QUICK, features="classifier")
    assert (uses(params), uses(QUICK)) == ((CLASSIFIER,), ())
    _, found = refined(tmp_path, params, classifier=classifier.out)
    assert sorted(found) == sorted(TAGS)


def test_the_preset_official_repeats_the_slip_of_the_optimiser_and_the_papers_scores():
    intended, official = IrnParams(), IrnParams(preset="official")
    assert (intended.sgd_momentum, official.sgd_momentum) == (0.9, 1e-4)
    assert (official.seeds(0.4), official.walked_background(0.4)) == ((0.30, 0.05), 0.25)
    assert intended.seeds(0.15) == pytest.approx((0.30, 0.05))
    assert intended.walked_background(0.15) == pytest.approx(0.25)
    assert intended.seeds(0.4)[0] > 0.4 > intended.seeds(0.4)[1]
    assert shifted(0.15, 0.37) == pytest.approx(0.37)
    assert IrnParams(preset="official", momentum=0.5, threshold=0.3).sgd_momentum == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"foreground": 1.0},
        {"background": 0.0},
        {"threshold": 1.5},
        {"foreground": 0.2, "background": 0.4},
        {"radius": 1},
        {"radius": 10**12},
        {"walk_radius": 0},
        {"walk_radius": 101},
        {"schedule": 0.0},
        {"lr": -1.0},
        {"beta": 0.0},
        {"momentum": 1.0},
        {"steps": -1},
        {"side": 8},
        {"crf_side": 8},
        {"taps": ()},
        {"taps": (1, 1)},
    ],
)
def test_impossible_parameters_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        IrnParams(**wrong)


def test_a_level_that_the_backbone_lacks_is_named(tmp_path):
    with pytest.raises(ConfigError, match="irn: taps: the backbone has 4 levels, no level 4"):
        build_network(replace(QUICK, taps=(0, 4)), context(tmp_path))


def test_the_method_hands_its_parameters_on():
    (record,) = wsss_irn.wsss_methods()
    (only,) = record.rounds(IrnParams(beta=4.0))
    assert (only.generator.name, only.refiners[0].name, only.segmenter.name) == ("cam", "irn", "plain")
    assert only.refiners[0].params["beta"] == 4.0
    (refiner,) = wsss_irn.wsss_refiners()
    assert (refiner.fits, refiner.random) == (True, False)


def test_boundaries_are_learned_where_seeds_change(tmp_path):
    """The rectangle covers the cells 2 to 10 by 1.5 to 7.5 of a map at stride 4."""
    planes = (np.array(picture("a"))[..., 0] == 200).astype(np.float16)[None]
    sure = PseudoLabel("a", planes[0].astype(np.uint8), SoftScores((1,), planes, SIZE))
    optim = OptimSettings(iterations=60, batch_size=2)
    settings = {**SETTINGS, "classifier": SETTINGS["classifier"].model_copy(update={"optim": optim})}
    params = replace(QUICK, taps=(0, 1), schedule=1.0)
    made = context(tmp_path, settings)
    network = build_network(params, made)
    Irn(params).fit([sure, replace(sure, image_id="b"), LABELS[2]], VIEW, made)
    network.load_state_dict(torch.load(made.out / "branches.pth"), strict=False)
    network.eval()
    with torch.inference_mode():
        found = boundary_map(network, VIEW.image("a"), None)[0].numpy()
    inside, around = np.zeros((2, *found.shape), bool)
    inside[5:12, 3:7] = True
    around[1:15, 1:9] = True
    around[3:13, 2:8] = False
    assert found[around].mean() > found[inside].mean() + 0.3
