"""Data sets of six small images in the layouts, and with all the classes, of those that the benchmark files name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from wsss_bilevel_box.recipe import COCO_IDS

H, W = 72, 96
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
COCO_NAMES = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 9: "boat", 16: "bird",
    17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow", 44: "bottle", 62: "chair", 63: "couch",
    64: "potted plant", 67: "dining table", 72: "tv",
}  # fmt: skip
SPLITS = {"train": range(4), "val": range(4, 6)}
BOXES = ((8, 10, 40, 60), (52, 20, 88, 64))
"""x0, y0, x1, y1 of the two objects of every image."""


def photograph(number: int, path: Path) -> None:
    """Noise with two coloured objects."""
    pixels = np.random.default_rng(number).integers(60, 120, (H, W, 3), dtype=np.uint8)
    for place, (x0, y0, x1, y1) in enumerate(BOXES):
        pixels[y0:y1, x0:x1, (number + place) % 3] += 130
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def plane(values: tuple[int, int], path: Path, dtype: type = np.uint8, rest: int = 0) -> None:
    """The two objects filled with ``values``."""
    mask = np.full((H, W), rest, dtype)
    for value, (x0, y0, x1, y1) in zip(values, BOXES, strict=True):
        mask[y0:y1, x0:x1] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def voc2012(root: Path) -> None:
    """VOC 2012 with SBD's masks; classes 1 to 12 occur."""
    for split, numbers in SPLITS.items():
        names = []
        for number in numbers:
            name, classes = f"2007_{number:06}", (2 * number % 12 + 1, 2 * number % 12 + 2)
            names.append(name)
            photograph(number, root / "JPEGImages" / f"{name}.jpg")
            plane(classes, root / "SegmentationClassAug" / f"{name}.png")
            objects = "".join(
                f"<object><name>{VOC[cls]}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
                f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
                for cls, (x0, y0, x1, y1) in zip(classes, BOXES, strict=True)
            )
            (root / "Annotations").mkdir(exist_ok=True)
            (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
        lists = root / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / {"train": "train_aug.txt", "val": "val.txt"}[split]).write_text("\n".join(names) + "\n")


def coco(root: Path, year: int) -> None:
    """COCO with its 80 category ids; every image shows a person or a car, and something that VOC does not have."""
    categories = [{"id": one, "name": COCO_NAMES.get(one, f"thing {one}")} for one in COCO_IDS]
    others = [one for one in COCO_IDS if one not in COCO_NAMES]
    for split, numbers in SPLITS.items():
        images, annotations = [], []
        for number in numbers:
            file = f"COCO_{split}{year}_{number:012}.jpg" if year == 2014 else f"{number:012}.jpg"
            photograph(number, root / f"{split}{year}" / file)
            images.append({"id": number, "file_name": file, "height": H, "width": W})
            for place, (x0, y0, x1, y1) in enumerate(BOXES):
                annotations.append(
                    {
                        "id": 2 * number + place,
                        "image_id": number,
                        "category_id": ((1, 3)[number % 2], others[number % 3])[place],
                        "iscrowd": 0,
                        "area": (x1 - x0) * (y1 - y0),
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}{year}.json").write_text(json.dumps(content))


def cityscapes(root: Path) -> None:
    """Cityscapes: a person (24) and a car (26) on the road (7)."""
    for split, numbers in SPLITS.items():
        for number in numbers:
            name = f"aachen_{number:06}_000019"
            folder = Path(split) / "aachen"
            photograph(number, root / "leftImg8bit" / folder / f"{name}_leftImg8bit.png")
            labels = root / "gtFine" / folder
            plane((24, 26), labels / f"{name}_gtFine_labelIds.png", rest=7)
            plane((24000, 26000), labels / f"{name}_gtFine_instanceIds.png", np.uint16, rest=7)


def build(root: Path) -> None:
    """All of them below ``root``, as WSSS_DATA."""
    voc2012(root / "VOC2012")
    coco(root / "coco2014", 2014)
    coco(root / "coco2017", 2017)
    cityscapes(root / "cityscapes")
