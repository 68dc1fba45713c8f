"""Compares planning a folder of many photographs with a bare loop that opens and hashes each of them.

Run ``python -m speed.planning``. It writes small photographs with tags and boxes into a temporary folder and plans six
rows with three seeds on them: what ``wsss plan`` and every ``wsss run`` begin with, the first time, when no digest is
known. A plan of a few images is taken off, so what is compared is the cost per image. The script ends with 1 when that
is more than ``RATIO`` times the bare loop's, when the plan takes more than a minute of processor time, or when the
process needed more than 1 GiB.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.engine.peak import PeakMemory
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.registry import PluginSpec, manager_from_spec

RATIO, SECONDS, MIB = 10.0, 60.0, 1024.0
FEW = 20
"""Images of the plan that is taken off."""

ROWS = ["cam", "cam_crf", "cam_walk", "box_fill", "box_grabcut", "background"]
CLASSES = ("cat", "dog", "horse")


def photographs(root: Path, count: int) -> None:
    """Write ``count`` photographs of 64 x 48 pixels and one file with a tag and a box for each."""
    (root / "JPEGImages").mkdir(parents=True)
    rng = np.random.default_rng(0)
    entries = []
    for number in range(count):
        name, cls = f"photo_{number:06}", CLASSES[number % 3]
        pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(root / "JPEGImages" / f"{name}.jpg")
        entries.append({"id": name, "tags": [cls], "boxes": [{"cls": cls, "bbox_xyxy": [5, 4, 30, 20]}]})
    (root / "labels.json").write_text(json.dumps({"images": entries}))
    names, held_out = [entry["id"] for entry in entries], max(count // 10, 1)
    (root / "train.txt").write_text("\n".join(map(str, names[held_out:])))
    (root / "val.txt").write_text("\n".join(map(str, names[:held_out])))


def benchmark(root: Path) -> Path:
    """Write a benchmark of the photographs, which have no masks."""
    network = {"optim": {"iterations": 2, "batch_size": 2}, "augment": {"crop": 32}}
    config = str(Path(__file__).parent.parent / "harness" / "testing" / "segmenter.py")
    lists = {"train": "train.txt", "val": "val.txt", "tags": "labels.json", "boxes": "labels.json"}
    classes = {name: number for number, name in enumerate(("background", *CLASSES))}
    params = {"name": "many", "root": str(root), "masks": "none", "classes": classes, **lists}
    content: dict[str, Any] = {
        "name": "many",
        "dataset": {"name": "voc", "params": params},
        "backbones": ["tiny"],
        "seeds": [0, 1, 2],
        "methods": ROWS,
        "protocol": {"classifier": network, "segmenter": {"config": config, **network}},
    }
    path = root / "many.yaml"
    path.write_text(json.dumps(content))
    return path


def plan_seconds(root: Path) -> float:
    """Processor seconds of a plan from nothing."""
    manager = manager_from_spec(PluginSpec(env=""))
    registered = {kind: manager.records(kind) for kind in ("method", "backbone")}
    path = benchmark(root)
    start = time.process_time()
    build_plan(load_benchmark(path, registered=registered), manager)
    return time.process_time() - start


def bare_seconds(root: Path) -> float:
    """Processor seconds of opening and hashing each photograph."""
    start = time.process_time()
    for path in sorted((root / "JPEGImages").iterdir()):
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (64, 48)
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=20_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        photographs(few, FEW)
        photographs(many, images)
        plan_seconds(few)  # imports, and what is remembered of the code
        with PeakMemory() as peak:
            fixed, bare, taken = plan_seconds(few), bare_seconds(many), plan_seconds(many)
    ratio = max(taken - fixed, 0.0) / bare
    print(f"plan of {images:,} images   {taken:6.2f} s of processor time, {fixed:.2f} s of it for any number of images")
    print(f"bare loop              {bare:6.2f} s; planning costs {ratio:.1f} times as much per image")
    print(f"peak memory            {peak.mib:6.0f} MiB")
    return int(ratio > RATIO or taken > SECONDS or peak.mib > MIB)


if __name__ == "__main__":
    sys.exit(main())
