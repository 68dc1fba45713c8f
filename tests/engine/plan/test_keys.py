"""Keys as data: what changes them, and what does not."""

import json
import math
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.seeds import derive_seed
from harness.contract import ConfigError
from harness.engine.plan.keys import (
    as_given,
    canonical,
    digest,
    in_order,
    is_key_of,
    stage_key,
)
from harness.engine.plan.segmenter_file import segmenter_config_sha256
from tests.engine.toy import make_plan

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_the_order_of_keys_never_matters(mapping):
    assert canonical(mapping) == canonical(dict(reversed(mapping.items())))


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_different_floats_have_different_digests(one, two):
    assert (digest(one) == digest(two)) == (repr(one) == repr(two))


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(ConfigError, match="cannot be hashed"):
        canonical({"a": value})


def test_a_key_is_the_same_on_every_machine():
    assert stage_key({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_a_key_of_an_earlier_version_is_still_known_by_its_inputs():
    before = "7fda64e3dae946022e22457da8467d8b9ef86193f1c5eccc15bc0a5007a84618"
    assert is_key_of(before, {"a": 1})
    assert is_key_of(stage_key({"a": 1}), {"a": 1})
    assert not is_key_of(before, {"a": 2})


@given(st.dictionaries(st.text(), json_values, min_size=2, max_size=4))
def test_the_order_of_a_mapping_survives_where_it_is_asked_for(mapping):
    other = dict(reversed(mapping.items()))
    assert digest(in_order(mapping)) != digest(in_order(other))
    assert list(json.loads(as_given(other))) == list(other)


def test_no_list_is_taken_for_a_mapping_in_order():
    values = [{"a": 1}, [["a", 1]], {"in order": [["a", 1]]}]
    assert len({canonical(in_order(value)) for value in values}) == 3


@given(st.integers(0, 2**31), st.text())
def test_seeds_are_31_bits_and_repeatable(seed, axis):
    assert 0 <= derive_seed(seed, axis) < 2**31
    assert derive_seed(seed, axis) == derive_seed(seed, axis)


def test_seeds_differ_by_seed_and_axis():
    assert len({derive_seed(seed, axis) for seed in range(10) for axis in ("init", "order")}) == 20


@pytest.mark.parametrize(
    "names",
    [
        "_base_ = ['bases/base.py']",
        "from mmengine.config import read_base\nwith read_base():\n    from .bases.base import *",
        "import mmengine.config as c\nwith c.read_base():\n    from .bases.base import *",
    ],
)
def test_a_segmenter_configuration_counts_with_its_bases_and_without_its_place(tmp_path, names):
    def write(folder, base):
        (folder / "bases").mkdir(parents=True)
        (folder / "bases" / "base.py").write_text(base)
        (folder / "model.py").write_text(f"{names}\nmodel = {{}}\n")
        return segmenter_config_sha256(folder / "model.py")

    one = write(tmp_path / "one", "a = 1")
    assert write(tmp_path / "two", "a = 1") == one
    assert write(tmp_path / "three", "a = 2") != one
    (tmp_path / "one" / "bases" / "base.py").unlink()
    with pytest.raises(ConfigError, match=r"base\.py: no such file"):
        segmenter_config_sha256(tmp_path / "one" / "model.py")


def keys_of(plan, label):
    return next(dict(cell.stages) for cell in plan.cells if cell.row.label == label)


def changed(before, after, label="fill"):
    one, two = keys_of(before, label), keys_of(after, label)
    return {role for role in one if one[role] != two[role]}


LATER = {"r1/segmenter toy", "predict", "score predictions"}


def test_a_method_parameter_changes_exactly_its_stage_and_what_follows(write_config):
    before, _ = make_plan(write_config())
    after, _ = make_plan(write_config(), ["methods.fill.cls=2"])
    assert changed(before, after) == {"r1/generate fill", "r1/score labels", *LATER}
    assert changed(before, after, "learnt") == changed(before, after, "learnt_erase") == set()


def test_adding_a_method_changes_no_key(write_config):
    before, _ = make_plan(write_config(methods=["fill"]))
    after, _ = make_plan(write_config(methods=["learnt", "fitted", "fill", "twice"]))
    assert changed(before, after) == set()
    assert before.fingerprint == after.fingerprint


def test_methods_that_ask_for_the_same_shared_stage_share_its_key(write_config):
    plan, _ = make_plan(write_config(methods=["learnt", "learnt_erase"]))
    assert keys_of(plan, "learnt")["learn"] == keys_of(plan, "learnt_erase")["learn"]
    assert len(plan.stages) == len({key for cell in plan.cells for _, key in cell.stages})


@pytest.mark.parametrize(
    ("override", "label", "expected"),
    [
        ("protocol.test.flip=true", "learnt", {"predict", "score predictions"}),
        ("protocol.segmenter.optim.lr=0.5", "learnt", LATER),
        ("protocol.classifier.optim.lr=0.5", "fill", set()),
        ("protocol.classifier.optim.lr=0.5", "learnt", {"learn", "r1/generate learnt", "r1/score labels", *LATER}),
        ("protocol.scoring.bootstrap=200", "learnt", set()),
        ("protocol.scoring.counts=[boundary]", "fill", {"r1/score labels", "score predictions"}),
        ("protocol.scoring.counts=[]", "fill", set()),
        ("protocol.scoring.dev_fraction=0.4", "fill", {"predict", "score predictions"}),
        ("dataset.params.masks=1", "learnt", {"r1/score labels", "score predictions"}),
        ("dataset.params.tags=1", "fill", {"r1/generate fill", "r1/score labels", *LATER}),
    ],
)
def test_a_setting_changes_exactly_the_stages_that_read_it(write_config, override, label, expected):
    before, _ = make_plan(write_config())
    after, _ = make_plan(write_config(), [override])
    assert changed(before, after, label) == expected


def test_the_seed_changes_what_trains_and_what_follows_only(write_config):
    plan, _ = make_plan(write_config(), seeds=[0, 1])
    fill = [dict(cell.stages) for cell in plan.cells if cell.row.label == "fill"]
    assert fill[0]["r1/generate fill"] == fill[1]["r1/generate fill"]
    assert fill[0]["r1/segmenter toy"] != fill[1]["r1/segmenter toy"]
    learnt = [dict(cell.stages) for cell in plan.cells if cell.row.label == "learnt"]
    assert not set(learnt[0].values()) & set(learnt[1].values())


def test_the_fingerprint_leaves_axes_and_paths_out(write_config, tmp_path):
    one, _ = make_plan(write_config())
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("toy.yaml", "model.py"):
        (other / name).write_bytes((tmp_path / name).read_bytes())
    two, _ = make_plan(other / "toy.yaml", seeds=[3], backbones=["wide"])
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint == make_plan(write_config(), ["protocol.scoring.counts=[]"])[0].fingerprint
    texts = ("[size,boundary]", "[boundary,size]")
    orders = [make_plan(write_config(), [f"protocol.scoring.counts={text}"])[0] for text in texts]
    assert orders[0].fingerprint == orders[1].fingerprint != one.fingerprint
    assert one.fingerprint != make_plan(write_config(), ["protocol.test.flip=true"])[0].fingerprint
    assert one.fingerprint != make_plan(write_config(), ["dataset.params.masks=1"])[0].fingerprint


def test_weights_count_by_content_and_not_by_path(write_config, tmp_path):
    def key(file, content):
        with zipfile.ZipFile(tmp_path / file, "w") as archive:  # as torch.save writes it
            archive.writestr(zipfile.ZipInfo("w/data.pkl"), content)
        plan, _ = make_plan(write_config(backbones=[{"name": "net", "weights": file}], methods=["learnt"]))
        assert plan.cells[0].backbone.weights == str(tmp_path / file)
        return keys_of(plan, "learnt")["learn"]

    assert key("a.pth", "1") == key("b.pth", "1") != key("c.pth", "2")
