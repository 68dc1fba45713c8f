"""A folder of other people's files: what each says of its image, compared with what the data set says.

The plan compares every file before anything is computed, from *facts* that are remembered with the file's digest; the
generator compares again what it reads.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.contract import BACKGROUND, IGNORE, ConfigError, DataError, View
from harness.data import MOST_COLOURS, SUFFIXES, LabelFile, described, read_label_file
from wsss_external.method import Numbers, bases_of_planes, colour_numbers, exact_bases, packed, possible_bases
from wsss_external.params import Numbering

INDICES, COLOURS, KEYED, STACKED = range(4)
"""Forms of a file."""

_KIND = "label file 1"
_SLACK = 1e-3
"""By how much rounding may lead a score out of [0, 1]."""


@dataclass(frozen=True)
class Facts:
    """What the comparison needs to know of a file.

    Attributes:
        form: One of the four.
        height: Of the map; ``width`` likewise.
        within: Whether all scores lie in [0, 1].
        planes: How many there are.
        named: Numbers, packed colours or keys in the file; of a stack the planes that are not zero everywhere.
        strongest: Of a stack, the planes that are the largest somewhere.
    """

    form: int
    height: int
    width: int
    within: bool
    planes: int
    named: tuple[int, ...]
    strongest: tuple[int, ...] = ()

    def numbers(self) -> tuple[int, ...]:
        """As whole numbers, which a cache of digests keeps."""
        head = (self.form, self.height, self.width, int(self.within), self.planes, len(self.named))
        return (*head, *self.named, *self.strongest)

    @classmethod
    def of_numbers(cls, numbers: Sequence[int]) -> Facts:
        """The inverse of ``numbers``."""
        form, height, width, within, planes, count, *rest = numbers
        return cls(form, height, width, bool(within), planes, tuple(rest[:count]), tuple(rest[count:]))


def facts_of(file: LabelFile) -> Facts:
    """The facts of a file that was read."""
    height, width = file.size
    if file.indices is not None:
        return Facts(INDICES, height, width, True, 0, tuple(np.unique(file.indices).tolist()))
    if file.colours is not None:
        return Facts(
            COLOURS, height, width, True, 0, tuple(np.unique(packed(file.colours)).tolist()[: MOST_COLOURS + 1])
        )
    planes = file.planes
    assert planes is not None
    low, high = float(planes.min(initial=0)), float(planes.max(initial=0))
    within = low >= -_SLACK and high <= 1 + _SLACK
    if file.numbers is not None:
        return Facts(KEYED, height, width, within, len(planes), file.numbers)
    present = tuple(np.flatnonzero((planes > 0).any(axis=(1, 2))).tolist())
    return Facts(STACKED, height, width, within, len(planes), present, tuple(np.unique(planes.argmax(axis=0)).tolist()))


def remembered(path: Path) -> Facts:
    """The facts of a file, read only where nobody remembers them."""
    return Facts.of_numbers(described(path, _KIND, lambda: facts_of(read_label_file(path)).numbers())[1])


def find(folder: Path, image_id: str, suffix: str | None) -> Path | None:
    """The file of an image, or ``None``.

    Raises:
        DataError: There are several, so nobody knows which one counts.
    """
    paths = [folder / f"{image_id}{end}" for end in ((suffix,) if suffix is not None else SUFFIXES)]
    there = [path for path in paths if os.path.lexists(path)]  # a link that leads nowhere is a file to complain of
    if len(there) > 1:
        raise DataError(
            f"image {image_id!r} has {there[0].name} and {there[1].name} in {folder}; say which by `suffix`"
        )
    return there[0] if there else None


def found_files(params: Numbering, folder: Path, ids: Sequence[str]) -> dict[str, Path | None]:
    """The file of each image.

    Raises:
        DataError: An image has none, and that is not allowed; counts them.
    """
    files = {image_id: find(folder, image_id, params.suffix) for image_id in ids}
    refuse_missing(params, [image_id for image_id, path in files.items() if path is None], len(ids), str(folder))
    return files


def refuse_missing(params: Numbering, missing: Sequence[str], count: int, where: str) -> None:
    """Refuse images without a file, unless they are allowed.

    Raises:
        DataError: They are not; one sentence that counts them.
    """
    if len(missing) == count:
        raise DataError(f"{where}: holds a file of none of the {count} images, for example of {missing[0]!r}")
    if missing and params.missing == "refuse":
        raise DataError(
            f"{where}: {len(missing)} of {count} images have no file, the first is {missing[0]!r}; add them, or set "
            "`missing: ignore` (255) or `missing: background`"
        )


def base_of(params: Numbering, view: View, facts: Iterable[tuple[str, Facts]], *, tags: bool) -> int:
    """The base of the class numbers, stated or told by the tags.

    Args:
        params: With the stated base, or the numbers, which need none.
        view: With the tags.
        facts: Of the images' files; no more of them are looked at than it takes.
        tags: Whether the tags can be asked.

    Raises:
        ConfigError: The tags allow both bases.
    """
    if params.base != "auto" or params.numbers is not None:
        return 1 if params.base == "auto" else params.base
    left = exact = frozenset({0, 1})
    asked = False
    for image_id, item in facts:
        if item.form != KEYED:
            break
        if not item.named:
            continue
        if not tags:
            raise ConfigError("base: without tags nothing says which class a key is; set base to 0 or 1, or numbers")
        left, asked = left & _bases(params, view, image_id, item), True
        if len(left) < 2:
            return min(left, default=1)
        exact &= exact_bases(item.named, view.tags(image_id))
    if asked and len(exact) == 1:
        return min(exact)
    if asked:
        raise ConfigError("base: the tags of all images allow 0 and 1; set base to one of them")
    return 1


def _bases(params: Numbering, view: View, image_id: str, item: Facts) -> frozenset[int]:
    foreground = len(view.classes) - 1
    limit = foreground if params.other != "error" else None
    return possible_bases(item.named, view.tags(image_id), limit)


class Comparison:
    """Compares files with the data set.

    Args:
        params: How their numbers become classes.
        view: Sizes, and tags where they are declared.
        base: Of the class numbers.
        tags: Whether a file may name only the tags of its image.
        scores: Whether scores without a background plane are allowed, and scores smaller than the image.
        normalise: Whether scores may lie outside of [0, 1].
    """

    def __init__(
        self, params: Numbering, view: View, base: int, *, tags: bool, scores: bool = True, normalise: bool = False
    ) -> None:
        self.params, self.view, self.base = params, view, base
        self.numbers = Numbers.at(params, view.classes, base)
        self._tags, self._scores, self._normalise = tags, scores, normalise

    def check(self, image_id: str, path: Path, facts: Facts) -> None:
        """Check a file against its image.

        Raises:
            DataError: It has another size, names a class that the data set or the image has not, or holds scores that
                are none; names image and file.
        """
        try:
            self._check_size(image_id, facts)
            named = self._named(facts)
            if self._tags:
                self._check_tags(image_id, facts, named)
        except DataError as error:
            raise DataError(f"image {image_id!r}: {path}: {error}") from None

    def _check_size(self, image_id: str, facts: Facts) -> None:
        (height, width), size = self.view.size(image_id), (facts.height, facts.width)
        sizes = f"is {facts.height}x{facts.width}, the image {height}x{width} (height x width)"
        if facts.form in (INDICES, COLOURS) and size != (height, width):
            raise DataError(f"{sizes}; a label map must have the size of its image")
        if facts.form in (KEYED, STACKED) and facts.planes:
            if facts.height > height or facts.width > width or (size == (width, height) and height != width):
                raise DataError(
                    f"{sizes}; maps of scores may be smaller, and are then resized, but not larger or turned"
                )
            if not facts.within and not self._normalise:
                raise DataError("its scores leave [0, 1]; set `normalise: true` to divide each map by its maximum")

    def _named(self, facts: Facts) -> dict[int, int]:
        """Foreground classes that the file names, and the number or colour that it gives each."""
        if facts.form == COLOURS:
            table = colour_numbers(self.params, self.view.classes)
            self._refuse_colours([colour for colour in facts.named if colour not in table], len(facts.named))
            indices = {table[colour]: colour for colour in facts.named if colour in table}
        else:
            numbers = facts.named
            if facts.form == INDICES and IGNORE not in self.numbers.table:
                numbers = tuple(number for number in numbers if number != IGNORE)
            if facts.form == STACKED:
                numbers = self._of_stack(facts)
            indices = {self.index(facts, number): number for number in numbers}
            if not self._scores and facts.form == KEYED and BACKGROUND not in indices:
                raise DataError("its scores have no plane of the background, which predictions need")
        return {index: number for index, number in indices.items() if index > 0 and index != IGNORE}

    def _of_stack(self, facts: Facts) -> tuple[int, ...]:
        if self.params.numbers is not None:
            return facts.strongest if BACKGROUND in self.params_indices(facts) else facts.named
        with_background = bases_of_planes(facts.planes, len(self.view.classes))
        if not self._scores and not with_background:
            raise DataError(
                f"{facts.planes} planes of scores; predictions of {len(self.view.classes)} classes need as many"
            )
        return facts.strongest if with_background else facts.named

    def params_indices(self, facts: Facts) -> list[int]:
        """Class index of each plane of a stack."""
        return [self.index(facts, number) for number in range(facts.planes)]

    def index(self, facts: Facts, number: int) -> int:
        """Class index of a number or key of a file, or of a plane of a stack.

        Raises:
            DataError: It names no class.
        """
        if facts.form == STACKED and self.params.numbers is None:
            return number + 1 - bases_of_planes(facts.planes, len(self.view.classes))
        return self.numbers.index(number)

    def _refuse_colours(self, unknown: Sequence[int], count: int) -> None:
        if count > MOST_COLOURS:
            raise DataError(f"has more than {MOST_COLOURS} colours, so it is a photograph and no label map")
        if unknown and self.params.other == "error":
            colour = [unknown[0] >> 16, unknown[0] >> 8 & 255, unknown[0] & 255]
            raise DataError(f"colour {colour} is of no class; name it in `colours`, or set `other`")

    def _check_tags(self, image_id: str, facts: Facts, named: dict[int, int]) -> None:
        tags = self.view.tags(image_id)
        wrong = sorted(set(named) - set(tags))
        free = facts.form == KEYED and self.params.numbers is None
        fitting = _bases(self.params, self.view, image_id, facts) if free else frozenset()
        other = f", and would fit at base {1 - self.base}" if 1 - self.base in fitting else ""
        listed = ", ".join(repr(self.view.classes[tag]) for tag in tags) or "nothing"
        if wrong:
            number, at = named[wrong[0]], f" at base {self.base}" if free else ""
            shown = "" if facts.form == COLOURS else f" (number {number}{at})"
            raise DataError(f"names class {self.view.classes[wrong[0]]!r}{shown}, the image is tagged {listed}{other}")
        if free and facts.named and fitting and self.base not in fitting:
            raise DataError(f"names the background alone at base {self.base}, the image is tagged {listed}{other}")


def check_folder(
    params: Numbering, folder: Path, view: View, *, tags: bool, compare: Callable[[int], Comparison]
) -> str:
    """Compare every file of a folder with its image, for the plan.

    Args:
        params: How numbers become classes.
        folder: Where the files lie.
        view: The images.
        tags: Whether the tags can be asked.
        compare: The comparison at a base.

    Returns:
        What a reader should know: missing files, resized maps.

    Raises:
        DataError: A file is missing or does not fit its image.
        ConfigError: The base cannot be told.
    """
    files = found_files(params, folder, view.ids)
    there = {image_id: path for image_id, path in files.items() if path is not None}
    facts = {image_id: remembered(path) for image_id, path in there.items()}
    comparison = compare(base_of(params, view, facts.items(), tags=tags))
    for image_id, item in facts.items():
        comparison.check(image_id, there[image_id], item)
    return "; ".join(_notes(params, view, facts, len(files)))


def _notes(params: Numbering, view: View, facts: dict[str, Facts], count: int) -> Iterator[str]:
    if len(facts) < count:
        yield f"{count - len(facts)} of {count} images have no file ({params.missing})"
    resized = Counter(
        (item.height, item.width) != tuple(view.size(image_id)) for image_id, item in facts.items() if item.planes
    )[True]
    if resized:
        yield f"{resized} of {len(facts)} maps are smaller than their image and resized to it"
