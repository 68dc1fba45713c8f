"""A data set in memory, a view of it, and a stage's context without an engine: for unit tests of a component.

The view is the real one: what a test did not declare raises, and accesses are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.common.seeds import derive_seed
from harness.contract import TAGS, DataError, Dataset, Need, NoSupervision, PluginError, PreviousRound, Supervision
from harness.data.boxes import mask_tags
from harness.data.reads import NamedReads
from harness.data.views import DatasetView

if TYPE_CHECKING:
    from harness.contract.arrays import Image


class MemoryDataset(NamedReads, Dataset):
    """Training images and their annotations as arrays; there are no validation images.

    Args:
        images: Id to (H, W, 3) uint8 RGB.
        classes: Class names, the background first.
        auxiliary: The auxiliary data set.
        annotations: By name of a kind of supervision, id to what ``Dataset.read`` shall give; without ``tags``, an
            image is tagged with what its mask shows.

    Raises:
        TypeError: ``annotations`` holds a name that is no kind of supervision.
    """

    def __init__(
        self,
        images: Mapping[str, Image],
        *,
        classes: Sequence[str] = ("background", "one", "two"),
        auxiliary: Dataset | None = None,
        **annotations: Mapping[str, Any] | None,
    ) -> None:
        unknown = sorted(set(annotations) - set(Supervision))
        if unknown:
            raise TypeError(f"{unknown[0]!r} is no kind of supervision; there are {', '.join(Supervision)}")
        self.name, self.classes = "memory", tuple(classes)
        self._images, self._auxiliary = images, auxiliary
        self._given = {Supervision(name): given for name, given in annotations.items() if given is not None}
        shown = {image_id: mask_tags(mask) for image_id, mask in self._given.get(Supervision.MASKS, {}).items()}
        self._given.setdefault(Supervision.TAGS, shown)

    def ids(self, split: str) -> tuple[str, ...]:
        """The ids of ``images`` in order for ``train``, else none."""
        return tuple(self._images) if split == "train" else ()

    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB."""
        return self._images[image_id]

    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W)."""
        height, width = self._images[image_id].shape[:2]
        return height, width

    def read(self, kind: Supervision, image_id: str) -> Any:
        """What was given: tags in ascending order, other sequences as tuples, arrays as they are."""
        if image_id not in self._given.get(kind, ()):
            error = DataError if kind in self._given else NoSupervision
            raise error(f"data set 'memory': image {image_id!r} was made without {kind}")
        given = self._given[kind][image_id]
        if kind is Supervision.TAGS:
            return tuple(sorted(given))
        return given if isinstance(given, np.ndarray) else tuple(given)

    @property
    def auxiliary(self) -> Dataset | None:
        """The auxiliary data set, or ``None``."""
        return self._auxiliary

    def digests(self, split: str) -> Mapping[str, str]:
        """A digest of the ids under every kind."""
        digest = hashlib.sha256(" ".join(self.ids(split)).encode()).hexdigest()
        return dict.fromkeys(("ids", "images", *Supervision), digest)


def fake_view(images: Mapping[str, Image], *, needs: Sequence[Need] | None = None, **annotations: Any) -> DatasetView:
    """A view of images in memory.

    Args:
        images: Id to (H, W, 3) uint8 RGB.
        needs: Declared supervision; by default every kind that is given.
        annotations: As for ``MemoryDataset``.

    Raises:
        TypeError: ``annotations`` holds a name that ``MemoryDataset`` does not know.
    """
    given = [Need(kind) for kind in Supervision if annotations.get(kind) is not None]
    if annotations.get("masks") is not None and TAGS not in given:
        given.append(TAGS)
    return DatasetView(MemoryDataset(images, **annotations), "train", given if needs is None else needs)


@dataclass(eq=False)
class FakeContext:
    """A stage's ``Context`` with folders that exist.

    Attributes:
        out: Folder of the artifact.
        work: Scratch folder.
        settings: Protocol sections by name.
        num_classes: Classes including background.
        inputs: Upstream artifacts by name.
        run_seed: The run's seed.
        round_before: The previous round, for components with ``uses_previous``.
        told: What ``progress`` was called with.
    """

    out: Path
    work: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 3
    inputs: Mapping[str, Path] = field(default_factory=dict)
    run_seed: int = 0
    device: str = "cpu"
    threads: int = 1
    round_before: PreviousRound | None = None
    told: list[tuple[int, int]] = field(default_factory=list)

    def seed(self, axis: str, /) -> int:
        """The seed that the engine would give."""
        return derive_seed(self.run_seed, axis)

    def input(self, name: str) -> Path:
        """Folder of an upstream artifact.

        Raises:
            PluginError: The test gave none of that name.
        """
        if name not in self.inputs:
            raise PluginError(f"this context has no input {name!r}; give it with inputs=")
        return self.inputs[name]

    @property
    def previous(self) -> PreviousRound:
        """The previous round.

        Raises:
            PluginError: The test gave none.
        """
        if self.round_before is None:
            raise PluginError("this context has no previous round; give it with round_before=")
        return self.round_before

    def progress(self, done: int, total: int, /) -> None:
        """Note what was told."""
        self.told.append((done, total))


def fake_context(folder: Path, **fields: Any) -> FakeContext:
    """A context with its folders below ``folder``; ``fields`` are those of ``FakeContext``."""
    for name in ("out", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return FakeContext(folder / "out", folder / "work", **fields)
