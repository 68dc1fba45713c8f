"""The published data sets in small: same folders, names and formats, packed like the originals."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_array

from harness.data.prepare.archives import Archive

H, W = 12, 16
COLOURS = [(37 * index) % 256 for index in range(768)]

VOC_TRAIN = ("2007_000032", "2007_000039")
VOC_VAL = ("2007_000033",)
SBD_TRAIN = ("2007_000032", "2007_000033", "2008_000008")
SBD_VAL = ("2008_000002",)
TRAIN_AUG = ("2007_000032", "2007_000039", "2008_000002", "2008_000008")

_COCO_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,"
    "tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,"
    "toothbrush"
)
COCO_CATEGORIES = dict(
    zip(
        [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)],
        _COCO_NAMES.split(","),
        strict=True,
    )
)

Files = dict[str, bytes]


def pack(archive: Archive, files: Files, folder: Path) -> Archive:
    """Write ``files`` as ``archive.name``; the archive with the checksum of what was written."""
    path = folder / archive.name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as packed_tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                packed_tar.addfile(entry, io.BytesIO(content))
    return replace(archive, checksum=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")


def picture(kind: str, seed: int = 0, size: tuple[int, int] = (H, W)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), kind)


def plane(values: np.ndarray, *, colours: bool = False) -> bytes:
    image = Image.fromarray(values)
    if colours:
        image.putpalette(COLOURS)
    return encoded(image, "PNG")


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def lines(ids: tuple[str, ...]) -> bytes:
    return "".join(f"{image_id}\n" for image_id in ids).encode()


def voc_mask() -> np.ndarray:
    """A cat with a void border."""
    mask = np.zeros((H, W), np.uint8)
    mask[2:8, 3:9] = 255
    mask[3:7, 4:8] = 8
    return mask


def sbd_mask() -> np.ndarray:
    """A cat and a person, no border."""
    mask = np.zeros((H, W), np.uint8)
    mask[2:8, 3:9] = 8
    mask[9:11, 1:4] = 15
    return mask


def voc_xml(image_id: str) -> bytes:
    return (
        f"<annotation>\n\t<folder>VOC2012</folder>\n\t<filename>{image_id}.jpg</filename>\n"
        f"\t<size>\n\t\t<width>{W}</width>\n\t\t<height>{H}</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        "\t<object>\n\t\t<name>cat</name>\n\t\t<pose>Left</pose>\n\t\t<truncated>0</truncated>\n"
        "\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>4</xmin>\n\t\t\t<ymin>3</ymin>\n\t\t\t<xmax>9</xmax>\n"
        "\t\t\t<ymax>8</ymax>\n\t\t</bndbox>\n\t</object>\n"
        "\t<object>\n\t\t<name>person</name>\n\t\t<bndbox>\n\t\t\t<xmax>4</xmax>\n\t\t\t<xmin>1.7</xmin>\n"
        "\t\t\t<ymax>11</ymax>\n\t\t\t<ymin>10</ymin>\n\t\t</bndbox>\n"
        "\t\t<part>\n\t\t\t<name>head</name>\n\t\t\t<bndbox>\n\t\t\t\t<xmin>1</xmin>\n\t\t\t\t<ymin>1</ymin>\n"
        "\t\t\t\t<xmax>3</xmax>\n\t\t\t\t<ymax>3</ymax>\n\t\t\t</bndbox>\n\t\t</part>\n\t</object>\n</annotation>\n"
    ).encode()


def sbd_mat(mask: np.ndarray) -> bytes:
    boundaries = np.empty((20, 1), object)
    for cls in range(20):
        boundaries[cls, 0] = csc_array((mask == cls + 1).astype(float))
    present = np.unique(mask[mask > 0]).reshape(-1, 1).astype(np.uint8)
    buffer = io.BytesIO()
    struct = {"Segmentation": mask, "Boundaries": boundaries, "CategoriesPresent": present}
    savemat(buffer, {"GTcls": struct}, do_compression=True)
    return buffer.getvalue()


def voc_files() -> Files:
    """What VOCtrainval_11-May-2012.tar holds."""
    root = "VOCdevkit/VOC2012"
    files: Files = {}
    for seed, image_id in enumerate(sorted({*TRAIN_AUG, *VOC_VAL, "2012_004331"})):
        files[f"{root}/Annotations/{image_id}.xml"] = voc_xml(image_id)
        files[f"{root}/JPEGImages/{image_id}.jpg"] = picture("JPEG", seed)
    for name, ids in (("train", VOC_TRAIN), ("val", VOC_VAL), ("trainval", tuple(sorted(VOC_TRAIN + VOC_VAL)))):
        files[f"{root}/ImageSets/Segmentation/{name}.txt"] = lines(ids)
    for image_id in VOC_TRAIN + VOC_VAL:
        files[f"{root}/SegmentationClass/{image_id}.png"] = plane(voc_mask(), colours=True)
        files[f"{root}/SegmentationObject/{image_id}.png"] = plane(voc_mask(), colours=True)
    return files


def sbd_files() -> Files:
    """What benchmark.tgz holds."""
    root = "benchmark_RELEASE/dataset"
    files = {"benchmark_RELEASE/README": b"", f"{root}/train.txt": lines(SBD_TRAIN), f"{root}/val.txt": lines(SBD_VAL)}
    for seed, image_id in enumerate(SBD_TRAIN + SBD_VAL):
        files[f"{root}/img/{image_id}.jpg"] = picture("JPEG", seed)
        for kind in ("cls", "inst"):
            files[f"{root}/{kind}/{image_id}.mat"] = sbd_mat(sbd_mask())
    return files


def coco_files(year: int) -> dict[str, Files]:
    """What the three archives of COCO hold; the last image of each split has no annotation."""
    archives: dict[str, Files] = {f"annotations_trainval{year}.zip": {}}
    for split, numbers in (("train", (9, 25, 34)), ("val", (42, 73))):
        names = {number: f"{f'COCO_{split}2014_' if year == 2014 else ''}{number:012d}.jpg" for number in numbers}
        archives[f"{split}{year}.zip"] = {
            f"{split}{year}/{name}": picture("JPEG", number) for number, name in names.items()
        }
        content = {
            "info": {"year": year},
            "images": [{"id": n, "file_name": name, "height": H, "width": W} for n, name in names.items()],
            "licenses": [],
            "annotations": [
                {
                    "segmentation": [[2, 1, 8, 1, 8, 7, 2, 7]],
                    "area": 36.0,
                    "iscrowd": 0,
                    "image_id": number,
                    "bbox": [2, 1, 6, 6],
                    "category_id": category,
                    "id": number,
                }
                for number, category in zip(numbers[:-1], (90, 1), strict=False)
            ],
            "categories": [
                {"supercategory": "x", "id": number, "name": name} for number, name in COCO_CATEGORIES.items()
            ],
        }
        packed = archives[f"annotations_trainval{year}.zip"]
        packed[f"annotations/instances_{split}{year}.json"] = json.dumps(content).encode()
        packed[f"annotations/captions_{split}{year}.json"] = b"{}"
    return archives


def cityscapes_files() -> dict[str, Files]:
    """What gtFine_trainvaltest.zip and leftImg8bit_trainvaltest.zip hold; labels of ``test`` are blank."""
    labels: Files = {"README": b"", "license.txt": b""}
    images: Files = {"README": b"", "license.txt": b""}
    road_and_car = np.full((H, W), 7, np.uint8)
    road_and_car[3:8, 2:9] = 26
    instances = np.where(road_and_car == 26, 26000, 7).astype(np.uint16)
    for split, image_id in (
        ("train", "aachen_000000_000019"),
        ("train", "bochum_000000_000313"),
        ("val", "munster_000000_000019"),
        ("test", "berlin_000000_000019"),
    ):
        place = f"{split}/{image_id.partition('_')[0]}/{image_id}"
        images[f"leftImg8bit/{place}_leftImg8bit.png"] = picture("PNG")
        labels[f"gtFine/{place}_gtFine_labelIds.png"] = plane(road_and_car)
        labels[f"gtFine/{place}_gtFine_instanceIds.png"] = plane(instances)
        labels[f"gtFine/{place}_gtFine_color.png"] = picture("PNG")
        labels[f"gtFine/{place}_gtFine_polygons.json"] = b"{}"
    return {"gtFine_trainvaltest.zip": labels, "leftImg8bit_trainvaltest.zip": images}
