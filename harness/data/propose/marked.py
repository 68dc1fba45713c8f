"""Scribbles and points, which lie beside the other labels and must not be taken for masks or tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.common.text import one_line
from harness.data.annotations import JsonAnnotations
from harness.data.clicks import Clicks, is_of_clicks
from harness.data.images import IMAGE_SUFFIXES
from harness.data.propose.pictures import match
from harness.data.propose.proposal import Proposal
from harness.data.propose.tree import Tree, joined

_SCRIBBLES = re.compile(r"scribble", re.IGNORECASE)
_POINTS = re.compile(r"(points?|clicks?|pascal2012_trainval_(main|supp))", re.IGNORECASE)
_PHOTOGRAPHS = (".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_READERS = ("voc", "folder")
"""Readers with the fields ``points`` and ``scribbles``."""


@dataclass(frozen=True)
class Marked:
    """Paths below the root, by their names.

    Attributes:
        scribbles: Files in folders of scribbles.
        points: Files of points.
    """

    scribbles: tuple[str, ...]
    points: tuple[str, ...]


def set_aside(tree: Tree) -> tuple[Tree, Marked]:
    """The tree without the files of scribbles and points, and these."""
    photographed = {PurePosixPath(path).parent for path in tree.paths(*_PHOTOGRAPHS)}
    drawn = {folder for folder in tree.folders if _is_of_scribbles(PurePosixPath(folder), photographed)}
    stems = {PurePosixPath(path).stem for path in tree.paths(*IMAGE_SUFFIXES)}
    points = {path for path in tree.paths(".json", ".csv", ".tsv") if _is_of_points(PurePosixPath(path).stem, stems)}
    rest = {
        folder: tuple(name for name in names if joined(folder, name) not in points)
        for folder, names in tree.folders.items()
        if folder not in drawn
    }
    scribbles = tuple(path for path in tree.paths(".png", ".xml") if str(PurePosixPath(path).parent) in drawn)
    return Tree(tree.root, {folder: names for folder, names in rest.items() if names}), Marked(
        scribbles, tuple(sorted(points))
    )


def _is_of_scribbles(folder: PurePosixPath, photographed: set[PurePosixPath]) -> bool:
    """Whether a folder, or one above it, is called so and holds no photograph below."""
    named = (place for place in (folder, *folder.parents) if _SCRIBBLES.search(place.name))
    return any(not any(other.is_relative_to(place) for other in photographed) for place in named)


def _is_of_points(stem: str, stems: set[str]) -> bool:
    """By its name, such as ``points`` or ``voc_clicks``, unless an image is called so."""
    words = re.split(r"[-. ]", stem)
    return stem not in stems and any(_POINTS.fullmatch(part) for word in words for part in (word, *word.split("_")))


def add(proposal: Proposal, marked: Marked, tree: Tree, ids: Iterable[str]) -> None:
    """Name scribbles and points in a proposal where they cover all training images; else say why they do not count."""
    ids = frozenset(ids)
    if proposal.reader not in _READERS:
        return
    found = match(marked.scribbles, ids)
    if found is not None and found.ids == ids:
        proposal.params["scribbles"] = found.folder
    elif found is not None:
        proposal.note("", f"{found.folder}: scribbles of {len(found.ids)} of {len(ids)} training images, so not used")
    problems = []
    for path in marked.points:
        source = Clicks(tree.root / path) if is_of_clicks(tree.root / path) else JsonAnnotations(tree.root / path)
        if failure := source.failure():
            problems.append(one_line(failure)[:300])
            continue
        known = {image_id for image_id in source.ids() if source.read(image_id).points}
        if ids <= frozenset(source.ids()) and known & ids:
            proposal.params["points"] = path
            return
        problems.append(f"{path}: points of {len(known & ids)} of {len(ids)} training images, so not used")
    proposal.note("", *problems)
