"""COCO 2014: fetch and unpack three archives, and count. The reader works on the files as published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.contract import DataError
from harness.data.prepare.archives import Archive, archive_steps
from harness.data.prepare.steps import Step, Tick, never

_PAGE = "https://cocodataset.org/#download"
_ZIPS = "http://images.cocodataset.org"
FOLDER = "coco2014"


class Counts(NamedTuple):
    """Images of a split, and those that have an annotation."""

    images: int
    annotated: int


COUNTS = {"train": Counts(82_783, 82_081), "val": Counts(40_504, 40_137)}
# The hashes are those of torchvision's prototype of a COCO reader; other projects list the same.
ARCHIVES = (
    Archive(
        "train2014.zip",
        _PAGE,
        "train2014",
        f"{FOLDER}/train2014",
        f"{_ZIPS}/zips/train2014.zip",
        "sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    ),
    Archive(
        "val2014.zip",
        _PAGE,
        "val2014",
        f"{FOLDER}/val2014",
        f"{_ZIPS}/zips/val2014.zip",
        "sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
    ),
    Archive(
        "annotations_trainval2014.zip",
        _PAGE,
        "annotations",
        f"{FOLDER}/annotations",
        f"{_ZIPS}/annotations/annotations_trainval2014.zip",
        "sha256:031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
        keep=("instances_",),
    ),
)


def steps(
    root: Path, *, download: bool, archives: tuple[Archive, ...] = ARCHIVES, counts: Mapping[str, Counts] = COUNTS
) -> tuple[Step, ...]:
    """What it takes."""
    unpacked = [step for archive in archives for step in archive_steps(archive, root, download=download)]
    after = tuple(archive.target for archive in archives)
    check = Step("check", never, lambda tick: _check(root / FOLDER, counts, tick), after)
    return (*unpacked, check)


def _check(folder: Path, counts: Mapping[str, Counts], tick: Tick) -> str:
    """Count the images of each instances file, hold that they are there, and count those with an annotation."""
    for number, (split, expected) in enumerate(counts.items(), start=1):
        path = folder / "annotations" / f"instances_{split}2014.json"
        try:
            content = json.loads(path.read_bytes())
            names = {entry["file_name"] for entry in content["images"]}
            annotated = {entry["image_id"] for entry in content["annotations"]}
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; move {path.parent} away and unpack it again") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: no instances file ({type(error).__name__}: {error})") from None
        if (found := Counts(len(names), len(annotated))) != expected:
            raise DataError(
                f"{path}: {found.images} images, {found.annotated} with an annotation, but {expected.images} and "
                f"{expected.annotated} are published"
            )
        images = folder / f"{split}2014"
        if absent := sorted(names - {entry.name for entry in images.iterdir()}):
            raise DataError(f"{images / absent[0]}: no such file (and {len(absent) - 1} more of the instances file)")
        tick(number, len(counts))
    return ", ".join(f"{split} {count.annotated:,} of {count.images:,}" for split, count in counts.items()) + (
        " images have an annotation"
    )
