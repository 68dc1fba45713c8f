"""One row on one screen: the facts of ``harness.api.row_sheet`` as a terminal shows them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.columns import Columns
from rich.table import Table
from rich.text import Text

from harness.api.row_sheet import Curve, Place, RowFacts, ScoreOfRow, Setting
from harness.common.literal import LiteralConsole
from harness.common.text import one_line
from harness.leaderboard import pretrained
from harness.leaderboard.columns import HOURS, PEAK, SECONDS, SUPERVISION, interval, method, metric, percent
from harness.records.seeds import names_of
from harness.records.truth import notes_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.contract.run_record import StageInfo
    from harness.scoring.statistics import Interval

_NONE = "—"
_BARS, _PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*#"
_WIDTH = 100
"""Cells of a sheet that is no terminal's."""
_SEEDS = 5
"""Seeds that get a column each; more are told by their spread alone."""
_ONE_COLUMN = 12
"""Classes that stand below each other with a bar; more stand side by side."""


@dataclass(frozen=True, repr=False)
class RowSheet:
    """One row: a rich renderable, and as text what ``wsss show`` prints.

    Attributes:
        facts: Everything that it shows.
    """

    facts: RowFacts

    def __repr__(self) -> str:
        return self.text()

    def text(self, width: int = _WIDTH) -> str:
        """The sheet as plain text of ``width`` cells; paths may be longer."""
        file = io.StringIO()
        console = LiteralConsole(file=file, width=width, color_system=None, markup=False, highlight=False, emoji=False)
        console.print(self, crop=False)
        return "\n".join(line.rstrip() for line in file.getvalue().rstrip().split("\n"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the sheet out for the width that there is."""
        bars = _PLAIN_BARS if options.ascii_only else _BARS
        wide = options.max_width >= 110
        yield from _heading(self.facts)
        yield from _section("Settings of this row", _settings(self.facts))
        yield from _section("Settings of all rows, other than the defaults", _protocol(self.facts, wide=wide))
        yield from _section("Numbers: mIoU in per cent, 95 % intervals over images", _numbers(self.facts))
        yield from _section("Classes: IoU in per cent", _classes(self.facts, bars, wide=wide))
        seed = f"seed {self.facts.record.seed}"
        yield from _section(f"Losses of {seed}", _curves(self.facts.curves, bars, 48 if wide else 20))
        yield from _section(f"Stages of {seed}", _stages(self.facts.record.stages))
        yield from _section(f"Where everything of {seed} lies", map(_place, self.facts.places))


def _heading(facts: RowFacts) -> Iterator[RenderableType]:
    record, row = facts.record, facts.row
    images = ", ".join(f"{count} {split}" for split, count in sorted(record.dataset.images.items()))
    yield Text(one_line(method(row)), style="bold")
    if record.paper:
        yield Text(one_line(record.paper))
    data = f"data set {record.dataset.name} ({len(record.dataset.classes)} classes; {images} images)"
    yield Text(one_line(f"benchmark {record.benchmark}, {data}, fingerprint {record.fingerprint[:8]}"))
    price = [f"supervision {SUPERVISION.text(row)}"]
    price += [f"{text} annotation hours" if (text := HOURS.text(row)) else "no price of the annotation is known"]
    price += [f"{text} s of computing" for text in [SECONDS.text(row)] if text]
    price += [f"at most {text} MiB" for text in [PEAK.text(row)] if text]
    yield Text(one_line(", ".join(price)))
    verified = ", verified" if row.verified else ""
    yield Text(f"{names_of([run.record.seed for run in facts.runs])}: {row.status}{verified}", style=_STYLE[row.status])
    if row.error is not None:
        where = f"{row.error.stage}: " if row.error.stage else ""
        yield Text(one_line(f"seed {row.error.seed}: {where}{row.error.kind}: {row.error.message}"), style="red")
        yield from (_path(what, text) for what, text in _log_of_failure(facts))


_STYLE = {"ok": "", "partial": "yellow", "failed": "red", "timeout": "red"}


def _log_of_failure(facts: RowFacts) -> Iterator[tuple[str, str]]:
    from harness.records.files import runs_folder

    error = facts.row.error
    if error is not None and error.log is not None:
        yield "log", str(runs_folder(facts.cell.path) / error.log)


def _section(title: str, content: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """A title and what is below it; nothing where there is nothing to say."""
    content = list(content)
    if content:
        yield Text(f"\n{title}", style="bold cyan")
        yield from content


def _settings(facts: RowFacts) -> Iterator[RenderableType]:
    record = facts.record
    grid = _grid()
    grid.add_row("method", one_line(record.method if record.method != record.label else record.label))
    for item in facts.method:
        grid.add_row("", one_line(_setting(item)))
    for number, text in enumerate(facts.rounds, start=1):
        grid.add_row(f"round {number}" if len(facts.rounds) > 1 else "round", one_line(text))
    weights = f"{record.init}{f' ({record.init_sha256[:8]})' if record.init_sha256 else ''}"
    grid.add_row("backbone", one_line(f"{record.backbone}, initial weights {weights}"))
    yield grid


def _protocol(facts: RowFacts, *, wide: bool) -> Iterator[RenderableType]:
    """One paragraph for each section; what the defaults are stands there where there is room."""
    grid = _grid()
    for name, settings in facts.protocol.items():
        texts = [_setting(item) if wide else f"{item.name} {_value(item.value)}" for item in settings]
        grid.add_row(one_line(name), one_line(", ".join(texts)))
    if grid.row_count:
        yield grid


def _setting(item: Setting) -> str:
    default = "" if item.default is None else f" (not {_value(item.default)})"
    return f"{item.name} {_value(item.value)}{default}"


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return "-".join(map(_value, value)) if isinstance(value, list) and value else str(value)


def _numbers(facts: RowFacts) -> Iterator[RenderableType]:
    """One line for each score; those of single seeds where they are few."""
    seeds = [run.record.seed for run in facts.runs if run.record.status == "ok"]
    shown = seeds if 1 < len(seeds) <= _SEEDS else []
    table = _table("", "mean [95 %]", *(f"seed {seed}" for seed in shown), "images")
    for score in facts.scores:
        each = [percent(score.seeds.get(seed)) or _NONE for seed in shown]
        table.add_row(_score_name(score), _interval(score.intervals.miou), *each, str(score.images))
    for item in facts.metrics:
        text = metric(item.name, item.column).text(facts.row)
        if text is not None:
            table.add_row(one_line(item.column.header), text, *("" for _ in shown), "")
    for name, text in _single_numbers(facts):
        table.add_row(name, text, *("" for _ in shown), "")
    if table.row_count:
        yield table
    for sentence in (*notes_of([facts.record]), *pretrained.notes_of([facts.record])):
        yield Text(sentence)


def _score_name(score: ScoreOfRow) -> str:
    if score.name.round is None:
        return "segmenter on val"
    return "labels on train" + (f", round {score.name.round}" if score.name.rounds > 1 else "")


def _single_numbers(facts: RowFacts) -> Iterator[tuple[str, str]]:
    row = facts.row
    numbers = {
        "best threshold of the labels (diagnosis)": percent(row.oracle_pseudo_miou),
        "pixels with a label": percent(row.label_coverage),
        "standard deviation over seeds": percent(row.val_miou_seed_sd),
        "share of the row full": percent(row.percent_of_full) if row.method != "full" else None,
    }
    yield from ((name, text) for name, text in numbers.items() if text is not None)


def _classes(facts: RowFacts, bars: str, *, wide: bool) -> Iterator[RenderableType]:
    """IoU of each class that the truth holds: of the predictions, or of the labels where there are none."""
    names = facts.record.dataset.classes
    scores = {score.name.round is None: score for score in facts.scores}
    of_labels, of_predictions = scores.get(False), scores.get(True)
    if of_labels is None and of_predictions is None:
        return
    lines = [
        (one_line(name), _of_class(of_labels, index), _of_class(of_predictions, index))
        for index, name in enumerate(names)
    ]
    if len(names) > _ONE_COLUMN:
        yield Text("labels on train, segmenter on val", style="dim")
        yield Columns([_short(*line) for line in lines], equal=True, column_first=True, padding=(0, 3))
        return
    table = _table("", "labels on train", "segmenter on val", "")
    for name, labels, predictions in lines:
        drawn = predictions or labels
        bar = "" if drawn is None else bars[-1] * round(drawn.value * (40 if wide else 20))
        table.add_row(name, _interval(labels), _interval(predictions), bar)
    table.columns[-1].justify = "left"
    yield table


def _of_class(score: ScoreOfRow | None, index: int) -> Interval | None:
    return None if score is None else score.intervals.classes[index]


def _short(name: str, labels: Interval | None, predictions: Interval | None) -> Text:
    """A class in a few cells: IoU of labels and predictions."""
    values = " ".join(f"{percent(item.value) if item else _NONE:>5}" for item in (labels, predictions))
    return Text(f"{values}  {name}", no_wrap=True, overflow="ellipsis")


def _curves(curves: Sequence[Curve], bars: str, width: int) -> Iterator[RenderableType]:
    grid = _grid()
    for curve in curves:
        if curve.problem is not None:
            grid.add_row(one_line(curve.stage), one_line(curve.problem))
            continue
        losses = [loss for _, loss in curve.points]
        ends = f"{losses[0]:.3g} -> {losses[-1]:.3g}" if len(losses) > 1 else f"{losses[0]:.3g}"
        text = f"{sparkline(losses, bars, width)}  {ends} in {curve.points[-1][0]} steps"
        grid.add_row(one_line(curve.stage), text.strip())
    if grid.row_count:
        yield grid


def sparkline(values: Sequence[float], bars: str = _BARS, width: int = 40) -> str:
    """Values as a line of bars, the largest the highest; means of neighbours where there are more than ``width``."""
    if len(values) < 2:
        return ""
    count = min(len(values), width)
    parts = [values[place * len(values) // count : (place + 1) * len(values) // count] for place in range(count)]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    step = (high - low) / (len(bars) - 1) or 1.0
    return "".join(bars[round((mean - low) / step)] for mean in means)


def _stages(stages: Iterable[StageInfo]) -> Iterator[RenderableType]:
    """Time and memory of each stage; a stage of several rows counts in full in each."""
    stages = list({stage.key: stage for stage in stages}.values())
    on_gpu = any(stage.peak_gpu_mib is not None for stage in stages)
    table = _table("", "s", "peak MiB", *(["GPU MiB"] if on_gpu else []), "device", "key")
    for stage in stages:
        numbers = [_number(stage.seconds, 1), _number(stage.peak_mib, 0)]
        numbers += [_number(stage.peak_gpu_mib, 0)] if on_gpu else []
        table.add_row(one_line(stage.name), *numbers, one_line(stage.device or _NONE), stage.key[:12])
    if stages:
        yield table


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _interval(found: Interval | None) -> str:
    return _NONE if found is None else interval(*found) or _NONE


def _place(place: Place) -> Text:
    return _path(place.what, _NONE + " not in the store" if place.path is None else str(place.path))


def _path(what: str, path: str) -> Text:
    """A path on one line whatever the width, so that it can be copied as it stands."""
    return Text(f"  {what:<13} {one_line(path)}", no_wrap=True, overflow="ignore")


def _grid() -> Table:
    """Two columns of texts, the second one wrapped."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _table(first: str, *others: str) -> Table:
    """A table whose first column is text and the others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold")
    for header in others:
        table.add_column(header, justify="right", overflow="fold")
    return table
