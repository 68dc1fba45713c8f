"""The page's panel of images, as data URLs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from harness.leaderboard.frame import Board, Row
from harness.leaderboard.page.panels import Gallery, Panel, RowMap
from harness.leaderboard.page.rows import long_name

_TITLES = {"train": "Training images: pseudo labels", "val": "Validation images: predictions"}
_WHAT = {"train": "pseudo label", "val": "prediction"}


@dataclass(frozen=True)
class MapView:
    """What one row made of an image."""

    row: int
    name: str
    label: str
    change: str
    words: str


@dataclass(frozen=True)
class ImageView:
    """One line of a gallery."""

    name: str
    image: str
    truth: str
    maps: list[MapView]


@dataclass(frozen=True)
class GalleryView:
    """The images of one split."""

    title: str
    what: str
    heads: list[str]
    images: list[ImageView]
    marks: list[tuple[str, str]]


@dataclass(frozen=True)
class Images:
    """All that the section shows; ``first`` is the row shown at first."""

    note: str
    rows: list[tuple[int, str]]
    first: int
    galleries: list[GalleryView]
    palette: list[tuple[str, str]]


def images_of(board: Board) -> Images | None:
    """The section, or ``None`` when the frame carries no pictures."""
    gallery = board.gallery
    if gallery is None or not gallery.panels:
        return None
    index = {(row.method, row.backbone): number for number, row in enumerate(board.rows)}
    shown = sorted({index[_key(found)] for panel in gallery.panels for found in panel.maps if _key(found) in index})
    if not shown:
        return None
    views = [_gallery(gallery, split, index) for split in _TITLES if _of(gallery, split)]
    names = [(number, long_name(board.rows[number])) for number in shown]
    return Images(gallery.note, names, _first(board.rows, shown), views, gallery.palette)


def _first(rows: Sequence[Row], shown: Sequence[int]) -> int:
    """The best row that is no reference, else the best."""
    return next((number for number in shown if not rows[number].reference), shown[0])


def _of(gallery: Gallery, split: str) -> list[Panel]:
    return [panel for panel in gallery.panels if panel.split == split]


def _gallery(gallery: Gallery, split: str, index: dict[tuple[str, str], int]) -> GalleryView:
    panels = _of(gallery, split)
    against = panels[0].against
    last = "where it is wrong" if against == "truth" else f"where it flipped against {against}"
    return GalleryView(
        title=_TITLES[split],
        what=_WHAT[split],
        heads=["image", "truth", _WHAT[split], last],
        images=[_image(panel, index) for panel in panels],
        marks=gallery.marks.get(split, []),
    )


def _image(panel: Panel, index: dict[tuple[str, str], int]) -> ImageView:
    maps = [
        MapView(
            row=index[_key(found)],
            name=found.method,
            label=_url(found.label),
            change=_url(found.change),
            words=", ".join(f"{100 * share:.1f} % {name}" for name, share in found.share.items()),
        )
        for found in panel.maps
        if _key(found) in index
    ]
    return ImageView(panel.name, _url(panel.image), _url(panel.truth), sorted(maps, key=lambda view: view.row))


def _key(found: RowMap) -> tuple[str, str]:
    return found.method, found.backbone


def _url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
