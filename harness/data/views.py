"""What a method sees of a data set: the images, and the supervision that it declared. Every access is counted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.contract import ConfigError, Dataset, Need, Supervision, SupervisionError, View, union
from harness.data.reads import NamedReads

if TYPE_CHECKING:
    from harness.contract.arrays import Image


class Meter:
    """Counts reads, and of how many different images, by kind: ``images``, ``tags``, ``masks``, ``masks(aux)``, ..."""

    def __init__(self) -> None:
        self._reads: dict[str, int] = {}
        self._images: dict[str, set[str]] = {}

    def count(self, kind: str, image_id: str) -> None:
        """Note one read."""
        self._reads[kind] = self._reads.get(kind, 0) + 1
        self._images.setdefault(kind, set()).add(image_id)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Kind -> ``{"reads": reads, "images": different images}``, by name of the kind."""
        return {kind: {"reads": self._reads[kind], "images": len(self._images[kind])} for kind in sorted(self._reads)}


def share_size(fraction: float, images: int) -> int:
    """How many of ``images`` images a ``fraction`` is: rounded half up, at least one."""
    return max(math.floor(fraction * images + 0.5), 1)


def declared_ids(dataset: Dataset, split: str, need: Need) -> frozenset[str]:
    """The images of ``split`` whose labels a declared ``need`` opens: all, or the chosen share of them."""
    ids = dataset.ids(split)
    if need.fraction == 1.0:
        return frozenset(ids)
    carrying = dataset.carrying(split, need.kind)
    tags_of = partial(dataset.read, Supervision.TAGS)  # whoever labels a part of the images knows what they show
    return choose_fraction(carrying, need.fraction, tags_of, count=share_size(need.fraction, len(ids)))


def choose_fraction(
    ids: Iterable[str],
    fraction: float,
    tags_of: Callable[[str], tuple[int, ...]] | None = None,
    *,
    count: int | None = None,
) -> frozenset[str]:
    """The ``fraction`` of ``ids`` that carries a declared kind, alike for every method and in every order of ``ids``.

    Round-half-up of ``fraction`` of the images, at least one; a smaller fraction is a part of a larger one. Images are
    taken by the SHA-256 of ``"mask:" + id``, the smallest first.

    Args:
        ids: Of the images.
        fraction: In (0, 1].
        tags_of: Foreground classes of an image, by which the choice is stratified: every class, and the images without
            any, keep their share, nearly always within one image. ``None`` = the hash alone.
        count: How many are taken, where ``ids`` are not all images that ``fraction`` is a share of.
    """
    ranked = sorted(set(ids), key=lambda image_id: _rank("mask", image_id))
    count = share_size(fraction, len(ranked)) if count is None else count
    if tags_of is None:
        return frozenset(ranked[:count])
    strata: dict[tuple[int, ...], list[str]] = {}
    for image_id in ranked:
        strata.setdefault(tags_of(image_id) or (0,), []).append(image_id)
    return frozenset(islice(_in_proportion(strata), count))


def _in_proportion(strata: Mapping[tuple[int, ...], Sequence[str]]) -> Iterator[str]:
    """All ids of ``strata`` (classes -> ids) in an order whose every beginning holds each class in its share.

    Each step takes the stratum that leaves the least squared deviation of the classes' counts from their shares; of
    equal ones the first. Counts are kept in units of 1 / n of an image, n images in all, so the arithmetic is exact.
    """
    import numpy as np

    total = sum(map(len, strata.values()))
    classes = sorted({cls for stratum in strata for cls in stratum})
    holds = np.array([[cls in stratum for stratum in strata] for cls in classes])  # (classes, strata)
    left = np.array([len(ids) for ids in strata.values()])
    # A stratum lowers the squared deviation by 2 * (what its classes are still due) - (how many they are). What a class
    # is due grows by its images with every step, and falls by n with every image that shows it.
    growth = 2 * (holds @ left) @ holds
    gain = growth - total * holds.sum(0)
    sources = [iter(ids) for ids in strata.values()]
    for _ in range(total):
        chosen = int(np.where(left > 0, gain, np.iinfo(np.int64).min).argmax())
        left[chosen] -= 1
        yield next(sources[chosen])
        gain += growth - 2 * total * holds[holds[:, chosen]].sum(0)


def dev_split(ids: Iterable[str], fraction: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split validation ids into a ``dev`` part for choices and the scored rest, both in the order of ``ids``.

    Chosen like ``choose_fraction``, by the hash of ``"dev:" + id``; a fraction of 0 leaves ``dev`` empty.

    Raises:
        ConfigError: Nothing would be left to score.
    """
    ids = tuple(ids)
    count = max(math.floor(fraction * len(ids) + 0.5), 1) if fraction > 0 else 0
    if ids and count >= len(ids):
        raise ConfigError(f"scoring.dev_fraction: {fraction} of {len(ids)} validation images leaves none to score")
    dev = set(sorted(ids, key=lambda image_id: _rank("dev", image_id))[:count])
    return tuple(i for i in ids if i in dev), tuple(i for i in ids if i not in dev)


def _rank(purpose: str, image_id: str) -> bytes:
    return hashlib.sha256(f"{purpose}:{image_id}".encode()).digest()


class DatasetView(NamedReads, View):
    """The images of one split, and of the supervision only what ``needs`` declares.

    Picklable where the data set is; a copy in another process counts into its own meter.

    Args:
        dataset: What to look at.
        split: ``train`` or ``val``.
        needs: Declared supervision.
        meter: Where accesses are counted; a new one by default.
    """

    _suffix = ""

    def __init__(self, dataset: Dataset, split: str, needs: Collection[Need], meter: Meter | None = None) -> None:
        self.ids = dataset.ids(split)
        self.classes = dataset.classes
        self.meter = Meter() if meter is None else meter
        self._dataset = dataset
        self._known = frozenset(self.ids)
        self._allowed = {need.kind: declared_ids(dataset, split, need) for need in union(needs) if not need.auxiliary}
        self.mask_ids = self.ids_with(Supervision.MASKS)
        declared = [replace(need, auxiliary=False) for need in union(needs) if need.auxiliary]
        if declared and dataset.auxiliary is None:
            raise ConfigError(f"data set {dataset.name!r} has no auxiliary data set, see its field auxiliary")
        self._auxiliary: DatasetView | None = None
        if declared and dataset.auxiliary is not None:
            self._auxiliary = _AuxiliaryView(dataset.auxiliary, "train", declared, self.meter)

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255."""
        self._require_known(image_id)
        self.meter.count("images" + self._suffix, image_id)
        return self._dataset.image(image_id)

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W); not counted."""
        self._require_known(image_id)
        return self._dataset.size(image_id)

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The labels of ``kind``; the named readers come here too.

        Raises:
            SupervisionError: They are not declared for this image.
        """
        self._require_known(image_id)
        accessed = f"{kind}{self._suffix} of image {image_id!r} were read"
        if kind not in self._allowed:
            declare = f"Need(Supervision.{kind.name}{', auxiliary=True' if self._suffix else ''})"
            raise SupervisionError(f"{accessed} but {kind} are not declared; add {declare} to needs")
        if image_id not in self._allowed[kind]:
            share = f"{len(self._allowed[kind])} of {len(self.ids)} images"
            chosen = "mask_ids" if kind is Supervision.MASKS else f"ids_with(Supervision.{kind.name})"
            raise SupervisionError(
                f"{accessed} but {kind} are declared for {share}, not for this one; "
                f"ask only for the ids in {chosen}, or declare a larger fraction in needs"
            )
        self.meter.count(str(kind) + self._suffix, image_id)
        return self._dataset.read(kind, image_id)

    def ids_with(self, kind: Supervision) -> frozenset[str]:
        """Ids for which ``kind`` is declared: all, a fixed fraction, or none."""
        return self._allowed.get(kind, frozenset())

    @property
    def auxiliary(self) -> DatasetView:
        """View of the training part of the auxiliary data set.

        Raises:
            SupervisionError: Nothing was declared with ``auxiliary=True``.
        """
        if self._auxiliary is None:
            raise SupervisionError(
                "the auxiliary data set was read but not declared; add Need(Supervision.MASKS, auxiliary=True) to needs"
            )
        return self._auxiliary

    def _require_known(self, image_id: str) -> None:
        if image_id not in self._known:
            raise SupervisionError(f"image {image_id!r} is not among the {len(self.ids)} images of this view")


class _AuxiliaryView(DatasetView):
    """The auxiliary part of a view, whose reads the meter counts under names of their own."""

    _suffix = "(aux)"
