"""The stages that compute a frozen backbone's features, once for all rows and seeds.

* Of the fixed views of all training images. This one can be killed at any time: what was written up to the last
  checkpoint stays, and the result has the same bytes.
* Of the scored validation images, in the views and the batches in which segmenters predict them.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from harness.contract.arrays import Image
from harness.modelling import mm
from harness.modelling.augment import Colour, augment, shrink
from harness.modelling.backbones import backbone_config, record_of
from harness.modelling.features import ABOUT, PredictionWriter, fixed_draw, level_file, read_header
from harness.modelling.frozen import digest, freeze
from harness.modelling.inference import MASK_WINDOW, batches, views_of
from harness.modelling.preprocess import Uint8Preprocessor
from harness.modelling.probe import check_backbone
from harness.modelling.sampler import StreamLoader
from harness.modelling.training import MOST_LOADERS
from harness.modelling.weights import load_weights

if TYPE_CHECKING:
    from harness.contract import BackboneRecord, Context, View
    from harness.contract.protocol import BackboneSettings, FreezeSettings

CHECKPOINT_SECONDS = 60.0
"""Time between checkpoints."""
PROGRESS = "rows"
"""File in the scratch folder: how many rows of every level are safe on disk."""
_CPU_PIXELS, _GPU_PIXELS = 1 << 19, 1 << 22
"""Image pixels that go through the network at a time."""
_LARGEST = float(np.finfo(np.float16).max)


def compute_features(params: Mapping[str, Any], view: View, ctx: Context) -> None:
    """Write the features of every view of every training image into ``ctx.out``; resumes from ``ctx.work``.

    Raises:
        ConfigError: The backbone lacks the output stride, or its weights cannot be read.
        PluginError: The backbone is not what its record says.
    """
    torch.set_num_threads(ctx.threads)
    cv2.setNumThreads(0)
    settings: FreezeSettings = ctx.settings["freeze"]
    record = record_of(ctx.settings["backbone"])
    network = _network(record, settings, ctx.settings["backbone"])
    count = len(record.channels)
    about = {
        "ids": list(view.ids),
        "views": settings.views,
        "levels": settings.stored(count),
        "count": count,
        "weights": digest(network),
    }
    mm.place(network, ctx.device)
    with FeatureWriter(ctx.work, len(view.ids) * settings.views, settings.stored(count)) as writer:
        _fill(
            writer,
            network,
            FixedViews(view, settings, record.inputs.padding),
            Uint8Preprocessor(record.inputs.mean, record.inputs.std).to(ctx.device),
            ctx,
        )
        writer.publish(ctx.out)
    (ctx.out / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")


def compute_predicted(images: Iterable[tuple[str, Image]], ctx: Context, *, total: int) -> None:
    """Write the features of every test-time view of ``images`` into ``ctx.out``.

    Args:
        images: (id, (H, W, 3) uint8 RGB), in the order in which they will be predicted.
        ctx: With the sections ``freeze``, ``backbone`` and ``test``.
        total: How many there are.

    Raises:
        ConfigError: The backbone lacks the output stride, or its weights cannot be read.
        PluginError: The backbone is not what its record says.
    """
    torch.set_num_threads(ctx.threads)
    settings: FreezeSettings = ctx.settings["freeze"]
    record = record_of(ctx.settings["backbone"])
    network = _network(record, settings, ctx.settings["backbone"])
    weights, count = digest(network), len(record.channels)
    mm.place(network, ctx.device)
    preprocessor = Uint8Preprocessor(record.inputs.mean, record.inputs.std).to(ctx.device)
    source, done = iter(images), 0
    with PredictionWriter(ctx.out, settings.stored(count)) as writer, torch.inference_mode():
        while window := list(islice(source, MASK_WINDOW)):
            for chosen, batch in batches([image for _, image in window], on_gpu=ctx.device.startswith("cuda")):
                for _, view in views_of(preprocessor.normalise(batch), ctx.settings["test"]):
                    writer.write([window[index][0] for index in chosen], network(view))
            done += len(window)
            ctx.progress(done, total)
        writer.publish(weights=weights, count=count)


def _network(record: BackboneRecord, settings: FreezeSettings, backbone: BackboneSettings) -> nn.Module:
    """The backbone with its pretrained weights, frozen."""
    check_backbone(record, settings.output_stride)
    network = mm.build(backbone_config(record, settings.output_stride))
    assert backbone.weights is not None, "the plan refuses to freeze random weights"
    load_weights(network, backbone.weights, backbone.weights_sha256)
    freeze(network)
    return network


class FixedViews:
    """A data set for ``StreamLoader``: a sample is an image, a batch holds all views of its images in order of rows."""

    def __init__(self, view: View, settings: FreezeSettings, padding: Colour) -> None:
        self.ids = view.ids
        self._view, self._settings, self._padding = view, settings, padding

    def sample(self, position: int, index: int) -> list[Image]:
        """Every view of image ``index``, (crop, crop, 3) uint8."""
        settings, rows = self._settings.augment, self._settings.views
        image = self._view.image(self.ids[index])
        small, _ = shrink(image, (), settings)
        draws = (fixed_draw(settings, index * rows + view) for view in range(rows))
        long = max(image.shape[:2])
        return [augment(small, (), settings, one, long_side=long, padding=self._padding)[0] for one in draws]

    def collate(self, samples: Sequence[list[Image]]) -> dict[str, Any]:
        """``inputs`` (len(samples) * views, crop, crop, 3) uint8."""
        return {"inputs": torch.from_numpy(np.stack([image for images in samples for image in images]))}


def _fill(
    writer: FeatureWriter, network: nn.Module, images: FixedViews, preprocessor: Uint8Preprocessor, ctx: Context
) -> None:
    """Write the rows that are missing."""
    settings: FreezeSettings = ctx.settings["freeze"]
    cuda = ctx.device.startswith("cuda")
    room = max((_GPU_PIXELS if cuda else _CPU_PIXELS) // settings.augment.crop**2, 1)
    step, begun, total = max(room // settings.views, 1), writer.done // settings.views, len(images.ids)
    threads = min(MOST_LOADERS, ctx.threads) if cuda else 0
    loader = StreamLoader(images, range(begun, total), batch_size=step, threads=threads, pin=cuda)
    for begin, batch in zip(range(begun, total, step), loader, strict=False):
        end = min(begin + step, total)
        rows = batch["inputs"][: (end - begin) * settings.views]
        for part in rows.split(room):
            levels = network(preprocessor.normalise(part))  # (B, c, h, w) float32 each
            stored = {level: levels[level].permute(0, 2, 3, 1).clamp(-_LARGEST, _LARGEST) for level in writer.levels}
            writer.write({level: rows.half().contiguous().cpu().numpy() for level, rows in stored.items()})
        writer.checkpoint(end * settings.views)
        ctx.progress(end, total)


class FeatureWriter:
    """Appends rows to one file a level in a scratch folder, and goes on where an earlier one was killed.

    A context manager: leaving it closes the files.

    Args:
        work: The scratch folder.
        rows: Rows in all.
        levels: Levels to write.

    Attributes:
        done: Rows that an earlier writer left safe on disk.
    """

    def __init__(self, work: Path, rows: int, levels: Iterable[int]) -> None:
        self.levels = tuple(levels)
        self._work, self._rows = work, rows
        self._files: dict[int, IO[bytes]] = {}
        self._saved = time.monotonic()
        self.done = self._found()

    def _found(self) -> int:
        """Rows that every file really holds; 0 where one is missing, damaged or shorter than was noted."""
        with suppress(OSError, ValueError):
            done = int((self._work / PROGRESS).read_text(encoding="utf-8"))
            for level in self.levels:
                path = self._work / level_file(level)
                shape, begin = read_header(path)
                if path.stat().st_size < begin + 2 * int(np.prod(shape[1:])) * done:
                    return 0
            return done
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def write(self, levels: Mapping[int, npt.NDArray[np.float16]]) -> None:
        """Append rows: level to (B, h, w, c) float16."""
        for level, values in levels.items():
            if level not in self._files:
                self._files[level] = self._opened(level, values.shape[1:])
            self._files[level].write(values.data)

    def _opened(self, level: int, shape: tuple[int, ...]) -> IO[bytes]:
        """The file of a level, ready to append the row after ``done``."""
        path = self._work / level_file(level)
        file: IO[bytes]
        if self.done:
            _, begin = read_header(path)
            file = path.open("r+b")
            file.truncate(begin + 2 * int(np.prod(shape)) * self.done)
            file.seek(0, os.SEEK_END)
            return file
        (self._work / PROGRESS).unlink(missing_ok=True)
        file = path.open("wb")
        header = {"shape": (self._rows, *shape), "fortran_order": False, "descr": "<f2"}
        np.lib.format.write_array_header_1_0(file, header)
        return file

    def checkpoint(self, done: int) -> None:
        """Note that ``done`` rows are written, if it is time."""
        if time.monotonic() - self._saved >= CHECKPOINT_SECONDS or done == self._rows:
            self._save(done)
            self._saved = time.monotonic()

    def _save(self, done: int) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        temporary = self._work / f"{PROGRESS}.tmp"
        with temporary.open("wb") as progress:
            progress.write(b"%d\n" % done)
            progress.flush()
            os.fsync(progress.fileno())
        temporary.replace(self._work / PROGRESS)

    def publish(self, out: Path) -> None:
        """Put the finished files into ``out``; until they are published they stay in the scratch folder too."""
        for level in self.levels:
            name = level_file(level)
            try:
                os.link(self._work / name, out / name)
            except OSError:  # a file system without hard links
                shutil.copyfile(self._work / name, out / name)
