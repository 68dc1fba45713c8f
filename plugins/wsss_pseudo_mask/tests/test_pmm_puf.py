"""Pretended under-fitting: the released code's numbers, its gradients, gates of their own, plain mmseg use."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch.nn import functional

import wsss_pseudo_mask
from wsss_pseudo_mask.puf import PretendedUnderfittingLoss
from wsss_pseudo_mask.tests.pmm_vectors import VECTORS

VECTOR = VECTORS["P9_puf"]
IGNORE = VECTOR["ignore"]


def pixels(label=VECTOR["label"]):
    """(1, 2, 1, 5) logits that require a gradient, (1, 1, 5) labels."""
    logits = torch.zeros(1, 2, 1, len(label))
    logits[0, 0, 0] = torch.tensor(VECTOR["logit0"])
    return logits.requires_grad_(), torch.tensor(label).view(1, 1, -1)


def loss_and_gradient(label=VECTOR["label"], **params):
    logits, label = pixels(label)
    loss = PretendedUnderfittingLoss(**params)(logits, label, ignore_index=IGNORE)
    loss.backward()
    return loss.item(), logits.grad[0, 0, 0].tolist()


@pytest.mark.parametrize("gate_pixels", ["all", "valid"])
@pytest.mark.parametrize(
    ("key", "params"),
    [
        ("clamp", {"puf": "clamp"}),
        ("ignore_type", {"puf": "ignore"}),
        ("pow", {"puf": "pow"}),
        ("clamp_beta_low_not_triggered", {"beta": 0.29}),
        ("clamp_coco", {"beta": 0.8, "k": 0.8}),
    ],
)
def test_losses_and_gradients_equal_the_released_code(key, params, gate_pixels):
    loss, gradient = loss_and_gradient(gate_pixels=gate_pixels, **params)
    assert loss == pytest.approx(VECTOR[key]["loss"], abs=1e-6)
    assert gradient == pytest.approx(VECTOR[key]["grad_logit0"], abs=1e-6)


def test_one_ignored_pixel_opens_the_gate_of_the_released_code():
    expected = VECTOR["trigger_depends_on_ignored"]
    for label, key in (([0] * 5, "label_all_valid"), (VECTOR["label"], "label_last_ignored")):
        loss, gradient = loss_and_gradient(label, gate_pixels="all", beta=0.4)
        assert loss == pytest.approx(expected[key]["loss"], abs=1e-6)
        assert gradient == pytest.approx(expected[key]["grad_logit0"], abs=1e-6)


@pytest.mark.parametrize(("gate_pixels", "expected"), [("all", 0.138733), ("valid", 0.301385)])
def test_the_gate_over_labelled_pixels_does_not_count_ignored_ones(gate_pixels, expected):
    loss, _ = loss_and_gradient(gate_pixels=gate_pixels, beta=0.35)
    assert loss == pytest.approx(expected, abs=1e-6)


FEW = settings(deadline=None, max_examples=25)
BATCHES = hnp.arrays(np.float32, (2, 3, 2, 2), elements=st.floats(-4, 4, width=16))
LABELS = hnp.arrays(np.int64, (2, 2, 2), elements=st.sampled_from([0, 1, 2, IGNORE]))


def run(logits, label, **params):
    logits = torch.tensor(logits, requires_grad=True)
    loss = PretendedUnderfittingLoss(**params)(logits, torch.tensor(label), ignore_index=IGNORE)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.item(), gradient


@FEW
@given(BATCHES, LABELS, st.floats(0.1, 3), st.floats(0.1, 3))
def test_no_gradient_exactly_where_the_loss_exceeds_k_and_the_gate_is_open(logits, label, beta, k):
    ce = functional.cross_entropy(torch.tensor(logits), torch.tensor(label), ignore_index=IGNORE, reduction="none")
    valid = torch.tensor(label) != IGNORE
    is_open = bool(valid.any()) and bool(ce.double().sum() < beta * valid.sum())
    plain, untouched = run(logits, label, beta=1e-9)
    for puf in ("clamp", "ignore"):
        loss, gradient = run(logits, label, puf=puf, beta=beta, k=k)
        silent = ~valid | ((ce > k) & is_open)
        assert not gradient.permute(0, 2, 3, 1)[silent].any()
        torch.testing.assert_close(gradient.permute(0, 2, 3, 1)[~silent], untouched.permute(0, 2, 3, 1)[~silent])
        assert loss <= plain + 1e-6
        assert is_open or loss == pytest.approx(plain, rel=1e-6)


@FEW
@given(BATCHES, LABELS)
def test_clamp_and_ignore_train_alike(logits, label):
    (_, clamp), (_, ignore) = (run(logits, label, puf=puf, beta=2, k=0.5) for puf in ("clamp", "ignore"))
    assert torch.equal(clamp, ignore)


@FEW
@given(BATCHES, LABELS)
@pytest.mark.filterwarnings("ignore:Default ``avg_non_ignore`` is False")
def test_with_the_gate_closed_it_is_mmsegs_cross_entropy(logits, label):
    cases = [{}, {"avg_non_ignore": True}, {"class_weight": [0.5, 1.0, 2.0]}]
    if (label != IGNORE).any():
        for params in cases:
            with torch.no_grad():
                init_default_scope("mmseg")
                reference = MODELS.build({"type": "CrossEntropyLoss", "loss_weight": 0.4, **params})
                own = PretendedUnderfittingLoss(beta=1e-9, loss_weight=0.4, **params)
                args = torch.tensor(logits), torch.tensor(label)
                torch.testing.assert_close(own(*args, ignore_index=IGNORE), reference(*args, ignore_index=IGNORE))


def test_weights_of_a_pixel_sampler_come_after_the_clamp():
    logits, label = pixels()
    weight = torch.tensor([0.0, 0.0, 0.0, 2.0, 1.0]).view(1, 1, -1)
    loss = PretendedUnderfittingLoss(gate_pixels="all")(logits, label, weight=weight, ignore_index=IGNORE)
    assert loss.item() == pytest.approx(2 * 0.5 / 5)


def test_a_batch_without_labels_costs_nothing():
    logits, _ = pixels()
    for params in ({}, {"avg_non_ignore": True}, {"class_weight": [1.0, 2.0]}):
        loss = PretendedUnderfittingLoss(**params)(logits, torch.full((1, 1, 5), IGNORE), ignore_index=IGNORE)
        assert loss.item() == 0


@pytest.mark.parametrize("wrong", [{"puf": "off"}, {"gate_pixels": "some"}, {"gate_scope": "world"}])
def test_unknown_choices_are_refused(wrong):
    with pytest.raises(ValueError, match="must be one of"):
        PretendedUnderfittingLoss(**wrong)


def test_the_loss_is_an_ordinary_mmseg_module_and_knows_nothing_of_the_harness():
    path = Path(wsss_pseudo_mask.__file__).parent / "puf.py"
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not [name for name in imported if name.startswith(("harness", "wsss"))]


def head(**loss):
    init_default_scope("mmseg")
    return MODELS.build(
        {
            "type": "FCNHead",
            "in_channels": 4,
            "channels": 4,
            "num_convs": 1,
            "concat_input": False,
            "num_classes": 3,
            "loss_decode": {"type": "PretendedUnderfittingLoss", **loss},
        }
    )


def test_each_head_has_its_own_gate():
    """The decode head fits well, the auxiliary head does not: only the first one pretends."""
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    heads = head(loss_weight=1.0, loss_name="loss_ce"), head(loss_weight=0.4, loss_name="loss_ce")
    assert heads[0].loss_decode is not heads[1].loss_decode
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([[[0, 0, 0, 0, 1]]])))
    fits, fails = (torch.tensor([[[[v, v, v, v, 1.0]], [[0.0] * 5], [[-9.0] * 5]]]) for v in (3.0, -1.0))
    good = heads[0].loss_by_feat(fits, [sample])["loss_ce"].item()
    bad = heads[1].loss_by_feat(fails, [sample])["loss_ce"].item()
    ce = [functional.cross_entropy(x, torch.tensor([[[0, 0, 0, 0, 1]]]), reduction="none") for x in (fits, fails)]
    assert good == pytest.approx(ce[0].clamp(max=0.5).mean().item(), rel=1e-6)
    assert bad == pytest.approx(0.4 * ce[1].mean().item(), rel=1e-6)
