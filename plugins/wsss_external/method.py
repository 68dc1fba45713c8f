"""Numbers in files become class indices, and maps become labels.

A *number* is what a file calls a class; an *index* is what the benchmark calls it, 0 being the background. Foreground
class ``c`` has number ``c`` at base 1 (behind a background entry) and ``c - 1`` at base 0. Which base it is cannot be
seen in a single map of scores, but every image's tags say which classes it may name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.contract import BACKGROUND, IGNORE, ConfigError, DataError, Mask
from harness.maps import threshold_labels, voc_palette
from wsss_external.params import Numbering

Floats = npt.NDArray[np.float32]

OTHER = -1
"""The index of a number that names no class."""


@dataclass(frozen=True)
class Numbers:
    """The class index of each number.

    Attributes:
        classes: Names, the background first.
        table: Index by number.
        other: What a number outside the table becomes: an index, 255, or ``None`` = an error.
    """

    classes: tuple[str, ...]
    table: Mapping[int, int]
    other: int | None

    @classmethod
    def at(cls, params: Numbering, classes: Sequence[str], base: int) -> Numbers:
        """The numbering of the parameters; ``base`` counts where they do not list the numbers.

        Raises:
            ConfigError: They name a class that the data set has not.
        """
        names = tuple(classes)
        if params.numbers is not None:
            table = {number: _index(name, names, "numbers") for number, name in params.numbers.items()}
        else:
            table = {number: number + 1 - base for number in range(len(names) - 1 + base)}
        other = {"error": None, "background": BACKGROUND, "ignore": IGNORE}[params.other]
        return cls(names, table, other)

    def index(self, number: int) -> int:
        """The index of a number, ``OTHER`` of one that names no class and is allowed to.

        Raises:
            DataError: It names no class.
        """
        if number in self.table:
            return self.table[number]
        if self.other is None:
            known = f"{min(self.table)} to {max(self.table)}" if self.table else "none"
            raise DataError(f"number {number} names no class, numbers are {known}; set `numbers`, `base` or `other`")
        return OTHER

    def mask(self, numbers: npt.NDArray[np.int64]) -> Mask:
        """(H, W) uint8 indices of (H, W) numbers, 255 = ignore in both.

        Raises:
            DataError: A number names no class.
        """
        found = np.unique(numbers)
        result = np.full(numbers.shape, IGNORE, np.uint8)
        for number in found.tolist():
            if number == IGNORE and IGNORE not in self.table:
                continue
            index = self.index(number)
            result[numbers == number] = self.other or BACKGROUND if index == OTHER else index
        return result


def colour_numbers(params: Numbering, classes: Sequence[str]) -> dict[int, int]:
    """Class index by colour, written as one number (``packed``); white is ignored where no class has it.

    Raises:
        ConfigError: There is no table, or it names a class that the data set has not.
    """
    if params.colours is None:
        raise ConfigError("an RGB file, and no `colours` that say which class a colour is")
    if params.colours == "voc":
        palette = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)[[*range(len(classes)), IGNORE]]
        return dict(zip(packed(palette).tolist(), [*range(len(classes)), IGNORE], strict=True))
    named = {name: packed(np.array(colour, np.uint8)).item() for name, colour in params.colours.items()}
    return {colour: _index(name, classes, "colours") for name, colour in named.items()}


def packed(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(..., 3) uint8 RGB -> (...) int64, red times 65536 plus green times 256 plus blue."""
    red, green, blue = np.moveaxis(colours.astype(np.int64), -1, 0)
    packed_colours: npt.NDArray[np.int64] = (red << 16) + (green << 8) + blue
    return packed_colours


def bases_of_planes(count: int, classes: int) -> int:
    """The base of (C, H, W) scores of all classes in order: with or without a plane of the background.

    Raises:
        DataError: They are as many as neither.
    """
    if count not in (classes, classes - 1):
        raise DataError(
            f"{count} planes of scores; {classes} with the background or {classes - 1} without it are needed"
        )
    return int(count == classes)


def possible_bases(numbers: Iterable[int], tags: Iterable[int], classes: int | None = None) -> frozenset[int]:
    """The bases at which keys of a file name no class but the tags.

    Args:
        numbers: The keys; 0 at base 1 is the background, which is not all that a file of a tagged image holds.
        tags: Foreground classes of the image.
        classes: Where numbers of other classes are allowed, how many foreground classes there are.
    """
    allowed = set(tags)
    indices = {1: {number for number in numbers if number}, 0: {number + 1 for number in numbers}}
    if classes is not None:
        indices = {base: {index for index in named if index <= classes} for base, named in indices.items()}
    return frozenset(base for base, named in indices.items() if named <= allowed and (named or not allowed))


def exact_bases(numbers: Iterable[int], tags: Iterable[int]) -> frozenset[int]:
    """The bases at which keys of a file are exactly the tags, as of a method that makes a map for each tag."""
    named, wanted = set(numbers), set(tags)
    indices = {1: named - {0}, 0: {number + 1 for number in named}}
    return frozenset(base for base, found in indices.items() if found == wanted)


def label(planes: Floats, indices: Sequence[int], threshold: float) -> Mask:
    """The strongest class of each pixel, against a plane of the background or a constant background score.

    Args:
        planes: (K, H, W) float32.
        indices: Class of each plane, ascending.
        threshold: Background score where class 0 has no plane; a tie goes to the background.

    Returns:
        (H, W) uint8.
    """
    if BACKGROUND not in indices:
        return threshold_labels(planes, indices, threshold)
    return np.asarray(indices, np.uint8)[planes.argmax(axis=0)]


def normalised(planes: Floats) -> Floats:
    """(K, H, W) float32, each plane without what is negative and divided by its maximum."""
    positive = np.maximum(planes, 0)
    largest = positive.max(axis=(1, 2), keepdims=True, initial=0)
    scaled: Floats = np.divide(positive, largest, out=np.zeros_like(positive), where=largest > 0)
    return scaled


def _index(name: str, classes: Sequence[str], field: str) -> int:
    if name == "ignore":
        return IGNORE
    if name not in classes:
        raise ConfigError(f"{field}: {name!r} is no class of the data set (classes: {', '.join(classes)}, or ignore)")
    return list(classes).index(name)
