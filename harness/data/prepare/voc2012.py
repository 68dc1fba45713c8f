"""PASCAL VOC 2012 with the masks of SBD: 10,582 training images, the customary ``train_aug``.

    train_aug = (SBD train + SBD val + VOC train) - VOC val

VOC has masks of 2,913 images; SBD (Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011) drew those of
11,355 images of VOC 2011, as .mat files. ``SegmentationClassAug`` holds one indexed PNG for each image of ``train_aug``
and ``val``. It is VOC's own where there is one (void border, finer), else SBD's (no void border). Image tags and boxes
are those of VOC's XML files, which cover all of them.
"""

from __future__ import annotations

import filecmp
import hashlib
import io
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from harness.common.files import file_problem, read_bytes, read_text
from harness.contract import DataError
from harness.data.annotations import XmlAnnotations
from harness.data.files import Folder, read_ids
from harness.data.prepare.archives import Archive, archive_steps
from harness.data.prepare.steps import Step, Tick, never

if TYPE_CHECKING:
    from harness.contract.arrays import Mask

# URLs and hashes are those of torchvision's downloaders.
VOC = Archive(
    "VOCtrainval_11-May-2012.tar",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    "VOCdevkit/VOC2012",
    "VOC2012",
    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    "md5:6cd6e144f989b92b3379bac3b3de84fd",
)
SBD = Archive(
    "benchmark.tgz",
    "http://home.bharathh.info/pubs/codes/SBD/download.html",
    "benchmark_RELEASE/dataset",
    "SBD",
    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
    "md5:82b4d87ceb2ed10f6038a1cba92111cb",
    keep=("cls/", "train.txt", "val.txt"),
)
_LARGEST_ID = 20
_MASKS = "SegmentationClassAug"
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, EOFError, NotImplementedError, zlib.error, MatReadError)


@dataclass(frozen=True)
class Lists:
    """What the id lists must be.

    Attributes:
        counts: Ids of each list.
        sha256: Hash of the sorted ids, each with a line end, of lists whose hash is known.
    """

    counts: Mapping[str, int]
    sha256: Mapping[str, str] = field(default_factory=dict)

    def problem(self, name: str, ids: Iterable[str]) -> str | None:
        """Why ``ids`` are not the list ``name``, or ``None``."""
        ordered = sorted(ids)
        expected = self.counts[name]
        if len(ordered) != expected:
            return f"{len(ordered)} ids, but {expected} are customary"
        actual = hashlib.sha256(_text(ordered).encode()).hexdigest()
        if self.sha256.get(name, actual) != actual:
            return f"{expected} ids, but other ones than the customary"
        return None


# The hashes are of the lists as the field passes them on. None of val is written here: its ids are pinned by the
# checksum of VOC's archive, and by train_aug, which leaves them out.
LISTS = Lists(
    counts={"train": 1_464, "train_aug": 10_582, "val": 1_449},
    sha256={
        "train": "aa623bd2c8ce4443a8aaae51c524c0eb165e8e44caf6aa9e3ad33d7b75a3ef20",
        "train_aug": "d1326bd532648d73bc4b1bd275434eba81930982dc7401a65a8cecb26c028e24",
    },
)


def steps(
    root: Path, *, download: bool, archives: tuple[Archive, Archive] = (VOC, SBD), lists: Lists = LISTS
) -> tuple[Step, ...]:
    """Fetch, unpack, convert and check; SBD is not needed any more when its masks are converted."""
    job = _Job(root / archives[0].target, root / archives[1].target, lists)
    voc, sbd = archives
    return (
        *archive_steps(voc, root, download=download),
        *archive_steps(sbd, root, download=download, not_needed=job.masks_found),
        Step("train_aug.txt", job.list_found, job.write_list, after=(voc.target, sbd.target)),
        Step(_MASKS, job.masks_found, job.write_masks, after=(voc.target, sbd.target, "train_aug.txt")),
        Step("check", never, job.check, after=(voc.target, "train_aug.txt", _MASKS)),
    )


class _Job:
    """The steps after unpacking.

    Args:
        voc: Unpacked ``VOCdevkit/VOC2012``.
        sbd: Unpacked ``benchmark_RELEASE/dataset``.
        lists: What the id lists must be.
    """

    def __init__(self, voc: Path, sbd: Path, lists: Lists) -> None:
        self._voc, self._sbd, self._lists = voc, sbd, lists
        self._masks = voc / _MASKS

    def _list(self, name: str) -> Path:
        return self._voc / "ImageSets" / "Segmentation" / f"{name}.txt"

    def list_found(self) -> str | None:
        """Whether the lists are there and the customary ones, ``train_aug.txt`` in order."""
        if not all(self._list(name).is_file() for name in self._lists.counts):
            return None
        try:
            ids = {name: read_text(self._list(name), error=DataError).split() for name in self._lists.counts}
        except DataError:  # no text: train_aug.txt is written again, of the others that step says so
            return None
        wrong = any(self._lists.problem(name, listed) for name, listed in ids.items())
        ordered = ids["train_aug"] == sorted(ids["train_aug"])
        return f"{len(ids['train_aug']):,} ids" if ordered and not wrong else None

    def write_list(self, tick: Tick) -> str:
        """Write ``train_aug.txt`` by its definition."""
        self._check_lists("train", "val")
        sources = [self._sbd / "train.txt", self._sbd / "val.txt", self._list("train")]
        ids = set().union(*map(_ids, sources)) - set(_ids(self._list("val")))
        if problem := self._lists.problem("train_aug", ids):
            raise DataError(f"{self._list('train_aug')}: VOC and SBD in {self._sbd} give {problem}")
        _publish(self._list("train_aug"), _text(sorted(ids)).encode())
        return f"{len(ids):,} ids"

    def masks_found(self) -> str | None:
        """Whether every mask is there and intact."""
        if self.list_found() is None:
            return None
        of_voc, of_sbd = self._ids()
        return None if any(self._lacking(of_voc, of_sbd)) else f"{len(of_voc) + len(of_sbd):,} masks"

    def write_masks(self, tick: Tick) -> str:
        """Copy VOC's masks and convert those of SBD, but for those that are there and intact."""
        of_voc, of_sbd = self._ids()
        lacking = self._lacking(of_voc, of_sbd)
        self._masks.mkdir(exist_ok=True)
        example = self._mask_of_voc(min(of_voc))
        with Image.open(example) as image:
            palette = image.getpalette()
        if palette is None:
            raise DataError(f"{example}: an indexed image is needed, this one has no palette")
        for number, image_id in enumerate(lacking, start=1):
            if image_id in of_voc:
                content = self._mask_of_voc(image_id).read_bytes()
            else:
                buffer = io.BytesIO()
                converted = Image.fromarray(read_sbd(self._sbd / "cls" / f"{image_id}.mat"))
                converted.putpalette(palette)
                converted.save(buffer, "PNG")
                content = buffer.getvalue()
            _publish(self._masks / f"{image_id}.png", content)
            tick(number, len(lacking))
        return f"{len(lacking):,} of {len(of_voc) + len(of_sbd):,} masks written"

    def check(self, tick: Tick) -> str:
        """Check that the lists are the customary ones, and that each listed image has its files."""
        self._check_lists(*self._lists.counts)
        sources = (
            Folder(self._voc / "JPEGImages", (".jpg",)),
            Folder(self._masks, (".png",)),
            XmlAnnotations(self._voc / "Annotations"),
        )
        listed = sorted({image_id for name in self._lists.counts for image_id in _ids(self._list(name))})
        for number, image_id in enumerate(listed, start=1):
            for source in sources:
                if problem := source.problem(image_id):
                    raise DataError(f"{problem}; move {self._voc} away and unpack it again")
            tick(number, len(listed))
        return ", ".join(f"{name} {count:,}" for name, count in self._lists.counts.items())

    def _check_lists(self, *names: str) -> None:
        for name in names:
            if problem := self._lists.problem(name, _ids(self._list(name))):
                raise DataError(f"{self._list(name)}: {problem}")

    def _ids(self) -> tuple[frozenset[str], frozenset[str]]:
        """Ids whose mask is VOC's, and those whose mask is SBD's."""
        of_voc = frozenset(_ids(self._list("train"))) | frozenset(_ids(self._list("val")))
        return of_voc, frozenset(_ids(self._list("train_aug"))) - of_voc

    def _mask_of_voc(self, image_id: str) -> Path:
        return self._voc / "SegmentationClass" / f"{image_id}.png"

    def _lacking(self, of_voc: frozenset[str], of_sbd: frozenset[str]) -> list[str]:
        """Ids whose mask is missing, cut short or, where VOC has one, another than VOC's."""
        lacking = []
        for image_id in of_voc | of_sbd:
            path = self._masks / f"{image_id}.png"
            if not path.is_file():
                intact = False
            elif image_id in of_voc:
                intact = filecmp.cmp(path, self._mask_of_voc(image_id), shallow=False)
            else:
                content = path.read_bytes()
                intact = content.startswith(b"\x89PNG\r\n") and content.endswith(b"IEND\xaeB`\x82")
            lacking += [] if intact else [image_id]
        return sorted(lacking)


def read_sbd(path: Path) -> Mask:
    """(H, W) uint8, 0 to 20, from a .mat file of SBD's folder ``cls``.

    Raises:
        DataError: The file is missing, damaged or holds something else.
    """
    if problem := file_problem(path):
        raise DataError(f"{path}: {problem}; move {path.parents[1]} away and unpack it again")
    content = read_bytes(path, error=DataError)
    try:
        mask = np.asarray(loadmat(io.BytesIO(content))["GTcls"][0]["Segmentation"][0])
    except _UNREADABLE as error:
        raise DataError(f"{path}: damaged or no mask of SBD ({type(error).__name__}: {error})") from None
    if mask.ndim != 2 or not mask.size or mask.dtype != np.uint8 or mask.max() > _LARGEST_ID:
        raise DataError(
            f"{path}: GTcls.Segmentation must be (H, W) uint8 ids 0 to {_LARGEST_ID}, got {mask.shape} {mask.dtype}"
        )
    return mask


def _publish(path: Path, content: bytes) -> None:
    """Write a file that is there completely or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _ids(path: Path) -> tuple[str, ...]:
    ids, defects = read_ids(path, split=path.stem)
    if defects:
        raise DataError(defects[0].message)
    return ids


def _text(ids: Iterable[str]) -> str:
    return "".join(f"{image_id}\n" for image_id in ids)
