"""Which images a data set of folders has, and which of them are for training and validation."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.common.files import folder_problem
from harness.common.text import printable
from harness.data.files import Defect, read_ids, same_name
from harness.data.folder_params import FolderParams, SourceParams
from harness.data.formats.source import ImageNames
from harness.data.images import IMAGE_SUFFIXES
from harness.data.views import dev_split

Found = Mapping[str, list[Path]]
"""Id of an image -> files that are called so."""


@dataclass(frozen=True)
class Split:
    """The images of one split, id -> file, in order."""

    images: Mapping[str, Path]


def find_images(params: FolderParams, root: Path) -> tuple[dict[str, Found], list[Defect]]:
    """The images below the folder of each split, by split, and what is wrong with the folders."""
    found: dict[str, Found] = {}
    defects = []
    by_folder: dict[Path, Found] = {}
    for split in ("train", "val") if params.val else ("train",):
        labels = params.labels(split)
        folder = root / str(labels.images)
        if problem := folder_problem(folder):
            defects.append(Defect("image", split, None, f"{printable(folder)}: {problem} (field {split}.images)"))
            continue
        if folder not in by_folder:
            by_folder[folder] = _below(folder, _mask_ending(params))
        found[split] = by_folder[folder]
        if not found[split]:
            kinds = ", ".join(IMAGE_SUFFIXES)
            defects.append(Defect("image", split, None, f"{printable(folder)}: holds no image ({kinds})"))
    return found, defects


def _mask_ending(params: FolderParams) -> tuple[str, ...]:
    """How the names of masks end that may lie beside the images."""
    stated = [labels.masks for labels in (params, params.train, params.val) if labels is not None]
    return tuple(masks.suffix for masks in stated if isinstance(masks, SourceParams) and masks.suffix)


def _below(folder: Path, masks: tuple[str, ...]) -> dict[str, list[Path]]:
    """The images below a folder by id, ascending; what is hidden or ends like a mask is none."""
    found: dict[str, list[Path]] = {}
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:  # links may lead back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122  # 20,000 paths are slow to make
            if suffix.lower() in IMAGE_SUFFIXES and name[0] != "." and not (masks and stem.endswith(masks)):
                path = Path(parent, name)
                image_id = same_name(path.relative_to(folder).with_suffix("").as_posix())
                found.setdefault(image_id, []).append(path)
    return dict(sorted(found.items()))


def read_splits(params: FolderParams, root: Path, found: Mapping[str, Found]) -> tuple[dict[str, Split], list[Defect]]:
    """The images of each split, and what is wrong with lists, with names of two files, and with images of both."""
    splits: dict[str, dict[str, Path]] = {}
    defects: list[Defect] = []
    for split, files in found.items():
        own = getattr(params, split)
        ids, where = tuple(files), printable(root / str(params.labels(split).images))
        if own.list is not None:
            where = printable(root / own.list)
            ids, wrong = _listed(root / own.list, files, split)
            defects += wrong
        splits[split] = {}
        for image_id in ids:
            if printable(image_id) != image_id:
                text = f"{where}: the name of image {printable(image_id)!r} is no text of one line; rename it"
                defects.append(Defect("image", split, None, text))
            elif len(files[image_id]) > 1:
                names = " and ".join(printable(path.name) for path in files[image_id])
                text = f"{where}: image {image_id!r} is ambiguous, there are {names}"
                defects.append(Defect("image", split, image_id, text))
            elif split == "val" and image_id in splits["train"]:
                text = f"{where}: image {image_id!r} is a training image too; each image has a name of its own"
                defects.append(Defect("list", split, image_id, text))
            else:
                splits[split][image_id] = files[image_id][0]
    if params.hold_out is not None and "train" in splits:
        splits |= _held_out(splits["train"], params.hold_out)
    return {name: Split(images) for name, images in splits.items()}, defects


def _listed(path: Path, files: Found, split: str) -> tuple[tuple[str, ...], list[Defect]]:
    """The images that a list names; a name may have a suffix, or folders before it."""
    lines, defects = read_ids(path, split=split)
    names = ImageNames(files)
    ids: dict[str, str] = {}
    for line in lines:
        image_id = names.find(line)
        if image_id is None:
            defects.append(Defect("image", split, line, f"{printable(path)}: {printable(line)!r} is no image"))
        elif image_id in ids:
            both = f"{printable(ids[image_id])!r} and {printable(line)!r}"
            defects.append(Defect("list", split, image_id, f"{printable(path)}: {both} are both {image_id!r}"))
        else:
            ids[image_id] = line
    return tuple(ids), defects


def _held_out(images: Mapping[str, Path], share: float) -> dict[str, dict[str, Path]]:
    """Training and validation part of ``images``; validation is chosen by the hash of the id."""
    held, kept = dev_split(images, min(share, math.nextafter(1, 0)))
    return {"train": {name: images[name] for name in kept}, "val": {name: images[name] for name in held}}
