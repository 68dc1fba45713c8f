"""Mutations of files below ``runs/``: arrays of confusions, and checksums that fit what was changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np


def _shape(array: np.ndarray, rng: Random) -> np.ndarray:
    array = np.atleast_1d(array)
    return rng.choice(
        (array[:0], array[:1], array[..., None], array.ravel(), array[:-1], np.concatenate([array, array]))
    )


def _kind(array: np.ndarray, rng: Random) -> Any:
    if array.dtype.kind not in "iufb":
        return rng.choice((array.astype(bytes), array.astype(object), np.zeros(array.shape), array[::-1]))
    kinds = (np.float64, np.int8, np.uint64, np.complex128, np.bool_, np.str_, object, "datetime64[s]", ">i4")
    return array.astype(rng.choice(kinds))


def _number(array: np.ndarray, rng: Random) -> Any:
    if array.dtype.kind not in "iuf" or not array.size:
        return np.array(["\x1b[2J"] * array.size).reshape(array.shape)
    changed = array.astype(rng.choice((np.float64, np.int64)))
    changed.flat[rng.randrange(changed.size)] = rng.choice(
        (-1, 0, 2**62, 10**6, np.nan if changed.dtype == float else -(2**62))
    )
    return rng.choice((changed, -changed, changed * 0, changed * 1000))


_ARRAYS: tuple[Callable[[np.ndarray, Random], Any], ...] = (
    _shape, _kind, _number, lambda array, rng: rng.choice((np.array(5), np.array(None), np.array("x"), np.array([]))),
)  # fmt: skip


def arrays(path: Path, rng: Random) -> None:
    """An array of a .npz that has another shape, kind or number, is missing, or one too many."""
    with np.load(path) as loaded:
        found: dict[str, Any] = {name: loaded[name] for name in loaded.files}
    name = rng.choice(sorted(found))
    way = rng.random()
    if way < 0.1:
        del found[name]
    elif way < 0.2:
        found[rng.choice(("extra", "../evil", "\x1b", "x" * 300))] = found[name]
    else:
        found[name] = rng.choice(_ARRAYS)(found[name], rng)
    rng.choice((np.savez, np.savez_compressed))(path, **found)


def sign(runs: Path) -> None:
    """Make the checksums of records and manifests fit, so that a change is seen by what reads the content."""
    for manifest in runs.glob("store/*/*/artifact.json"):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            _sign_manifest(manifest)
    for record in runs.glob("records/*/*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            _sign_record(record)


def _sign_manifest(path: Path) -> None:
    from harness.engine.plan.keys import digest

    if not path.is_file():
        return
    content = json.loads(path.read_bytes())
    content.pop("sha256")
    for name, entry in content["files"].items():
        file = path.parent / name
        if file.is_file() and file.is_relative_to(path.parent):
            data = file.read_bytes()
            entry.update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    path.write_text(json.dumps({**content, "sha256": digest(content)}))


def _sign_record(path: Path) -> None:
    if not path.is_file():
        return
    content = json.loads(path.read_bytes())
    for score in content["scores"].values():
        file = path.parent / score["confusion"]
        if file.is_file() and "/" not in score["confusion"]:
            score["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    path.write_text(json.dumps(content))
