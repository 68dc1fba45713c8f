"""A method of points and scribbles: a square of its class round each point, scribbles as they are."""

import numpy as np

from harness.contract import (
    POINTS,
    SCRIBBLES,
    Card,
    Generator,
    GeneratorRecord,
    MethodRecord,
    PseudoLabel,
    Round,
    Use,
    hookimpl,
)


class Dots(Generator):
    def __init__(self, params):
        pass

    def generate(self, view, ctx):
        for image_id in view.ids:
            mask = np.full(view.size(image_id), 255, np.uint8)
            for point in view.points(image_id):
                mask[max(point.y - 3, 0) : point.y + 4, max(point.x - 3, 0) : point.x + 4] = point.cls
            scribbles = view.scribbles(image_id)
            mask[scribbles != 255] = scribbles[scribbles != 255]
            yield PseudoLabel(image_id, mask)


@hookimpl
def wsss_generators():
    yield GeneratorRecord("dots", factory=Dots, needs=(POINTS, SCRIBBLES))


@hookimpl
def wsss_methods():
    yield MethodRecord("dots", rounds=(Round(Use("dots")),), card=Card("Dots", year=2025))
