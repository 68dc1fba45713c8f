"""Brings the published data sets into the layout that the readers expect.

A data set is prepared by steps (fetch an archive, unpack it, convert, check), each of which can be repeated and tells
from the files alone whether it is done. Whatever is written gets its final name when it is complete, so an interrupted
run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from harness.contract import ConfigError
from harness.data.prepare.steps import Outcome, Progress, run_steps
from harness.registry import did_you_mean

_STEPS = {
    "voc2012": "voc2012:steps",
    "coco2014": "coco:steps_2014",
    "coco2017": "coco:steps_2017",
    "cityscapes": "cityscapes:steps",
}
NAMES = tuple(_STEPS)
"""Data sets that can be prepared; each has a file in ``configs/datasets``."""

__all__ = ["NAMES", "Outcome", "prepare"]


def prepare(name: str, root: Path, *, download: bool = True, progress: Progress | None = None) -> Iterator[Outcome]:
    """Do the steps of one data set that are not done yet.

    Args:
        name: One of ``NAMES``.
        root: Folder of all data sets, which configurations call ``${WSSS_DATA}``; archives are looked for in it.
        download: Fetch archives that are missing, where the source allows it.
        progress: Told step, amount done and amount in all.

    Yields:
        What became of each step, in order. A step that fails does not end the rest, but those that need it.

    Raises:
        ConfigError: The data set is unknown, ``root`` is no folder, or another process prepares in it.
    """
    if name not in NAMES:
        names = f"; known are {', '.join(NAMES)}"
        raise ConfigError(f"no data set {name!r} can be prepared{did_you_mean(name, NAMES) or names}")
    root = root.expanduser().absolute()
    if not root.is_dir():
        raise ConfigError(f"--root {root}: no such folder; make it first, or set WSSS_DATA")
    module, _, function = _STEPS[name].partition(":")
    steps = getattr(import_module(f"{__name__}.{module}"), function)(root, download=download)
    yield from run_steps(steps, root / f".prepare-{name}.lock", progress=progress)
