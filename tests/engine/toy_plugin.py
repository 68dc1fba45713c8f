"""A data set, methods and components of a few lines; loaded as a plugin file."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.contract import (
    BACKGROUND,
    TAGS,
    BackboneRecord,
    Box,
    Dataset,
    DatasetRecord,
    Generator,
    GeneratorRecord,
    MethodRecord,
    Pretrained,
    PseudoLabel,
    Refiner,
    RefinerRecord,
    Round,
    Segmenter,
    SegmenterRecord,
    SharedStage,
    SoftScores,
    Use,
    hookimpl,
)

SIZE = 8


def note(line: str) -> None:
    """Append a line to the file that a test counts in."""
    path = os.environ.get("TOY_COUNTER")
    if path:
        with Path(path).open("a") as file:
            file.write(line + "\n")


def throw(error: BaseException) -> None:
    raise error


def start_children() -> None:
    """Start a process, and one in a session of its own, note their ids, and wait for ever."""
    script = "for way in '' setsid setsid; do $way sleep 700 & echo $! >> $TOY_CHILDREN; done"
    subprocess.run(["sh", "-c", script], check=True)
    time.sleep(600)


ENDS = {
    "exit 0": lambda: os._exit(0),
    "exit 3": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(0),
    "interrupt": lambda: throw(KeyboardInterrupt()),
    "generator exit": lambda: throw(GeneratorExit("early")),
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "bug": lambda: undefined,  # noqa: F821  # a mistake on purpose
    "memory": lambda: throw(MemoryError()),
    "cuda": lambda: throw(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")),
    "unprintable": lambda: throw(Unprintable()),
    "escape": lambda: throw(ValueError("\x1b[2Jgone")),
    "thread": lambda: threading.Thread(target=time.sleep, args=(600,)).start(),
    "children": start_children,
}
"""Ways to end a stage, or what it runs in."""


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


def nap() -> None:
    time.sleep(float(os.environ.get("TOY_SLEEP", "0")))


@dataclass(frozen=True)
class ToyParams:
    train: int = 4
    val: int = 3
    masks: int = 0
    tags: int = 0


class ToyDataset(Dataset):
    name = "toy"
    classes = ("background", "one", "two")

    def __init__(self, params: ToyParams) -> None:
        self.params = params

    def ids(self, split):
        return tuple(f"{split}{number}" for number in range(getattr(self.params, split)))

    def _draw(self, what, image_id, high, shape):
        seed = int.from_bytes(hashlib.sha256(f"{what}{image_id}".encode()).digest()[:4], "big")
        return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8)

    def image(self, image_id):
        return self._draw("image", image_id, 256, (SIZE, SIZE, 3))

    def size(self, image_id):
        return SIZE, SIZE

    def mask(self, image_id):
        return self._draw(f"mask{self.params.masks}", image_id, 3, (SIZE, SIZE))

    def tags(self, image_id):
        return (1, 2)

    def boxes(self, image_id):
        return (Box(1, 1, 1, 4, 4),)

    def digests(self, split):
        ids = json.dumps(self.ids(split))
        kinds = {"ids": ids, "images": ids, "tags": f"{ids}{self.params.tags}", "boxes": ids}
        kinds["masks"] = f"{ids}{self.params.masks}"
        return {kind: hashlib.sha256(f"{kind}{text}".encode()).hexdigest() for kind, text in kinds.items()}


@dataclass(frozen=True)
class FillParams:
    cls: int = 1
    mode: str = "fine"


class Fill(Generator):
    def __init__(self, params: FillParams) -> None:
        if params.mode == "factory":
            raise RuntimeError("this factory never works")
        self.params = params

    def fit(self, view, ctx):
        note(f"fit {ctx.seed('init')}")
        (ctx.out / "weights").write_text("w")

    def generate(self, view, ctx):
        note("generate")
        nap()
        mode = self.params.mode
        for image_id in view.ids:
            view.tags(image_id)
            if mode == "raise":
                raise ValueError("deliberate\nfailure")
            if mode == "hang":
                time.sleep(600)
            if mode == "die":
                os.kill(os.getpid(), 9)
            if mode in ENDS:
                ENDS[mode]()
            if mode == "skip" and image_id == view.ids[-1]:
                return
            if mode == "full":
                raise OSError(28, "No space left on device", "masks/a.png")
            if mode == "masks":
                view.mask(image_id)
            if mode == "settings":
                ctx.settings["segmenter"]
            if mode == "seed":
                ctx.seed("noise")
            size = (SIZE, SIZE + 1) if mode == "size" else view.size(image_id)
            mask = np.full(size, 77 if mode == "class" else self.params.cls, np.uint8)
            mask[:2] = BACKGROUND
            scores = SoftScores((1, 2), np.full((2, 4, 4), 0.5, np.float16), (SIZE, SIZE))
            yield PseudoLabel(image_id, mask, scores)


class Blank(Generator):
    def __init__(self, params: object) -> None: ...

    def generate(self, view, ctx):
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), 255, np.uint8))


class Again(Generator):
    def __init__(self, params: object) -> None: ...

    def generate(self, view, ctx):
        assert ctx.previous.checkpoint.exists()
        for image_id, probabilities in zip(
            view.ids, ctx.previous.predict([view.image(i) for i in view.ids]), strict=True
        ):
            before = ctx.previous.label(image_id).mask
            yield PseudoLabel(image_id, np.maximum(before, probabilities.argmax(0).astype(np.uint8)))


class Erase(Refiner):
    def __init__(self, params: object) -> None: ...

    def refine(self, labels, view, ctx):
        note("refine")
        for label in labels:
            mask = label.mask.copy()
            mask[-1] = 255
            yield PseudoLabel(label.image_id, mask)


class Learned(Refiner):
    """Learns how many labels there are, reading them twice, and fills that class."""

    def __init__(self, params: object) -> None: ...

    def fit(self, labels, view, ctx):
        note(f"fit refiner {ctx.seed('init')}")
        nap()
        assert [label.image_id for label in labels] == list(view.ids)
        for done, image_id in enumerate(view.ids, start=1):
            view.tags(image_id)
            assert labels[-done].mask.shape == view.size(image_id)
            ctx.progress(done, len(labels))
        (ctx.out / "classes").write_text(str(max(int(label.mask[2].max()) for label in labels)))

    def refine(self, labels, view, ctx):
        note("refine learned")
        cls = int((ctx.input("fit") / "classes").read_text())
        for label in labels:
            yield PseudoLabel(label.image_id, np.full_like(label.mask, cls))


class Plain(Segmenter):
    def __init__(self, params: object) -> None: ...


def learn(params, view, ctx):
    note(f"learn {ctx.seed('init')}")
    nap()
    for image_id in view.ids:
        view.tags(image_id)
    (ctx.out / "model").write_text(f"{ctx.seed('init')} {ctx.settings['backbone'].name}")


LEARN = SharedStage("learn", learn, needs=(TAGS,), reads=("backbone", "classifier"))


CLIP, SAM = Pretrained("CLIP", "captions", "L"), Pretrained("SAM", "masks", "F")


@hookimpl
def wsss_datasets():
    yield DatasetRecord("toy", ToyDataset, params=ToyParams)


@hookimpl
def wsss_backbones():
    yield BackboneRecord("net", factory=dict, output_strides=(16,))
    yield BackboneRecord("wide", factory=dict, output_strides=(8, 16))


@hookimpl
def wsss_generators():
    yield GeneratorRecord("fill", Fill, params=FillParams, needs=(TAGS,))
    yield GeneratorRecord("learnt", Fill, params=FillParams, needs=(TAGS,), uses=(LEARN,))
    yield GeneratorRecord("fitted", Fill, params=FillParams, needs=(TAGS,), fits=True)
    yield GeneratorRecord("again", Again, uses_previous=True)
    yield GeneratorRecord("blank", Blank, placeholder=True)
    yield GeneratorRecord("seeing", Fill, params=FillParams, needs=(TAGS,), pretrained=(CLIP,))


@hookimpl
def wsss_refiners():
    yield RefinerRecord("erase", Erase)
    yield RefinerRecord("learned", Learned, needs=(TAGS,), fits=True)
    yield RefinerRecord("fitted", Learned, needs=(TAGS,), fits=True)
    yield RefinerRecord("seeing", Erase, pretrained=lambda params: (CLIP,))


@hookimpl
def wsss_segmenters():
    yield SegmenterRecord("toy", Plain)
    yield SegmenterRecord("other", Plain)
    yield SegmenterRecord("picky", Plain, unfit=lambda name, frozen: "" if name == "wide" else "too narrow")
    yield SegmenterRecord("mute", Plain, unfit=lambda name, frozen: None)
    yield SegmenterRecord("own", Plain, needs=(TAGS,))
    yield SegmenterRecord("seeing", Plain, pretrained=(CLIP, SAM))


@hookimpl
def wsss_methods():
    toy = Use("toy")
    yield MethodRecord(
        "fill",
        lambda p: (Round(Use("fill", {"cls": p.cls, "mode": p.mode}), segmenter=toy),),
        params=FillParams,
        reference=True,
    )
    yield MethodRecord("learnt", (Round(Use("learnt"), segmenter=toy),))
    yield MethodRecord("learnt_erase", (Round(Use("learnt"), (Use("erase"),), toy),))
    yield MethodRecord("fitted", (Round(Use("fitted"), segmenter=toy),))
    yield MethodRecord("twice", (Round(Use("fill"), segmenter=toy), Round(Use("again"), (), toy, warm_start=True)))
