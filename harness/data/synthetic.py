"""The synthetic data set: generated scenes with exact masks, tags, boxes and saliency. Nothing is read from disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from harness.contract import Box, DataError, Dataset, Point, Supervision
from harness.data.boxes import mask_tags
from harness.data.digests import combine
from harness.data.files import STATED, no_mask
from harness.data.params import SyntheticParams
from harness.data.scenes import VERSION, Kind, Scene, draw_saliency, draw_scene
from harness.data.sparse import RULE, scribbled

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image, Mask

_CACHE_BYTES = 128 * 2**20
"""Drawn scenes that one process remembers: a training epoch of the demo fits, a long data set does not."""


class GeneratedScenes(Dataset):
    """Scenes drawn when they are asked for; equal arguments give equal pixels in every process.

    An image depends on seed, size, kinds and its own id, not on how many images there are: a longer data set begins
    with the shorter one. The first creatures of successive images go round the classes.

    Args:
        name: Name of the data set.
        kinds: Kinds of creature; the n-th is class n + 1.
        counts: Images of each split.
        shape: (H, W) of every image.
        seed: Another seed, other scenes.
        points: Points on each creature; 0 = there are none.
        background_points: Points on the background of an image with points.
        scribbles: Whether there are scribbles.
    """

    show_images = True

    def __init__(
        self,
        name: str,
        *,
        kinds: range,
        counts: Mapping[str, int],
        shape: tuple[int, int],
        seed: int,
        points: int = 0,
        background_points: int = 0,
        scribbles: bool = False,
    ) -> None:
        self.name = name
        self.classes = ("background", *(Kind.number(kind).name for kind in kinds))
        self._kinds, self._shape, self._seed = kinds, shape, seed
        self._points, self._background_points, self._scribbles = points, background_points, scribbles
        self._ids = {split: tuple(f"{split}_{n:05d}" for n in range(count)) for split, count in counts.items()}
        self._number = {image_id: n for ids in self._ids.values() for n, image_id in enumerate(ids)}
        self._drawn: OrderedDict[str, Scene] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_drawn": OrderedDict()}

    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of ``train`` or ``val``."""
        return self._ids[split]

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255."""
        return self._scene(image_id).image.copy()

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W)."""
        return self._shape

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices; exact, without ignored pixels."""
        scene = self._scene(image_id)
        mask: Mask = self._classes_of(scene)[scene.instances]
        return mask

    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending foreground class indices of what is visible."""
        return mask_tags(GeneratedScenes.mask(self, image_id))

    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """One box for the visible part of each creature."""
        scene = self._scene(image_id)
        classes = self._classes_of(scene)[1:]
        extents = ndimage.find_objects(scene.instances, max_label=len(scene.kinds))
        return tuple(
            Box(int(cls), columns.start, rows.start, columns.stop, rows.stop)
            for cls, (rows, columns) in zip(classes, extents, strict=True)
        )

    def saliency(self, image_id: str) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1]; misses some creatures and shows some clutter."""
        return draw_saliency(self._random(image_id, "saliency"), self._scene(image_id))

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The labels of ``kind`` of one image, see ``Dataset.read``."""
        if kind is Supervision.POINTS and self._points:
            return self._drawn_points(image_id)
        if kind is Supervision.SCRIBBLES and self._scribbles:
            return self._drawn_scribbles(image_id)
        return super().read(kind, image_id)

    def _drawn_points(self, image_id: str) -> tuple[Point, ...]:
        """Points of each creature, then of the background, drawn at random and with replacement."""
        scene, rng = self._scene(image_id), self._random(image_id, "points")
        classes = [int(cls) for cls in self._classes_of(scene)]
        counts = [self._background_points, *[self._points] * len(scene.kinds)]
        points = []
        for number in (*range(1, len(classes)), 0):
            rows, columns = np.nonzero(scene.instances == number)
            chosen = rng.integers(len(rows), size=counts[number]) if len(rows) else ()
            points += [Point(classes[number], int(columns[n]), int(rows[n])) for n in chosen]
        return tuple(points)

    def _drawn_scribbles(self, image_id: str) -> Mask:
        """A stroke through each creature, one in front over one behind, and through the background."""
        scene = self._scene(image_id)
        classes = enumerate(self._classes_of(scene)[1:], start=1)
        regions = ((int(cls), scene.instances == number) for number, cls in classes)
        return scribbled(self._shape, regions, scene.instances == 0)

    def digests(self, split: str) -> Mapping[str, str]:
        """Hashes by kind of what determines the content."""
        recipe = (VERSION, self._seed, self._shape, self._kinds.start, self._kinds.stop)
        kinds = ("ids", "images", "tags", "boxes", "masks", "saliency")
        hashes = {kind: combine([kind, str(recipe), *self.ids(split)]) for kind in kinds}
        if self._points:
            more = (self._background_points,) if self._background_points else ()
            hashes["points"] = combine(["points", str((*recipe, self._points, *more)), *self.ids(split)])
        if self._scribbles:
            hashes["scribbles"] = combine(["scribbles", str((*recipe, RULE)), *self.ids(split)])
        return hashes

    def lacking(self, split: str, kind: str) -> str:
        """Which parameter would give ``kind``."""
        ways = {"points": "set its parameter points", "scribbles": "set its parameter scribbles to true"}
        return ways.get(kind) or super().lacking(split, kind)

    def _classes_of(self, scene: Scene) -> Mask:
        """Instance number -> class index."""
        return np.array([0, *(kind - self._kinds.start + 1 for kind in scene.kinds)], dtype=np.uint8)

    def _random(self, image_id: str, purpose: str) -> np.random.Generator:
        if image_id not in self._number:
            raise DataError(f"data set {self.name!r}: no image {image_id!r}")
        digest = hashlib.sha256(f"{VERSION}:{self._seed}:{self._kinds.start}:{purpose}:{image_id}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "big"))

    def _scene(self, image_id: str) -> Scene:
        """The scene, drawn or remembered; what was not used for long is forgotten."""
        if image_id in self._drawn:
            self._drawn.move_to_end(image_id)
            return self._drawn[image_id]
        rng = self._random(image_id, "scene")
        first = self._kinds[self._number[image_id] % len(self._kinds)]
        scene = draw_scene(rng, self._shape, self._kinds, first=first)
        self._drawn[image_id] = scene
        if len(self._drawn) > max(_CACHE_BYTES // scene.nbytes, 1):
            self._drawn.popitem(last=False)
        return scene


class SyntheticDataset(GeneratedScenes):
    """The synthetic benchmark data set, perhaps with an auxiliary one of other kinds."""

    def __init__(self, params: SyntheticParams) -> None:
        alike: dict[str, Any] = params.model_dump(include={"seed", "points", "background_points", "scribbles"})
        alike["shape"] = params.shape
        counts = {"train": params.train, "val": params.val}
        super().__init__("synthetic", kinds=range(params.classes), counts=counts, **alike)
        self._unmasked = params.unmasked
        self._auxiliary = None
        others = range(params.classes, params.classes + params.auxiliary_classes)
        if others:
            counts = {"train": params.auxiliary_train, "val": 0}
            self._auxiliary = GeneratedScenes("synthetic_auxiliary", kinds=others, counts=counts, **alike)

    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices; ``NoMask`` where ``params`` say that the split has none."""
        split = image_id.partition("_")[0]
        if split in self._unmasked:
            raise no_mask(self.name, split)
        return super().mask(image_id)

    @property
    def unmasked(self) -> tuple[str, ...]:
        """The splits that ``params`` describe as having no masks."""
        return self._unmasked

    def digests(self, split: str) -> Mapping[str, str]:
        """Hashes by kind; without masks where ``params`` say so."""
        hashes = super().digests(split)
        return {kind: value for kind, value in hashes.items() if kind != "masks" or split not in self._unmasked}

    def lacking(self, split: str, kind: str) -> str:
        """Which parameter would give ``kind``."""
        return STATED if kind == Supervision.MASKS and split in self._unmasked else super().lacking(split, kind)

    @property
    def auxiliary(self) -> GeneratedScenes | None:
        """Scenes with other kinds of creature, or ``None``."""
        return self._auxiliary
