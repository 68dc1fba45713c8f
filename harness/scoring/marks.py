"""The mark of a verified record: a small file beside it, bound to the record's bytes.

``wsss verify`` writes it, tables read it. The record names the hash of each confusion file, so the mark is bound to
these too: whoever edits the record or a number behind it loses the mark. It is a note, not a signature.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

SUFFIX = ".verified"
_VERSION = 1


def mark_path(record: Path) -> Path:
    """Where the mark of a record lies."""
    return record.with_suffix(SUFFIX)


def mark_text(record: Path) -> str:
    """The mark of a record as it is now, for ``mark_path``."""
    content = {"record_sha256": hashlib.sha256(record.read_bytes()).hexdigest(), "version": _VERSION}
    return json.dumps(content, sort_keys=True) + "\n"


def is_marked(record: Path) -> bool:
    """Whether the record, exactly as it is now, was verified."""
    try:
        return mark_path(record).read_text(encoding="utf-8") == mark_text(record)
    except (OSError, UnicodeDecodeError):
        return False
