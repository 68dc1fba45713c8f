"""Small folders as people have them, in every layout that is recognised."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

H, W = 24, 32
NAMES = ("cat", "dog")


def photograph(path: Path, seed: int = 0) -> None:
    """A picture of many colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def photographs(folder: Path, names: Iterable[str], suffix: str = ".jpg") -> None:
    """Pictures with these names."""
    for number, name in enumerate(names):
        photograph(folder / f"{name}{suffix}", number)


def plane(number: int, ids: tuple[int, ...] = (1, 2)) -> np.ndarray:
    """(H, W) uint8: background and one object of an id that depends on ``number``."""
    mask = np.zeros((H, W), dtype=np.uint8)
    mask[4:14, 5:20] = ids[number % len(ids)]
    return mask


def masks(folder: Path, names: Iterable[str], ids: tuple[int, ...] = (1, 2), ending: str = "") -> None:
    """Grey masks of ids."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        path = folder / f"{name}{ending}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(plane(number, ids)).save(path)


def scribbles(folder: Path, names: Iterable[str], ids: tuple[int, ...] = (8, 12)) -> None:
    """Pictures of scribbles: a line of the object's id and one of background."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        drawn = np.full((H, W), 255, dtype=np.uint8)
        drawn[8, 6:18], drawn[20, 2:30] = ids[number % len(ids)], 0
        Image.fromarray(drawn).save(folder / f"{name}.png")


def clicks(path: Path, names: Iterable[str], ids: tuple[int, ...] = (8, 12)) -> None:
    """One click for each image, as *What's the Point* writes it."""
    found = {name: [{"cls": ids[n % len(ids)], "x": 8, "y": 6, "rank": 1}] for n, name in enumerate(names)}
    path.write_text(json.dumps(found))


def colour_masks(folder: Path, names: Iterable[str], colours: tuple[tuple[int, int, int], ...]) -> None:
    """Masks of black and one colour each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        table = np.array([(0, 0, 0), colours[number % len(colours)]], dtype=np.uint8)
        Image.fromarray(table[plane(number, (1,))]).save(folder / f"{name}.png")


def xml(folder: Path, names: Iterable[str]) -> None:
    """VOC XML with one box each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        box = "<bndbox><xmin>6</xmin><ymin>5</ymin><xmax>20</xmax><ymax>14</ymax></bndbox>"
        (folder / f"{name}.xml").write_text(
            f"<annotation><object><name>{NAMES[number % 2]}</name>{box}</object></annotation>"
        )


def coco(path: Path, names: Iterable[str], *, outlined: bool = True, suffix: str = ".jpg") -> None:
    """An instances file with one object for each image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    outline = [[5, 4, 20, 4, 20, 14, 5, 14]]
    names = list(names)
    path.write_text(
        json.dumps(
            {
                "images": [
                    {"id": n, "file_name": f"{name}{suffix}", "height": H, "width": W} for n, name in enumerate(names)
                ],
                "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
                "annotations": [
                    {
                        "id": n,
                        "image_id": n,
                        "category_id": (3, 7)[n % 2],
                        "bbox": [5, 4, 15, 10],
                        "area": 150,
                        "iscrowd": 0,
                        **({"segmentation": outline} if outlined else {}),
                    }
                    for n, _ in enumerate(names)
                ],
            }
        )
    )


def yolo(folder: Path, names: Iterable[str]) -> None:
    """Boxes of YOLO."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / f"{name}.txt").write_text(f"{number % 2} 0.4 0.4 0.5 0.4\n")


def labelme(folder: Path, names: Iterable[str], kind: str = "polygon") -> None:
    """One JSON for each image, beside it."""
    corners = [[5, 4], [20, 4], [20, 14], [5, 14]] if kind == "polygon" else [[5, 4], [20, 14]]
    for number, name in enumerate(names):
        shape = {"label": NAMES[number % 2], "shape_type": kind, "points": corners}
        value = {"shapes": [shape], "imagePath": f"{name}.jpg", "imageHeight": H, "imageWidth": W}
        (folder / f"{name}.json").write_text(json.dumps(value))


def cvat(path: Path, names: Iterable[str]) -> None:
    """One XML of CVAT with a box for each image."""
    images = "".join(
        f'<image id="{n}" name="{name}.jpg" width="{W}" height="{H}">'
        f'<box label="{NAMES[n % 2]}" xtl="5" ytl="4" xbr="20" ybr="14" occluded="0"/></image>'
        for n, name in enumerate(names)
    )
    path.write_text(f"<annotations><version>1.1</version>{images}</annotations>")


def letters(count: int, start: int = 0) -> list[str]:
    """Names of images: ``img_00``, ``img_01``, ..."""
    return [f"img_{number:02}" for number in range(start, start + count)]
