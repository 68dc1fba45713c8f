"""COCO 2014 and 2017: fetch and unpack three archives, and count. The reader works on the files as published."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.common.files import file_problem, read_json
from harness.contract import DataError
from harness.data.prepare.archives import Archive, archive_steps
from harness.data.prepare.steps import Step, Tick, never


class Counts(NamedTuple):
    """Images of a split, and those that have an annotation."""

    images: int
    annotated: int


@dataclass(frozen=True)
class Release:
    """One year of COCO.

    Attributes:
        year: Ends the names of its files.
        archives: Images of both splits, annotations.
        train: What the training split holds.
        val: What the validation split holds.
    """

    year: int
    archives: tuple[Archive, ...]
    train: Counts
    val: Counts


def _release(year: int, train: tuple[Counts, str], val: tuple[Counts, str], annotations: str) -> Release:
    """Each text is the SHA-256 of an archive."""
    names = {
        f"zips/train{year}.zip": (f"train{year}", train[1]),
        f"zips/val{year}.zip": (f"val{year}", val[1]),
        f"annotations/annotations_trainval{year}.zip": ("annotations", annotations),
    }
    archives = tuple(
        Archive(
            name=name.rpartition("/")[2],
            page="https://cocodataset.org/#download",
            prefix=folder,
            target=f"coco{year}/{folder}",
            url=f"http://images.cocodataset.org/{name}",
            checksum=f"sha256:{sha256}",
            keep=("instances_",) if folder == "annotations" else ("",),
        )
        for name, (folder, sha256) in names.items()
    )
    return Release(year, archives, train[0], val[0])


# The hashes are those of torchvision's prototype of a COCO reader; other projects list the same.
COCO_2014 = _release(
    2014,
    (Counts(82_783, 82_081), "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775"),
    (Counts(40_504, 40_137), "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0"),
    "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
)
COCO_2017 = _release(
    2017,
    (Counts(118_287, 117_266), "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929"),
    (Counts(5_000, 4_952), "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"),
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)


def steps(root: Path, *, download: bool, release: Release) -> tuple[Step, ...]:
    """Fetch and unpack the archives of ``release``, and count."""
    unpacked = [step for archive in release.archives for step in archive_steps(archive, root, download=download)]
    after = tuple(archive.target for archive in release.archives)
    return (*unpacked, Step("check", never, lambda tick: _check(root, release, tick), after))


steps_2014 = partial(steps, release=COCO_2014)
steps_2017 = partial(steps, release=COCO_2017)


def _check(root: Path, release: Release, tick: Tick) -> str:
    """Count the images of each instances file, and those with an annotation; check that the images are there."""
    folder = root / f"coco{release.year}"
    for number, (split, expected) in enumerate((("train", release.train), ("val", release.val)), start=1):
        path = folder / "annotations" / f"instances_{split}{release.year}.json"
        if problem := file_problem(path):
            raise DataError(f"{path}: {problem}; move {path.parent} away and unpack it again")
        content = read_json(path, error=DataError)
        try:
            names = {entry["file_name"] for entry in content["images"]}
            annotated = len({entry["image_id"] for entry in content["annotations"]})
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: no instances file ({type(error).__name__}: {error})") from None
        if (len(names), annotated) != expected:
            raise DataError(
                f"{path}: {len(names)} images, {annotated} with an annotation, but {expected.images} and "
                f"{expected.annotated} are published"
            )
        images = folder / f"{split}{release.year}"
        if absent := sorted(names - {entry.name for entry in images.iterdir()}):
            raise DataError(f"{images / absent[0]}: no such file (and {len(absent) - 1} more of the instances file)")
        tick(number, 2)
    told = [f"{split} {n.annotated:,} of {n.images:,}" for split, n in (("train", release.train), ("val", release.val))]
    return f"{', '.join(told)} images have an annotation"
