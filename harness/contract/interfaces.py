"""What a component implements and what it is handed. Everything here is free of torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from harness.contract.errors import NoSupervision, PluginError, SupervisionError
from harness.contract.supervision import Supervision

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.contract.arrays import Box, Image, Mask, Point, PseudoLabel


class Dataset(ABC):
    """A data set with hidden masks. Readers implement it; methods only ever see a ``View`` of it.

    Class 0 is the background (or, for dense scenes, simply the first class). Everything is in class
    indices of the benchmark, after the class mapping.
    """

    name: str
    classes: tuple[str, ...]
    show_images: bool = False

    @abstractmethod
    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of ``split`` (``"train"`` or ``"val"``) in list order."""

    @abstractmethod
    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB, 0-255."""

    @abstractmethod
    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W) without decoding the image."""

    @abstractmethod
    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = ignore. Hidden from methods unless declared."""

    @abstractmethod
    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending foreground class indices that the image is tagged with."""

    @abstractmethod
    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Boxes in annotation order."""

    def saliency(self, image_id: str) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1]; raises ``DataError`` where the data set has none."""
        raise NoSupervision(f"data set {self.name!r} has no saliency maps")

    def points(self, image_id: str) -> tuple[Point, ...]:
        """Points in annotation order, in pixels of the image; what ``read`` gives."""
        points: tuple[Point, ...] = self.read(Supervision.POINTS, image_id)
        return points

    def scribbles(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = no scribble (the background is 0); what ``read`` gives."""
        scribbles: Mask = self.read(Supervision.SCRIBBLES, image_id)
        return scribbles

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The labels of ``kind`` of one image; a reader of a kind without a method of its own overrides this.

        A tuple of what the image holds (class indices, ``Box``, ``Point``), or an (H, W) array: class indices in uint8
        with 255 where nothing is said, or float32 in [0, 1].

        Raises:
            DataError: The labels are damaged; as ``NoSupervision``, the data set has none of this kind.
        """
        if kind.shortcut:
            return getattr(self, kind.shortcut)(image_id)
        raise NoSupervision(f"data set {self.name!r} has no {kind}")

    @property
    def boxes_from_masks(self) -> tuple[str, ...]:
        """Classes whose boxes nobody drew: they are made from masks, hence tight to the pixel."""
        return ()

    @property
    def made_from_masks(self) -> tuple[Supervision, ...]:
        """Kinds besides boxes that nobody drew: a rule makes the points or scribbles of images from their masks."""
        return ()

    @property
    def unmasked(self) -> tuple[str, ...]:
        """Splits that have no masks because whoever described the data set says so; nothing is scored on them.

        ``mask`` raises ``NoSupervision`` for their images, and ``digests`` leaves ``masks`` out.
        """
        return ()

    def carrying(self, split: str, kind: Supervision) -> tuple[str, ...]:
        """Ids of ``split`` that have labels of ``kind``, in order, of a data set that has the kind.

        A declared share of masks is chosen among these. A split whose images have masks in part is ``unmasked`` too,
        because a score counts all images; its ``digests`` hold ``masks``.
        """
        return self.ids(split)

    @property
    def auxiliary(self) -> Dataset | None:
        """The auxiliary data set (other classes, pixel masks), or ``None``."""
        return None

    @abstractmethod
    def digests(self, split: str) -> Mapping[str, str]:
        """SHA-256 of the content of ``split`` by kind: ids, images, and the names of kinds of supervision.

        A kind the data set lacks is left out. Stage keys use only the kinds that a stage may see, so
        repairing a mask recomputes only what read masks.
        """

    @property
    def class_ids(self) -> tuple[int, ...]:
        """The id that the masks of the data set itself have for each class, by class index."""
        return tuple(range(len(self.classes)))

    def lacking(self, split: str, kind: str) -> str:
        """Why ``digests`` leaves ``kind`` out, and what the user can set, as the end of a sentence; perhaps empty."""
        return ""


class View(ABC):
    """What a method sees of the training images: images, and the supervision that it declared.

    Everything undeclared raises ``SupervisionError``; every access is counted.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    mask_ids: frozenset[str]
    """Ids whose pixel mask is declared (all, a fixed fraction, or none)."""

    @abstractmethod
    def image(self, image_id: str) -> Image:
        """(H, W, 3) uint8, RGB."""

    @abstractmethod
    def size(self, image_id: str) -> tuple[int, int]:
        """(H, W)."""

    @abstractmethod
    def tags(self, image_id: str) -> tuple[int, ...]:
        """Ascending foreground class indices; needs ``TAGS``."""

    @abstractmethod
    def boxes(self, image_id: str) -> tuple[Box, ...]:
        """Boxes in annotation order; needs ``BOXES``."""

    @abstractmethod
    def saliency(self, image_id: str) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1]; needs ``SALIENCY``."""

    @abstractmethod
    def mask(self, image_id: str) -> Mask:
        """(H, W) uint8, 255 = ignore; needs ``MASKS`` and ``image_id in mask_ids``."""

    def read(self, kind: Supervision, image_id: str) -> Any:
        """The labels of any declared ``kind``, as ``Dataset.read`` gives them."""
        if kind.shortcut:
            return getattr(self, kind.shortcut)(image_id)
        raise SupervisionError(f"this view cannot read {kind}")

    def points(self, image_id: str) -> tuple[Point, ...]:
        """Points in annotation order; needs ``POINTS``."""
        points: tuple[Point, ...] = self.read(Supervision.POINTS, image_id)
        return points

    def scribbles(self, image_id: str) -> Mask:
        """(H, W) uint8 class indices, 255 = no scribble (the background is 0); needs ``SCRIBBLES``."""
        scribbles: Mask = self.read(Supervision.SCRIBBLES, image_id)
        return scribbles

    def ids_with(self, kind: Supervision) -> frozenset[str]:
        """Ids for which ``kind`` is declared: all, a fixed fraction, or none."""
        return self.mask_ids if kind is Supervision.MASKS else frozenset(self.ids)

    @property
    @abstractmethod
    def auxiliary(self) -> View:
        """View of the auxiliary data set; needs a declaration with ``auxiliary=True``."""


class Context(Protocol):
    """What a stage may use besides its view. All paths exist."""

    out: Path
    """Folder of the artifact; what is written here is published when the stage returns."""
    work: Path
    """Scratch folder that survives a kill: keep training checkpoints here and resume from them."""
    device: str
    """``"cpu"`` or ``"cuda:N"``."""
    threads: int
    """CPU threads that this process should use."""
    settings: Mapping[str, Any]
    """The protocol sections that the component declared with ``reads``; others raise ``KeyError``."""
    num_classes: int
    """Classes including background."""

    def seed(self, axis: str) -> int:
        """A 31-bit seed, a hash of (run seed, axis); the same for every method."""

    def input(self, name: str) -> Path:
        """Folder of an upstream artifact, for example ``ctx.input("cams")``."""

    @property
    def previous(self) -> PreviousRound:
        """The previous round; only with ``uses_previous``."""

    def progress(self, done: int, total: int) -> None:
        """Tell the user how far the stage is."""


class PreviousRound(Protocol):
    """What a later round may use of the round before."""

    def label(self, image_id: str) -> PseudoLabel:
        """The previous round's pseudo label."""

    def predict(self, images: Sequence[Image]) -> Iterator[npt.NDArray[np.float32]]:
        """(C, H, W) float32 class probabilities of each image under the protocol's test-time settings."""

    @property
    def checkpoint(self) -> Path:
        """The previous segmenter's weights file."""


class Generator(ABC):
    """Makes pseudo labels from declared supervision."""

    def fit(self, view: View, ctx: Context) -> None:  # noqa: B027
        """Train whatever the generator needs into ``ctx.out`` (later ``ctx.input("fit")``); default: nothing."""

    @abstractmethod
    def generate(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield one ``PseudoLabel`` for every id of ``view.ids``, in any order, each exactly once."""


class Refiner(ABC):
    """Turns pseudo labels into better ones."""

    def fit(self, labels: Sequence[PseudoLabel], view: View, ctx: Context) -> None:  # noqa: B027
        """Train whatever the refiner needs into ``ctx.out`` (later ``ctx.input("fit")``); default: nothing.

        Called only where the record says ``fits``. ``labels[i]`` is the label of ``view.ids[i]``; each is read from
        disk when it is asked for, so that any number of them, in any order and as often as wanted, costs no memory.
        """

    @abstractmethod
    def refine(self, labels: Iterable[PseudoLabel], view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield one refined label for every incoming one."""


class Segmenter:
    """Adapts the protocol's segmenter to a method: losses, heads, samplers, extra targets."""

    def configure(self, cfg: Any, view: View, ctx: Context) -> Any:
        """Return the mmengine ``Config`` to train; default: unchanged.

        ``cfg.model`` is the mmseg model, ``cfg.train_dataloader.sampler`` the sampler; everything else is
        the protocol's and is restored afterwards.
        """
        return cfg

    extra_targets: tuple[str, ...] = ()
    """Names of the maps that ``targets`` returns."""

    tags: ClassVar[bool] = False
    """Whether each training image brings its tags, which the record's ``needs`` must hold: ``data_sample.tags`` (C,)
    float32 of 0 and 1, where column i is class i + 1."""

    def targets(
        self, image_id: str, label: PseudoLabel, view: View, ctx: Context
    ) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Extra (H, W) uint8 maps of one training image, 255 = padding.

        They follow the label through every geometric augmentation (nearest neighbour) and reach the
        model as ``data_sample.<name>.data`` (1, H, W).
        """
        return {}

    def predict(self, view: View, ctx: Context) -> Iterator[PseudoLabel]:
        """Yield one prediction for every image of ``view``, which has the scored validation images; trains nothing.

        Called only where the record says ``predicts``; a prediction of 255 counts as wrong.
        """
        raise PluginError(f"{type(self).__name__} says that it predicts, but has no method predict")


class Executor(ABC):
    """Runs stages somewhere. ``submit`` gets a picklable function and returns a future."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Run ``function(*args)``; the future raises ``TimeoutError`` when ``timeout`` seconds pass."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many stages run at a time."""

    @abstractmethod
    def shutdown(self, *, cancel: bool = False) -> None:
        """Wait for (or cancel) what runs and release the workers."""
