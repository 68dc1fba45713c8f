"""One plugin for each promise that a method can break."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.contract import (
    BOXES,
    Generator,
    GeneratorRecord,
    MethodRecord,
    PseudoLabel,
    Refiner,
    RefinerRecord,
    Round,
    Use,
    hookimpl,
)

STATE = {"calls": 0}


class Base(Generator):
    def __init__(self, params): ...

    def generate(self, view, ctx):
        for image_id in view.ids:
            yield self.label(image_id, view, ctx)

    def label(self, image_id, view, ctx):
        return PseudoLabel(image_id, np.zeros(view.size(image_id), np.uint8))


class Sound(Base):
    pass


class Shape(Base):
    def label(self, image_id, view, ctx):
        return PseudoLabel(image_id, np.zeros((3, 3), np.uint8))


class Undeclared(Base):
    def label(self, image_id, view, ctx):
        return PseudoLabel(image_id, view.mask(image_id))


class Stateful(Base):
    """Remembers what it did before: no two runs are alike."""

    def label(self, image_id, view, ctx):
        STATE["calls"] += 1
        return PseudoLabel(image_id, np.full(view.size(image_id), STATE["calls"] % 3, np.uint8))


class Sneaky(Base):
    """Goes round the view to the hidden masks."""

    def label(self, image_id, view, ctx):
        return PseudoLabel(image_id, view._dataset.mask(image_id) % 4)


class Neighbours(Base):
    def generate(self, view, ctx):
        for place, image_id in enumerate(view.ids):
            yield PseudoLabel(image_id, np.full(view.size(image_id), place % 3, np.uint8))


class Litter(Base):
    def label(self, image_id, view, ctx):
        Path("left_behind.txt").write_text("here")
        return super().label(image_id, view, ctx)


class Meddler(Base):
    """Changes its input after it was published."""

    def generate(self, view, ctx):
        yield from super().generate(view, ctx)
        for path in ctx.input("fit").glob("*.txt"):
            path.write_text("changed")

    def fit(self, view, ctx):
        view.image(view.ids[0])
        (ctx.out / "fit.txt").write_text("fit")


class Forgetful(Base):
    """Counts on in its work folder after an interruption instead of resuming."""

    def fit(self, view, ctx):
        begun = ctx.work / "begun.txt"
        begun.write_text(begun.read_text() + "x" if begun.exists() else "x")
        for image_id in view.ids:
            view.image(image_id)
        (ctx.out / "fit.txt").write_text(begun.read_text())


class ForgetfulRefiner(Refiner):
    """The same mistake where a refiner learns."""

    def __init__(self, params): ...

    def fit(self, labels, view, ctx):
        Forgetful(None).fit(view, ctx)

    def refine(self, labels, view, ctx):
        yield from labels


class Swallows(Base):
    """Catches the kill."""

    def generate(self, view, ctx):
        for image_id in view.ids:
            try:
                size = view.size(image_id)
            except BaseException:
                size = view.size(image_id)
            yield PseudoLabel(image_id, np.zeros(size, np.uint8))


KINDS = {
    "sound": (Sound, {}),
    "shape": (Shape, {}),
    "undeclared": (Undeclared, {"needs": (BOXES,)}),
    "stateful": (Stateful, {}),
    "sneaky": (Sneaky, {}),
    "neighbours": (Neighbours, {}),
    "litter": (Litter, {}),
    "meddler": (Meddler, {"fits": True}),
    "forgetful": (Forgetful, {"fits": True}),
    "swallows": (Swallows, {}),
}


@hookimpl
def wsss_generators():
    for name, (factory, options) in KINDS.items():
        yield GeneratorRecord(name, factory=factory, **options)


@hookimpl
def wsss_refiners():
    yield RefinerRecord("forgetful", ForgetfulRefiner, fits=True)


@dataclass(frozen=True)
class Scale:
    """A parameter of a method."""

    scale: float = 1.0


@hookimpl
def wsss_methods():
    rounds = (Round(Use("sound"), segmenter=Use("constant")),)
    yield MethodRecord("deaf", rounds, params=Scale)
    yield MethodRecord("deaf_function", lambda p: rounds, params=Scale)
    yield MethodRecord("hears", lambda p: rounds * (2 if p.scale > 1 else 1), params=Scale)
    for name in KINDS:
        yield MethodRecord(name, (Round(Use(name), segmenter=Use("constant")),))
