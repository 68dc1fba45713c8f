"""The formulas equal their float64 reference values; ``vectors/label_uncertainty.json`` names the source."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.contract import Box
from wsss_label_uncertainty import contamination
from wsss_label_uncertainty.boxes import paint
from wsss_label_uncertainty.loss import LabelUncertaintyLoss
from wsss_label_uncertainty.method import (
    C,
    Labels,
    attenuated_nll,
    attenuation,
    expected_logits,
    margin,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "label_uncertainty.json").read_text())
CLOSE = {"abs": 1e-10, "rel": 1e-10}
DOUBLE = torch.float64


def binary(mu, s2, dtype=DOUBLE):
    """The binary logit as two-class means and one variance: (1, 2, H, W) and (1, 1, H, W)."""
    mu, s2 = (torch.atleast_2d(torch.as_tensor(value, dtype=dtype)) for value in (mu, s2))
    return torch.stack([torch.zeros_like(mu), mu])[None], s2[None, None]


def nll(mu, s2, t, dtype=DOUBLE):
    """The attenuated loss of one pixel whose label is t in {0, 1}."""
    means, variances = binary(mu, s2, dtype)
    target = torch.full((1, 1, 1), t)
    return attenuated_nll(means, variances, target, torch.ones_like(target, dtype=torch.bool))


@pytest.mark.parametrize("row", VECTORS["P1_forward"]["rows"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-6)])
def test_expected_sigmoid_and_loss(row, dtype, tolerance):
    close = {"abs": tolerance, "rel": tolerance}
    means, variances = binary(row["mu"], row["s2"], dtype)
    assert attenuation(variances).item() == pytest.approx(row["kappa"], **close)
    logits = expected_logits(means, variances)
    assert (logits[:, 1] - logits[:, 0]).item() == pytest.approx(row["z"], **close)
    assert logits.softmax(1)[0, 1].item() == pytest.approx(row["p"], **close)
    assert nll(row["mu"], row["s2"], 1, dtype).item() == pytest.approx(row["nll_t1"], **close)
    assert nll(row["mu"], row["s2"], 0, dtype).item() == pytest.approx(row["nll_t0"], **close)


def expected_sigmoid(mu, s2):
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    return float((weights / (1 + np.exp(-(mu + math.sqrt(s2) * nodes)))).sum() / math.sqrt(2 * math.pi))


def test_the_closed_form_is_as_good_as_stated():
    for row in VECTORS["P1_forward"]["rows"]:
        assert expected_sigmoid(row["mu"], row["s2"]) == pytest.approx(row["p_exact_gauss_hermite200"], abs=1e-9)
    worst = VECTORS["P1_forward"]["worst_abs_error_of_the_approximation_on_grid"]
    means, variances = binary(worst["mu"], worst["s2"])
    error = abs(expected_logits(means, variances).softmax(1)[0, 1].item() - expected_sigmoid(worst["mu"], worst["s2"]))
    assert error == pytest.approx(worst["abs_err"], abs=1e-7)


@pytest.mark.parametrize("row", VECTORS["P2_gradients"]["rows"])
def test_gradients_of_mean_and_variance(row):
    mu = torch.tensor(row["mu"], dtype=DOUBLE, requires_grad=True)
    s2 = torch.tensor(row["s2"], dtype=DOUBLE, requires_grad=True)
    t = row["t"]
    means, variances = torch.stack([torch.zeros_like(mu), mu]).view(1, 2, 1, 1), s2.view(1, 1, 1, 1)
    everywhere = torch.ones((1, 1, 1), dtype=torch.bool)
    loss = sum(
        share * attenuated_nll(means, variances, torch.full((1, 1, 1), label), everywhere).sum()
        for label, share in ((1, t), (0, 1 - t))
    )
    loss.backward()
    assert loss.item() == pytest.approx(row["nll"], **CLOSE)
    assert mu.grad.item() == pytest.approx(row["d_mu"], **CLOSE)
    assert s2.grad.item() == pytest.approx(row["d_s2"], **CLOSE)
    assert s2.item() * s2.grad.item() == pytest.approx(row["d_log_s2"], **CLOSE)


def test_a_contradicted_label_costs_log_2_in_the_limit():
    rows = VECTORS["P3_limits"]["nll_mu-8_t1"]
    found = [nll(-8.0, row["s2"], 1).item() for row in rows]
    assert found == pytest.approx([row["nll"] for row in rows], **CLOSE)
    assert found == sorted(found, reverse=True)
    assert VECTORS["P3_limits"]["log2"] == pytest.approx(math.log(2), **CLOSE)
    assert found[-1] > math.log(2)


def test_the_variance_only_protects_means_that_are_confident():
    best = VECTORS["P3_limits"]["best_ratio_dsigma_over_dmu"]
    mu = torch.tensor(-1.0, dtype=DOUBLE, requires_grad=True)
    sigma = torch.tensor(best["sigma"], dtype=DOUBLE, requires_grad=True)
    means, variances = torch.stack([torch.zeros_like(mu), mu]).view(1, 2, 1, 1), (sigma**2).view(1, 1, 1, 1)
    one = torch.ones((1, 1, 1), dtype=torch.long)
    attenuated_nll(means, variances, one, one.bool()).sum().backward()
    assert (sigma.grad.abs() / mu.grad.abs()).item() == pytest.approx(best["ratio_per_unit_mu"], **CLOSE)
    assert best["sigma"] == pytest.approx(1 / math.sqrt(C), **CLOSE)
    assert best["mu_where_the_sigma_gradient_can_first_win"] == pytest.approx(1 / best["ratio_per_unit_mu"], **CLOSE)


def test_contamination_that_distrust_withstands():
    group = VECTORS["P4_contamination"]
    assert contamination.break_even() == pytest.approx(group["b_star"], **CLOSE)
    for row in group["rows"]:
        b, plain, box_only = row["b"], row["plain_or_everywhere_attenuated"], row["box_only_attenuated"]
        assert contamination.entropy(b) == pytest.approx(plain["loss"], abs=1e-6)
        assert math.log(b / (1 - b)) == pytest.approx(plain["z_opt"], abs=1e-10)
        assert contamination.absorbed_loss(b) == pytest.approx(box_only["absorb_infimum"], **CLOSE)
        assert contamination.entropy(b) == pytest.approx(box_only["fit_loss"], abs=1e-6)
        wins = "background" if b < contamination.break_even() else "object"
        assert box_only["global_predicts"] == wins
    for row in group["weight_needed_for_b"]:
        assert contamination.weight_needed(row["b"]) == pytest.approx(row["omega_on_certain_pixels"], **CLOSE)


@pytest.fixture
def image():
    """The 6x6 image of one box: means, variances, labels."""
    group = VECTORS["P5_image"]
    x0, y0, x1, y1, cls = group["boxes_x0y0x1y1c_halfopen"][0]
    painted = paint([Box(cls, x0, y0, x1, y1)], (6, 6))
    assert painted.label.tolist() == group["box_label"]
    return *binary(group["mu"], group["s2"]), Labels(*(torch.from_numpy(m).long()[None] for m in painted))


def loss_of(**kwargs):
    return LabelUncertaintyLoss(**{"fill": [1.0, 0.375], "rule": "off", **kwargs})


def test_losses_of_the_image(image):
    means, variances, labels = image
    losses = VECTORS["P5_image"]["losses"]
    for attenuate, name in (
        ("off", "all_bce_on_box_labels"),
        ("box", "attenuated_inside_box"),
        ("all", "attenuated_everywhere"),
    ):
        found = loss_of(attenuate=attenuate)(means, variances, labels, 0).item()
        assert found == pytest.approx(losses[name], **CLOSE)
    exact = Labels(
        torch.tensor([VECTORS["P5_image"]["gt"]]), torch.full_like(labels.origin, 254), torch.zeros_like(labels.beneath)
    )
    assert loss_of()(means, variances, exact, 0).item() == pytest.approx(losses["pixel_perfect_bce"], **CLOSE)


def test_variance_outside_boxes_changes_nothing(image):
    means, variances, labels = image
    other = torch.where(labels.boxed.unsqueeze(1), variances, variances + 100)
    assert loss_of()(means, other, labels, 0) == loss_of()(means, variances, labels, 0)


def test_threshold_rule_and_guard(image):
    means, variances, labels = image
    group = VECTORS["P6_bootstrap"]
    rule = loss_of(rule="threshold", min_variance=group["s2_min"], min_fill=0.3)
    target, attenuated = rule.targets(means, variances, labels, 0)
    flipped = target != labels.label
    assert target[0].tolist() == group["target"]
    assert attenuated[0].int().tolist() == group["still_attenuated"]
    assert flipped[0].int().tolist() == group["flipped"]
    assert 1 - (flipped.sum() / labels.boxed.sum()).item() == pytest.approx(group["kept_fraction"])
    assert flipped.sum() == group["guard_0.3_flips"]
    assert rule(means, variances, labels, 0).item() == pytest.approx(group["loss_after"], **CLOSE)
    strict = loss_of(rule="threshold", min_variance=group["s2_min"], min_fill=0.6)
    kept, _ = strict.targets(means, variances, labels, 0)
    assert (kept != labels.label).sum() == group["guard_0.6_flips"]


def test_fill_rule_recovers_the_object(image):
    means, _, labels = image
    group = VECTORS["P6b_bootstrap_fill"]
    by_variance = loss_of(rule="fill", fill=[1.0, group["phi"]])
    flipped = by_variance.flips(means, torch.tensor([[group["s2_used"]]], dtype=DOUBLE), labels)
    assert flipped[0].int().tolist() == group["flipped_by_s2"]
    assert by_variance.thresholds[1].item() == pytest.approx(group["threshold_s2"], rel=1e-6)
    mu = torch.tensor(VECTORS["P5_image"]["mu"], dtype=DOUBLE)
    tie_broken, _ = binary(mu + 0.001 * torch.arange(36, dtype=DOUBLE).view(6, 6), mu)
    by_mean = loss_of(rule="fill_mean", fill=[1.0, group["phi"]])
    flipped = by_mean.flips(tie_broken, mu[None, None].abs(), labels)
    assert flipped[0].int().tolist() == group["flipped_by_minus_mu"]
    assert by_mean.thresholds[1].item() == pytest.approx(group["threshold_minus_mu"], rel=1e-6)
    assert not loss_of(rule="fill", fill=[1.0, 1.0]).flips(means, torch.rand(1, 1, 6, 6), labels).any()


def test_more_classes():
    group = VECTORS["P7_multiclass"]
    boxes = [Box(cls, x0, y0, x1, y1) for x0, y0, x1, y1, cls in group["boxes"]]
    assert paint(boxes, (4, 6)).label.tolist() == group["label"]
    means, variances = (torch.tensor(group[key], dtype=DOUBLE).view(1, -1, 1, 1) for key in ("mu", "s2"))
    for form, key in (("scaled", "softmax_of_attenuated"), ("pairwise", "pairwise_mean_field")):
        found = expected_logits(means, variances, form).exp()
        assert (found / found.sum()).flatten().tolist() == pytest.approx(group[key], **CLOSE)
    assert means.softmax(1).flatten().tolist() == pytest.approx(group["plain_softmax"], **CLOSE)
    drawn = means + variances.sqrt() * torch.randn(100_000, 3, 1, 1, dtype=DOUBLE, generator=torch.manual_seed(0))
    assert drawn.softmax(1).mean(0).flatten().tolist() == pytest.approx(group["monte_carlo_400k"], abs=4e-3)


def test_two_classes_are_the_binary_formula():
    group = VECTORS["P7_multiclass"]["two_class_equals_binary"]
    means, variances = (torch.tensor(group[key], dtype=DOUBLE).view(1, -1, 1, 1) for key in ("mu", "s2"))
    for form in ("scaled", "pairwise"):
        found = expected_logits(means, variances, form).softmax(1)[0, 1].item()
        assert found == pytest.approx(group["p1"], **CLOSE)
    assert group["p1"] == pytest.approx(group["binary_p"], **CLOSE)


def test_attenuation_can_change_the_most_probable_class_so_labels_turn_by_the_means():
    group = VECTORS["P7_multiclass"]["rank_change"]
    means, variances = (torch.tensor(group[key], dtype=DOUBLE).view(1, -1, 1, 1) for key in ("mu", "s2"))
    assert expected_logits(means, variances).argmax(1).item() == group["argmax_attenuated"]
    assert means.argmax(1).item() == group["argmax_mu"]
    assert margin(means, torch.full((1, 1, 1), group["argmax_mu"])).item() > 0


@pytest.mark.parametrize("row", VECTORS["P8_flip_probability"]["rows"])
def test_a_box_interior_says_nothing_by_itself(row):
    p = torch.tensor(row["p"], dtype=DOUBLE, requires_grad=True)
    loss = contamination.label_nll(p, row["rho"])
    (gradient,) = torch.autograd.grad(loss.sum(), p)
    assert contamination.labelled_probability(p, row["rho"]).tolist() == pytest.approx(row["P_label1"], **CLOSE)
    assert loss.tolist() == pytest.approx(row["nll"], **CLOSE)
    assert gradient.tolist() == pytest.approx(row["dnll_dp"], **CLOSE)
    posterior = contamination.object_posterior(p, row["rho"])
    assert posterior.tolist() == pytest.approx(row["posterior_object_given_label1"], **CLOSE)
    below = [value < row["rho"] / (1 + row["rho"]) for value in row["p"]]
    assert (posterior < 0.5).tolist() == below
