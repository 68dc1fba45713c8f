"""Promises of the published JSON schema, and of reading a table back from its JSON."""

import json

import jsonschema
import pytest

from harness.contract import DataError
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.render import to_json
from harness.leaderboard.schema import SCHEMA_FILE, read_board, schema_text
from tests.leaderboard.board_records import Records, fill


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return to_json(build_board(load_runs(fill(Records(tmp_path_factory.mktemp("schema"))).runs)))


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_published_schema_is_that_of_the_frame():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "the frame changed: write harness.leaderboard.schema.schema_text(), and raise SCHEMA_VERSION if tables were "
        "published with the old one"
    )


def test_what_is_rendered_keeps_the_schema(validator, text):
    validator.validate(json.loads(text))


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"rows": [{"method": "no other field"}]},
        {"surprise": 0},
        {"fingerprint": 7},
    ],
)
def test_what_is_no_table_breaks_the_schema(validator, text, change):
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(json.loads(text) | change)


def test_reading_gives_the_frame_back(text):
    assert to_json(read_board(text)) == text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no json", "mine.json: no valid JSON"),
        ('{"schema_version": 1, "rows": [NaN]}', "mine.json: rows.0: nan is no finite number"),
        ("[" * 3000, "mine.json: nested more than 100 levels deep"),
        ("[]", "schema_version: None"),
        ('{"schema_version": 99}', "schema_version: 99, this version reads 1"),
        ('{"schema_version": 1, "rows": []}', "mine.json: fingerprint: Field required"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(content, words):
    with pytest.raises(DataError, match=words.replace(".", r"\.")):
        read_board(content, name="mine.json")
