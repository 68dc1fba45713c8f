"""Predictions that other people made: nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.contract import Context, DataError, Mask, PseudoLabel, Segmenter, View
from harness.data import LabelFile, read_label_file, read_lines, read_results
from harness.maps import upsample
from wsss_external.files import Comparison, base_of, check_folder, facts_of, found_files, refuse_missing
from wsss_external.generator import EMPTY, hard, soft
from wsss_external.method import label
from wsss_external.params import PredictionsFromParams


def compared(params: PredictionsFromParams, view: View, base: int) -> Comparison:
    """The comparison of predictions with images at a base: they know no tags, and decide on a background."""
    return Comparison(params, view, base, tags=False, scores=False)


def check(params: PredictionsFromParams, view: View) -> str:
    """Compare all predictions with the scored validation images, for the plan.

    Raises:
        DataError: One is missing or does not fit.
        ConfigError: A parameter does not.
    """
    if params.folder is not None:
        return check_folder(params, params.folder, view, tags=False, compare=lambda base: compared(params, view, base))
    results, missing = in_one_file(params, view), 0
    comparison = compared(params, view, base_of(params, view, (), tags=False))
    for image_id, file in results.items():
        if file is None:
            missing += 1
        else:
            comparison.check(image_id, params.file or Path(), facts_of(file))
    return f"{missing} of {len(results)} images have no prediction ({params.missing})" if missing else ""


def in_one_file(params: PredictionsFromParams, view: View) -> dict[str, LabelFile | None]:
    """The results in one file by image: named ones by their path, others in the order of a list.

    Raises:
        DataError: They cannot be told apart, or some are missing and that is not allowed.
    """
    path = params.file
    assert path is not None
    results = read_results(path)
    if all(name is not None for name, _ in results):
        ids = set(view.ids)
        by_id = {_id_of(str(name), ids): file for name, file in results}
    else:
        order: Sequence[str] = read_lines(params.order) if params.order else view.ids
        if len(order) != len(results):
            raise DataError(
                f"{path}: {len(results)} results without names of images, the list has {len(order)}; name "
                "the list that they were made for by `order`"
            )
        by_id = {image_id: file for image_id, (_, file) in zip(order, results, strict=True)}
    found = {image_id: by_id.get(image_id) for image_id in view.ids}
    refuse_missing(params, [image_id for image_id, file in found.items() if file is None], len(found), str(path))
    return found


def _id_of(name: str, ids: set[str]) -> str | None:
    """The image that a path of another machine names: the longest end of it, without suffix, that is an id."""
    parts = Path(name.replace("\\", "/")).with_suffix("").parts
    return next((end for end in ("/".join(parts[start:]) for start in range(len(parts))) if end in ids), None)


class PredictionsFrom(Segmenter):
    """Reads the prediction of every validation image."""

    def __init__(self, params: PredictionsFromParams) -> None:
        self.params = params

    def predict(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield what the files say.

        Raises:
            DataError: A prediction is missing or does not fit its image.
        """
        params = self.params
        comparison = compared(params, view, base_of(params, view, (), tags=False))
        for image_id, path, file in self._files(view):
            if file is None:
                yield PseudoLabel(image_id, np.full(view.size(image_id), EMPTY[params.missing], np.uint8))
                continue
            comparison.check(image_id, path, facts_of(file))
            yield PseudoLabel(image_id, _decided(file, comparison, view.size(image_id)))

    def _files(self, view: View) -> Iterator[tuple[str, Path, LabelFile | None]]:
        if self.params.folder is None:
            path = self.params.file or Path()
            yield from ((image_id, path, file) for image_id, file in in_one_file(self.params, view).items())
            return
        for image_id, found in found_files(self.params, self.params.folder, view.ids).items():
            yield image_id, found or self.params.folder, read_label_file(found) if found else None


def _decided(file: LabelFile, comparison: Comparison, size: tuple[int, int]) -> Mask:
    """(H, W) uint8: the map, or the class of the highest score."""
    if file.planes is None:
        return hard(file, comparison)
    scores = soft(file, facts_of(file), comparison, size)
    return label(upsample(scores), scores.classes, threshold=0)
