"""Networks that were trained elsewhere are facts of a record, and the supervision column shows them everywhere."""

import json

import pytest

from harness.contract import ConfigError, GeneratorRecord, PluginError, Pretrained
from harness.contract.run_record import RunRecord
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.page.plots import series_of
from harness.leaderboard.pretrained import name_in, notes_of
from harness.registry import component_pretrained
from harness.registry.records import check_record
from tests.commands import wsss
from tests.engine.toy import Inline, make_plan, run_toy

CLIP = {"name": "CLIP", "trained_on": "400 million images with captions", "letter": "L"}
SAM = {"name": "SAM ViT-B", "trained_on": "1 billion masks of other images", "letter": "F"}
MEANS = "L(CLIP) in the supervision column: the row uses CLIP, a network that was trained elsewhere on 400 million"


@pytest.fixture
def folder(records):
    """Records of a row with CLIP, of one with two networks and no labels of its own, and of one without."""
    records.add("clip", pretrained=[CLIP])
    records.add("both", supervision="none", pretrained=[CLIP, SAM])
    records.add("plain")
    return records.add("full", supervision="F", wrong=0.1, reference=True).parent


def test_the_supervision_column_shows_them_and_the_price_of_the_annotation_leaves_them_out(folder):
    rows = {row.method: row for row in build_board(load_runs(folder)).rows}
    shown = {name: row.supervision for name, row in rows.items()}
    assert shown == {"clip": "I+L(CLIP)", "both": "L(CLIP)+F(SAM ViT-B)", "plain": "I", "full": "F"}
    assert rows["clip"].annotation_hours == rows["plain"].annotation_hours
    assert rows["both"].annotation_hours == 0.0


@pytest.mark.parametrize("form", ["md", "tex", "html", "csv", "json"])
def test_every_rendering_shows_the_mark_and_says_what_it_means(folder, form):
    text = " ".join(wsss("leaderboard", folder, "--format", form).stdout.split())
    assert "I+L(CLIP)" in text
    assert form == "csv" or MEANS in text


def test_the_terminal_and_the_sheet_of_a_row_say_what_the_mark_means(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    table = " ".join(wsss("leaderboard", folder).stdout.split())
    assert ("I+L(CLIP)" in table, MEANS in table) == (True, True)
    sheet = " ".join(wsss("show", "clip", "--runs", folder.parent.parent).stdout.split())
    assert ("supervision I+L(CLIP)" in sheet, MEANS in sheet) == (True, True)
    assert MEANS not in " ".join(wsss("show", "plain", "--runs", folder.parent.parent).stdout.split())


def test_the_plots_name_the_network(folder):
    names = {kind: series.name for kind, series in series_of(build_board(load_runs(folder)).rows).items()}
    assert (names["I+L(CLIP)"], names["L(CLIP)+F(SAM ViT-B)"]) == ("tags and CLIP", "CLIP and SAM ViT-B")
    assert (name_in("F(aux)"), name_in("F18%"), name_in("L(CLIP)")) == (None, None, "CLIP")


def test_compare_names_the_network_that_one_row_has(folder):
    assert "pretrained" in wsss("compare", "clip", "plain", "--runs", folder).stdout
    assert "pretrained" not in wsss("compare", "full", "plain", "--runs", folder).stdout


def test_a_record_without_such_networks_is_written_and_read_as_before(records):
    path = records.add("plain")
    assert "pretrained" not in json.loads(path.read_text())
    assert RunRecord.model_validate_json(path.read_text()).pretrained == []


@pytest.mark.parametrize("name", ["aux", "", "a+b", "C(L)IP", "x" * 41, "CL\nIP", "CLIP\n"])
def test_a_name_that_cannot_stand_in_a_column_is_refused(name, records):
    with pytest.raises(ConfigError, match=r"Pretrained: name .* must be at most 40 letters"):
        Pretrained(name, "images", "L")
    if name != "aux":
        with pytest.raises(ValueError, match="pretrained"):
            records.add("hostile", pretrained=[{**CLIP, "name": name}])


def test_what_a_record_of_somebody_says_of_a_network_is_one_line_that_is_safe_to_print(records):
    records.add("hostile", pretrained=[{**CLIP, "trained_on": "\x1b[2Jgone\nand more"}])
    (note,) = notes_of(run.record for run in load_runs(records.runs))
    assert "\x1b" not in note
    assert "\n" not in note


@pytest.mark.parametrize(("letter", "on"), [("l", "images"), ("", "images"), ("L+", "images"), ("L", " ")])
def test_a_letter_that_is_none_and_a_network_of_unknown_origin_are_refused(letter, on):
    with pytest.raises(ConfigError, match=r"letter .* must be a capital|trained_on must say"):
        Pretrained("CLIP", on, letter)


def test_a_record_of_a_component_states_them_or_makes_them_of_its_parameters():
    clip = Pretrained(**CLIP)
    fixed = GeneratorRecord("a", dict, pretrained=(clip,))
    assert component_pretrained(check_record("generator", fixed), None) == (clip,)
    of_params = GeneratorRecord("a", dict, pretrained=lambda params: (clip,) if params else ())
    assert component_pretrained(of_params, 1) == (clip,)
    assert component_pretrained(of_params, None) == ()
    with pytest.raises(PluginError, match="pretrained must be a tuple of Pretrained or a callable"):
        check_record("generator", GeneratorRecord("a", dict, pretrained=("CLIP",)))
    with pytest.raises(PluginError, match="must return a tuple of Pretrained, got 'CLIP'"):
        component_pretrained(GeneratorRecord("a", dict, pretrained=lambda params: "CLIP"), None)


def test_a_run_records_each_network_of_its_components_once_and_keys_stay(write_config, tmp_path):
    rows = [
        {"name": "seen", "rounds": [{"generator": "seeing", "refiners": ["seeing"], "segmenter": "seeing"}]},
        {"name": "fill", "rounds": [{"generator": "fill", "segmenter": "toy"}]},
    ]
    plan, manager = make_plan(write_config(methods=rows))
    spec = plan.stages[dict(plan.cells[0].stages)["r1/generate seeing"]]
    assert "CLIP" not in json.dumps(spec.key_inputs)
    outcome = run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    found = {run.record.label: run.record for run in load_runs(outcome.records)}
    assert found["fill"].pretrained == []
    assert [network.mark for network in found["seen"].pretrained] == ["L(CLIP)", "F(SAM)"]
    assert (found["seen"].supervision, found["seen"].all_supervision) == ("I", "I+L(CLIP)+F(SAM)")
    assert manager.supervision("generator", "seeing") == "I+L(CLIP)"
    assert manager.supervision("segmenter", "seeing", {}) == "L(CLIP)+F(SAM)"


PLUGIN = """
from harness.contract import TAGS, Generator, GeneratorRecord, MethodRecord, Pretrained, Round, Use, hookimpl

class Seeing(Generator): ...

@hookimpl
def wsss_generators():
    clip = Pretrained("CLIP", "400 million images with captions", "L")
    yield GeneratorRecord("seeing", Seeing, needs=(TAGS,), pretrained=(clip,))

@hookimpl
def wsss_methods():
    yield MethodRecord("seeing", (Round(Use("seeing")),))
"""


def test_plugins_list_and_show_tell_of_them(tmp_path):
    path = tmp_path / "seeing.py"
    path.write_text(PLUGIN)
    assert "seeing (I+L(CLIP))" in " ".join(wsss("plugins", "list", "--plugin", path).stdout.split())
    shown = wsss("plugins", "show", "seeing", "--plugin", path).stdout
    assert "CLIP (on 400 million images with captions)" in shown
    stated = json.loads(wsss("plugins", "show", "seeing", "--plugin", path, "--json").stdout)
    (generator,) = (item for item in stated["records"] if item["kind"] == "generator")
    assert generator["settings"]["pretrained"] == [CLIP]
