"""Reads a whole data set and lists everything that is wrong with it, instead of stopping at the first defect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from harness.contract import BACKGROUND, IGNORE, DataError, Dataset, NoSupervision, Supervision
from harness.data.boxes import binary_hint, mask_tags
from harness.data.check_report import CheckReport, ClassCount, SizeCount, SplitReport, by_hash
from harness.data.files import Defect, OutsideImage

if TYPE_CHECKING:
    import numpy.typing as npt

T = TypeVar("T")

_COUNTED = (Supervision.TAGS, Supervision.BOXES, Supervision.MASKS)
"""Kinds with a count of their own."""


def check(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> CheckReport:
    """Read every image and every label of ``dataset``.

    Args:
        dataset: Best made with ``build_dataset(..., lenient=True)``, so that missing files are reported too.
        progress: Told images done and images in all.
    """
    parts = list(_parts(dataset))
    total = sum(len(part.ids(split)) for _, part, split in parts)
    defects: list[Defect] = []
    notices: list[Defect] = []
    reports = []
    done = 0
    for label, part, split in parts:
        reader = _SplitReader(label, part, split)
        for image_id in part.ids(split):
            reader.read(image_id)
            done += 1
            if progress is not None:
                progress(done, total)
        listed = [defect for defect in getattr(part, "defects", ()) if defect.split == split]
        report = reader.report(len(part.ids(split)), complete=not listed)
        reports.append(report)
        defects += [Defect(d.kind, label, d.image_id, d.message) for d in listed] + reader.defects
        notices += reader.notices
        whole = [defect for defect in getattr(part, "defects", ()) if defect.image_id is None]
        if not part.ids(split) and not listed and not whole:
            defects.append(Defect("list", label, None, f"data set {part.name!r}: {label} holds no image"))
    unique = {(d.split, d.image_id, d.message): d for d in reversed(defects)}
    made = tuple(kind.value for kind in dataset.made_from_masks)
    return CheckReport(dataset.name, tuple(reports), tuple(reversed(unique.values())), tuple(notices), made)


def refuse_blank(dataset: Dataset) -> None:
    """Refuse a data set whose masks leave nothing to score or nothing to learn, before anything is computed.

    Reads masks of each split only until a scored pixel is found, and in training a class besides the first: of most
    data sets one mask each.

    Raises:
        DataError: A mask cannot be read, all pixels of a split are ignored, or no training mask shows a class, nor, in
            a data set without masks, a tag.
    """
    for label, part, split in _parts(dataset):
        with suppress(NoSupervision):
            if split == "train" and split in part.unmasked and not any(map(part.tags, part.ids(split))):
                raise DataError(_NEVER_TAGGED.format(part.name, label))
        scored = shown = False
        try:
            for image_id in part.ids(split):
                mask = part.mask(image_id)
                scored = scored or bool((mask != IGNORE).any())
                shown = shown or split == "val" or bool(mask_tags(mask))
                if scored and shown:
                    break
        except NoSupervision:
            continue
        if part.ids(split) and not scored:
            raise DataError(_all_ignored(part, label, split))
        if part.ids(split) and not shown:
            raise DataError(_never_shown(part, label, split, list(part.classes[1:])))


def _all_ignored(dataset: Dataset, label: str, split: str) -> str:
    return f"data set {dataset.name!r}: every pixel of the {label} masks is ignored (255){_why(dataset, split, [])}"


_NEVER_TAGGED = "data set {!r}: no {} image is tagged with a class, so there is nothing to learn"


def _never_shown(dataset: Dataset, label: str, split: str, classes: list[str]) -> str:
    names = ", ".join(classes)
    return f"data set {dataset.name!r}: no {label} mask shows {names}{_why(dataset, split, classes)}"


def _why(dataset: Dataset, split: str, classes: list[str]) -> str:
    """What the reader says about its masks, where it has more to say: a method ``explain_masks``."""
    explain = getattr(dataset, "explain_masks", None)
    return f": {explain(split, classes)}" if explain else ""


def _parts(dataset: Dataset) -> Iterator[tuple[str, Dataset, str]]:
    for split in ("train", "val"):
        yield split, dataset, split
    if dataset.auxiliary is not None:
        yield "auxiliary train", dataset.auxiliary, "train"


class _SplitReader:
    """Reads image by image, keeping counts and what is wrong."""

    def __init__(self, label: str, dataset: Dataset, split: str) -> None:
        self._split, self._dataset, self._listed = label, dataset, split
        count = len(dataset.classes)
        self._images, self._tagged, self._boxes = (np.zeros(count, dtype=np.int64) for _ in range(3))
        self._pixels = np.zeros(IGNORE + 1, dtype=np.int64)
        self._marks: dict[Supervision, npt.NDArray[np.int64]] = {}
        self._lacking: dict[str, None] = {}
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._examples: dict[int, str] = {}
        self.defects: list[Defect] = []
        self.notices: list[Defect] = []

    def read(self, image_id: str) -> None:
        """Read everything about one image."""
        size = self._try("image", image_id, self._dataset.size)
        image = self._try("image", image_id, self._dataset.image)
        if size is None or image is None:
            return
        self._sizes[size] += 1
        if image.shape != (*size, 3):
            self._defect("image", image_id, f"has shape {image.shape}, but its size is given as {size}")
        shown = self._mask(image_id, size)
        tags = self._try("tags", image_id, self._dataset.tags)
        if tags is not None and self._in_range("tags", image_id, tags):
            self._tagged[list(tags)] += 1
            for cls in tags:
                self._examples[cls] = min(self._examples.get(cls, image_id), image_id, key=by_hash)
            if shown is not None:
                self._compare(image_id, set(tags), set(shown))
        self._read_boxes(image_id, size)
        for kind in Supervision:
            if kind not in _COUNTED:
                self._read_marks(kind, image_id, size, tags)

    def _mask(self, image_id: str, size: tuple[int, int]) -> tuple[int, ...] | None:
        """Foreground classes that the mask shows; ``None`` for a defective mask."""
        mask = self._try("mask", image_id, self._dataset.mask)
        if mask is None:
            return None
        if mask.shape != size:
            self._defect("mask", image_id, f"mask has shape {mask.shape}, the image {size}")
            return None
        shown = mask_tags(mask)
        if not self._in_range("mask", image_id, shown):
            return None
        self._pixels += np.bincount(mask.ravel(), minlength=IGNORE + 1)
        self._images[[*shown, *([0] if (mask == 0).any() else [])]] += 1
        return shown

    def _read_boxes(self, image_id: str, size: tuple[int, int]) -> None:
        boxes = self._try("boxes", image_id, self._dataset.boxes)
        if boxes is None or not self._in_range("boxes", image_id, tuple(box.cls for box in boxes)):
            return
        if len(set(boxes)) < len(boxes):
            self.notices.append(Defect("boxes", self._split, image_id, f"image {image_id!r}: two boxes are equal"))
        for box in boxes:
            self._boxes[box.cls] += 1
            if not (0 <= box.x0 < box.x1 <= size[1] and 0 <= box.y0 < box.y1 <= size[0]):
                self._defect("boxes", image_id, f"{box} does not lie in the {size[1]}x{size[0]} image")

    def _read_marks(
        self, kind: Supervision, image_id: str, size: tuple[int, int], tags: tuple[int, ...] | None
    ) -> None:
        """Read one kind more: an (H, W) array, of classes where it holds integers, or marks with a class each."""
        try:
            labels = self._dataset.read(kind, image_id)
        except NoSupervision:
            return
        except DataError as error:
            self.defects.append(self._of(error, kind, image_id))
            return
        if not isinstance(labels, np.ndarray):
            self._count_marks(kind, image_id, [mark.cls for mark in labels], tags)
            outside = [mark for mark in labels if not (0 <= mark.x < size[1] and 0 <= mark.y < size[0])]
            if outside:
                self._defect(kind, image_id, f"{outside[0]} does not lie in the {size[1]}x{size[0]} image")
        elif labels.shape != size:
            self._defect(kind, image_id, f"{kind} has shape {labels.shape}, the image {size}")
        elif np.issubdtype(labels.dtype, np.integer):
            self._count_marks(kind, image_id, labels[labels != IGNORE], tags)

    def _count_marks(
        self, kind: Supervision, image_id: str, classes: npt.ArrayLike, tags: tuple[int, ...] | None
    ) -> None:
        indices, count = np.asarray(classes, dtype=np.int64), len(self._dataset.classes)
        wrong = indices[(indices < 0) | (indices >= count)]
        if wrong.size:
            self._defect(kind, image_id, f"{kind}: class {wrong[0]} is none of the {count} classes")
            return
        self._marks[kind] = self._marks.get(kind, 0) + np.bincount(indices, minlength=count)
        untagged = sorted(set(np.unique(indices).tolist()) - {BACKGROUND, *(tags or ())})
        if untagged and tags is not None:
            names = ", ".join(self._dataset.classes[cls] for cls in untagged)
            message = f"image {image_id!r}: {kind} of {names}, but it is not tagged so"
            self.notices.append(Defect(kind, self._split, image_id, message))

    def _compare(self, image_id: str, tags: set[int], shown: set[int]) -> None:
        for classes, text in ((tags - shown, "tagged {}, but the mask shows none"), (shown - tags, "{} not tagged")):
            if classes:
                names = ", ".join(self._dataset.classes[cls] for cls in sorted(classes))
                message = f"image {image_id!r}: {text.format(names)}"
                self.notices.append(Defect("tags", self._split, image_id, message))

    def _in_range(self, kind: str, image_id: str, classes: tuple[int, ...]) -> bool:
        wrong = sorted({cls for cls in classes if not 0 < cls < len(self._dataset.classes)})
        if wrong:
            self._defect(
                kind, image_id, f"{kind}: class {wrong[0]} is none of the {len(self._dataset.classes)} classes"
            )
        return not wrong

    def _try(self, kind: str, image_id: str, read: Callable[[str], T]) -> T | None:
        try:
            return read(image_id)
        except NoSupervision:
            self._lacking[kind] = None
            return None
        except DataError as error:
            self.defects.append(self._of(error, kind, image_id))
            return None

    def _of(self, error: DataError, kind: str, image_id: str) -> Defect:
        region = error.region if isinstance(error, OutsideImage) else None
        return Defect(kind, self._split, image_id, str(error), region)

    def _defect(self, kind: str, image_id: str, text: str) -> None:
        message = f"data set {self._dataset.name!r}: image {image_id!r}: {text}"
        self.defects.append(Defect(kind, self._split, image_id, message))

    def report(self, images: int, *, complete: bool) -> SplitReport:
        """The counts of the split; notes what they show to be wrong with it as a whole.

        A split without a scored pixel is a defect, and so is one that lacks masks although nobody says so. So is a
        class that no training mask shows, where all files could be read and the configuration can declare it
        ``absent``; elsewhere that is a notice.
        """
        masked = self._listed not in self._dataset.unmasked
        counted = masked or bool(self._pixels.any())  # a split may have masks in part
        counts = []
        for cls, name in enumerate(self._dataset.classes):
            arrays = self._images, self._tagged, self._boxes, self._pixels
            shown, tagged, boxes, pixels = (int(array[cls]) for array in arrays)
            marks = {kind.value: int(array[cls]) for kind, array in self._marks.items()}
            counts.append(
                ClassCount(name, shown if counted else None, tagged, boxes, pixels if counted else None, marks)
            )
        self._note_lacking(masked=masked)
        if self._listed == "train" and complete and not self.defects:
            self._note_marks()
        if masked and "mask" not in self._lacking:
            self._note_masks(counts, complete=complete)
        elif not masked and "tags" not in self._lacking and self._sizes:
            self._note_tags(complete=complete)
        ignored = int(self._pixels[IGNORE]) if counted else None
        sizes = tuple(SizeCount(*size, number) for size, number in self._sizes.most_common())
        examples = tuple(sorted(set(self._examples.values())))
        return SplitReport(self._split, images, tuple(counts), ignored, sizes, examples)

    def _note_lacking(self, *, masked: bool) -> None:
        """Note the kinds that the split has nothing of; masks are needed wherever nobody says that there are none."""
        where = f"for its {self._listed} images"
        for kind in self._lacking:
            noun = "masks" if kind == "mask" else kind
            text = f"data set {self._dataset.name!r} has no {noun} {where}; {self._dataset.lacking(self._listed, noun)}"
            notes = self.notices
            if kind == "mask" and not masked:
                has = f"data set {self._dataset.name!r} has {self._masks()} {where}"
                text = f"{has}, as it says: nothing is measured on them"
            elif kind == "mask" and self._split in ("train", "val"):
                notes = self.defects  # a run scores these images
            notes.append(Defect(kind, self._split, None, text))

    def _masks(self) -> str:
        """What a split that is described as one without masks, or with masks in part, has of them."""
        masked = len(self._dataset.carrying(self._listed, Supervision.MASKS))
        return f"masks of only {masked} images" if self._pixels.any() else "no masks"

    def _note_marks(self) -> None:
        """Note kinds of marks of which no image has a single one."""
        for kind, counts in self._marks.items():
            if not counts.any():
                text = (
                    f"data set {self._dataset.name!r}: no {self._split} image has {kind} of a class or of the "
                    "background, so there is nothing to learn from them"
                )
                self.defects.append(Defect(kind, self._split, None, text))

    def _note_tags(self, *, complete: bool) -> None:
        """Note classes that no image is tagged with, where no mask shows any."""
        absent = [self._dataset.classes[cls] for cls in np.flatnonzero(self._tagged == 0) if cls]
        nothing = self._listed == "train" and not self._tagged.any() and complete and not self.defects
        text = f"no image of {self._split} is tagged with {', '.join(absent)}"
        if absent:
            text = _NEVER_TAGGED.format(self._dataset.name, self._split) if nothing else text
            (self.defects if nothing else self.notices).append(Defect("tags", self._split, None, text))

    def _note_masks(self, counts: Sequence[ClassCount], *, complete: bool) -> None:
        """Note masks that score nothing, and classes that none of them shows."""
        split = self._listed
        if self._pixels.sum() == self._pixels[IGNORE] > 0:
            self.defects.append(Defect("mask", self._split, None, _all_ignored(self._dataset, self._split, split)))
        elif self._pixels.any():
            absent = [count.name for count in counts if not count.images]
            declared = getattr(self._dataset, "absent", None)
            lacking = [one for one in absent if one in self._dataset.classes[1:] and one not in (declared or ())]
            if declared is not None and lacking and complete and not self.defects and split == "train":
                text = _never_shown(self._dataset, self._split, split, lacking)
                text += f"; or declare absent: [{', '.join(lacking)}]"
                self.defects.append(Defect("mask", self._split, None, text))
                absent = [one for one in absent if one not in lacking]
            if absent:
                text = f"no mask of {self._split} shows {', '.join(absent)}"
                text += binary_hint(self._pixels)
                self.notices.append(Defect("mask", self._split, None, text))
