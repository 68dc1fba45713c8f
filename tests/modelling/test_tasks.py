from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from harness.contract import ConfigError, DataError, PluginError, Segmenter
from harness.contract.protocol import BackboneSettings
from harness.contract.protocol import TestSettings as Settings
from harness.modelling import cams, classification, inference, mm
from harness.modelling import tasks as stages
from harness.modelling.classifier import load_classifier
from harness.modelling.dataset import multi_hot
from harness.testing import fake_view

Make = Callable[..., Any]


class Plain(Segmenter):
    pass


@mm.MODELS.register_module()
class EchoLoss(torch.nn.Module):
    """Cross entropy that notes what reaches the loss."""

    loss_name = "loss_echo"
    seen: list[torch.Tensor] = []

    def forward(self, logits: torch.Tensor, labels: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        self.seen.append(labels)
        return torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)


@mm.MODELS.register_module()
class EchoSegmentor(mm.MODELS.get("EncoderDecoder")):  # type: ignore[misc]
    seen: list[Any] = []

    def loss(self, inputs: torch.Tensor, data_samples: list[Any]) -> Any:
        self.seen.extend((s.gt_sem_seg.data[0], s.twin.data, s.metainfo["img_id"]) for s in data_samples)
        return super().loss(inputs, data_samples)


def test_a_classifier_learns_its_tags_and_its_cams_are_stored(
    view: Any, context: Make, settings: dict[str, Any]
) -> None:
    ctx = context("classifier")
    classification.train_classifier({}, view, ctx)
    assert {p.name for p in ctx.out.iterdir()} == {"classifier.pth", "classifier.json", "train.json"}
    assert load_classifier(ctx.out).forward_cam(torch.zeros(1, 3, 33, 33)).shape[1] == 2
    cams.infer_cams({}, view, context("cams"))
    from harness.maps.scores import ScoreReader

    reader = ScoreReader(context("cams").out)
    for image_id in view.ids:
        assert reader.get(image_id).classes == view.tags(image_id)


def test_stages_are_functions_of_their_seeds(view: Any, labels: Any, context: Make) -> None:
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        ctx = context(name, seed=seed)
        stages.train_segmenter(Plain(), labels, view, ctx)
        weights.append((ctx.out / "segmenter.pth").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_a_trained_segmenter_predicts_from_its_folder_alone(view: Any, labels: Any, context: Make) -> None:
    ctx = context("seg")
    stages.train_segmenter(Plain(), labels, view, ctx)
    assert {p.name for p in ctx.out.iterdir()} == {"segmenter.pth", "segmenter.json", "train.json"}
    assert json.loads((ctx.out / "train.json").read_text())[-1]["iteration"] == 6
    found = dict(
        inference.predict(
            ctx.out, ((image_id, view.image(image_id)) for image_id in view.ids), settings=Settings(), device="cpu"
        )
    )
    assert set(found) == set(view.ids)
    (probabilities,) = inference.predict_probabilities(
        ctx.out, [view.image(view.ids[0])], settings=Settings(), device="cpu"
    )
    np.testing.assert_array_equal(probabilities.argmax(0), found[view.ids[0]])


def test_losses_models_and_extra_targets_of_a_method_are_used_and_found_again(
    view: Any, labels: Any, context: Make
) -> None:
    class Method(Segmenter):
        extra_targets = ("twin",)

        def configure(self, cfg: Any, view: Any, ctx: Any) -> Any:
            cfg.model.type = "EchoSegmentor"
            cfg.model.decode_head.loss_decode = {"type": "EchoLoss"}
            return cfg

        def targets(self, image_id: str, label: Any, view: Any, ctx: Any) -> Mapping[str, np.ndarray]:
            return {"twin": label.mask + 10}

    EchoSegmentor.seen.clear()
    EchoLoss.seen.clear()
    ctx = context("seg")
    stages.train_segmenter(Method(), labels, view, ctx)
    assert len(EchoSegmentor.seen) == 6 * 4
    assert EchoLoss.seen
    for label, twin, image_id in EchoSegmentor.seen:
        assert image_id in view.ids
        assert label.dtype == torch.int64
        assert twin.shape == (1, 32, 32)
        inside = label != 255
        assert torch.equal(twin[0][inside].long(), label[inside] + 10)
        assert (twin[0][~inside] == 255).all()
    config = json.loads((ctx.out / "segmenter.json").read_text())
    assert config["imports"] == [__name__]
    assert next(inference.predict(ctx.out, [("x", view.image(view.ids[0]))], settings=Settings(), device="cpu"))


def test_targets_that_do_not_match_their_names_are_an_error(view: Any, labels: Any, context: Make) -> None:
    class Method(Segmenter):
        extra_targets = ("twin",)

    with pytest.raises(PluginError, match=r"Method: targets returned \[\], extra_targets names \['twin'\]"):
        stages.train_segmenter(Method(), labels, view, context("seg"))


def test_a_label_of_another_size_is_an_error(view: Any, labels: Any, context: Make) -> None:
    for image_id in view.ids:
        labels.masks[image_id] = labels.masks[image_id][:-1]
    with pytest.raises(DataError, match=r"label of image 'photo \d+' is \(39, 52\), the image is \(40, 52\)"):
        stages.train_segmenter(Plain(), labels, view, context("seg"))


def test_a_warm_start_takes_what_fits(view: Any, labels: Any, context: Make, settings: dict[str, Any]) -> None:
    first = context("first")
    stages.train_segmenter(Plain(), labels, view, first)
    still = settings["segmenter"].optim.model_copy(update={"iterations": 0})
    settings["segmenter"] = settings["segmenter"].model_copy(update={"optim": still})
    second = context("second", seed=5)
    stages.train_segmenter(Plain(), labels, view, second, warm_start=first.out / "segmenter.pth")
    one, other = (torch.load(ctx.out / "segmenter.pth") for ctx in (first, second))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_images_without_tags_train_the_classifier_and_wrong_tags_do_not(view: Any, context: Make) -> None:
    tags = multi_hot(view, 3)
    assert tags[0].tolist() == [0.0, 0.0]
    assert tags[1].tolist() == [1.0, 0.0]
    wrong = fake_view({"a": view.image(view.ids[0])}, tags={"a": (3,)})
    with pytest.raises(DataError, match=r"tagged with class 3, foreground is 1\.\.2"):
        classification.train_classifier({}, wrong, context("classifier"))


def test_a_backbone_from_a_segmenter_configuration_has_no_classifier(
    view: Any, context: Make, settings: dict[str, Any]
) -> None:
    settings["backbone"] = BackboneSettings(name="config")
    with pytest.raises(ConfigError, match="has no classifier"):
        classification.train_classifier({}, view, context("classifier"))
