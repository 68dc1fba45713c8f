from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from harness.common.shipped import configs_folder
from harness.contract import BOXES, Box, ConfigError, PseudoLabel
from harness.contract import masks as some_masks
from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings
from harness.contract.protocol import TestSettings as Settings
from harness.modelling import load_segmenter, predict
from harness.modelling.segmenter import build_config, configure, initial_model
from harness.modelling.tasks import train_segmenter
from harness.testing import fake_context, fake_view
from wsss_label_uncertainty.boxes import fill_ratios, paint
from wsss_label_uncertainty.diagnosis import label_error_auc, moments
from wsss_label_uncertainty.generator import BoxAndPixels
from wsss_label_uncertainty.network import TwoStreams, uncertain
from wsss_label_uncertainty.params import LabelUncertaintyParams, MethodParams
from wsss_label_uncertainty.segmenter import LabelUncertainty, masked

CONFIGS = configs_folder() / "segmenters"
SIZE = (40, 48)


def discs(*needs):
    """Ten images of a disc (class 1 or 2) in a tight box; a fifth of the masks are those of frames 0 and 5."""
    images, masks, boxes = {}, {}, {}
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: SIZE[0], : SIZE[1]]
    for k in range(10):
        cls, cy, cx = 1 + k % 2, rng.integers(12, 28), rng.integers(12, 36)
        mask = np.where((y - cy) ** 2 + (x - cx) ** 2 <= 81, cls, 0).astype(np.uint8)
        image = rng.integers(90, 140, (*SIZE, 3), dtype=np.uint8)
        image[mask > 0, cls] = 250
        images[f"frame {k}"], masks[f"frame {k}"] = image, mask
        boxes[f"frame {k}"] = (Box(cls, cx - 9, cy - 9, cx + 10, cy + 10),)
    return fake_view(images, needs=needs, boxes=boxes, masks=masks)


@pytest.fixture
def view():
    return discs(BOXES, some_masks(0.2))


@pytest.fixture
def context(tmp_path):
    def make(name="train", config="fcn", iterations=6):
        optim = OptimSettings(iterations=iterations, batch_size=4, lr=0.02, head_lr_mult=1.0)
        segmenter = SegmenterSettings(
            config=str(CONFIGS / f"{config}.py"), optim=optim, augment=AugmentSettings(crop=32, colour=0.0)
        )
        settings = {"backbone": BackboneSettings(name="tiny"), "segmenter": segmenter}
        return fake_context(tmp_path / name, settings=settings)

    return make


def labels_of(view, **params):
    made = {label.image_id: label for label in BoxAndPixels(MethodParams(**params)).generate(view, None)}
    return SimpleNamespace(label=made.__getitem__)


def configured(view, ctx, **params):
    protocol = build_config(ctx.settings["segmenter"], ctx.settings["backbone"], ctx.num_classes)
    return protocol, configure(LabelUncertainty(LabelUncertaintyParams(**params)), protocol, view, ctx)


def test_masks_where_declared_and_boxes_elsewhere(view):
    labels = labels_of(view)
    for image_id in view.ids:
        (box,) = view.boxes(image_id)
        mask = labels.label(image_id).mask
        if image_id in view.mask_ids:
            assert np.array_equal(mask, view.mask(image_id))
        else:
            assert (mask[box.y0 : box.y1, box.x0 : box.x1] == box.cls).all()
            assert (mask > 0).sum() == box.area


def test_a_band_around_boxes_or_their_interior_can_be_ignored(view):
    image_id = view.ids[4]
    (box,) = view.boxes(image_id)
    band = labels_of(view, shrink_certain=2).label(image_id).mask
    assert (band == 255).sum() == (box.x1 - box.x0 + 4) * (box.y1 - box.y0 + 4) - box.area
    inside = labels_of(view, interior="ignore").label(image_id).mask
    assert (inside == 255).sum() == box.area
    assert set(np.unique(inside)) == {0, 255}


def test_the_smallest_box_is_in_front_and_what_lies_beneath_is_kept():
    painted = paint([Box(1, 0, 0, 6, 6), Box(2, 1, 1, 4, 4), Box(2, 2, 2, 3, 3)], (6, 6))
    assert painted.label[2, 2] == 2
    assert painted.origin[2, 2] == 3
    assert painted.beneath[2, 2] == painted.beneath[1, 1] == 1
    assert painted.beneath[0, 0] == painted.label[5, 5] - 1 == 0
    many = paint([Box(1, 0, k % 5, 1, k % 5 + 1) for k in range(600)], (6, 6)).origin
    assert many.max() <= 253


def test_the_fill_ratio_comes_from_the_images_with_a_mask(view):
    areas = [view.boxes(image_id)[0].area for image_id in sorted(view.mask_ids)]
    pixels = [int((view.mask(image_id) > 0).sum()) for image_id in sorted(view.mask_ids)]
    assert fill_ratios(masked(view), 3) == pytest.approx([1.0, pixels[0] / areas[0], pixels[1] / areas[1]])
    assert fill_ratios(masked(view), 4)[3] == pytest.approx(sum(pixels) / sum(areas))
    assert fill_ratios(masked(discs(BOXES)), 3) == [1.0, 1.0, 1.0]


SUMMED = "deeplabv2"
"""Sums several convolutions instead of ending in one."""
HEADS = sorted({path.stem for path in CONFIGS.glob("*.py")} - {SUMMED})


@pytest.mark.parametrize(("config", "shared"), [*((config, False) for config in HEADS), ("fcn", True)])
def test_every_head_of_the_harness_gets_a_variance_and_predicts_as_before(view, context, config, shared):
    ctx = context(config=config)
    protocol, cfg = configured(view, ctx, shared_variance=shared)
    model = initial_model(cfg, protocol, seed=3, weights=None)
    plain = initial_model(protocol, protocol, seed=3, weights=None)
    own, common = model.state_dict(), plain.state_dict()
    assert all(torch.equal(own[key], value) for key, value in common.items()), "the protocol's initial weights"
    added = {key.rpartition("decode_head.")[2] for key in set(own) - set(common) if "auxiliary" not in key}
    assert added == {"conv_variance.weight", "conv_variance.bias", "loss_decode.thresholds", "loss_decode.pixels"}
    assert model.decode_head.conv_variance.out_channels == (1 if shared else 3)
    images = torch.randn(2, 3, 65, 65)
    meta = [{"img_shape": (65, 65), "ori_shape": (65, 65), "pad_shape": (65, 65)}] * 2
    with torch.inference_mode():
        found = [network.eval().encode_decode(images, meta) for network in (model, plain)]
    assert torch.equal(*found)


def test_a_head_that_ends_in_several_convolutions_is_refused(view, context):
    protocol, cfg = configured(view, context(config=SUMMED))
    with pytest.raises(ConfigError, match="does not end in conv_seg"):
        initial_model(cfg, protocol, seed=3, weights=None)


OTHERS = {
    "UPerHead": {"in_channels": [8, 8, 8, 8], "in_index": [0, 1, 2, 3], "pool_scales": (1, 2)},
    "NLHead": {"in_channels": 8, "in_index": 3},
    "ANNHead": {"in_channels": [8, 8], "in_index": [2, 3], "project_channels": 4},
    "ISAHead": {"in_channels": 8, "in_index": 3, "isa_channels": 4, "down_factor": (2, 2)},
    "DNLHead": {"in_channels": 8, "in_index": 3},
    "APCHead": {"in_channels": 8, "in_index": 3},
    "DMHead": {"in_channels": 8, "in_index": 3},
    "EMAHead": {"in_channels": 8, "in_index": 3, "ema_channels": 8, "num_bases": 4, "num_stages": 2},
    "GCHead": {"in_channels": 8, "in_index": 3},
    "FPNHead": {"in_channels": [8, 8, 8, 8], "in_index": [0, 1, 2, 3], "feature_strides": [2, 4, 8, 16]},
    "SETRUPHead": {"in_channels": 8, "in_index": 3, "num_convs": 1, "norm_layer": {"type": "LN", "eps": 1e-6}},
    "LightHamHead": {"in_channels": [8, 8], "in_index": [2, 3], "ham_channels": 8},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_heads_of_mmseg_learn_mean_and_variance(name):
    head_cfg = {"type": name, "channels": 8, "num_classes": 3, "norm_cfg": {"type": "BN"}, **OTHERS[name]}
    head = MODELS.build(uncertain(head_cfg, {"fill": [1.0, 0.5, 0.5]}, shared_variance=False))
    head.init_weights()
    features = [torch.randn(2, 8, 32 // 2**k, 32 // 2**k) for k in range(4)]
    samples = [
        SimpleNamespace(
            **{
                field: SimpleNamespace(data=torch.randint(0, 3, (1, 64, 64)))
                for field in ("gt_sem_seg", "origin", "beneath")
            }
        )
        for _ in range(2)
    ]
    losses = head.loss(features, samples, {})
    losses["loss_label_uncertainty"].backward()
    assert head.conv_variance.weight.grad.abs().sum() > 0
    assert head.conv_seg.weight.grad.abs().sum() > 0


def test_heads_that_cannot_work_are_refused_in_one_sentence():
    loss = {"fill": [1.0, 0.5]}
    for head, reason in (
        ({"type": "PointHead"}, "has a loss of its own"),
        ({"type": "ResNet"}, "is no mmseg decode head"),
        ({"type": "FCNHead", "sampler": {"type": "OHEMPixelSampler"}}, "remove sampler"),
    ):
        with pytest.raises(ConfigError, match=reason):
            uncertain({"num_classes": 2, **head}, loss, shared_variance=False)


def test_the_segmenter_trains_predicts_and_repeats_itself(view, context):
    segmenter, labels = LabelUncertainty(LabelUncertaintyParams(start=0.5)), labels_of(view)
    states = []
    for name in ("once", "again"):
        ctx = context(name, iterations=6)
        train_segmenter(segmenter, labels, view, ctx)
        states.append(torch.load(ctx.out / "segmenter.pth", weights_only=True))
    assert all(torch.equal(value.nan_to_num(), states[1][key].nan_to_num()) for key, value in states[0].items())
    thresholds = states[0]["decode_head.loss_decode.thresholds"]
    assert torch.isfinite(thresholds[1:]).all()
    assert load_segmenter(ctx.out).decode_head.conv_variance.out_channels == 1
    found = dict(predict(ctx.out, [("a", view.image(view.ids[0]))], settings=Settings()))
    assert found["a"].shape == SIZE


def test_half_of_every_batch_has_masks_and_a_resumed_stream_goes_on():
    dataset = SimpleNamespace(ids=[f"{k}" for k in range(10)])
    stream = list(islice(TwoStreams(dataset, ["1", "4"], 0.5, seed=0), 40))
    assert all(sum(index in (1, 4) for index in stream[start : start + 4]) == 2 for start in range(0, 40, 4))
    assert set(stream) == set(range(10))
    late = TwoStreams(dataset, ["1", "4"], 0.5, seed=0)
    late.skip(17)
    assert list(islice(late, 23)) == stream[17:]
    assert list(islice(TwoStreams(dataset, ["1", "4"], 0.5, seed=1), 40)) != stream


def test_a_stream_of_one_kind_is_served_alone():
    dataset = SimpleNamespace(ids=["a", "b", "c"])
    for first in ((), ("a", "b", "c")):
        assert sorted(islice(TwoStreams(dataset, first, 0.5, seed=0), 3)) == [0, 1, 2]


def test_extra_maps_say_where_labels_come_from(view):
    segmenter = LabelUncertainty(LabelUncertaintyParams())
    for image_id in (view.ids[0], view.ids[7]):
        maps = segmenter.targets(image_id, PseudoLabel(image_id, np.zeros(SIZE, np.uint8)), view, None)
        (box,) = view.boxes(image_id)
        known = image_id in view.mask_ids
        assert (maps["origin"] == 254).all() if known else (maps["origin"] == 1).sum() == box.area
        assert not maps["beneath"].any()


def test_there_is_no_official_preset():
    with pytest.raises(ConfigError, match="'official' does not exist"):
        MethodParams(preset="official")


@pytest.mark.parametrize(
    "wrong", [{"exact_share": 1.0}, {"start": -0.1}, {"min_fill": 2.0}, {"exact_weight": -1.0}, {"shrink_certain": -1}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MethodParams(**wrong)


def test_a_trained_network_shows_its_variances(view, context):
    ctx = context(iterations=2)
    train_segmenter(LabelUncertainty(LabelUncertaintyParams()), labels_of(view), view, ctx)
    model = load_segmenter(ctx.out)
    images = torch.from_numpy(np.stack([view.image(view.ids[k]) for k in range(2)]))
    means, variances = moments(model, images)
    meta = [{"img_shape": SIZE, "ori_shape": SIZE, "pad_shape": SIZE}] * 2
    with torch.inference_mode():
        assert torch.equal(means, model.encode_decode(model.data_preprocessor.normalise(images), meta))
    assert variances.shape == (2, 1, *SIZE)
    assert (variances > 0).all()


def test_the_area_under_the_curve_counts_pairs():
    assert label_error_auc([1.0, 2.0, 2.0, 3.0], [False, False, True, True]) == 0.875
    assert np.isnan(label_error_auc([1.0], [True]))
