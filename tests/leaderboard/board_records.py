"""Fabricated run records with confusions beside them."""

import json

import numpy as np

from harness.contract.run_record import RunRecord
from harness.scoring import score

CLASSES = ["background", "cat", "dog", "never"]
PROTOCOL = {"scoring": {"bootstrap": 100}, "segmenter": {"optim": {"iterations": 40}}}
DATASET = {"name": "toy", "classes": CLASSES, "images": {"train": 36, "val": 12}, "digests": {"val/ids": "ab"}}
FINGERPRINT = "0123456789abcdef"


def confusions(wrong, seed=0, images=12):
    """Three true classes; about ``wrong`` of the pixels are wrong."""
    truth = np.random.default_rng(5).integers(0, 3, (images, 8, 8)).astype(np.uint8)
    rng = np.random.default_rng(seed)
    pred = np.where(rng.random(truth.shape) < wrong, (truth + 1) % 3, truth).astype(np.uint8)
    return score(((f"i{n}", *pair) for n, pair in enumerate(zip(truth, pred, strict=True))), len(CLASSES))


def one_round(generator):
    """The rounds of a cell that ends with its pseudo labels."""
    return [{"generator": {"name": generator, "params": {}}, "refiners": [], "segmenter": None}]


class Records:
    """A runs folder; ``add`` writes one cell as the engine does."""

    def __init__(self, runs):
        self.runs = runs

    def add(
        self,
        label,
        *,
        wrong=0.3,
        backbone="resnet18",
        seed=0,
        benchmark="demo",
        scores=("pseudo", "val"),
        images=12,
        **fields,
    ):
        fingerprint = fields.get("fingerprint", FINGERPRINT)
        folder = self.runs / "records" / f"{benchmark}-{fingerprint[:8]}"
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{label}--{backbone}--s{seed}"
        failed = fields.get("status", "ok") != "ok"
        record = {
            "benchmark": benchmark,
            "fingerprint": fingerprint,
            "protocol": PROTOCOL,
            "dataset": DATASET,
            "label": label,
            "method": label,
            "params": {},
            "rounds": one_round("made"),
            "supervision": "I",
            "backbone": backbone,
            "init": "ImageNet-1k",
            "seed": seed,
            "status": "ok",
            "scores": {}
            if failed
            else {name: self._score(folder / f"{stem}.{name}.npz", confusions(wrong, seed, images)) for name in scores},
            "stages": [{"name": "a", "key": "k1", "seconds": 2.0, "peak_mib": 300.0}],
        }
        path = folder / f"{stem}.json"
        path.write_text(RunRecord.model_validate(record | fields).model_dump_json(indent=2))
        return path

    @staticmethod
    def _score(path, found):
        split = "val" if ".val." in path.name else "train"
        return {"split": split, "confusion": path.name, "sha256": found.save(path), "images": len(found)}

    @staticmethod
    def edit(path, **fields):
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def fill(records):
    """Four methods over two seeds, one of them failed, on one backbone."""
    reported = {"value": 0.685, "metric": "val mIoU", "dataset": "voc2012", "split": "val", "source": "Table 2"}
    for seed in (0, 1):
        records.add("full", wrong=0.1, seed=seed, reference=True, supervision="F")
        records.add("box_fill", wrong=0.3, seed=seed, supervision="B", year=2015)
        records.add(
            "cam_new",
            wrong=0.2,
            seed=seed,
            year=2020,
            reconstruction=True,
            label_coverage=0.9,
            oracle={"thresholds": [0.1], "miou": [0.7], "best_threshold": 0.1, "best_miou": 0.7, "area": 0.7},
            reported=[reported | {"split": "train"}, reported | {"backbone": "ResNet-18", "crf": True}],
        )
        records.add(
            "broken",
            seed=seed,
            status="failed",
            error={"stage": "fit", "kind": "RuntimeError", "message": "no | way", "log": "logs/x.txt"},
        )
    return records
