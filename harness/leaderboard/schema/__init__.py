"""The published JSON schema of a table, and the way back from a table's JSON to its frame.

``board-1.json`` beside this file is generated from the frame's types, and a test keeps it equal to them.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from harness.common.text import parse_json, printable, unfit
from harness.contract.errors import DataError
from harness.leaderboard.frame import SCHEMA_VERSION, Board

SCHEMA_FILE = Path(__file__).parent / f"board-{SCHEMA_VERSION}.json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema of the frame's types, as ``SCHEMA_FILE`` holds it."""
    schema = Board.model_json_schema(mode="serialization")
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    named = {"$schema": DRAFT, "title": f"wsss leaderboard, schema version {SCHEMA_VERSION}"}
    return json.dumps({**schema, **named}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_board(text: str | bytes, *, name: str = "table") -> Board:
    """A table from its JSON.

    Args:
        text: What ``wsss leaderboard --format json`` wrote.
        name: Named in errors.

    Raises:
        DataError: The text is no table, or a table of another version.
    """
    where = printable(name)
    content = parse_json(text, where=where, error=DataError)
    if wrong := unfit(content):
        raise DataError(f"{where}: {wrong} (not a readable table)")
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(f"{where}: schema_version: {version!r}, this version reads {SCHEMA_VERSION}")
    try:
        return Board.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "file"
        raise DataError(f"{where}: {field}: {first['msg']} (not a readable table)") from None
