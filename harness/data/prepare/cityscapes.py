"""Cityscapes: unpack the two archives that need an account, and count."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.contract import DataError
from harness.data.prepare.archives import Archive, archive_steps
from harness.data.prepare.steps import Step, Tick, never

_PAGE = "https://www.cityscapes-dataset.com/downloads/ (free account)"
FOLDER = "cityscapes"
LABELS = Archive("gtFine_trainvaltest.zip", _PAGE, "gtFine", f"{FOLDER}/gtFine")
IMAGES = Archive("leftImg8bit_trainvaltest.zip", _PAGE, "leftImg8bit", f"{FOLDER}/leftImg8bit")
COUNTS = {"train": 2975, "val": 500}
"""Images with public labels; those of ``test`` are withheld and not read."""


def steps(
    root: Path, *, download: bool, archives: tuple[Archive, ...] = (LABELS, IMAGES), counts: Mapping[str, int] = COUNTS
) -> tuple[Step, ...]:
    """Unpack both archives and count; neither can be downloaded without an account."""
    unpacked = [step for archive in archives for step in archive_steps(archive, root, download=download)]
    after = tuple(archive.target for archive in archives)
    check = Step("check", never, lambda tick: _check(root / FOLDER, counts, tick), after)
    return (*unpacked, check)


def _check(folder: Path, counts: Mapping[str, int], tick: Tick) -> str:
    """Count images, and check that each has its label and instance image."""
    for split, expected in counts.items():
        images = sorted((folder / "leftImg8bit" / split).glob("*/*_leftImg8bit.png"))
        if len(images) != expected:
            raise DataError(f"{folder / 'leftImg8bit' / split}: {len(images)} images, but {expected} are published")
        for number, image in enumerate(images, start=1):
            for kind in ("labelIds", "instanceIds"):
                name = image.name.replace("_leftImg8bit.png", f"_gtFine_{kind}.png")
                labels = folder / "gtFine" / split / image.parent.name / name
                if not labels.is_file():
                    raise DataError(f"{labels}: no such file; move {folder / 'gtFine'} away and unpack it again")
            tick(number, expected)
    return ", ".join(f"{split} {count:,}" for split, count in counts.items()) + " images with labels and instances"
