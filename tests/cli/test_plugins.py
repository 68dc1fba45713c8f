"""``wsss plugins list`` and ``show`` tell all there is to know about a plugin."""

import json

import pytest

from tests.commands import wsss

MINE = """
from dataclasses import dataclass, field
from harness.contract import BOXES, TAGS, Card, GeneratorRecord, MethodRecord, Reported, Round, Use, hookimpl, masks

@dataclass(frozen=True)
class Params:
    fraction: float = field(default=0.5, metadata={"help": "share [0, 1] of masks"})
    steps: int = 3

@hookimpl
def wsss_generators():
    yield GeneratorRecord("mine", factory="a:b", params=Params, needs=lambda p: (TAGS, masks(p.fraction)))

@hookimpl
def wsss_methods():
    reported = Reported(0.685, "val mIoU", "voc2012", "val", "Table 3", backbone="ResNet-101", crf=True)
    card = Card("My method", paper="Me, 2024", year=2024, reconstruction=True, reported=(reported,))
    yield MethodRecord("mine", rounds=(Round(Use("mine")),), card=card, summary="a method of mine")
"""


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "my_plugin.py"
    file.write_text(MINE)
    return file


@pytest.fixture
def broken(tmp_path):
    file = tmp_path / "broken_plugin.py"
    file.write_text(
        "from harness.contract import MetricRecord, hookimpl\n@hookimpl\ndef wsss_metrics():\n"
        "    yield MetricRecord('lost', factory='a:b')\n    raise RuntimeError('no luck')"
    )
    return file


def test_list_names_plugins_records_supervision_and_version(mine):
    result = wsss("plugins", "list", "--plugin", mine)
    assert result.code == 0
    text = " ".join(result.stdout.split())
    assert "my_plugin - file ok method: mine (I+F50%) generator: mine (I+F50%)" in text
    assert "wsss_baselines" in text
    assert "box_fill (B)" in text


def test_list_as_json(mine, broken):
    result = wsss("plugins", "list", "--json", "--plugin", mine, "--plugin", broken)
    rows = {row["name"]: row for row in json.loads(result.stdout)["plugins"]}
    assert rows["my_plugin"]["status"] == "ok"
    assert rows["my_plugin"]["records"] == {"method": ["mine"], "generator": ["mine"]}
    assert rows["my_plugin"]["supervision"]["method"] == {"mine": "I+F50%"}
    assert rows["my_plugin"]["file"] == str(mine)
    assert rows["broken_plugin"]["status"] == "quarantined"
    assert "RuntimeError: no luck" in rows["broken_plugin"]["reason"]
    assert "Traceback" in rows["broken_plugin"]["traceback"]
    assert rows["wsss_baselines"]["distribution"] == "wsss-harness"


def test_list_shows_why_a_plugin_is_quarantined_and_exits_0(broken):
    result = wsss("plugins", "list", "--plugin", broken)
    assert result.code == 0
    assert "quarantined" in result.stdout
    assert "hook wsss_metrics raised RuntimeError: no luck" in " ".join(result.stdout.split())


def test_show_prints_card_parameters_and_reported_numbers(mine):
    result = wsss("plugins", "show", "mine", "--plugin", mine)
    assert result.code == 0
    text = " ".join(result.stdout.split())
    for part in (
        "method mine summary a method of mine supervision I+F50% rounds mine -> plain",
        "paper Me, 2024 year 2024",
        "reconstruction parts that no source confirms",
        "val mIoU 68.5 voc2012 val ResNet-101 ? yes Table 3",
        "fraction float 0.5 share [0, 1] of masks",
        "steps int 3",
    ):
        assert part in text


def test_show_as_json(mine):
    shown = json.loads(wsss("plugins", "show", "mine", "--json", "--plugin", mine).stdout)
    method, generator = shown["records"]
    assert (method["kind"], generator["kind"]) == ("method", "generator")
    assert method["card"]["reported"][0]["value"] == 0.685
    assert method["supervision"] == "I+F50%"
    assert method["provider"]["plugin"] == "my_plugin"
    assert generator["parameters"][0] == {
        "name": "fraction",
        "type": "float",
        "default": 0.5,
        "required": False,
        "help": "share [0, 1] of masks",
    }


def test_every_shipped_record_can_be_shown():
    listed = json.loads(wsss("plugins", "list", "--json").stdout)["plugins"]
    names = {name for row in listed for names in row["records"].values() for name in names}
    assert names
    for name in names:
        assert wsss("plugins", "show", name).code == 0
        assert json.loads(wsss("plugins", "show", name, "--json").stdout)["records"]


def test_show_takes_the_name_of_a_plugin():
    result = wsss("plugins", "show", "wsss_baselines")
    assert result.code == 0
    assert "box_fill" in result.stdout


@pytest.mark.parametrize("name", ["broken_plugin", "lost"])
def test_showing_what_is_quarantined_prints_the_reason_and_exits_2(broken, name):
    result = wsss("plugins", "show", name, "--plugin", broken)
    assert result.code == 2
    assert "hook wsss_metrics raised RuntimeError: no luck" in result.stdout
    assert "Traceback" in result.stdout


def test_an_unknown_name_gets_the_nearest():
    result = wsss("plugins", "show", "box_fil")
    assert result.code == 2
    assert result.stderr == "error: no method, component or plugin is called 'box_fil'; did you mean 'box_fill'?\n"


@pytest.mark.parametrize("command", [("list",), ("show", "cam")])
def test_a_missing_plugin_file_is_named(command, tmp_path):
    result = wsss("plugins", *command, "--plugin", tmp_path / "absent.py")
    assert result.code == 2
    assert f"plugin file {tmp_path / 'absent.py'}: no such file" in result.stderr
