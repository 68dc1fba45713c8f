"""The refined target and the loss keep the formulas of the reconstruction, and train an ordinary mmseg model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.common.shipped import configs_folder
from harness.contract import SALIENCY, ConfigError, PluginError, PseudoLabel, SoftScores
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.modelling.mm import Config, build
from harness.modelling.preprocess import Uint8Preprocessor
from harness.registry import manager
from harness.testing import fake_view
from wsss_class_conditional.method import rank_threshold, refined_target, refinement_loss
from wsss_class_conditional.network import ActivationAwareLoss
from wsss_class_conditional.params import TARGET, RefinementParams
from wsss_class_conditional.segmenter import ActivationAware
from wsss_class_conditional.tests.stub import VECTORS

VECTOR = VECTORS["amr_reconstruction_NOT_OFFICIAL"]


def logits(p_background, classes=3):
    """(1, C, 1, N) whose softmax has ``p_background`` as background probability."""
    p = torch.tensor(p_background, dtype=torch.float64)
    rest = ((1 - p) / (classes - 1)).expand(classes - 1, -1)
    return torch.cat([p[None], rest]).log()[None, :, None]


def published():
    background = [pixel["p_bg"] for pixel in VECTOR["pixels"]]
    target = [255 if pixel["target_fg"] is None else pixel["target_fg"] for pixel in VECTOR["pixels"]]
    return logits(background), torch.tensor(target)[None, None]


def test_the_loss_equals_the_published_numbers():
    scores, target = published()
    assert float(refinement_loss(scores, target)) == pytest.approx(VECTOR["loss_mean_over_valid"], abs=1e-12)
    for index, pixel in enumerate(VECTOR["pixels"][:3]):
        one = refinement_loss(scores[..., index : index + 1], target[..., index : index + 1])
        assert float(one) == pytest.approx(pixel["bce"], abs=1e-12)


def test_saliency_alone_pushes_the_mined_pixel_the_other_way():
    scores, target = published()
    plain = target.clone()
    plain[..., 1] = 0  # the mined pixel is not salient
    scores.requires_grad_()
    loss = refinement_loss(scores[..., :3], plain[..., :3])
    assert float(loss.detach()) == pytest.approx(VECTOR["naive_saliency_bce_on_the_same_three"], abs=1e-12)
    signs = [torch.autograd.grad(refinement_loss(scores, t), scores)[0][0, 0, 0, 1].sign() for t in (target, plain)]
    assert signs == [1, -1]  # mined: the background falls; saliency alone: it rises


def test_nothing_to_learn_from_is_zero_with_a_gradient():
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = refinement_loss(scores, torch.full((1, 2, 2), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (scores.grad == 0).all()


def test_confident_logits_give_a_finite_loss():
    scores = torch.tensor([200.0, -200.0])[None, :, None, None]
    assert float(refinement_loss(scores, torch.ones(1, 1, 1, dtype=torch.long))) == pytest.approx(400)


def test_the_rank_threshold_of_the_sibling_code():
    expected = VECTORS["getam_sibling"]
    y, x = np.mgrid[:60, :60]
    plane = 0.9 * np.clip(1 - np.hypot(y - 44, x - 44) / 14, 0, 1)
    assert int((plane > 0).sum()) == expected["n_positive_class5"]
    assert rank_threshold(plane, 0.9) == pytest.approx(expected["rank_threshold_class5"], abs=1e-7)


def test_a_map_without_activation_mines_nothing():
    saliency = np.array([[0.9, 0.1]], np.float32)
    assert refined_target(saliency, np.zeros((1, 1, 2), np.float32)).tolist() == [[1, 0]]
    assert refined_target(saliency, np.zeros((0, 1, 2), np.float32)).tolist() == [[1, 0]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.floats(0.5, 0.95))
def test_the_target_follows_its_formula(seed, classes, rank):
    rng = np.random.default_rng(seed)
    saliency = rng.random((6, 7), dtype=np.float32)
    maps = np.maximum(rng.random((classes, 6, 7), dtype=np.float32) - 0.3, 0)
    target = refined_target(saliency, maps, theta=0.6, rank=rank)
    strong = sum((plane > rank_threshold(plane, rank)).astype(int) for plane in maps)
    for row in range(6):
        for column in range(7):
            salient, claims = saliency[row, column] > 0.6, strong[row, column]
            assert target[row, column] == (1 if salient else (0, 1)[claims] if claims < 2 else 255)


def a_view(**annotations):
    return fake_view({"a": np.zeros((4, 4, 3), np.uint8)}, needs=(SALIENCY,), **annotations)


def a_label(scores=True):
    values = np.zeros((1, 4, 4), np.float16)
    values[0, 0, :] = (0.1, 0.2, 0.3, 0.9)
    return PseudoLabel("a", np.zeros((4, 4), np.uint8), SoftScores((2,), values, (4, 4)) if scores else None)


def test_targets_complete_saliency_by_activation_unless_told_otherwise():
    view = a_view(saliency={"a": np.full((4, 4), 0.2, np.float32)})
    found = {
        amr: ActivationAware(RefinementParams(amr=amr, rank=0.5)).targets("a", a_label(), view, None)
        for amr in ("on", "plain_saliency", "off")
    }
    assert np.argwhere(found["on"][TARGET]).tolist() == [[0, 3]]
    assert not found["plain_saliency"][TARGET].any()
    assert found["off"] == {}


def test_missing_saliency_or_scores_are_one_sentence_with_the_remedy():
    segmenter = ActivationAware(RefinementParams())
    with pytest.raises(ConfigError, match="amr=off"):
        segmenter.targets("a", a_label(), a_view(), None)
    with pytest.raises(PluginError, match="no soft scores; set amr=off"):
        segmenter.targets("a", a_label(scores=False), a_view(), None)


MODEL = {
    "type": "EncoderDecoder",
    "backbone": {"type": "MobileNetV2", "widen_factor": 0.1, "out_indices": (1, 6)},
    "decode_head": {
        "type": "FCNHead",
        "in_channels": 32,
        "channels": 8,
        "num_convs": 1,
        "concat_input": False,
        "num_classes": 3,
        "align_corners": False,
        "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": False},
    },
    "data_preprocessor": {"type": Uint8Preprocessor.__name__},
    "test_cfg": {"mode": "whole"},
}


def test_configure_adds_the_loss_to_any_encoder_decoder_and_nothing_when_off():
    cfg = Config({"model": MODEL})
    off = ActivationAware(RefinementParams(amr="off"))
    assert off.configure(cfg, None, None) is cfg
    assert off.extra_targets == ()
    with pytest.raises(ConfigError, match="EncoderDecoder"):
        ActivationAware(RefinementParams()).configure(Config({"model": {"type": "Other"}}), None, None)


def test_a_training_step_takes_both_losses_and_the_target():
    cfg = ActivationAware(RefinementParams(weight=0.5)).configure(Config({"model": MODEL}), None, None)
    model = build(cfg.model).train()
    assert isinstance(model.loss_refinement, ActivationAwareLoss)
    labels = torch.zeros(2, 2, 64, 64, dtype=torch.uint8)
    labels[:, 1, :32] = 1
    batch = {"inputs": torch.zeros(2, 64, 64, 3, dtype=torch.uint8), "labels": labels, "ids": ["a", "b"]}
    data = model.data_preprocessor(batch | {"extra": (TARGET,)}, True)
    losses = model(**data, mode="loss")
    assert set(losses) == {"decode.loss_ce", "decode.loss_amr", "decode.acc_seg"}
    losses["decode.loss_amr"].backward()
    assert model.decode_head.conv_seg.weight.grad.abs().sum() > 0


class WithoutSaliency(SyntheticDataset):
    def digests(self, split):
        return {kind: value for kind, value in super().digests(split).items() if kind != "saliency"}


def test_planning_without_saliency_maps_names_the_way_out():
    demo = configs_folder() / "benchmarks" / "demo.yaml"
    benchmark = load_benchmark(demo, methods=["class_conditional"])
    dataset = WithoutSaliency(SyntheticParams(train=2, val=2, size=32))
    with pytest.raises(ConfigError, match=r"no saliency .*; set its parameter `amr: 'off'`, or `saliency: minimum_"):
        build_plan(benchmark, manager(), dataset=dataset)
