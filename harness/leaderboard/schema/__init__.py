"""The published JSON schema of a table, and how tables of earlier versions are read.

``board-N.json`` beside this file is the schema of version N; the newest is generated from the frame's types and a test
keeps it equal. A new version of the frame adds its schema file and one upgrade function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.text import parse_json, printable, unfit
from harness.contract.errors import DataError

if TYPE_CHECKING:
    from harness.leaderboard.frame import Board

FOLDER = Path(__file__).parent
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema_path(version: int) -> Path:
    """File of the schema of ``version``."""
    return FOLDER / f"board-{version}.json"


def schema_text() -> str:
    """The schema of the current version, as its file holds it."""
    from harness.leaderboard.frame import SCHEMA_VERSION, Board

    schema = Board.model_json_schema(mode="serialization")
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    named = {"$schema": DRAFT, "title": f"wsss leaderboard, schema version {SCHEMA_VERSION}"}
    return json.dumps({**schema, **named}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_board(text: str | bytes, *, name: str = "table") -> Board:
    """A table from its JSON, of this version or an earlier one.

    Args:
        text: What ``wsss leaderboard --format json`` wrote.
        name: Named in errors.

    Raises:
        DataError: The text is no table, or of a version that is not known here.
    """
    from pydantic import ValidationError

    from harness.leaderboard.frame import Board

    content = parse_json(text, where=printable(name), error=DataError)
    if wrong := unfit(content):
        raise DataError(f"{printable(name)}: {wrong} (not a readable table)")
    try:
        return Board.model_validate(upgraded(content, name=name))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "file"
        raise DataError(f"{name}: {field}: {first['msg']} (not a readable table)") from None


def upgraded(content: Any, *, name: str = "table") -> dict[str, Any]:
    """The content of a table's JSON in the current version, step by step from its own.

    Raises:
        DataError: It is no table, or newer than this version of wsss.
    """
    from harness.leaderboard.frame import SCHEMA_VERSION

    version = content.get("schema_version") if isinstance(content, dict) else None
    known = [*UPGRADES, SCHEMA_VERSION]
    if version not in known:
        raise DataError(f"{name}: schema_version: {version!r}, this version reads {', '.join(map(str, known))}")
    while content["schema_version"] in UPGRADES:
        content = UPGRADES[content["schema_version"]](content)
    return dict(content)


def _from_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Version 2 adds paired tests, shared ranks, values by seed and class intervals."""
    absent = {field: None for field in ("val_miou_seeds", "pseudo_miou_seeds", "class_iou_low", "class_iou_high")}
    rows = [{**absent, "tied_with": [], **row} for row in content["rows"]]
    return {"comparisons": [], "claims": [], **content, "rows": rows, "schema_version": 2}


UPGRADES: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}
"""Version -> function that makes the next one of it."""
