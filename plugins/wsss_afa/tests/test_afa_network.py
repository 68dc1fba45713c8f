"""The network that labels its own images: attention read from outside, losses by phase, frozen norms, evaluation."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from harness.common.shipped import configs_folder
from harness.contract import ConfigError
from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings
from harness.modelling import MODELS, mm
from harness.modelling.backbones import backbone_config, find_backbone, use_records
from harness.modelling.segmenter import build_config, configure, initial_model
from harness.testing import fake_context, fake_view
from wsss_afa import wsss_backbones
from wsss_afa.attention import attention_layers, on_one_grid, queries_and_keys, watched
from wsss_afa.params import OFFICIAL, AfaParams, MethodParams, check_views, rounds, unfit
from wsss_afa.segmenter import Afa

VECTORS = json.loads((Path(__file__).parent / "vectors" / "afa.json").read_text())
use_records(wsss_backbones())


def test_queries_and_keys_give_the_raw_logits_of_the_released_attention():
    group = VECTORS["A1_attention"]
    given = {name: torch.tensor(value) for name, value in group["parameters"].items()}
    layer = nn.MultiheadAttention(8, group["heads"])
    layer.in_proj_weight.data = torch.cat([given["q.weight"], given["kv.weight"]])
    layer.in_proj_bias.data = torch.cat([given["q.bias"], given["kv.bias"]])
    queries, keys = queries_and_keys(layer, torch.tensor(group["tokens_2x3"])[None])
    found = (queries @ keys.transpose(2, 3))[0]
    torch.testing.assert_close(found, torch.tensor(group["raw_logits"]), atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize(("name", "stride"), [("mit_narrow", 16), ("mit_narrow", 32), ("mit_b0", 16), ("mit_b0", 32)])
def test_the_cells_that_the_attention_saw_lie_on_one_grid(name, stride):
    mm.enter_scope()
    network = MODELS.build(backbone_config(find_backbone(name), stride)).eval()
    layers = attention_layers(network)
    embed, blocks, _ = network.layers[-1]
    with torch.no_grad(), watched(layers) as runs:
        levels = network(torch.rand(2, 3, 90, 70))
        expected = blocks[0].norm1(embed(levels[-2])[0])
    size = (levels[-1].shape[2], levels[-1].shape[3])
    assert len(runs[0]) == (4 if name == "mit_b0" and stride == 16 else 1)
    torch.testing.assert_close(on_one_grid(runs[0], size), expected, atol=1e-5, rtol=1e-5)
    assert not layers[0]._forward_pre_hooks


def settings(backbone="mit_narrow"):
    optim = OptimSettings(iterations=10, batch_size=2, optimizer="adamw", lr=0.01)
    segmenter = SegmenterSettings(
        config=str(configs_folder() / "segmenters" / "mlp_demo.py"),
        output_stride=16,
        optim=optim,
        augment=AugmentSettings(crop=65),
    )
    return {"segmenter": segmenter, "backbone": BackboneSettings(name=backbone)}


def network(tmp_path, backbone="mit_narrow", **params):
    ctx = fake_context(tmp_path, settings=settings(backbone), num_classes=4)
    protocol = build_config(ctx.settings["segmenter"], ctx.settings["backbone"], ctx.num_classes)
    cfg = configure(Afa(AfaParams(**params)), protocol, fake_view({}), ctx)
    return initial_model(cfg, protocol, seed=0, weights=None), initial_model(protocol, protocol, seed=0, weights=None)


def batch(*tags):
    inputs = torch.randn(len(tags), 3, 65, 65, generator=torch.Generator().manual_seed(0))
    inside = torch.zeros(1, 65, 65, dtype=torch.uint8)
    inside[:, 50:] = 255
    samples = [SimpleNamespace(tags=torch.tensor(row), inside=SimpleNamespace(data=inside)) for row in tags]
    return inputs, samples


def losses(model, iteration, *tags):
    MessageHub.get_current_instance().update_info("iter", iteration)
    return model.loss(*batch(*tags))


@pytest.mark.parametrize("backbone", ["mit_narrow", "mit_b0"])
def test_classes_are_learned_first_and_pairs_and_pixels_afterwards(tmp_path, backbone):
    model, _ = network(tmp_path, backbone)
    assert set(losses(model, 0, (1.0, 0.0, 0.0))) == {"loss_classes"}
    for iteration in (1, 3):  # seeds, then the walk
        found = losses(model, iteration, (1.0, 0.0, 1.0), (0.0, 0.0, 0.0))
        assert set(found) == {"loss_classes", "loss_pixels", "loss_pairs"}
        assert all(torch.isfinite(value) for value in found.values())
    model.zero_grad()
    found["loss_pairs"].backward()
    assert model.affinity.weight.grad.abs().sum() > 0
    assert attention_layers(model.backbone)[0].in_proj_weight.grad.abs().sum() > 0


def test_labels_name_present_classes_inside_the_image_alone(tmp_path):
    model, _ = network(tmp_path, background_low=0.1, background_high=0.2)
    inputs, samples = batch((1.0, 0.0, 1.0), (0.0, 0.0, 0.0))
    tags = torch.stack([sample.tags for sample in samples])
    inside = torch.stack([sample.inside.data[0] for sample in samples]) != 255
    with torch.no_grad():
        own = model._pass(inputs)[1]
        for walk in (False, True):
            seeds, labels = model._labels(inputs, own, tags, inside, walk=walk)
            assert (labels[:, 50:] == 255).all()
            assert set(labels[0].unique().tolist()) <= {0, 1, 3, 255}
            assert set(labels[0].unique().tolist()) & {1, 3}
            assert set(labels[1].unique().tolist()) == {0, 255}  # untagged: background
            assert torch.equal(seeds, labels) == (not walk)


def test_the_baseline_has_no_loss_of_pairs(tmp_path):
    model, _ = network(tmp_path, affinity=False, par=False)
    assert set(losses(model, 9, (1.0, 0.0, 1.0))) == {"loss_classes", "loss_pixels"}


def test_views_of_the_preset_official():
    (use,) = rounds(MethodParams(preset="official"))
    given = AfaParams(**use.segmenter.params)
    assert (given.scales, given.mirror) == (OFFICIAL["scales"], "all")
    with pytest.raises(ConfigError, match="preset 'official' sets scales"):
        MethodParams(preset="official", scales=(1.0,))


def test_all_views_of_the_released_code_run(tmp_path):
    model, _ = network(tmp_path, **OFFICIAL)
    inputs, _ = batch((1.0, 0.0, 1.0))
    own = model._pass(inputs)[1]
    cams, largest = model._views(inputs, own)
    assert cams.shape == (1, 3, 65, 65)
    assert cams.amin() == 0
    assert cams.amax() <= 1
    assert largest.maps.shape[2:] == (7, 7)  # of scale 1.5; the training pass has 5 x 5


def test_norm_layers_of_the_backbone_stay_and_all_else_learns(tmp_path):
    model, _ = network(tmp_path)
    frozen = tuple(model.lr_multipliers)
    assert set(model.lr_multipliers.values()) == {0.0}
    norms = {name for name, _ in model.named_parameters() if name.startswith(frozen)}
    of_type = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for part in ("weight", "bias")
    }
    assert norms == of_type
    assert not network(tmp_path, freeze_norms=False)[0].lr_multipliers


def test_it_begins_and_predicts_as_the_protocols_network(tmp_path):
    model, plain = network(tmp_path)
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    assert set(state) - set(plain.state_dict()) == {"class_maps.weight", "affinity.weight", "affinity.bias"}
    inputs, _ = batch((1.0, 0.0, 1.0))
    with torch.no_grad():
        assert torch.equal(*(net.eval().encode_decode(inputs, [{"img_shape": (65, 65)}]) for net in (model, plain)))


def test_a_network_without_such_attention_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(
        ConfigError, match="attention of a Mix Transformer's last stage, which backbone ResNetV1c does not"
    ):
        network(tmp_path, "tiny")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"background_low": 0.6}, "background_low and background_high"),
        ({"classes_until": 0.5}, "classes_until and seeds_until"),
        ({"scales": ()}, "scales must name"),
        ({"scales": (1.0, 1.0)}, "scales must name"),
        ({"dilations": (0,)}, "dilations must name"),
        ({"refinements": 0}, "refinements must lie in"),
        ({"radius": 10**30}, "radius must lie in"),
        ({"power": 10**9}, "power must lie in"),
        ({"affinity_weight": float("nan")}, "affinity_weight must be"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        AfaParams(**given)


@pytest.mark.parametrize(
    ("scales", "crop", "seen"),
    [((1.0, 0.5), 48, "scale 0.5 .* 48 pixels has 24"), ((2.0,), 16, "scale 1 .* 16 pixels has 16")],
)
def test_a_view_that_is_too_small_for_the_transformer_is_one_sentence(scales, crop, seen):
    check_views(AfaParams(), 64)
    with pytest.raises(ConfigError, match=rf"afa: at {seen}.*needs 32; raise protocol\.segmenter\.augment\.crop"):
        check_views(AfaParams(scales=scales), crop)


def test_the_method_hands_its_parameters_to_the_segmenter():
    (use,) = rounds(MethodParams(radius=3))
    assert use.segmenter.params == asdict(AfaParams(radius=3))


@pytest.mark.parametrize(
    ("backbone", "frozen", "why"),
    [
        ("resnet50", True, "which this backbone does not have"),
        ("timm/efficientnet_lite0", False, "which this backbone does not have"),
        ("mit_b0", True, "which protocol.freeze keeps as it is"),
        ("mit_b0", False, ""),
        ("config", False, ""),
    ],
)
def test_the_plan_hears_why_a_backbone_does_not_fit(backbone, frozen, why):
    found = unfit(backbone, frozen)
    assert why in found
    assert bool(found) == bool(why)
