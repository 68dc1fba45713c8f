"""What is asked of every command, whatever it was given: the rules, each as a sentence of what is wrong."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.forked import Ending

CODES = (0, 2, 3)
MOST_SENTENCES = 12
MOST_CHARACTERS = 12_000
_CRASH = re.compile(
    r"Traceback \(most recent call last\)|unexpected \w*(Error|Exception|Exit|Interrupt)|\bFile \"/.*line \d"
)
_WARNING = re.compile(r"\w*Warning: |^ {2}\S", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LEFT = re.compile(r"\.(part|partial|tmp)$|^\..*[.-][0-9a-f]{8}$")
_OWN_JSON = re.compile(r"^case/(out|runs/(?!corrupt/)).*\.json$")
"""What the commands write, and not what they moved aside or unpacked."""

Snapshot = dict[str, tuple[int, ...]]


def snapshot(root: Path) -> Snapshot:
    """Kind, size, time and number of everything below ``root``; opens nothing and follows no link."""
    found: Snapshot = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118
            state = os.lstat(path)
            kind = stat.S_IFMT(state.st_mode)
            still = (state.st_size, state.st_mtime_ns) if kind != stat.S_IFDIR else ()
            found[os.path.relpath(path, root)] = (kind, state.st_ino, *still)
    return found


def faults(ending: Ending) -> Iterator[str]:
    """What is wrong with the end of a command and with what it said."""
    if ending.code is None:
        yield "hangs"
        return
    if ending.code < 0:
        yield f"ended by signal {-ending.code}"
    elif ending.code not in CODES:
        yield f"exit code {ending.code}"
    if ending.orphans:
        yield "left processes behind"
    for name, text in (("stdout", ending.out), ("stderr", ending.err)):
        if crash := _CRASH.search(text):
            yield f"{name} shows {crash[0]!r}"
        if _CONTROL.search(text):
            yield f"{name} holds control characters"
    yield from _sentences(ending)


def _sentences(ending: Ending) -> Iterator[str]:
    lines = ending.err.splitlines()
    if warning := _WARNING.search(ending.err):
        yield f"stderr shows {warning[0]!r}"
    causes = [re.sub(r"\d+", "#", line) for line in lines]
    if len(set(causes)) < len(causes):
        yield "stderr says a cause twice"
    if len(lines) > MOST_SENTENCES:
        yield f"stderr has {len(lines)} lines"
    if any(len(line) > MOST_CHARACTERS for line in lines):
        yield "stderr has a line without end"
    if (defects := len(re.findall(r"^defect:", ending.out, re.MULTILINE))) > MOST_SENTENCES:
        yield f"stdout has {defects} defects"
    if ending.code == 2 and not lines and "defect" not in ending.out:
        yield "exit code 2 without a word"
    if any(not line.strip() for line in lines):
        yield "stderr has an empty line"


def leftovers(before: Snapshot, after: Snapshot, allowed: tuple[str, ...], root: Path) -> Iterator[str]:
    """What a command changed outside the folders that it may write to, and what it left half-written in them."""
    for path, state in after.items():
        inside = any(path == folder or path.startswith(f"{folder}/") for folder in allowed)
        if not inside and before.get(path) != state:
            yield f"wrote {path}"
        elif path not in before and _LEFT.search(os.path.basename(path)):  # noqa: PTH119
            yield f"left {re.sub(r'[0-9a-f]{8,}', '#', path)}"
        elif path not in before and stat.S_ISREG(state[0]) and _OWN_JSON.search(path) and not _is_json(root / path):
            yield f"half-written {re.sub(r'[0-9a-f]{8,}', '#', path)}"
    for path in before.keys() - after.keys():
        if not any(path.startswith(f"{folder}/") for folder in allowed):
            yield f"took {path} away"


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
