"""Compares the harness's training of a segmenter with mmengine's own, and with a loop written by hand.

Run ``python -m speed.training``. Network (MobileNetV2 x0.35, light FCN head), initial weights, photographs, batch, crop
and schedule are the same; each has two threads. *Stock* is mmseg's own pipeline and preprocessor with mmengine's
``Runner`` and default hooks. *Hand* is the shortest loop that does the harness's work (its samples, channels last,
SGD), so the difference to it is the harness's own overhead.

The three take turns, and the fastest round of each counts. The script ends with 1 when the harness takes more than 0.8
of the stock time or 1.05 of the hand loop's time, or when the level of its loss differs from stock's.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

warnings.simplefilter("ignore")

from mmengine.runner import Runner  # noqa: E402

from harness.contract.inputs import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings  # noqa: E402
from harness.modelling import mm  # noqa: E402
from harness.modelling.dataset import TrainingSet  # noqa: E402
from harness.modelling.sampler import ShuffleStream, StreamLoader  # noqa: E402
from harness.modelling.segmenter import build_config, initial_model  # noqa: E402
from harness.modelling.training import fit  # noqa: E402
from harness.testing import fake_context  # noqa: E402

THREADS, CLASSES, IMAGES, SIZE, CROP, BATCH = 2, 21, 32, (375, 500), 225, 8
AT_MOST_OF_STOCK, AT_MOST_OF_HAND, LOSS_TOLERANCE = 0.8, 1.05, 0.25
CONFIG = Path(__file__).parents[1] / "configs" / "segmenters" / "fcn.py"


def write_photographs(folder: Path) -> None:
    """Write blurred noise with one to three rectangles in the colours of their classes, as JPEG, and masks as PNG."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 255, (CLASSES, 3))
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(IMAGES):
        image = cv2.GaussianBlur(rng.integers(60, 200, (*SIZE, 3), dtype=np.uint8), (9, 9), 3)
        mask = np.zeros(SIZE, np.uint8)
        for cls in rng.integers(1, CLASSES, rng.integers(1, 4)):
            y, x = (int(rng.integers(0, side - 150)) for side in SIZE)
            mask[y : y + 150, x : x + 150] = cls
        image[mask > 0] = 0.3 * image[mask > 0] + 0.7 * colours[mask[mask > 0]]
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), image)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)


class Bench:
    """The three ways to train on one folder of photographs; each gives its seconds and the loss of every step."""

    def __init__(self, folder: Path, iterations: int) -> None:
        self.folder = folder
        self.optim = OptimSettings(iterations=iterations, batch_size=BATCH, lr=0.02, head_lr_mult=1.0)
        settings = SegmenterSettings(config=str(CONFIG), optim=self.optim, augment=AugmentSettings(crop=CROP))
        self.augment = settings.augment
        self.cfg = build_config(settings, BackboneSettings(name="mobilenet_v2_x0.35"), CLASSES)
        torch.save({"state_dict": self.model().state_dict(), "meta": {}}, folder / "initial.pth")

    def model(self) -> Any:
        return initial_model(self.cfg, self.cfg, seed=0, weights=None)

    def dataset(self) -> TrainingSet:
        def image(name: str) -> Any:
            pixels: Any = cv2.imread(str(self.folder / "images" / f"{name}.jpg"))
            return np.ascontiguousarray(pixels[:, :, ::-1])

        def maps(name: str) -> list[Any]:
            return [cv2.imread(str(self.folder / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)]

        return TrainingSet([str(i) for i in range(IMAGES)], image, settings=self.augment, seed=0, maps=maps)

    def harness(self, work: Path) -> tuple[float, list[float]]:
        losses: list[torch.Tensor] = []
        model = self.model()
        model.register_forward_hook(lambda model, inputs, named: losses.append(named["decode.loss_ce"].detach()))
        begin = time.perf_counter()
        fit(model, self.dataset(), self.optim, fake_context(work, threads=THREADS))
        return time.perf_counter() - begin, torch.stack(losses).tolist()

    def hand(self, work: Path) -> tuple[float, list[float]]:
        losses: list[torch.Tensor] = []
        model = self.model()
        begin = time.perf_counter()
        mm.place(model, "cpu")
        model.train()
        data = self.dataset()
        loader = iter(StreamLoader(data, ShuffleStream(data, seed=0), batch_size=BATCH))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
        total = self.optim.iterations
        measured, mm.decode_head.accuracy = mm.decode_head.accuracy, lambda logits, *args, **kwargs: logits.new_zeros(1)
        for step in range(total):
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * (1 - step / total) ** 0.9
            batch = model.data_preprocessor(next(loader), True)
            loss = model.loss(batch["inputs"], batch["data_samples"])["decode.loss_ce"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        mm.decode_head.accuracy = measured
        return time.perf_counter() - begin, torch.stack(losses).tolist()

    def stock(self, work: Path) -> tuple[float, list[float]]:
        pipeline = [
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations"},
            {"type": "RandomResize", "scale": SIZE[::-1], "ratio_range": self.augment.scale, "keep_ratio": True},
            {"type": "RandomCrop", "crop_size": (CROP, CROP), "cat_max_ratio": 0.75},
            {"type": "RandomFlip", "prob": 0.5},
            {"type": "PhotoMetricDistortion"},
            {"type": "PackSegInputs"},
        ]
        data = {
            "type": "BaseSegDataset",
            "data_root": str(self.folder),
            "data_prefix": {"img_path": "images", "seg_map_path": "masks"},
            "metainfo": {"classes": [str(c) for c in range(CLASSES)]},
            "pipeline": pipeline,
        }
        model = mm.plain(self.cfg.model)
        model["data_preprocessor"] = {
            "type": "SegDataPreProcessor",
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
            "bgr_to_rgb": True,
            "pad_val": 0,
            "seg_pad_val": 255,
            "size": (CROP, CROP),
        }
        total = self.optim.iterations
        begin = time.perf_counter()
        runner = Runner.from_cfg(
            mm.Config(
                {
                    "model": model,
                    "work_dir": str(work),
                    "default_scope": "mmseg",
                    "load_from": str(self.folder / "initial.pth"),
                    "train_dataloader": {
                        "batch_size": BATCH,
                        "num_workers": THREADS,
                        "persistent_workers": True,
                        "sampler": {"type": "InfiniteSampler", "shuffle": True},
                        "dataset": data,
                    },
                    "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": total},
                    "optim_wrapper": {
                        "type": "OptimWrapper",
                        "optimizer": {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4},
                    },
                    "param_scheduler": [
                        {"type": "PolyLR", "eta_min": 0, "power": 0.9, "begin": 0, "end": total, "by_epoch": False}
                    ],
                    "default_hooks": {
                        "logger": {"type": "LoggerHook", "interval": 50, "log_metric_by_epoch": False},
                        "checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": total},
                    },
                    "log_processor": {"by_epoch": False},
                }
            )
        )
        runner.train()
        seconds = time.perf_counter() - begin
        return seconds, runner.message_hub.get_scalar("train/loss").data[0].tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    ways = ("stock", "harness", "hand")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    processor: dict[str, list[float]] = {way: [] for way in ways}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder))
        bench = Bench(Path(folder), options.iterations)
        for turn in range(options.rounds):
            for way in ways:
                work = Path(folder) / f"{way}{turn}"
                work.mkdir()
                begin = time.process_time()
                with contextlib.redirect_stdout(io.StringIO()):
                    taken, losses[way] = getattr(bench, way)(work)
                seconds[way].append(taken)
                processor[way].append(time.process_time() - begin)
    best = {way: min(seconds[way]) for way in ways}
    tail = {way: float(np.mean(losses[way][-max(options.iterations // 3, 1) :])) for way in ways}
    for way in ways:
        rate = options.iterations * BATCH / best[way]
        print(f"{way:8} {best[way]:7.1f} s  {rate:6.1f} img/s  loss of the last third {tail[way]:.3f}")
    of_stock, of_hand = best["harness"] / best["stock"], best["harness"] / best["hand"]
    print(f"harness / stock {of_stock:.3f} (at most {AT_MOST_OF_STOCK})")
    of_hand_processor = min(processor["harness"]) / min(processor["hand"])
    print(f"harness / hand  {of_hand:.3f} (at most {AT_MOST_OF_HAND}; in processor time {of_hand_processor:.3f})")
    level = abs(tail["harness"] - tail["stock"]) <= LOSS_TOLERANCE * tail["stock"]
    return 0 if of_stock <= AT_MOST_OF_STOCK and of_hand <= AT_MOST_OF_HAND and level else 1


if __name__ == "__main__":
    sys.exit(main())
