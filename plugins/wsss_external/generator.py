"""Pseudo labels that other people made, and labels that say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.contract import BACKGROUND, IGNORE, Context, Generator, Mask, PseudoLabel, SoftScores, View
from harness.data import LabelFile, read_label_file
from harness.maps import downsample, upsample
from wsss_external.files import STACKED, Comparison, Facts, base_of, check_folder, facts_of, found_files
from wsss_external.method import OTHER, colour_numbers, label, normalised, packed
from wsss_external.params import LabelsFromParams

EMPTY = {"ignore": IGNORE, "background": BACKGROUND}
"""Label of an image without a file, where that is allowed."""


def compared(params: LabelsFromParams, view: View, base: int) -> Comparison:
    """The comparison of files with images at a base."""
    return Comparison(params, view, base, tags=params.check_tags, normalise=params.normalise)


def check(params: LabelsFromParams, view: View) -> str:
    """Compare all files with the training images, for the plan.

    Raises:
        DataError: A file is missing or does not fit.
        ConfigError: A parameter does not.
    """
    return check_folder(
        params, params.folder, view, tags=params.check_tags, compare=lambda base: compared(params, view, base)
    )


class LabelsFrom(Generator):
    """Reads the file of every image; maps of scores become labels, and travel along as soft scores."""

    def __init__(self, params: LabelsFromParams) -> None:
        self.params = params

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield what the files say.

        Raises:
            DataError: A file is missing or does not fit its image.
        """
        params = self.params
        files = found_files(params, params.folder, view.ids)
        facts = ((image_id, facts_of(read_label_file(path))) for image_id, path in files.items() if path)
        comparison = compared(params, view, base_of(params, view, facts, tags=params.check_tags))
        for image_id, path in files.items():
            if path is None:
                empty = np.full(view.size(image_id), EMPTY[params.missing], np.uint8)
                yield PseudoLabel(image_id, empty)
            else:
                yield self._label(image_id, path, comparison, view, ctx)

    def _label(self, image_id: str, path: Path, comparison: Comparison, view: View, ctx: Context) -> PseudoLabel:
        file = read_label_file(path)
        facts = facts_of(file)
        comparison.check(image_id, path, facts)
        if file.planes is None:
            return PseudoLabel(image_id, hard(file, comparison))
        scores = soft(file, facts, comparison, view.size(image_id), normalise=self.params.normalise)
        if not scores.classes:
            return PseudoLabel(image_id, np.full(scores.size, BACKGROUND, np.uint8))
        threshold = self.params.threshold if self.params.threshold is not None else ctx.settings["cam"].threshold
        mask = label(upsample(scores), scores.classes, threshold)
        if self.params.check_tags:
            scores = _only(scores, {BACKGROUND, *view.tags(image_id)})
        if scores.values.shape[1:] == scores.size:
            planes = downsample(scores.values, ctx.settings["cam"].stride)
            scores = SoftScores(scores.classes, planes, scores.size)
        return PseudoLabel(image_id, mask, scores)


def hard(file: LabelFile, comparison: Comparison) -> Mask:
    """(H, W) uint8 of a file of indices or colours, which was checked."""
    if file.indices is not None:
        return comparison.numbers.mask(file.indices)
    assert file.colours is not None
    table = colour_numbers(comparison.params, comparison.view.classes)
    colours = packed(file.colours)
    mask = np.full(colours.shape, EMPTY.get(comparison.params.other, IGNORE), np.uint8)
    for colour, index in table.items():
        mask[colours == colour] = index
    return mask


def soft(
    file: LabelFile, facts: Facts, comparison: Comparison, size: tuple[int, int], *, normalise: bool = False
) -> SoftScores:
    """The scores of a file that was checked, by class index, in [0, 1]."""
    assert file.planes is not None
    numbers = range(facts.planes) if facts.form == STACKED else facts.named
    indices = [comparison.index(facts, number) for number in numbers]
    kept = sorted((index, place) for place, index in enumerate(indices) if index not in (OTHER, IGNORE))
    planes = file.planes[[place for _, place in kept]]
    planes = normalised(planes) if normalise else np.clip(planes, 0, 1)
    return SoftScores(tuple(index for index, _ in kept), planes.astype(np.float16), size)


def _only(scores: SoftScores, classes: set[int]) -> SoftScores:
    """The planes of some classes: what a file says of others is no label of this image."""
    places = [place for place, cls in enumerate(scores.classes) if cls in classes]
    return SoftScores(tuple(scores.classes[place] for place in places), scores.values[places], scores.size)


class NoLabels(Generator):
    """Stands for a generator in a row whose predictions need none; its labels are neither made nor scored."""

    def __init__(self, params: object) -> None: ...

    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield labels that say nothing: 255 everywhere."""
        for image_id in view.ids:
            yield PseudoLabel(image_id, np.full(view.size(image_id), IGNORE, np.uint8))
