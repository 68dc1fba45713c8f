"""Sound inputs, one small tree for each family of mutations; every command on them ends with 0."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tests.data import published
from tests.engine import toy

H, W = 12, 16
IDS = {"train": ("a", "b", "c"), "val": ("d", "e")}
CLASSES = {"background": 0, "cat": 8, "person": 15}
PLUGINS = Path(__file__).parent / "fuzz_plugin.py", Path(toy.__file__).parent / "toy_plugin.py"
SEGMENTERS = Path(__file__).parents[2] / "configs" / "segmenters"


def benchmark(root: Path, dataset: dict[str, Any], methods: tuple[str, ...] = ("look",)) -> None:
    """Write ``bench/bench.yaml`` on a data set file ``bench/data.yaml``."""
    folder = root / "bench"
    folder.mkdir()
    (folder / "data.yaml").write_text(yaml.safe_dump(dataset, sort_keys=False))
    content = {**toy.BENCHMARK, "name": "fuzz", "dataset": "data.yaml", "methods": list(methods), "seeds": [0]}
    (folder / "bench.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (folder / "model.py").write_text(
        "_base_ = './other.py'\nmodel = dict(type='EncoderDecoder', decode_head=dict(a=1))\n"
    )
    (folder / "other.py").write_text("norm = dict(type='BN', requires_grad=True)\nmodel = dict(type='Other')\n")


def _plane(number: int) -> np.ndarray:
    plane = np.zeros((H, W), np.uint8)
    plane[1:4, 1 : 6 + number] = 8
    plane[7:10, 2:5] = 15
    plane[0] = 255
    return plane


def _xml(image_id: str) -> str:
    box = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
    objects = "".join(
        f"<object><name>{name}</name><pose>Left</pose><difficult>0</difficult>{box.format(*corners)}</object>\n"
        for name, corners in (("cat", (2, 2, 6, 4)), ("person", (3, 8, 5, 10)))
    )
    size = f"<size><width>{W}</width><height>{H}</height><depth>3</depth></size>"
    return f"<annotation>\n<filename>{image_id}.jpg</filename>\n{size}\n{objects}</annotation>\n"


def voc(root: Path, *, sources: tuple[str, str] = ("masks", "masks"), methods: tuple[str, ...] = ("look",)) -> None:
    """A data set in VOC layout with every kind of annotation file; ``sources`` are those of boxes and tags."""
    data = root / "data" / "voc"
    for name in ("JPEGImages", "SegmentationClass", "Annotations", "Saliency"):
        (data / name).mkdir(parents=True)
    ids = [image_id for split in IDS.values() for image_id in split]
    for number, image_id in enumerate(ids):
        (data / "JPEGImages" / f"{image_id}.jpg").write_bytes(published.picture("JPEG", number))
        (data / "SegmentationClass" / f"{image_id}.png").write_bytes(published.plane(_plane(number), colours=True))
        Image.fromarray((_plane(number) == 8).astype(np.uint8) * 255).save(data / "Saliency" / f"{image_id}.png")
        (data / "Annotations" / f"{image_id}.xml").write_text(_xml(image_id))
    for split, names in IDS.items():
        (data / f"{split}.txt").write_text("".join(f"{image_id}\n" for image_id in names))
    found = [{"cls": "cat", "bbox_xyxy": [1, 1, 6, 4]}, {"cls": "person", "bbox_xyxy": [2, 7, 5, 10]}]
    (data / "boxes.json").write_text(json.dumps({"images": [{"id": image_id, "boxes": found} for image_id in ids]}))
    tags = [{"id": image_id, "tags": ["cat", "person"]} for image_id in ids]
    (data / "tags.json").write_text(json.dumps({"images": tags}))
    params = {"name": "tiny", "root": "${WSSS_DATA}/voc", "train": "train.txt", "val": "val.txt", "classes": CLASSES}
    more = {
        "boxes": sources[0],
        "tags": sources[1],
        **({"saliency": "Saliency"} if "look_at_saliency" in methods else {}),
    }
    benchmark(root, {"name": "voc", "params": {**params, **more}}, methods)


def coco(root: Path) -> None:
    """A data set in the layout of COCO 2017, with an outline in counts, and masks that replace the outlines."""
    data = root / "data"
    for name, files in published.coco_files(2017).items():
        for path, content in files.items():
            target = data / "coco" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        assert name
    path = data / "coco" / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_bytes())
    crowd = {"size": [H, W], "counts": [10, 5, H * W - 15]}
    first = content["annotations"][0]
    content["annotations"].append({**first, "id": 9_999, "segmentation": crowd, "iscrowd": 1})
    path.write_text(json.dumps(content))
    splits = {
        key: value
        for split in ("train", "val")
        for key, value in ((split, f"annotations/instances_{split}2017.json"), (f"{split}_images", f"{split}2017"))
    }
    benchmark(root, {"name": "coco", "params": {"name": "coco", "root": "${WSSS_DATA}/coco", **splits}})


def cityscapes(root: Path) -> None:
    """Cityscapes in small, with lists."""
    data = root / "data"
    for files in published.cityscapes_files().values():
        for path, content in files.items():
            target = data / "city" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    (data / "city" / "train.txt").write_text("aachen_000000_000019\nbochum_000000_000313\n")
    params = {"root": "${WSSS_DATA}/city", "train_list": "train.txt", "classes": "vehicles_and_persons"}
    benchmark(root, {"name": "cityscapes", "params": params})


def archives(root: Path) -> None:
    """The archives of VOC 2012, COCO 2017 and Cityscapes in small."""
    from harness.data.prepare import cityscapes as city
    from harness.data.prepare import coco as coco_steps
    from harness.data.prepare import voc2012

    data = root / "data"
    data.mkdir()
    packs = {
        "VOCtrainval_11-May-2012.tar": (voc2012.VOC, published.voc_files()),
        "sbd": (voc2012.SBD, published.sbd_files()),
    }
    packs |= {a.name: (a, published.cityscapes_files()[a.name]) for a in (city.LABELS, city.IMAGES)}
    packs |= {a.name: (a, published.coco_files(2017)[a.name]) for a in coco_steps.COCO_2017.archives}
    for archive, files in packs.values():
        published.pack(archive, files, data)


def configs(root: Path) -> None:
    """A benchmark file that uses most of its fields, on a data set in VOC layout."""
    voc(root)
    path = root / "bench" / "bench.yaml"
    content = yaml.safe_load(path.read_text())
    content["backbones"] = ["net", {"name": "wide", "weights": None, "trained_on": "nothing"}]
    content["methods"] = [
        "look",
        {"name": "other", "method": "paint", "params": {"cls": 2}, "refiners": ["erase"]},
        {"name": "written", "rounds": [{"generator": {"name": "paint", "params": {"cls": 1}}, "segmenter": "toy"}]},
        {"name": "labels", "method": "paint", "labels_only": True},
    ]
    content["timeout"] = 60.0
    content["protocol"]["scoring"] = {"bootstrap": 100}
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def segmenter(root: Path) -> None:
    """A benchmark with a segmenter's configuration file."""
    voc(root)
    shutil.copy(SEGMENTERS / "deeplabv2.py", root / "bench" / "whole.py")


def plugin(root: Path) -> None:
    """A plugin file that passes the conformance kit."""
    voc(root)
    (root / "bench" / "mine.py").write_text(_PLUGIN)
    path = root / "bench" / "bench.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, "methods": [{"name": "mine", "segmenter": "toy"}]}))


def planned(root: Path, command: Callable[..., None]) -> None:
    """A data set in VOC layout whose digests were noted by a plan."""
    voc(root, sources=("xml", "xml"))
    for path in (root / "data").rglob("*.*"):
        os.utime(path, (1e9, 1e9))  # digests of files that have just changed are not noted
    plugins = [text for path in PLUGINS for text in ("--plugin", str(path))]
    command("plan", str(root / "bench" / "bench.yaml"), *plugins, "--runs", str(root / "runs"))


_PLUGIN = '''"""A box of its class."""

from dataclasses import dataclass

import numpy as np

from harness.contract import *
from harness.contract import BOXES, DatasetRecord, Generator, GeneratorRecord, MethodRecord, PseudoLabel, RefinerRecord
from harness.contract import Round, Use, hookimpl


class Unprintable(BaseException):
    def __str__(self):
        raise self


# here


@dataclass(frozen=True)
class Params:
    size: int = 1


class Mine(Generator):
    def __init__(self, params):
        self.size = params.size

    def generate(self, view, ctx):
        pass  # body
        for image_id in view.ids:
            label = np.zeros(view.size(image_id), np.uint8)
            for box in view.boxes(image_id):
                label[box.y0 : box.y1, box.x0 : box.x1] = box.cls
            yield PseudoLabel(image_id, label)


@hookimpl
def wsss_generators():
    yield GeneratorRecord("mine", Mine, params=Params, needs=(BOXES,))


@hookimpl
def wsss_methods():
    yield MethodRecord("mine", lambda params: (Round(Use("mine")),))
'''


def runs(root: Path, command: Callable[..., None]) -> None:
    """A runs folder after a run of two methods and two seeds, verified; ``command`` runs ``wsss``."""
    folder = root / "bench"
    folder.mkdir()
    content = {**toy.BENCHMARK, "methods": ["fill", "learnt"], "seeds": [0, 1]}
    content["protocol"] = {**toy.BENCHMARK["protocol"], "scoring": {"bootstrap": 100}}
    (folder / "bench.yaml").write_text(yaml.safe_dump(content))
    (folder / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    plugins = [text for path in PLUGINS for text in ("--plugin", str(path))]
    where = ("--runs", str(root / "runs"))
    command("run", str(folder / "bench.yaml"), *plugins, *where, "--executor", "inline", "--device", "cpu")
    command("verify", str(root / "runs"), *plugins)
    locks = root / "runs" / "locks"
    (locks / "toy-00000000.claim").write_text(json.dumps({"owner": "toy", "keys": ["0" * 64]}))
