"""Reading a run record that anyone may have written: the one door for tables, comparisons, checks and clean-ups.

What comes out passed the strict models of ``harness.contract.run_record`` and holds only what a table can show: finite
numbers and whole characters. Anything else is one sentence with file and field.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.common.files import read_bytes
from harness.common.text import one_line, parse_json, printable, unfit
from harness.contract.errors import DataError
from harness.contract.run_record import SCHEMA_VERSION, RunRecord

LIMIT = 16 << 20
"""Bytes that a record may have: a hundred times the largest that was ever written."""


def read_record(path: Path) -> RunRecord:
    """The record in ``path``.

    Raises:
        DataError: ``PATH: FIELD: reason``: no regular file, too large, no JSON, of another version, or not a record.
    """
    where = printable(path)
    content = parse_json(read_bytes(path, error=DataError, limit=LIMIT), where=where, error=DataError)
    if not isinstance(content, dict):
        raise DataError(f"{where}: file: holds no fields (not a readable run record)")
    version = content.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise DataError(f"{where}: schema_version: {_short(version)}, this version reads {SCHEMA_VERSION}")
    if wrong := unfit(content):
        raise DataError(f"{where}: {wrong} (not a readable run record)")
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(printable(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "string_pattern_mismatch":
            message = f"{_short(first['input'])} is not of the form that this field has"
        fault = one_line(f"{field}: {message}" if field else message)
        raise DataError(f"{where}: {fault} (not a readable run record)") from None


def runs_folder(record: Path) -> Path:
    """The folder whose ``store`` belongs to a record: the one above ``records``, else the one of the record."""
    above = [parent.parent for parent in record.parents if parent.name == "records"]
    return above[0] if above else record.parent


def _short(value: object) -> str:
    text = one_line(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
