"""Promises of the published JSON schema and of the code that reads tables of earlier versions."""

import json
from pathlib import Path

import jsonschema
import pytest

from harness.contract import DataError
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.frame import SCHEMA_VERSION
from harness.leaderboard.render import to_json
from harness.leaderboard.schema import UPGRADES, read_board, schema_path, schema_text
from tests.leaderboard.board_records import Records, fill

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return to_json(build_board(load_runs(fill(Records(tmp_path_factory.mktemp("schema"))).runs)))


def validator(version):
    schema = json.loads(schema_path(version).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_published_schema_is_that_of_the_frame():
    assert schema_path(SCHEMA_VERSION).read_text(encoding="utf-8") == schema_text(), (
        "the frame changed: raise SCHEMA_VERSION, add an upgrade, and write harness.leaderboard.schema.schema_text()"
    )


def test_what_is_rendered_keeps_the_schema(text):
    validator(SCHEMA_VERSION).validate(json.loads(text))


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 1},
        {"rows": [{"method": "no other field"}]},
        {"surprise": 0},
        {"fingerprint": 7},
    ],
)
def test_what_is_no_table_breaks_the_schema(text, change):
    with pytest.raises(jsonschema.ValidationError):
        validator(SCHEMA_VERSION).validate(json.loads(text) | change)


def test_reading_gives_the_frame_back(text):
    assert to_json(read_board(text)) == text


def test_every_earlier_version_has_schema_sample_and_upgrade():
    assert sorted(UPGRADES) == list(range(1, SCHEMA_VERSION))
    for version in UPGRADES:
        assert schema_path(version).is_file()
        assert (SAMPLES / f"board-{version}.json").is_file()


@pytest.mark.parametrize("version", sorted(UPGRADES))
def test_a_table_of_an_earlier_version_is_read_with_all_its_numbers(version):
    sample = (SAMPLES / f"board-{version}.json").read_text(encoding="utf-8")
    old = json.loads(sample)
    validator(version).validate(old)
    board = read_board(sample)
    assert board.schema_version == SCHEMA_VERSION
    new = json.loads(to_json(board))
    validator(SCHEMA_VERSION).validate(new)
    for before, after in zip(old["rows"], new["rows"], strict=True):
        assert before.items() <= after.items()
    assert board.rows[0].val_miou_seeds is None, "what an old table does not tell is not made up"


def test_an_upgraded_table_can_be_rendered():
    from harness.leaderboard.page.page import to_html

    board = read_board((SAMPLES / "board-1.json").read_text(encoding="utf-8"))
    assert "box_grabcut" in to_html(board)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no json", "mine.json: no valid JSON"),
        ('{"schema_version": 2, "rows": [NaN]}', "mine.json: rows.0: nan is no finite number"),
        ("[" * 3000, "mine.json: nested more than 100 levels deep"),
        ("[]", "schema_version: None"),
        ('{"schema_version": 99}', "schema_version: 99, this version reads 1, 2"),
        ('{"schema_version": 2, "rows": []}', "mine.json: fingerprint: Field required"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(content, words):
    with pytest.raises(DataError, match=words.replace(".", r"\.")):
        read_board(content, name="mine.json")
