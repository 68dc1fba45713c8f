"""A backbone's record is compared with its network before anything is trained on it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.contract import BackboneRecord, ConfigError, PluginError, Segmenter
from harness.modelling import backbones, classification
from harness.modelling import builtin as records
from harness.modelling import tasks as stages
from harness.modelling.backbones import mobilenet_v2
from harness.modelling.probe import check_backbone, trains_on_one_image
from harness.modelling.segmenter import build_config

RECORDS = {record.name: record for record in records.wsss_backbones()}


class Plain(Segmenter):
    def configure(self, cfg: Any, view: Any, ctx: Any) -> Any:
        return cfg


def record(**changes: Any) -> BackboneRecord:
    sound = BackboneRecord("mine", factory=mobilenet_v2, channels=(24, 32, 96, 320), output_strides=(8, 16, 32))
    return replace(sound, **changes)


@pytest.mark.parametrize("name", ["tiny", "mobilenet_v2", "mit_b0"])
def test_a_true_record_passes_at_every_output_stride(name: str) -> None:
    for stride in RECORDS[name].output_strides:
        check_backbone(RECORDS[name], stride)


def _missing_library(output_stride: int) -> dict[str, Any]:
    import no_such_library

    return {"type": no_such_library.Net, "stride": output_stride}


FAULTS = [
    ({"channels": (24, 32, 96)}, r"backbone 'mine': channels: the record says \(24, 32, 96\), .*\(24, 32, 96, 320\)"),
    ({"channels": ()}, r"backbone 'mine': channels: the record says \(\), .*\(24, 32, 96, 320\)"),
    ({"factory": lambda stride: mobilenet_v2(32)}, r"backbone 'mine': output_strides: at output stride 16 .* 5 x 5"),
    ({"factory": lambda stride: {"type": "NoSuchNet"}}, "backbone 'mine': factory: .*cannot be built.*NoSuchNet"),
    ({"factory": lambda stride: {"type": "absent_lib.Net"}}, "backbone 'mine': factory: .*cannot be built.*absent_lib"),
    ({"factory": lambda stride: {**mobilenet_v2(stride), "out_indices": (9,)}}, "backbone 'mine': factory: .*built"),
    ({"factory": lambda stride: None}, "backbone 'mine': factory: fails at output stride 16"),
    ({"factory": lambda: {}}, "backbone 'mine': factory: fails at output stride 16"),
    ({"factory": _missing_library}, "backbone 'mine': factory: fails.*no_such_library"),
]


@pytest.mark.parametrize(("changes", "words"), FAULTS)
def test_a_wrong_record_is_one_sentence_with_backbone_and_field(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginError, match=words) as caught:
        check_backbone(record(**changes), 16)
    assert "\n" not in str(caught.value)


def test_a_stride_that_is_not_offered_is_the_users_mistake() -> None:
    with pytest.raises(ConfigError, match="output_stride"):
        check_backbone(record(), 4)


def test_the_first_place_that_builds_a_network_names_backbone_and_field(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], context: Any, view: Any
) -> None:
    monkeypatch.setitem(backbones._known, "mine", record(channels=(16, 32, 96, 320)))
    settings["backbone"] = settings["backbone"].model_copy(update={"name": "mine"})
    with pytest.raises(PluginError, match="backbone 'mine': channels"):
        classification.train_classifier({}, view, context("classifier"))
    with pytest.raises(PluginError, match="backbone 'mine': channels"):
        build_config(settings["segmenter"], settings["backbone"], 3)


@pytest.mark.parametrize(
    ("head", "freeze_bn", "possible"),
    [
        ("pspnet", False, False),
        ("deeplabv3plus_lite", False, False),
        ("deeplabv3plus_lite", True, False),
        ("fcn", False, True),
        ("segformer", False, True),
        ("mlp_stride8", False, True),
    ],
)
def test_a_step_of_one_image_is_refused_exactly_where_training_would_fail(
    settings: dict[str, Any], view: Any, labels: Any, context: Any, head: str, freeze_bn: bool, possible: bool
) -> None:
    one = settings["segmenter"]
    optim = one.optim.model_copy(update={"batch_size": 1, "iterations": 1, "freeze_bn": freeze_bn})
    path = str(Path(one.config).parent / f"{head}.py")
    settings["segmenter"] = one.model_copy(update={"optim": optim, "config": path})
    assert trains_on_one_image("segmenter", settings["segmenter"], settings["backbone"]) is possible
    with nullcontext() if possible else pytest.raises(ConfigError, match=r"optim\.batch_size: .*at least 2"):
        stages.train_segmenter(Plain(), labels, view, context("segmenter"))


@pytest.mark.parametrize(("crop", "freeze_bn", "possible"), [(16, False, False), (16, True, True), (32, False, True)])
def test_a_backbone_that_shrinks_one_image_to_one_pixel_is_found(
    settings: dict[str, Any], view: Any, context: Any, crop: int, freeze_bn: bool, possible: bool
) -> None:
    optim = settings["classifier"].optim.model_copy(update={"batch_size": 1, "iterations": 1, "freeze_bn": freeze_bn})
    augment = settings["classifier"].augment.model_copy(update={"crop": crop})
    settings["classifier"] = settings["classifier"].model_copy(update={"optim": optim, "augment": augment})
    assert trains_on_one_image("classifier", settings["classifier"], settings["backbone"]) is possible
    with nullcontext() if possible else pytest.raises(ConfigError, match=r"optim\.batch_size: .*at least 2"):
        classification.train_classifier({}, view, context("classifier"))
