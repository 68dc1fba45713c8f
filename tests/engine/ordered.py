"""Small data sets whose objects are rectangles, one colour a class, so that filled boxes are perfect labels.

The classes of each stand in an order that is not that of the alphabet. Objects of ``HALF`` lack half their colour in
the validation images.
"""

import json

import numpy as np
import yaml
from PIL import Image

SIZE = 24
PLACES = ((1, 2, 9, 20), (12, 4, 22, 16))
"""x0, y0, x1, y1 of the two objects of an image."""

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOC_FILE = "configs/datasets/voc2012.yaml"
COCO = {7: "zebra", 3: "mule", 90: "ant"}
COCO_ORDER = ["background", "mule", "zebra", "ant"]
CITYSCAPES = {"zone": [], "vehicle": ["car"], "person": ["person"]}
CITYSCAPES_IDS = {"car": 26, "person": 24, "road": 7}
HALF = "sheep"


def save(values, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)


def write(text, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def planes(values, *, rest=0, half=()):
    """A label map (H, W) uint8 with a value for each object, and the image whose colours say the value."""
    mask = np.full((SIZE, SIZE), rest, np.uint8)
    image = np.full((SIZE, SIZE, 3), 5, np.uint8)
    for value, (x0, y0, x1, y1) in zip(values, PLACES, strict=True):
        mask[y0:y1, x0:x1] = value
        image[y0 : (y0 + y1) // 2 if value in half else y1, x0:x1] = (200, value, 90)
    return mask, image


def voc(root):
    """VOC 2012 with SBD's masks as ``configs/datasets/voc2012.yaml`` names it: two of the 20 classes an image."""
    for split, listed in (("train", "train_aug"), ("val", "val")):
        names = []
        for number in range(10):
            name, pair = f"{split}_{number}", (2 * number + 1, 2 * number + 2)
            names.append(name)
            mask, image = planes(pair, half=(VOC.index(HALF),) if split == "val" else ())
            save(mask, root / "SegmentationClassAug" / f"{name}.png")
            save(image, root / "JPEGImages" / f"{name}.png")
            objects = "".join(
                f"<object><name>{VOC[cls]}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
                f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
                for cls, (x0, y0, x1, y1) in zip(pair, PLACES, strict=True)
            )
            write(f"<annotation>{objects}</annotation>", root / "Annotations" / f"{name}.xml")
        write("\n".join(names) + "\n", root / "ImageSets" / "Segmentation" / f"{listed}.txt")


def voc_params(root, **fields):
    """Parameters of the shipped file on the folder that ``voc`` wrote."""
    with open(VOC_FILE) as file:  # noqa: PTH123
        params = yaml.safe_load(file)["params"]
    return {**params, "root": str(root), **fields}


def coco(root):
    """COCO with three categories, listed neither by id nor by name; its parameters."""
    numbers = list(COCO)
    for split in ("train", "val"):
        images, annotations = [], []
        for number in range(3):
            pair = numbers[number], numbers[(number + 1) % 3]
            save(planes(pair)[1], root / split / f"{split}{number}.png")
            images.append({"id": number, "file_name": f"{split}{number}.png", "height": SIZE, "width": SIZE})
            for category, (x0, y0, x1, y1) in zip(pair, PLACES, strict=True):
                box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
                area = {"area": (x1 - x0) * (y1 - y0), "iscrowd": 0, "id": len(annotations)}
                annotations.append({"image_id": number, "category_id": category, **box, **area})
        categories = [{"id": number, "name": name} for number, name in COCO.items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write(json.dumps(content), root / f"{split}.json")
    folders = {"train_images": "train", "val_images": "val"}
    return {"root": str(root), "name": "c", "train": "train.json", "val": "val.json", **folders}


def cityscapes(root):
    """Cityscapes: a car and a person on the road of every image; its parameters."""
    for split in ("train", "val"):
        name = f"aachen_{split}_000019"
        mask, image = planes((CITYSCAPES_IDS["car"], CITYSCAPES_IDS["person"]), rest=CITYSCAPES_IDS["road"])
        save(image, root / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png")
        labels = root / "gtFine" / split / "aachen"
        save(mask, labels / f"{name}_gtFine_labelIds.png")
        wide = mask.astype(np.uint16)
        save(np.where(wide > 20, wide * 1000, wide), labels / f"{name}_gtFine_instanceIds.png")
    return {"root": str(root), "classes": CITYSCAPES}
