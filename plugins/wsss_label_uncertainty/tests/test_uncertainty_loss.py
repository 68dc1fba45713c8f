import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.models.losses import CrossEntropyLoss
from torch.nn import functional

from wsss_label_uncertainty.loss import LabelUncertaintyLoss
from wsss_label_uncertainty.method import Labels, attenuated_nll, expected_logits, guard

shapes = st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 6), st.integers(1, 6))


def batch(shape, seed, *, origin=None, dtype=torch.float32):
    """Means, variances and labels at random; a tenth of the labels is 255."""
    images, classes, height, width = shape
    draw = torch.Generator().manual_seed(seed)
    means, raw = (3 * torch.randn(shape, generator=draw, dtype=dtype) for _ in range(2))
    size = (images, height, width)
    label = torch.randint(0, classes, size, generator=draw)
    label[torch.rand(size, generator=draw) < 0.1] = 255
    where = torch.randint(0, 4, size, generator=draw) if origin is None else torch.full(size, origin)
    return means, functional.softplus(raw), Labels(label, where, torch.zeros_like(label))


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(0, 999), st.sampled_from([0, 254]), st.sampled_from(["scaled", "pairwise"]))
def test_certain_labels_give_cross_entropy_to_the_last_bit(shape, seed, origin, form):
    means, variances, labels = batch(shape, seed, origin=origin)
    means.requires_grad_()
    plain = functional.cross_entropy(means, labels.label, ignore_index=255, reduction="none")
    certain = attenuated_nll(means, variances, labels.label, labels.boxed, form)
    assert torch.equal(plain, certain)
    loss = LabelUncertaintyLoss(fill=[0.5] * shape[1], form=form)(means, variances, labels, 0)
    mmseg = CrossEntropyLoss(avg_non_ignore=True)(means, labels.label, ignore_index=255)
    if (labels.label != 255).any():
        assert torch.allclose(loss, mmseg, rtol=1e-6, atol=0)
        assert torch.allclose(*(torch.autograd.grad(value, means)[0] for value in (loss, mmseg)), rtol=1e-5, atol=1e-9)
    else:
        assert loss == 0


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(0, 999), st.sampled_from(["scaled", "pairwise"]), st.booleans())
def test_gradients_agree_with_finite_differences(shape, seed, form, shared):
    shape = (1, shape[1], min(shape[2], 3), min(shape[3], 3))
    means, variances, labels = batch(shape, seed, dtype=torch.float64)
    variances = (variances[:, :1] if shared else variances) + 0.1
    loss = LabelUncertaintyLoss(fill=[0.5] * shape[1], form=form, rule="off", exact_weight=1.5)
    means.requires_grad_()
    variances.requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v: loss(m, v, labels, 0), (means, variances))


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(0, 999), st.sampled_from(["fill", "fill_mean", "threshold", "mean"]))
def test_only_box_labels_turn_and_every_visible_box_keeps_its_minimum(shape, seed, rule):
    means, variances, labels = batch(shape, seed)
    loss = LabelUncertaintyLoss(fill=[0.5] * shape[1], rule=rule, min_fill=0.4)
    target, attenuated = loss.targets(means, variances, labels, 0)
    turned = target != labels.label
    assert (target[turned] == 0).all()
    assert not (turned & ~labels.boxed).any()
    assert not (attenuated & (turned | ~labels.boxed)).any()
    for image in range(shape[0]):
        for number in labels.origin[image].unique():
            box = labels.boxed[image] & (labels.origin[image] == number)
            assert not box.any() or (turned[image] & box).sum() <= 0.6 * box.sum()


def test_labels_stay_before_the_start_and_turn_from_it_on():
    means, variances, labels = batch((2, 3, 6, 6), 0)
    loss = LabelUncertaintyLoss(fill=[0.5] * 3, start=10, min_fill=0.0)
    assert torch.equal(loss.targets(means, variances, labels, 9)[0], labels.label)
    assert not torch.equal(loss.targets(means, variances, labels, 10)[0], labels.label)


def test_a_contradicted_label_that_is_kept_stays_attenuated_an_agreeing_one_is_plain():
    means = torch.tensor([0.0, -2.0, 2.0]).view(1, 1, 1, 3)
    means = torch.cat([torch.zeros_like(means), means], 1)
    ones = torch.ones((1, 1, 3), dtype=torch.long)
    labels = Labels(ones, ones, 0 * ones)
    loss = LabelUncertaintyLoss(fill=[1.0, 1.0], rule="fill")
    target, attenuated = loss.targets(means, torch.ones(1, 1, 1, 3), labels, 0)
    assert target.flatten().tolist() == [1, 1, 1]
    assert attenuated.flatten().tolist() == [False, True, False]


def test_attenuation_may_end_when_labels_begin_to_turn():
    means, variances, labels = batch((2, 3, 6, 6), 0)
    loss = LabelUncertaintyLoss(fill=[1.0] * 3, start=5, attenuate_kept=False)
    assert torch.equal(loss.targets(means, variances, labels, 4)[1], labels.boxed)
    assert not loss.targets(means, variances, labels, 5)[1].any()
    kept = LabelUncertaintyLoss(fill=[1.0] * 3, start=5).targets(means, variances, labels, 5)[1]
    assert kept.any()


def settled(form, variances, means=(4.0, 0.5, -1.0, -1.0), label=1):
    """The variance of ``label`` after gradient descent on the variances alone, from 1 on; and all of them."""
    mu = torch.tensor(means).view(1, -1, 1, 1)
    raw = torch.full((1, variances, 1, 1), 0.54, requires_grad=True)
    target = torch.full((1, 1, 1), label)
    optimiser = torch.optim.Adam([raw], lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        attenuated_nll(mu, functional.softplus(raw), target, torch.ones((1, 1, 1)).bool(), form).sum().backward()
        optimiser.step()
    s2 = functional.softplus(raw.detach()).flatten()
    return s2[label if variances > 1 else 0].item()


def test_the_shared_variance_grows_where_a_label_is_contradicted_and_shrinks_where_it_is_not():
    assert settled("scaled", 1) > 10
    assert settled("scaled", 1, label=0) < 0.1
    assert settled("scaled", 4) < 0.1, "a variance of its own class shrinks to nothing although the label is wrong"
    assert settled("pairwise", 4) > 5


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 21), st.integers(0, 9999), st.floats(-5, 5))
def test_the_gradient_of_the_shared_variance_is_the_contradiction_for_any_number_of_classes(classes, seed, shift):
    draw = torch.Generator().manual_seed(seed)
    means = 3 * torch.randn((1, classes, 4, 4), generator=draw, dtype=torch.float64)
    label = torch.randint(0, classes, (1, 4, 4), generator=draw)
    variance = torch.rand((1, 1, 4, 4), generator=draw, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(
        attenuated_nll(means + shift, variance, label, torch.ones_like(label).bool()).sum(), variance
    )
    expected = (expected_logits(means, variance.detach()).softmax(1) * means).sum(1)
    contradicted = means.gather(1, label[:, None])[:, 0] < expected
    assert torch.equal(gradient[0, 0] < 0, contradicted[0])


def test_a_label_turns_into_the_class_beneath_only_where_the_means_say_so():
    means = torch.tensor([[0.0, 0.0, 3.0], [3.0, 0.0, 0.0]]).T.reshape(1, 3, 1, 2)
    ones = torch.ones((1, 1, 2), dtype=torch.long)
    labels = Labels(ones, ones, 2 * ones)
    for overlap, expected in ((True, [2, 0]), (False, [0, 0])):
        loss = LabelUncertaintyLoss(fill=[1.0] * 3, rule="mean", min_fill=0.0, overlap=overlap)
        assert loss.targets(means, torch.ones(1, 1, 1, 2), labels, 0)[0].flatten().tolist() == expected


def test_boxes_of_different_images_are_guarded_apart():
    flip = torch.tensor([[[True, True]], [[True, False]]])
    boxed, origin = torch.ones_like(flip), torch.ones((2, 1, 2), dtype=torch.long)
    assert guard(flip, boxed, origin, 0.3).tolist() == [[[False, False]], [[True, False]]]


def test_the_threshold_of_a_class_is_a_running_mean_weighted_by_its_pixels():
    loss = LabelUncertaintyLoss(fill=[1.0, 0.5], momentum=0.5)
    batches = ([1.0, 1.0], [4.0] * 3, [9.0])
    running = [loss._threshold(1, torch.tensor(values)).item() for values in batches]
    second = (0.5 * 2 * 1.0 + 3 * 4.0) / (0.5 * 2 + 3)
    third = (0.5 * 4 * second + 9.0) / (0.5 * 4 + 1)
    assert torch.allclose(torch.tensor(running), torch.tensor([1.0, second, third]))
    assert loss._threshold(1, torch.empty(0)).item() == running[2], "a batch without the class changes nothing"
    resumed = LabelUncertaintyLoss(fill=[1.0, 0.5], momentum=0.5)
    resumed.load_state_dict(loss.state_dict())
    assert resumed._threshold(1, torch.tensor([2.0])) == loss._threshold(1, torch.tensor([2.0]))


def wrong_after_turning(momentum, images=8, classes=6, side=16, steps=60):
    """Share of in-box pixels whose label is wrong after turning, of boxes whose own fill ratios differ (sd 0.13).

    Distrust is perfect: every wrong label has a larger one than every right one.
    """
    draw = torch.Generator().manual_seed(0)
    fill = torch.linspace(0.5, 0.75, classes)
    loss = LabelUncertaintyLoss(fill=[1.0, *fill.tolist()], momentum=momentum)
    wrong = total = 0
    for step in range(steps):
        cls = torch.randint(1, classes + 1, (images,), generator=draw)
        own = (fill[cls - 1] + 0.13 * torch.randn(images, generator=draw)).clamp(0.25, 0.97)
        order = torch.rand(images, side * side, generator=draw).argsort(1).view(images, side, side)
        is_object = order < (own * side * side).view(-1, 1, 1)
        label = cls.view(-1, 1, 1).expand_as(order).contiguous()
        distrust = 1.0 + torch.rand(order.shape, generator=draw) + 9.0 * ~is_object
        labels = Labels(label, torch.ones_like(label), torch.zeros_like(label))
        target, _ = loss.targets(torch.zeros(images, classes + 1, side, side), distrust.unsqueeze(1), labels, step)
        if step >= 20:  # the first batches settle the threshold
            wrong += (target != label * is_object).sum().item()
            total += label.numel()
    return wrong / total


def test_a_perfect_distrust_map_leaves_hardly_a_wrong_label_whatever_the_fill_ratios_of_a_batch():
    assert wrong_after_turning(momentum=0.9) < 0.015
    assert wrong_after_turning(momentum=0.0) > 0.05, "the threshold of one batch forces its few objects to the mean"


def test_the_quantile_of_many_values_is_sampled():
    loss = LabelUncertaintyLoss(fill=[1.0, 0.25])
    assert abs(loss._threshold(1, torch.linspace(0, 1, 1 << 18)).item() - 0.25) < 1e-3


def test_empty_batches_and_padding_give_zero_loss():
    means, variances, labels = batch((1, 2, 4, 4), 0)
    nothing = Labels(torch.full_like(labels.label, 255), torch.full_like(labels.origin, 255), labels.beneath)
    for rule in ("fill", "mean"):
        assert LabelUncertaintyLoss(fill=[1.0, 0.5], rule=rule)(means, variances, nothing, 0) == 0


def test_masks_can_weigh_more_than_boxes():
    means = torch.zeros(1, 2, 1, 2)
    means[0, 1, 0, 0] = 4.0
    label = torch.tensor([[[1, 0]]])
    labels = Labels(label, torch.tensor([[[254, 0]]]), torch.zeros_like(label))
    certain = functional.cross_entropy(means, label, reduction="none").flatten()
    loss = LabelUncertaintyLoss(fill=[1.0, 0.5], exact_weight=3.0)(means, torch.ones(1, 1, 1, 2), labels, 0)
    assert torch.isclose(loss, (3 * certain[0] + certain[1]) / 4)


def test_a_confident_wrong_label_loses_its_pull():
    """z = 20 against t = 0: the loss is 20 and the gradient 1 where certain, and fades where the variance is large."""
    means = torch.tensor([0.0, 20.0]).view(1, 2, 1, 1).requires_grad_()
    target = torch.zeros((1, 1, 1), dtype=torch.long)
    for attenuated, variance, pull in ((False, 1e4, 1.0), (True, 1e4, 0.02)):
        loss = attenuated_nll(means, torch.full((1, 1, 1, 1), variance), target, torch.full((1, 1, 1), attenuated))
        (gradient,) = torch.autograd.grad(loss.sum(), means)
        assert gradient[0, 1].item() <= pull + 1e-6
    assert attenuated_nll(means, torch.ones(1, 1, 1, 1), target, torch.zeros((1, 1, 1)).bool()).item() == 20.0


def test_while_warming_up_box_labels_may_teach_the_variance_alone():
    means, variances, labels = batch((2, 3, 6, 6), 0)
    means.requires_grad_()
    variances.requires_grad_()
    gradients = {}
    for warmup, iteration in (("both", 0), ("variance", 0), ("variance", 5)):
        loss = LabelUncertaintyLoss(fill=[0.5] * 3, start=5, warmup=warmup, min_fill=0.0)
        gradients[warmup, iteration] = torch.autograd.grad(
            loss(means, variances, labels, iteration), (means, variances)
        )
    boxed = labels.boxed.unsqueeze(1)
    assert not (gradients["variance", 0][0] * boxed).any()
    assert torch.equal(gradients["variance", 0][0] * ~boxed, gradients["both", 0][0] * ~boxed)
    assert torch.equal(gradients["variance", 0][1], gradients["both", 0][1])
    assert (gradients["variance", 5][0] * boxed).any()
