"""The adapter: masks in files, labels in, labels out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.contract import Context, DataError, PseudoLabel, Refiner, View
from harness.data import check_regions, find_regions, read_regions
from wsss_sepl.method import merge
from wsss_sepl.params import SeplParams


def check(params: SeplParams, view: View) -> str:
    """Compare the masks of all training images with their images, for the plan.

    Raises:
        DataError: An image has none and must have some, or its masks do not fit it; names image and file.
    """
    places = {image_id: find_regions(params.folder, image_id) for image_id in view.ids}
    lacking = [image_id for image_id, place in places.items() if place is None]
    if len(lacking) == len(places):
        raise DataError(f"{params.folder}: holds masks of none of the {len(places)} images, for example {lacking[0]!r}")
    if lacking and params.missing == "refuse":
        raise DataError(
            f"{params.folder}: {len(lacking)} of {len(places)} images have no masks, the first is {lacking[0]!r}; add "
            "them, or set `missing: keep`"
        )
    for image_id, place in places.items():
        if place is not None:
            check_regions(place, view.size(image_id))
    return f"{len(lacking)} of {len(places)} images have no masks and keep their labels" if lacking else ""


class Sepl(Refiner):
    """Merges each label with the class-agnostic masks of its image."""

    def __init__(self, params: SeplParams) -> None:
        self.params = params

    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield merged labels; they have no soft scores, which the masks know nothing of.

        Raises:
            DataError: The masks of an image are missing or do not fit it.
        """
        params = self.params
        for label in labels:
            place = find_regions(params.folder, label.image_id)
            if place is None:
                if params.missing == "refuse":
                    raise DataError(f"{params.folder}: holds no masks of image {label.image_id!r}")
                yield label
                continue
            masks = read_regions(place, view.size(label.image_id))
            merged = merge(
                label.mask,
                masks,
                share=params.share,
                cover=params.cover,
                keep_ignored=params.ignored == "keep",
            )
            yield PseudoLabel(label.image_id, merged)
