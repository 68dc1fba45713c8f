"""The page's panel of images, as data URLs."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from harness.leaderboard.frame import Board
from harness.leaderboard.page.panels import Panel, RowMap
from harness.leaderboard.page.rows import long_name

_TITLES = {"train": "Training images: pseudo labels", "val": "Validation images: predictions"}
_WHAT = {"train": "pseudo label", "val": "prediction"}


@dataclass(frozen=True)
class MapView:
    """What one row made of an image; ``change`` is empty for an image without a mask."""

    row: int
    name: str
    label: str
    change: str
    words: str


@dataclass(frozen=True)
class ImageView:
    """One line of a gallery; ``truth`` is empty for an image without a mask."""

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
    if gallery is None:
        return None
    index = {(row.method, row.backbone): number for number, row in enumerate(board.rows)}
    keys = {_key(picture) for panel in gallery.panels for picture in panel.maps}
    shown = sorted(number for key, number in index.items() if key in keys)
    if not shown:
        return None
    views = []
    for split, title in _TITLES.items():
        panels = [panel for panel in gallery.panels if panel.split == split]
        if panels:
            against = panels[0].against
            last = "where it is wrong" if against == "truth" else f"where it flipped against {against}"
            masked = panels[0].truth is not None
            heads = ["image", "truth", _WHAT[split], last] if masked else ["image", _WHAT[split]]
            images = [_image(panel, index) for panel in panels]
            marks = gallery.marks.get(split, []) if masked else []
            views.append(GalleryView(title if masked else f"{title}, no truth", _WHAT[split], heads, images, marks))
    # What a visitor wants to see first is the best row that is no reference.
    first = next((number for number in shown if not board.rows[number].reference), shown[0])
    names = [(number, long_name(board.rows[number])) for number in shown]
    return Images(gallery.note, names, first, views, gallery.palette)


def _image(panel: Panel, index: dict[tuple[str, str], int]) -> ImageView:
    maps = [
        MapView(
            row=index[_key(picture)],
            name=picture.method,
            label=_url(picture.label),
            change=_url(picture.change),
            words=", ".join(f"{100 * share:.1f} % {name}" for name, share in picture.share.items()),
        )
        for picture in panel.maps
        if _key(picture) in index
    ]
    return ImageView(panel.name, _url(panel.image), _url(panel.truth), sorted(maps, key=lambda view: view.row))


def _key(picture: RowMap) -> tuple[str, str]:
    return picture.method, picture.backbone


def _url(png: bytes | None) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}" if png else ""
