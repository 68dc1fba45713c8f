"""A segmenter that is made for some backbones says so when the run is planned."""

import json

import pytest

from harness.contract import ConfigError, PluginError
from tests.engine.toy import BENCHMARK, make_plan


def planned(tmp_path, row, **changes):
    path = tmp_path / "toy.yaml"
    protocol = {**BENCHMARK["protocol"], **changes.pop("protocol", {})}
    (tmp_path / "model.py").write_text("model = dict()")
    path.write_text(json.dumps({**BENCHMARK, "methods": [row], "protocol": protocol, **changes}))
    plan, _ = make_plan(path)
    return [cell.backbone.name for cell in plan.cells]


def row(segmenter):
    return {"name": "mine", "rounds": [{"generator": "fill", "segmenter": segmenter}]}


def test_a_backbone_that_the_segmenter_was_not_made_for_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(
        ConfigError, match=r"toy.yaml: methods.mine: segmenter 'picky' cannot be trained on backbone 'net'"
    ):
        planned(tmp_path, row("picky"), backbones=["wide", "net"])


def test_one_that_it_was_made_for_is_planned(tmp_path):
    assert planned(tmp_path, row("picky"), backbones=["wide"]) == ["wide"]


def test_a_segmenter_that_says_nothing_is_trained_on_any(tmp_path):
    assert planned(tmp_path, row("toy"), backbones=["wide", "net"]) == ["wide", "net"]


def test_an_answer_that_is_no_text_is_a_fault_of_the_plugin(tmp_path):
    with pytest.raises(PluginError, match="segmenter 'mute': unfit must return a text, got NoneType"):
        planned(tmp_path, row("mute"))
