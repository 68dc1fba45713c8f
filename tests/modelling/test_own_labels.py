"""A segmenter that makes its labels while it trains: tags in its batches, images without labels, rates of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from harness.contract import IGNORE, DataError, PluginError, Segmenter
from harness.contract.protocol import OptimSettings
from harness.modelling import mm, training
from harness.modelling import tasks as stages
from harness.modelling.classifier import build_classifier
from harness.modelling.dataset import tagged_images
from harness.testing import fake_view

Make = Callable[..., Any]


@mm.MODELS.register_module()
class TagSegmentor(mm.MODELS.get("EncoderDecoder")):  # type: ignore[misc]
    """Learns background everywhere, where the labels say nothing, and notes what it was shown."""

    seen: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    lr_multipliers = {"decode_head.": 2.0, "decode_head.convs.": 0.0}

    def loss(self, inputs: torch.Tensor, data_samples: list[Any]) -> Any:
        self.seen.extend((s.metainfo["img_id"], s.tags, s.gt_sem_seg.data[0].clone()) for s in data_samples)
        for sample in data_samples:
            sample.gt_sem_seg.data = torch.zeros_like(sample.gt_sem_seg.data)
        return super().loss(inputs, data_samples)


class FromTags(Segmenter):
    tags = True

    def configure(self, cfg: Any, view: Any, ctx: Any) -> Any:
        cfg.model.type = "TagSegmentor"
        return cfg


@pytest.fixture
def seen() -> list[Any]:
    TagSegmentor.seen.clear()
    return TagSegmentor.seen


def test_each_training_image_brings_its_tags_beside_its_label(
    view: Any, labels: Any, context: Make, seen: list[Any]
) -> None:
    left_out = view.ids[2]
    labels.masks[left_out] = np.full_like(labels.masks[left_out], IGNORE)
    stages.train_segmenter(FromTags(), labels, view, context("seg"))
    assert len(seen) == 6 * 4
    for image_id, tags, _ in seen:
        assert image_id != left_out
        assert tags.dtype == torch.float32
        assert tags.tolist() == [float(cls in view.tags(image_id)) for cls in (1, 2)]


def test_images_without_labels_are_kept_behind_a_stand_in_alone(
    view: Any, labels: Any, context: Make, seen: list[Any]
) -> None:
    labels.masks = {image_id: np.full_like(mask, IGNORE) for image_id, mask in labels.masks.items()}
    with pytest.raises(DataError, match="every pixel of every pseudo label is 255"):
        stages.train_segmenter(FromTags(), labels, view, context("seg"))
    stages.train_segmenter(FromTags(), labels, view, context("seg"), unlabelled=True)
    assert {image_id for image_id, _, _ in seen} == set(view.ids)
    assert all((label == IGNORE).all() for _, _, label in seen)


def test_tags_that_the_record_does_not_declare_are_refused_in_one_sentence(
    view: Any, labels: Any, context: Make
) -> None:
    images = {image_id: view.image(image_id) for image_id in view.ids}
    blind = fake_view(images, tags=dict.fromkeys(view.ids, (1,)), needs=())
    with pytest.raises(PluginError, match=r"^segmenter FromTags asks for the tags .*; add TAGS to the needs of its"):
        stages.train_segmenter(FromTags(), labels, blind, context("seg"))


def rates(model: torch.nn.Module, optim: OptimSettings, **given: float) -> dict[str, float]:
    """Name of each parameter that learns to its rate."""
    groups = training.parameter_groups(model, optim, given)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


class Small(torch.nn.Module):
    def __init__(self, multipliers: Any = None) -> None:
        super().__init__()
        self.backbone = torch.nn.ModuleDict({"a": torch.nn.Linear(1, 1, bias=False), "b": torch.nn.BatchNorm1d(1)})
        self.head = torch.nn.ModuleDict(
            {"a": torch.nn.Linear(1, 1, bias=False), "b": torch.nn.Linear(1, 1, bias=False)}
        )
        if multipliers is not None:
            self.lr_multipliers = multipliers


OPTIM = OptimSettings(iterations=2, batch_size=4, lr=0.5, head_lr_mult=10.0)


def test_multipliers_of_a_model_multiply_the_rates_of_the_protocol_and_the_longest_prefix_counts() -> None:
    usual = rates(Small(), OPTIM)
    assert usual == {"backbone.a.weight": 0.5, "backbone.b.weight": 0.5, "backbone.b.bias": 0.5} | {
        "head.a.weight": 5.0,
        "head.b.weight": 5.0,
    }
    assert rates(Small({}), OPTIM) == usual
    model = Small({"backbone.": 2.0, "backbone.b": 0.0, "head.b": 0.5})
    assert rates(model, OPTIM) == {"backbone.a.weight": 1.0, "head.a.weight": 5.0, "head.b.weight": 2.5}
    assert not any(parameter.requires_grad for parameter in model.backbone["b"].parameters())
    assert rates(Small({"head.": 2.0}), OPTIM, **{"head.a": 3.0})["head.a.weight"] == 3.0


@pytest.mark.parametrize(
    ("multipliers", "sentence"),
    [
        ({"neck": 1.0}, "Small.lr_multipliers: no parameter begins with 'neck'"),
        ({"head.": -1.0}, r"Small.lr_multipliers\['head.'\]: must be a number from 0 \(frozen\) on, got -1.0"),
        ({"head.": float("nan")}, "must be a number from 0 .* got nan"),
        ({"head.": "2"}, "must be a number from 0 .* got '2'"),
    ],
)
def test_multipliers_that_cannot_be_meant_are_one_sentence(multipliers: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=f"{sentence}"):
        training.parameter_groups(Small(multipliers), OPTIM, {})


def test_multipliers_reach_the_training_of_a_segmenter_and_of_a_classifier(
    view: Any, labels: Any, context: Make, seen: list[Any]
) -> None:
    ctx = context("still")
    ctx.settings = {**ctx.settings, "segmenter": _still(ctx.settings["segmenter"])}
    stages.train_segmenter(FromTags(), labels, view, ctx)
    stages.train_segmenter(FromTags(), labels, view, context("seg"))
    before, after = (torch.load(context(name).out / "segmenter.pth") for name in ("still", "seg"))
    moved = {name for name in before if name.endswith("weight") and not torch.equal(before[name], after[name])}
    assert "decode_head.conv_seg.weight" in moved
    assert moved
    assert not any(name.startswith("decode_head.convs.") and "conv.weight" in name for name in moved)

    classifier = build_classifier(context("classifier"))
    classifier.lr_multipliers = {"backbone.": 0.0}
    state = {name: value.clone() for name, value in classifier.named_parameters()}
    ctx = context("classifier")
    training.fit(classifier, tagged_images(view, ctx), ctx.settings["classifier"].optim, ctx)
    moved = {name for name, value in classifier.named_parameters() if not torch.equal(value, state[name])}
    assert moved == {"head.weight"}


def _still(section: Any) -> Any:
    return section.model_copy(update={"optim": section.optim.model_copy(update={"iterations": 0})})
