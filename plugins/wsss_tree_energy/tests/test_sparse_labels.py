"""Points and scribbles as labels, and segmenters that learn from them, on stored features too."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness.common.shipped import configs_folder
from harness.contract import POINTS, SALIENCY, SCRIBBLES, ConfigError, Point, PseudoLabel, SupervisionError
from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings
from harness.modelling.mm import Config, build, enter_scope
from harness.modelling.segmenter import build_config, configure
from harness.testing import fake_context, fake_view
from wsss_tree_energy.generator import Points, Scribbles, discs
from wsss_tree_energy.method import image_level, object_level, point_level
from wsss_tree_energy.network import at_cells, classes_of
from wsss_tree_energy.params import (
    PointMethodParams,
    PointsParams,
    TreeEnergyParams,
    TreeMethodParams,
    WhatsThePointParams,
    point_needs,
    point_rounds,
    tree_rounds,
)
from wsss_tree_energy.segmenter import PartialCrossEntropy, TreeEnergy, WhatsThePoint

CONFIGS = configs_folder() / "segmenters"
SIZE = (40, 48)


@pytest.fixture
def view():
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8) for name in "abcd"}
    scribbles = np.full(SIZE, 255, np.uint8)
    scribbles[4:7, 4:30], scribbles[30:33, 10:40] = 0, 1
    points = (Point(0, 2, 2), Point(2, 20, 30))
    return fake_view(images, points=dict.fromkeys("abcd", points), scribbles=dict.fromkeys("abcd", scribbles))


def context(folder, config="fcn", classes=3):
    optim = OptimSettings(iterations=2, batch_size=4, lr=0.02, head_lr_mult=1.0)
    augment = AugmentSettings(crop=65, colour=0.0)
    segmenter = SegmenterSettings(config=str(CONFIGS / f"{config}.py"), optim=optim, augment=augment)
    settings = {"backbone": BackboneSettings(name="tiny"), "segmenter": segmenter}
    return fake_context(folder, settings=settings, num_classes=classes)


def test_a_point_labels_its_disc_and_two_share_what_lies_between():
    label = discs([Point(1, 4, 3), Point(2, 7, 3), Point(0, 0, 0)], (8, 12), diameter=5)
    assert label[3].tolist() == [255, 255, 1, 1, 1, 1, 2, 2, 2, 2, 255, 255]
    assert label[1, 4] == label[5, 4] == 1
    assert label[5, 2] == 255  # a corner of the square, outside the disc
    assert (label == 0).sum() == 8  # a quarter, at the border of the image
    single = discs([Point(1, 4, 3)], (8, 12), diameter=1)
    assert np.argwhere(single != 255).tolist() == [[3, 4]]


def test_generators_give_what_the_data_set_says_and_read_nothing_else(view):
    (first, *_) = Points(PointsParams()).generate(view, None)
    assert (first.mask == 2).sum() == 9
    (first, *_) = Scribbles(None).generate(view, None)
    assert (first.mask == view.scribbles("a")).all()
    images = {"a": np.zeros((*SIZE, 3), np.uint8)}
    given = {"points": {"a": ()}, "scribbles": {"a": np.full(SIZE, 255, np.uint8)}}
    for generator, other in ((Points(PointsParams()), SCRIBBLES), (Scribbles(None), POINTS)):
        with pytest.raises(SupervisionError):
            next(generator.generate(fake_view(images, needs=[other], **given), None))


@pytest.mark.parametrize("diameter", [0, 2, -3])
def test_a_disc_without_a_middle_is_refused(diameter):
    with pytest.raises(ConfigError, match=f"diameter must be an odd number of at least 1, got {diameter}"):
        PointsParams(diameter=diameter)


def test_rows_hand_their_parameters_to_their_parts():
    (one,) = tree_rounds(TreeMethodParams(labels="points", diameter=5, sigma=0.1, levels="low"))
    assert (one.generator.name, one.generator.params) == ("points", {"diameter": 5})
    assert one.segmenter.params == {"preset": "intended", "weight": 0.4, "sigma": 0.1, "levels": "low"}
    (two,) = point_rounds(PointMethodParams(objectness="dataset"))
    assert two.segmenter.params == {"image_level": True, "objectness": "dataset"}
    assert [need.kind for need in point_needs(WhatsThePointParams(objectness="dataset"))] == ["saliency"]
    with pytest.raises(ConfigError, match="sigma must be positive, got 0"):
        TreeEnergyParams(sigma=0.0)


def batch_of(view, segmenter, ctx, generator=None):
    """A batch of two images as a training gives it; the second hangs over into padding."""
    made = (generator or Scribbles(None)).generate(view, ctx)
    labels = [next(made).mask for _ in range(2)]
    maps = [segmenter.targets("a", PseudoLabel("a", label), view, ctx) for label in labels]
    stacked = np.full((2, 1 + len(segmenter.extra_targets), 65, 65), 255, np.uint8)
    images = np.full((2, 65, 65, 3), (124, 116, 104), np.uint8)
    for row, at in ((0, 10), (1, 25)):
        inside = (slice(at, at + SIZE[0]), slice(17, 17 + SIZE[1]))
        images[row][inside] = view.image("a")
        for plane, values in enumerate([labels[row], *(maps[row][name] for name in segmenter.extra_targets)]):
            stacked[row, plane][inside] = values
    return {
        "inputs": torch.from_numpy(images),
        "labels": torch.from_numpy(stacked),
        "ids": ["a", "b"],
        "extra": segmenter.extra_targets,
    }


def losses_of(view, segmenter, ctx, generator=None):
    enter_scope()
    protocol = build_config(ctx.settings["segmenter"], ctx.settings["backbone"], ctx.num_classes)
    model = build(configure(segmenter, protocol, view, ctx).model)
    data = model.data_preprocessor(batch_of(view, segmenter, ctx, generator), True)
    return model, model.loss(**data), data


@pytest.mark.parametrize(
    ("config", "levels"),
    [("fcn", "high_low"), ("mlp_demo", "low_high"), ("context_stride8", "low"), ("deeplabv2", "low_high")],
)
def test_every_kind_of_head_learns_from_the_trees(view, tmp_path, config, levels):
    model, losses, _ = losses_of(view, TreeEnergy(TreeEnergyParams(levels=levels)), context(tmp_path, config))
    losses["decode.loss_tree"].backward()
    assert losses["decode.loss_tree"] > 0
    assert losses["decode.loss_ce"] > 0
    assert any(parameter.grad.abs().sum() > 0 for parameter in model.decode_head.conv_seg.parameters())
    assert hasattr(model, "embedding") == ("high" in levels)


def test_padding_is_no_unlabelled_pixel_and_what_it_predicts_has_no_say(view, tmp_path):
    model, _, data = losses_of(view, TreeEnergy(TreeEnergyParams(levels="low")), context(tmp_path))
    for official in (False, True):
        model._official = official
        gradients = []
        model.decode_head.loss_by_feat = lambda logits, samples: {}
        seen = model._decoded

        def kept(levels, seen=seen, gradients=gradients):
            logits, features = seen(levels)
            logits = logits.detach().requires_grad_()
            gradients.append(logits)
            return logits, features

        model._decoded = kept
        model.loss(**data)["decode.loss_tree"].backward()
        model._decoded = seen
        (logits,) = gradients
        pulled = logits.grad.abs().sum(1) > 0
        outside = ~at_cells(data["data_samples"][0].inside.data != 255, logits.shape[2:], corners=False)[0]
        assert bool(pulled[0][outside].any()) == official
        assert pulled[0][~outside].any()


def test_cells_take_the_pixel_at_their_place():
    mask = torch.arange(9)[None, :, None].expand(1, 9, 9)
    assert at_cells(mask, (3, 3), corners=True)[0, :, 0].tolist() == [0, 4, 8]
    assert at_cells(mask, (3, 3), corners=False)[0, :, 0].tolist() == [0, 3, 6]
    full = functional.interpolate(mask[:, None].float(), (4, 4))[0, 0, :, 0]
    assert at_cells(mask, (4, 4), corners=False)[0, :, 0].tolist() == full.tolist()


def test_the_terms_of_whats_the_point_are_those_of_the_paper():
    scores = torch.tensor([[0.7, 0.2], [0.2, 0.5], [0.1, 0.3]]).view(1, 3, 1, 2)
    inside = torch.ones(1, 1, 2, dtype=torch.bool)
    has, lacks = torch.tensor([[True, True, False]]), torch.tensor([[False, False, True]])
    expected = -(math.log(0.7) + math.log(0.5)) / 2 - math.log(1 - 0.3)
    assert image_level(scores, has, lacks, inside).item() == pytest.approx(expected)
    left = torch.tensor([[[True, False]]])
    assert image_level(scores, has, lacks, left).item() == pytest.approx(
        -(math.log(0.7) + math.log(0.2)) / 2 - math.log(1 - 0.1)
    )
    nothing = torch.zeros_like(has)
    assert image_level(scores, nothing, nothing, inside).item() == 0
    labels = torch.tensor([[[255, 1]]])
    assert point_level(scores.log(), labels).item() == pytest.approx(-math.log(0.5))
    assert point_level(scores.log(), torch.full_like(labels, 255)).item() == 0
    prior = torch.tensor([[[0.25, 1.0]]])
    expected = -(0.25 * math.log(0.3) + 0.75 * math.log(0.7) + math.log(0.8)) / 2
    assert object_level(scores, prior, inside).item() == pytest.approx(expected)


def test_classes_of_an_image_travel_with_every_crop_of_it(view, tmp_path):
    segmenter, ctx = WhatsThePoint(WhatsThePointParams()), context(tmp_path, classes=21)
    segmenter.configure(build_config(ctx.settings["segmenter"], ctx.settings["backbone"], 21), view, ctx)
    label = np.full(SIZE, 255, np.uint8)
    label[0, :4] = 0, 6, 7, 20
    maps = segmenter.targets("a", PseudoLabel("a", label), view, ctx)
    assert list(maps) == list(segmenter.extra_targets) == ["classes0", "classes1", "classes2"]
    crop = {name: torch.from_numpy(np.pad(each[-5:, -5:], 2, constant_values=255))[None] for name, each in maps.items()}
    assert classes_of(crop, 21)[0].nonzero().flatten().tolist() == [0, 6, 7, 20]


def test_whats_the_point_learns_from_points_classes_and_objects(view, tmp_path):
    segmenter = WhatsThePoint(WhatsThePointParams())
    _, losses, _ = losses_of(view, segmenter, context(tmp_path), Points(PointsParams()))
    assert sorted(losses) == ["decode.loss_image", "decode.loss_points"]
    segmenter = WhatsThePoint(WhatsThePointParams(image_level=False, objectness="dataset"))
    images, points = {"a": view.image("a"), "b": view.image("b")}, dict.fromkeys("ab", view.points("a"))
    salient = fake_view(images, points=points, saliency=dict.fromkeys("ab", np.full(SIZE, 0.5, np.float32)))
    _, losses, _ = losses_of(salient, segmenter, context(tmp_path), Points(PointsParams()))
    assert sorted(losses) == ["decode.loss_object", "decode.loss_points"]
    sum(losses.values()).backward()
    bare = fake_view(images, needs=[POINTS, SALIENCY], points=points)
    with pytest.raises(ConfigError, match="set objectness: off or minimum_barrier"):
        segmenter.targets("a", PseudoLabel("a", np.zeros(SIZE, np.uint8)), bare, context(tmp_path))


def test_partial_cross_entropy_is_the_mean_over_labelled_pixels_whatever_the_head_says():
    for given in ({}, {"loss_decode": [{"type": "CrossEntropyLoss", "avg_non_ignore": False}, {"type": "DiceLoss"}]}):
        cfg = PartialCrossEntropy(None).configure(Config({"model": {"decode_head": given}}), None, None)
        losses = cfg.model.decode_head.loss_decode
        first = losses[0] if isinstance(losses, list) else losses
        assert first.avg_non_ignore
    dice = Config({"model": {"decode_head": {"loss_decode": {"type": "DiceLoss"}}}})
    with pytest.raises(ConfigError, match="has no softmax CrossEntropyLoss: DiceLoss"):
        PartialCrossEntropy(None).configure(dice, None, None)


@pytest.mark.parametrize("segmenter", [TreeEnergy(TreeEnergyParams()), WhatsThePoint(WhatsThePointParams())])
def test_another_model_than_an_encoder_decoder_is_refused(segmenter):
    cfg = Config({"model": {"type": "CascadeEncoderDecoder", "decode_head": {}}})
    with pytest.raises(ConfigError, match="must be EncoderDecoder, got CascadeEncoderDecoder"):
        segmenter.configure(cfg, None, SimpleNamespace(num_classes=3))
