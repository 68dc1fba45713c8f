"""What a result was computed with: versions, platform, commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import harness

DISTRIBUTIONS = (
    "torch",
    "torchvision",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmsegmentation",
    "numpy",
    "scipy",
    "numba",
    "Pillow",
)


@cache
def environment() -> dict[str, Any]:
    """Versions, platform and git commit of this process; nothing that changes from run to run."""
    versions: dict[str, str | None] = dict.fromkeys(DISTRIBUTIONS)
    for name in DISTRIBUTIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "harness": harness.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
        **versions,
    }


def merged(environments: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One environment for a cell: a field has its value, or the list of values where stages differ."""
    values: dict[str, list[Any]] = {}
    for item in environments:
        for name, value in item.items():
            if value not in values.setdefault(name, []):
                values[name].append(value)
    return {name: each[0] if len(each) == 1 else sorted(each, key=str) for name, each in values.items()}


def _commit() -> str | None:
    """Commit of the harness's source tree, with ``+`` when it was changed since; ``None`` outside its repository."""
    folder = Path(harness.__file__).parent
    try:
        if not _git(folder, "ls-files", "__init__.py"):
            return None
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
