"""Methods that look at all supervision, and an executor of this process: with them a run reads every file it could."""

from dataclasses import dataclass

import numpy as np

from harness.contract import (
    BOXES,
    MASKS,
    SALIENCY,
    TAGS,
    ExecutorRecord,
    Generator,
    GeneratorRecord,
    MethodRecord,
    PseudoLabel,
    Round,
    Use,
    hookimpl,
)
from tests.engine.toy import Inline


class Look(Generator):
    """The classes of the tags, with boxes and masks read."""

    def __init__(self, params):
        pass

    def generate(self, view, ctx):
        for image_id in view.ids:
            view.image(image_id)
            label = view.mask(image_id).copy()
            for box in view.boxes(image_id):
                label[box.y0 : box.y1, box.x0 : box.x1] = box.cls
            for cls in view.tags(image_id):
                label[0, 0] = cls
            yield PseudoLabel(image_id, label)


class LookAtSaliency(Generator):
    """The first class of the tags where the map is bright."""

    def __init__(self, params):
        pass

    def generate(self, view, ctx):
        for image_id in view.ids:
            first = (*view.tags(image_id), 0)[0]
            yield PseudoLabel(image_id, np.where(view.saliency(image_id) > 0.5, first, 0).astype(np.uint8))


@dataclass(frozen=True)
class PaintParams:
    cls: int = 1


class Paint(Generator):
    """One class everywhere."""

    def __init__(self, params):
        self.cls = params.cls

    def generate(self, view, ctx):
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), self.cls, np.uint8))


@hookimpl
def wsss_generators():
    yield GeneratorRecord("paint", Paint, params=PaintParams)
    yield GeneratorRecord("look", Look, needs=(TAGS, BOXES, MASKS))
    yield GeneratorRecord("look_at_saliency", LookAtSaliency, needs=(TAGS, SALIENCY))


def painted(params):
    return (Round(Use("paint", {"cls": params.cls}), segmenter=Use("toy")),)


@hookimpl
def wsss_methods():
    yield MethodRecord("paint", painted, params=PaintParams)
    for name in ("look", "look_at_saliency"):
        yield MethodRecord(name, lambda params, name=name: (Round(Use(name), segmenter=Use("toy")),))


@hookimpl
def wsss_executors():
    yield ExecutorRecord("inline", lambda params: Inline())
