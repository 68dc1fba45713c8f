"""A data set as one HTML file that needs no network and runs no script.

Every text is escaped by the template engine, and a content security policy allows no script at all: no file name of a
data set can become code. Pictures are small copies inside the page, so it shows images to whoever has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cli.data_page.pictures import Picture, colours_of, evidence, photograph
from harness.contract import Dataset
from harness.data.check_report import CheckReport, SplitReport, by_hash, causes
from harness.data.files import Defect
from harness.leaderboard.page.templating import TEMPLATES, environment

SAMPLE = 12
"""Images of each split; more where it takes more to show every class."""

_CAUSES, _PICTURED, _NAMED = 40, 3, 200
"""Causes on the page, images of a cause that are drawn, and that are named."""
_SIZES = 8


@dataclass(frozen=True)
class ClassRow:
    """One line of the table of classes; shares, in [0, 1], are those of the largest number; of tags without masks."""

    name: str
    colour: str
    images: str
    tagged: str
    boxes: str
    pixels: str
    images_share: float
    tagged_share: float
    pixels_share: float
    marks: list[str]


@dataclass(frozen=True)
class SplitView:
    """What the page says about a split."""

    name: str
    facts: list[tuple[str, str]]
    marks: list[str]
    classes: list[ClassRow]
    sizes: list[tuple[str, str, float]]
    sample: list[Picture]


@dataclass(frozen=True)
class CauseView:
    """One kind of defect or notice: the first sentence in full, pictures of some images, the names of the others."""

    split: str
    message: str
    count: int
    pictures: list[Picture]
    names: list[str]
    more: int


@dataclass(frozen=True)
class DataPage:
    """What ``data.html.j2`` lays out."""

    name: str
    clean: bool
    facts: list[tuple[str, str]]
    palette: list[tuple[str, str]]
    splits: list[SplitView]
    defects: list[CauseView]
    notices: list[CauseView]
    other_causes: int


def to_html(
    report: CheckReport, dataset: Dataset, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> str:
    """The whole page.

    Args:
        report: What ``check`` found in ``dataset``.
        dataset: Read again for the images that the page shows.
        progress: Told pictures drawn, and pictures in all.
    """
    page = page_of(report, dataset, progress=progress)
    folder = Path(__file__).parent / "templates"
    css = [
        (place / name).read_text(encoding="utf-8") for place, name in ((TEMPLATES, "page.css"), (folder, "data.css"))
    ]
    return environment(folder).get_template("data.html.j2").render(page=page, css="".join(css))


def page_of(report: CheckReport, dataset: Dataset, *, progress: Callable[[int, int], None]) -> DataPage:
    """Everything that the page says."""
    defects, notices = causes(report.defects), causes(report.notices)
    shown = [split for split in report.splits if split.images]
    total, done = len(shown) + len(defects[:_CAUSES]) + len(notices[:_CAUSES]), 0
    views: list[list[CauseView]] = []
    splits = []
    for split in shown:
        splits.append(_split_view(split, _part(dataset, split.split)))
        progress(done := done + 1, total)
    for found in (defects, notices):
        views.append([])
        for cause in found[:_CAUSES]:
            views[-1].append(_cause_view(cause, _part(dataset, cause[0].split)))
            progress(done := done + 1, total)
    return DataPage(
        name=report.name,
        clean=report.clean,
        facts=_facts(report, dataset),
        palette=colours_of(dataset.classes),
        splits=splits,
        defects=views[0],
        notices=views[1],
        other_causes=max(len(defects) - _CAUSES, 0) + max(len(notices) - _CAUSES, 0),
    )


def _part(dataset: Dataset, label: str) -> Dataset:
    """The data set of a split: ``auxiliary train`` belongs to the auxiliary one."""
    return dataset.auxiliary if label.startswith("auxiliary") and dataset.auxiliary is not None else dataset


def _facts(report: CheckReport, dataset: Dataset) -> list[tuple[str, str]]:
    images = [(f"{split.split} images", f"{split.images:,}") for split in report.splits if split.images]
    counts = [("classes", str(len(dataset.classes))), ("background", dataset.classes[0])]
    if report.made_from_masks:
        counts.append(("made from masks", ", ".join(report.made_from_masks)))
    return [*images, *counts, ("defects", f"{len(report.defects):,}"), ("notices", f"{len(report.notices):,}")]


def _split_view(report: SplitReport, dataset: Dataset) -> SplitView:
    split = report.split.rpartition(" ")[2]
    ranked = sorted(dataset.ids(split), key=by_hash)
    others = [image_id for image_id in ranked if image_id not in report.examples]
    wanted = sorted([*report.examples, *others[: max(SAMPLE - len(report.examples), 0)]], key=by_hash)
    sample = [picture for picture in (photograph(dataset, image_id) for image_id in wanted) if picture is not None]
    most = max((size.images for size in report.sizes), default=1)
    sizes = [(f"{s.width}x{s.height}", f"{s.images:,}", s.images / most) for s in report.sizes[:_SIZES]]
    rest = report.sizes[_SIZES:]
    if rest:
        count = sum(size.images for size in rest)
        sizes.append((f"{len(rest)} others", f"{count:,}", min(count / most, 1.0)))
    marks = list(report.classes[0].marks)
    return SplitView(report.split, _split_facts(report), marks, _class_rows(report), sizes, sample)


def _split_facts(report: SplitReport) -> list[tuple[str, str]]:
    facts = [("images", f"{report.images:,}")]
    boxes = sum(count.boxes for count in report.classes)
    facts.append(("boxes", f"{boxes:,}" if boxes else "none"))
    ignored, pixels = report.ignored_pixels, _pixels(report)
    facts.append(("ignored pixels", f"{ignored / pixels:.1%}" if ignored is not None and pixels else "no masks"))
    if report.sizes:
        sides = [side for size in report.sizes for side in (size.height, size.width)]
        facts.append(("sides", f"{min(sides)} to {max(sides)} pixels"))
    return facts


def _class_rows(report: SplitReport) -> list[ClassRow]:
    """One row for each class; a dash where the split has no masks at all."""
    pixels = _pixels(report)
    most_images = max(*(max(count.images or 0, count.tagged) for count in report.classes), 1)
    most_pixels = max(*(count.pixels or 0 for count in report.classes[1:]), 1)
    colours = ["#000000", *(colour for _, colour in colours_of([count.name for count in report.classes])[:-1])]
    return [
        ClassRow(
            name=count.name,
            colour=colour,
            images=f"{count.images:,}" if pixels and count.images is not None else "-",
            tagged=f"{count.tagged:,}" if index else "",
            boxes=f"{count.boxes:,}" if index else "",
            pixels=f"{count.pixels / pixels:.2%}" if pixels and count.pixels is not None else "-",
            images_share=(count.images or 0) / most_images,
            tagged_share=0.0 if count.images else count.tagged / most_images,
            pixels_share=(count.pixels or 0) / most_pixels if index else 0.0,
            marks=[f"{number:,}" for number in count.marks.values()],
        )
        for index, (count, colour) in enumerate(zip(report.classes, colours, strict=True))
    ]


def _pixels(report: SplitReport) -> int:
    """Pixels of all masks of the split, ignored ones included; 0 where it has none."""
    return sum(count.pixels or 0 for count in report.classes) + (report.ignored_pixels or 0)


def _cause_view(alike: Sequence[Defect], dataset: Dataset) -> CauseView:
    pictures = [picture for defect in alike[:_PICTURED] for picture in evidence(dataset, defect)]
    names = [defect.image_id or "a line" for defect in alike[1:]]
    return CauseView(
        alike[0].split, alike[0].message, len(alike), pictures, names[:_NAMED], max(len(names) - _NAMED, 0)
    )
