"""The mark of a verified record: a small file beside it, bound to the record's bytes.

``wsss verify`` writes it, tables read it. The record names the hash of each confusion file, so the mark is bound to
these too: whoever edits the record or a number behind it loses the mark. It is a note, not a signature.
"""

from __future__ import annotations

import json
from pathlib import Path

from harness.common.files import file_sha256, read_text
from harness.contract.errors import WsssError

SUFFIX = ".verified"
_VERSION = 1


def mark_path(record: Path) -> Path:
    """Where the mark of a record lies."""
    return record.with_suffix(SUFFIX)


def mark_text(record: Path) -> str:
    """The mark of a record as it is now, for ``mark_path``."""
    content = {"record_sha256": file_sha256(record), "version": _VERSION}
    return json.dumps(content, sort_keys=True) + "\n"


def is_marked(record: Path) -> bool:
    """Whether the record, exactly as it is now, was verified."""
    try:
        return read_text(mark_path(record), limit=1 << 10) == mark_text(record)
    except WsssError:
        return False
