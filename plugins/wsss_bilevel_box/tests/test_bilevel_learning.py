"""The upper problem: no gradient reaches S in the alternation, a true hypergradient in the unrolled form."""

import json
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.contract import Box
from harness.modelling import poly_rate
from harness.modelling.training_state import LossCurve
from harness.testing import fake_context
from wsss_bilevel_box.learning import Fitting, Probability, Schedule, Unrolled, alternation_step, fit
from wsss_bilevel_box.network import SMALL, MaskGenerator
from wsss_bilevel_box.pairs import PairStream, Scene

RATES = json.loads((Path(__file__).parent / "vectors" / "official.json").read_text())["poly_lr"]


class Preprocessor:
    @staticmethod
    def normalise(images):
        return images.permute(0, 3, 1, 2).to(torch.get_default_dtype()) / 64 - 2


class TinySegmenter(nn.Module):
    """One 1x1 convolution at stride 8."""

    def __init__(self, classes=3):
        super().__init__()
        self.head = nn.Conv2d(3, classes, 1)
        self.data_preprocessor = Preprocessor()

    def forward(self, x, mode="tensor"):
        return self.head(functional.avg_pool2d(x, 8))


class TinyGenerator(nn.Module):
    """A pixel-wise generator that can be differentiated twice in double precision."""

    def __init__(self):
        super().__init__()
        self.channels = 5
        self.layer = nn.Conv2d(5, 2, 1)

    def forward(self, x):
        return self.layer(functional.avg_pool2d(x.to(self.layer.weight.dtype), 4)).tanh()


def scenes(count=4):
    found = []
    for n in range(count):
        rng = np.random.default_rng(n)
        image = rng.integers(0, 90, (32, 32, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        boxes = (Box(1, 2, 2, 16, 16), Box(2, 14, 12, 30, 30))
        for box in boxes:
            y, x = (box.y0 + box.y1) // 2, (box.x0 + box.x1) // 2
            mask[y - 5 : y + 5, x - 5 : x + 5] = box.cls
            image[y - 5 : y + 5, x - 5 : x + 5] += 120
        found.append(Scene(str(n), image, mask, boxes))
    return found


@pytest.mark.parametrize(
    ("base", "total", "every", "name"),
    [
        (1e-3, 20000, 1, "vgg"),
        (2.5e-4, 40000, 1, "r101"),
        (1e-4, 100000, 50, "lpg_updated_every_50"),
    ],
)
def test_the_published_learning_rates(base, total, every, name):
    for iteration, rate in RATES[name].items():
        assert base * poly_rate(int(iteration), total, every=every) == pytest.approx(rate, rel=1e-9)


def test_no_gradient_reaches_the_segmenter_in_the_alternation():
    torch.manual_seed(0)
    segmenter, generator = TinySegmenter(), MaskGenerator(5, SMALL)
    batch = PairStream(scenes(), crop=32, seed=0).batch(0, 4)
    alternation_step(generator, batch, Probability(segmenter), unit=True).backward()
    assert all(p.grad is None for p in segmenter.parameters())
    assert all(p.grad is not None for p in generator.parameters())


def test_the_hypergradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        segmenter, generator = TinySegmenter(), TinyGenerator()
        batch = PairStream(scenes(2), crop=32, seed=0).image_batch(0, 2)
        unrolled = Unrolled(segmenter, 5.0, Probability(segmenter), unit=True)
        loss, _ = unrolled.loss(generator, batch)
        weight = generator.layer.weight
        (found,) = torch.autograd.grad(loss, weight)
        for index in ((1, 0), (1, 2), (0, 3)):
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    weight[index] += step
                values.append(upper(unrolled, generator, batch).item())
                with torch.no_grad():
                    weight[index] -= step
            assert found[index].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-9)
        still = Unrolled(segmenter, 0.0, Probability(segmenter), unit=True)
        (without,) = torch.autograd.grad(still.loss(generator, batch)[0], weight)
        assert not torch.allclose(found, without, rtol=1e-3)
    finally:
        torch.set_default_dtype(torch.float32)


def upper(unrolled, generator, batch):
    return unrolled.loss(generator, batch)[0].detach()


def test_without_a_lower_step_the_unrolled_loss_is_the_alternation():
    torch.manual_seed(0)
    segmenter, generator = TinySegmenter(), MaskGenerator(5, SMALL).eval()
    batch = PairStream(scenes(), crop=32, seed=0).image_batch(0, 2)
    unrolled = Unrolled(segmenter, 0.0, Probability(segmenter), unit=True)
    plain = alternation_step(generator, batch, Probability(segmenter), unit=True)
    torch.testing.assert_close(unrolled.loss(generator, batch)[0], plain)


def train(folder, *, scheme="alternation", iterations=6, interrupt=None):
    torch.manual_seed(0)
    generator = MaskGenerator(5, SMALL)
    torch.manual_seed(1)
    segmenter = TinySegmenter().eval()
    probability = Probability(segmenter)
    unrolled = Unrolled(segmenter, 0.1, probability, unit=True) if scheme == "unrolled" else None

    def progress(done, total):
        if done == interrupt:
            raise KeyboardInterrupt

    ctx = fake_context(folder)
    ctx.progress = progress
    fitting = Fitting(generator, probability, unrolled)
    curve = fit(fitting, PairStream(scenes(), crop=32, seed=0), Schedule(iterations, 4, 1e-3), ctx, seed=0)
    return generator, segmenter, curve


@pytest.mark.parametrize("scheme", ["alternation", "unrolled"])
def test_a_killed_training_ends_with_the_same_weights(tmp_path, monkeypatch, scheme):
    whole, segmenter, losses = train(tmp_path / "whole", scheme=scheme)
    monkeypatch.setattr("harness.modelling.training.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", scheme=scheme, interrupt=3)
    resumed, moved, again = train(tmp_path / "killed", scheme=scheme)
    assert again == losses
    for one, two in ((whole, resumed), (segmenter, moved)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[name]), name


def test_the_generator_learns_what_fills_a_box(tmp_path, monkeypatch):
    monkeypatch.setattr(LossCurve, "__init__", partialmethod(LossCurve.__init__, interval=3))
    _, segmenter, curve = train(tmp_path, iterations=25)
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    torch.manual_seed(1)
    for name, value in TinySegmenter().state_dict().items():
        assert torch.equal(segmenter.state_dict()[name], value)
