"""The generator of one round: G_r, learned on other classes, applied to the target.

    boxes -> G_r -> pseudo labels -> segmenter,   r = 1, 2, 3

Round 1 uses G_1, which sees image and boxes. Round r uses G_r, which also sees the probability that the *target's*
segmenter of the round before gives to the class. G is never fitted on the target.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import torch

from harness.contract import Context, Generator, PseudoLabel, View
from harness.modelling import load_segmenter
from wsss_bilevel_box.auxiliary import load_generator, ready, rules
from wsss_bilevel_box.labels import Item, pseudo_labels
from wsss_bilevel_box.pairs import canvas_side, refuse_shared_classes
from wsss_bilevel_box.params import GeneratorParams

REPORT = "boxes.json"
"""File that counts the images without a box, which became background."""


class BilevelBox(Generator):
    """The pseudo labels of one round."""

    def __init__(self, params: GeneratorParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """C(G_r) of every training image.

        Raises:
            ConfigError: A class of the target is a class of the auxiliary data set.
        """
        torch.set_num_threads(ctx.threads)
        settings = self.params
        refuse_shared_classes(view)
        generator = ready(load_generator(ctx.input(f"bilevel_{settings.round}"), ctx.device), ctx.device)
        segmenter = None
        if generator.channels == 5:
            segmenter = ready(load_segmenter(ctx.previous.checkpoint.parent, ctx.device), ctx.device)
        sizes = [view.size(i) for i in view.ids]
        canvas = canvas_side(sizes, settings.canvas, generator.multiple, corners=generator.corners)
        empty = 0

        def items() -> Iterator[Item]:
            nonlocal empty
            for image_id in view.ids:
                boxes = tuple(view.boxes(image_id))
                empty += not boxes
                yield image_id, view.image(image_id), boxes

        how = rules(settings, canvas, corners=generator.corners)
        labels = pseudo_labels(generator, items(), rules=how, device=ctx.device, segmenter=segmenter)
        for image_id, label in labels:
            yield PseudoLabel(image_id, label)
        (ctx.out / REPORT).write_text(json.dumps({"images_without_boxes": empty}) + "\n", encoding="utf-8")
