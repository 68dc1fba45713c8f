"""The benchmark file: short forms, overrides, selection, and one sentence for everything wrong."""

import hashlib
import os
import zipfile

import pytest
import yaml

from harness.contract import ConfigError
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.rows import resolve_rows
from tests.engine.toy import BENCHMARK, make_plan


def rows(benchmark):
    return {row.name: row for row in benchmark.methods}


def test_a_row_is_a_name_a_method_or_rounds(write_config):
    path = write_config(
        methods=[
            "fill",
            {"method": "learnt"},
            {"name": "fill_two", "method": "fill", "params": {"cls": 2}},
            {"name": "fill_other", "method": "fill", "segmenter": "other"},
            {"name": "fill_erase", "method": "fill", "refiners": ["erase"]},
            {"name": "own", "rounds": [{"generator": "learnt", "refiners": [{"name": "erase"}], "segmenter": "other"}]},
        ]
    )
    plan, _ = make_plan(path)
    roles = {cell.row.label: [role for role, _ in cell.stages] for cell in plan.cells}
    assert roles["learnt"][:2] == ["learn", "r1/generate learnt"]
    assert roles["fill_other"][1] == "r1/segmenter other"
    assert roles["fill_erase"][1] == "r1/refine erase"
    assert roles["own"][1:4] == ["r1/generate learnt", "r1/refine erase", "r1/segmenter other"]
    row = {cell.row.label: cell.row for cell in plan.cells}
    assert row["fill_two"].params == {"cls": 2, "mode": "fine"}
    assert row["fill_other"].recombined
    assert not row["fill_two"].recombined
    assert row["own"].supervision == "I"


def test_a_row_of_labels_alone_trains_no_last_segmenter(write_config):
    own = {"name": "own", "rounds": [{"generator": "learnt", "segmenter": "toy"}] * 2, "labels_only": True}
    plan, _ = make_plan(write_config(methods=[{"name": "labels", "method": "fill", "labels_only": True}, own]))
    roles = {cell.row.label: [role for role, _ in cell.stages] for cell in plan.cells}
    assert roles["labels"] == ["r1/generate fill", "r1/score labels"]
    assert [role for role in roles["own"] if "segmenter" in role] == []
    assert [cell.val for cell in plan.cells] == [None, None]


def test_a_row_of_labels_alone_with_a_segmenter_is_refused(write_config):
    row = {"method": "fill", "segmenter": "other", "labels_only": True}
    with pytest.raises(ConfigError, match=r"methods.*labels_only trains no segmenter"):
        load_benchmark(write_config(methods=[row]))


def test_an_override_replaces_the_data_set_by_a_file_of_the_current_folder(write_config, tmp_path, monkeypatch):
    path = write_config(methods=["fill"])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.yaml").write_text("name: synthetic\nparams: {train: 7, size: 32}\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    given = load_benchmark(path, ["dataset.params.train=5", "dataset=mine.yaml"])
    assert (given.dataset.name, given.dataset.params) == ("synthetic", {"train": 5, "size": 32})
    with pytest.raises(ConfigError, match=r"other\.yaml: "):
        load_benchmark(path, ["dataset=other.yaml"])
    assert load_benchmark(path, ["dataset=synthetic"]).dataset.params["train"] == 160
    with pytest.raises(ConfigError, match=r"'datasets/synthetik' .*did you mean 'datasets/synthetic'"):
        load_benchmark(path, ["dataset=synthetik"])


def test_overrides_reach_protocol_dataset_rows_and_seeds(write_config):
    overrides = ["protocol.cam.threshold=0.3", "dataset.params.train=2", "methods.fill.cls=2", "seeds=[3, 4]"]
    plan, _ = make_plan(write_config(methods=["fill"]), overrides)
    assert plan.benchmark.protocol.cam.threshold == 0.3
    assert plan.dataset.images["train"] == 2
    assert plan.cells[0].row.params["cls"] == 2
    assert [cell.seed for cell in plan.cells] == [3, 4]


def test_an_override_changes_one_place_even_where_yaml_shares_it(write_config, tmp_path):
    plan, _ = make_plan(write_config(), ["protocol.segmenter.optim.lr=0.5"])
    assert "&id" in (tmp_path / "toy.yaml").read_text()
    assert (plan.benchmark.protocol.segmenter.optim.lr, plan.benchmark.protocol.classifier.optim.lr) == (0.5, 0.01)


def test_the_longest_label_takes_an_override(write_config):
    labels = [{"name": name, "method": "fill"} for name in ("v1", "v1.5")]
    found = rows(load_benchmark(write_config(methods=labels), ["methods.v1.5.cls=2"]))
    assert found["v1.5"].params == {"cls": 2}
    assert found["v1"].params == {}


def test_a_data_set_may_be_a_file_beside_the_benchmark(write_config, tmp_path):
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"name": "toy", "params": {"train": 2}}))
    plan, _ = make_plan(write_config(dataset="data.yaml"), ["dataset.params.val=1"])
    assert plan.dataset.images == {"train": 2, "val": 1}


def test_a_repeated_row_runs_its_last_round_again_from_its_own_weights(write_config):
    plan, _ = make_plan(write_config(methods=[{"name": "fill_3x", "method": "fill", "repeat": 3}, "fill"]))
    row = {cell.row.label: cell.row for cell in plan.cells}
    assert [item.warm_start for item in row["fill_3x"].rounds] == [False, True, True]
    assert {item.generator.use["name"] for item in row["fill_3x"].rounds} == {"fill"}
    assert not row["fill_3x"].recombined
    stages = [(spec.kind, key) for key, spec in plan.stages.items()]
    assert len([key for kind, key in stages if kind == "segmenter"]) == 3  # the first is that of fill
    assert len([key for kind, key in stages if kind == "generate"]) == 1


def test_selection_takes_lists_and_wildcards_and_registered_names(write_config):
    registered = {"method": ["fitted"], "backbone": ["wide"]}

    def labels(**selection):
        benchmark = load_benchmark(write_config(), registered=registered, **selection)
        return [row.name for row in benchmark.methods], [backbone.name for backbone in benchmark.backbones]

    assert labels(methods=["learnt*"])[0] == ["learnt", "learnt_erase"]
    assert labels(methods=["learnt", "fill"])[0] == ["fill", "learnt"]
    assert labels(methods=["fill", "fitted"])[0] == ["fill", "fitted"]
    assert labels(backbones=["wide"])[1] == ["wide"]


def test_variables_are_expanded_only_where_they_are_used(write_config, monkeypatch):
    monkeypatch.delenv("TOY_UNSET", raising=False)
    path = write_config(
        methods=["fill", {"name": "unset", "method": "fill", "params": {"mode": "${TOY_UNSET}"}}],
        backbones=["net", {"name": "wide", "weights": "${TOY_UNSET}"}],
    )
    assert rows(load_benchmark(path, methods=["fill"], backbones=["net"])).keys() == {"fill"}
    with pytest.raises(ConfigError, match=r"methods\.1\.params\.mode: environment variable TOY_UNSET is not set"):
        load_benchmark(path, backbones=["net"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"methods": ["filll"]}, r"toy\.yaml: methods\.filll: unknown method 'filll'.*did you mean 'fill'"),
        ({"methods": [{"name": "fill", "params": {"clas": 1}}]}, r"methods\.fill.*'clas'.*did you mean 'cls'"),
        ({"methods": [{"name": "fill", "params": {"cls": "1"}}]}, r"methods\.fill.*'cls'"),
        ({"methods": [{"name": "x", "rounds": []}]}, r"methods\.0"),
        ({"methods": [{"name": "x", "rounds": [{"generator": "none"}]}]}, r"methods\.x: unknown generator 'none'"),
        ({"methods": [{"name": "x", "method": "fill", "rounds": [{"generator": "fill"}]}]}, "takes no method"),
        ({"methods": [{"name": "x", "rounds": [{"generator": "fill", "warm_start": True}]}]}, "cannot warm-start"),
        ({"methods": [{"name": "fill", "repeat": 0}]}, r"methods\.0.*repeat"),
        ({"methods": [{"name": "fill", "repeat": 2, "labels_only": True}]}, "there is nothing to repeat"),
        ({"methods": ["fill", "fill"]}, "methods: 'fill' occurs twice"),
        ({"methods": []}, "methods"),
        ({"seeds": [0, 0]}, "seeds: 0 occurs twice"),
        ({"seeds": ["0"]}, r"seeds\.0"),
        ({"backbones": ["nett"]}, "unknown backbone 'nett'.*did you mean 'net'"),
        (
            {"backbones": [{"name": "net", "weights": "none.pth"}]},
            r"backbones\.net\.weights: .*none\.pth: no such file",
        ),
        ({"backbones": [{"name": "net", "weights": "."}]}, r"backbones\.net\.weights: .*is a folder"),
        ({"backbones": [{"name": "net", "weights": "/dev/null"}]}, r"backbones\.net\.weights: /dev/null: is a device"),
        (
            {"backbones": [{"name": "net", "weights": "toy.yaml"}]},
            r"backbones\.net\.weights: .*no file of PyTorch weights",
        ),
        (
            {"backbones": [{"name": "net", "weights": "https://h/w.pth"}]},
            r"backbones\.net\.weights: .*write its sha256",
        ),
        (
            {"backbones": [{"name": "net", "weights": "mmcls://no"}]},
            r"backbones\.net\.weights: mmcls://no: there are no",
        ),
        ({"backbones": [{"name": "net", "sha256": "12"}]}, r"backbones\.0\.sha256"),
        ({"dataset": {"name": "toyy"}}, "dataset: unknown dataset 'toyy'"),
        ({"dataset": {"name": "toy", "params": {"train": "4"}}}, "dataset.*'train'"),
        ({"timeout": 0}, "timeout"),
        ({"color": 1}, "color: unknown field"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_everything_wrong_is_one_sentence_with_file_and_field(write_config, fields, words):
    with pytest.raises(ConfigError, match=words) as caught:
        make_plan(write_config(**fields))
    assert "toy.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "selection", "words"),
    [
        (["methods.fil.cls=2"], {}, "'fil' is no row of .*toy.yaml; did you mean 'fill'"),
        (["protocol.segmenter.config=none.py"], {}, r"protocol\.segmenter\.config: .*none\.py: no such file"),
        (["protocol.test.flipp=true"], {}, "protocol.test.flipp: unknown field, did you mean 'flip'"),
        ([], {"methods": ["lernt"]}, "--methods: 'lernt' is no methods entry of .*did you mean 'learnt'"),
        ([], {"backbones": ["x*"]}, "--backbones: 'x.' is no backbones entry"),
    ],
)
def test_wrong_options_are_one_sentence(write_config, overrides, selection, words):
    with pytest.raises(ConfigError, match=words):
        make_plan(write_config(), overrides, **selection)


def test_a_registered_method_that_is_picked_but_not_listed_takes_overrides(write_config):
    picked = {"methods": ["learnt"], "registered": {"method": ["fill", "learnt"]}}
    benchmark = load_benchmark(write_config(methods=["fill"]), ["methods.learnt.x=2", "methods.fill.cls=1"], **picked)
    assert [(row.name, row.params) for row in benchmark.methods] == [("learnt", {"x": 2})]


@pytest.mark.parametrize("section", ["classifier", "segmenter"])
def test_an_output_stride_that_a_backbone_lacks_is_refused_at_plan_with_those_that_it_has(write_config, section):
    path = write_config(backbones=["wide"])
    words = rf"toy\.yaml: protocol\.{section}\.output_stride: backbone 'wide' .*set 8 or 16"
    with pytest.raises(ConfigError, match=words):
        make_plan(path, [f"protocol.{section}.output_stride=3"])
    make_plan(path, [f"protocol.{section}.output_stride=8"])


def test_an_output_stride_that_no_row_reads_is_left_alone(write_config):
    plan, _ = make_plan(write_config(methods=["fill"]), ["protocol.classifier.output_stride=4"])
    assert "classifier" not in {spec.name for spec in plan.stages.values()}


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(write_config, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    cases = [
        ({"dataset": "pipe"}, [], r"toy\.yaml: dataset: .*pipe: is a pipe"),
        ({"backbones": [{"name": "net", "weights": "pipe"}]}, [], r"backbones\.net\.weights: .*pipe: is a pipe"),
        ({}, ["protocol.segmenter.config=pipe"], r"protocol\.segmenter\.config: .*pipe: is a pipe"),
    ]
    for fields, overrides, words in cases:
        with pytest.raises(ConfigError, match=words):
            make_plan(write_config(**fields), overrides)
    with pytest.raises(ConfigError, match="pipe: is a pipe"):
        load_benchmark(tmp_path / "pipe")


def test_an_override_into_written_out_rounds_is_refused(write_config):
    path = write_config(methods=[{"name": "own", "rounds": [{"generator": "fill"}]}])
    with pytest.raises(ConfigError, match="row 'own' is written out as rounds"):
        make_plan(path, ["methods.own.cls=2"])


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_benchmark(tmp_path / "none.yaml")


def test_weights_that_are_null_mean_random_even_where_the_record_has_some(write_config):
    plan, _ = make_plan(write_config(backbones=[{"name": "net", "weights": None}]))
    assert plan.cells[0].backbone.weights is None


def test_the_file_that_the_tests_use_is_the_shortest_benchmark(write_config):
    plan, manager = make_plan(write_config())
    assert len(resolve_rows(plan.benchmark, manager)) == len(BENCHMARK["methods"])


def test_weights_are_named_by_their_content_whatever_their_address(write_config, tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", b"")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()

    def backbone(weights, **fields):
        plan, _ = make_plan(write_config(backbones=[{"name": "net", "weights": weights, **fields}]))
        return plan.cells[0].backbone.weights_sha256, {cell.stages for cell in plan.cells}

    file = backbone("w.pth")
    assert file[0] == digest
    assert backbone((tmp_path / "w.pth").as_uri()) == file == backbone("w.pth", sha256=digest)
    assert backbone("https://one/w.pth", sha256=digest) == file == backbone("https://other/w.pth", sha256=digest)
    assert backbone("https://one/w-0123abcd.pth")[0] == "0123abcd"
    with pytest.raises(ConfigError, match=r"backbones\.net\.weights: .*w\.pth: has sha256 .*, not 0000"):
        backbone("w.pth", sha256="0" * 64)
