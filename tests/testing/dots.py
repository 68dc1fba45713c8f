"""A method of points: a square of its class round each, the first row background."""

import numpy as np

from harness.contract import POINTS, Card, Generator, GeneratorRecord, MethodRecord, PseudoLabel, Round, Use, hookimpl


class Dots(Generator):
    def __init__(self, params):
        pass

    def generate(self, view, ctx):
        for image_id in view.ids:
            mask = np.full(view.size(image_id), 255, np.uint8)
            for point in view.points(image_id):
                mask[max(point.y - 3, 0) : point.y + 4, max(point.x - 3, 0) : point.x + 4] = point.cls
            mask[0] = 0
            yield PseudoLabel(image_id, mask)


@hookimpl
def wsss_generators():
    yield GeneratorRecord("dots", factory=Dots, needs=(POINTS,))


@hookimpl
def wsss_methods():
    yield MethodRecord("dots", rounds=(Round(Use("dots")),), card=Card("Dots", year=2025))
