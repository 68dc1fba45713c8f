"""The data set of the conformance kit: eight generated images, perhaps with poisoned masks, and an alarm.

The module is also a plugin: it registers the data set ``conformance``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from harness.contract import Dataset, DatasetRecord, Need, Supervision, hookimpl
from harness.data.wrapped import WrappedDataset

if TYPE_CHECKING:
    from harness.contract.arrays import Image

NAME = "conformance"
IMAGES = 8


class Params(BaseModel):
    """Parameters of the data set.

    Attributes:
        poisoned: Noise in place of every mask that ``clean`` does not list.
        clean: (fraction, auxiliary) of every declared need of masks.
    """

    model_config = ConfigDict(extra="forbid")

    poisoned: bool = False
    clean: list[tuple[float, bool]] = []


class Interrupted(BaseException):
    """Raised in the middle of a stage, like a kill from outside: no method may catch it."""


class Alarm:
    """Counts accesses to the data set in this process and can interrupt at one of them."""

    def __init__(self) -> None:
        self.count = 0
        self._at: int | None = None

    def set(self, after: int | None) -> None:
        """Begin to count; interrupt at the access after ``after`` more ones, ``None`` = never."""
        self.count, self._at = 0, after

    def tick(self) -> None:
        """Note one access."""
        self.count += 1
        if self._at is not None and self.count > self._at:
            self._at = None
            raise Interrupted


ALARM = Alarm()
"""The one of this process, in which the stages of the kit run."""


class Watched(WrappedDataset):
    """A data set that tells ``ALARM`` of every access."""

    def image(self, image_id: str) -> Image:
        """The original's: (H, W, 3) uint8, RGB."""
        ALARM.tick()
        return super().image(image_id)

    def size(self, image_id: str) -> tuple[int, int]:
        """The original's: (H, W)."""
        ALARM.tick()
        return super().size(image_id)

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The original's labels of any kind."""
        ALARM.tick()
        return super().read(kind, image_id)

    @property
    def auxiliary(self) -> Watched | None:
        """The auxiliary data set, watched alike."""
        return None if self._dataset.auxiliary is None else Watched(self._dataset.auxiliary)


def make(params: Params) -> Dataset:
    """Scenes of 64 x 64 pixels with three classes and an auxiliary part of two."""
    from harness.data.params import SyntheticParams
    from harness.data.synthetic import SyntheticDataset
    from harness.testing.poison import PoisonedDataset

    kinds = SyntheticParams(size=64, train=IMAGES, val=2, classes=3, auxiliary_classes=2, points=1, scribbles=True)
    scenes: Dataset = SyntheticDataset(kinds)
    if params.poisoned:
        scenes = PoisonedDataset(scenes, [Need(Supervision.MASKS, share, aux) for share, aux in params.clean])
    return Watched(scenes)


def described(poisoned: bool, needs: tuple[Need, ...]) -> dict[str, Any]:
    """The parameters for a method that declared ``needs``, as JSON."""
    clean = [[need.fraction, need.auxiliary] for need in needs if need.kind is Supervision.MASKS]
    return {"poisoned": poisoned, "clean": clean if poisoned else []}


@hookimpl
def wsss_datasets() -> Iterator[DatasetRecord]:
    """The data set of the kit."""
    yield DatasetRecord(NAME, factory=f"{__name__}:make", params=Params, show_images=True)
