"""Cost against quality as plain geometry: axes with round ticks, points with intervals, names that do not collide."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from harness.contract.supervision import Supervision
from harness.leaderboard.frame import Row
from harness.leaderboard.page.rows import Scale
from harness.leaderboard.pretrained import name_in
from harness.records.seeds import names_of

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 34, WIDTH - 14, 26, HEIGHT - 42
ZERO_GAP = 46
"""Pixels between the place of cost zero and the logarithmic axis."""
LETTER = 6.3
"""Pixels that a letter of a name takes, for the placing of names."""

_SHAPES = ("circle", "square", "diamond", "up", "down", "plus")
_COLOURS = 5
"""Of kinds of supervision; the sixth, grey, is that of no supervision."""


@dataclass(frozen=True)
class Series:
    """A kind of supervision: its number (colour), its shape, its name."""

    number: int
    shape: str
    name: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """A row in the plot; ``low`` and ``high`` are the pixels of its interval."""

    row: int
    title: str
    label: str
    x: float
    y: float
    low: float
    high: float
    series: int
    shape: str
    label_x: float = 0.0
    label_y: float = 0.0
    anchor: str = "start"


@dataclass(frozen=True)
class Plot:
    """One diagram."""

    title: str
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    points: list[Point]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    bottom: int = BOTTOM


@dataclass(frozen=True)
class CostAxis:
    """A logarithmic axis with a place of its own for zero."""

    log: Scale
    zero: float | None

    def at(self, cost: float) -> float:
        """Pixel of ``cost``."""
        return self.log.at(math.log10(cost)) if cost > 0 else float(self.zero or LEFT)


def series_of(rows: Iterable[Row]) -> dict[str, Series]:
    """A colour and a shape for each kind of supervision, shares of images left aside; thirty of them are all different.

    Rows without supervision have a shape and a colour that no kind has.
    """
    nouns = {kind.letter: kind.noun for kind in Supervision}
    series = {}
    for place, kind in enumerate(sorted({kind_of(row) for row in rows}, key=lambda kind: (kind == "none", kind))):
        if kind == "none":
            series[kind] = Series(_COLOURS + 1, "cross", "no supervision")
            continue
        words = []
        for need in kind.split("+"):
            if network := name_in(need.strip()):
                words.append(network)
                continue
            letter = need.strip().removesuffix("(aux)")
            words.append(nouns.get(letter, letter) + (" of other images" if letter != need.strip() else ""))
        series[kind] = Series(place % _COLOURS + 1, _SHAPES[place % len(_SHAPES)], " and ".join(words))
    return series


def kind_of(row: Row) -> str:
    """Supervision without shares, for example ``B+F`` of ``B+F18%``."""
    return re.sub(r"\d[\d.e-]*%", "", row.supervision) if row.supervision != "none" else "none"


def plots_of(rows: Sequence[Row], series: Mapping[str, Series], *, name_backbones: bool) -> list[Plot]:
    """Annotation hours and compute, each where a row has both cost and quality."""
    axes: tuple[tuple[str, str, Callable[[Row], float | None]], ...] = (
        ("Annotation time, from published costs a label", "hours of labelling", lambda row: row.annotation_hours),
        ("Compute, all stages of one seed", "seconds", lambda row: row.seconds),
    )
    plots = (_plot(title, label, cost, rows, series, name_backbones=name_backbones) for title, label, cost in axes)
    return [plot for plot in plots if plot is not None]


def _plot(
    title: str,
    x_label: str,
    cost: Callable[[Row], float | None],
    rows: Sequence[Row],
    series: Mapping[str, Series],
    *,
    name_backbones: bool,
) -> Plot | None:
    shown = [
        (index, row, value)
        for index, row in enumerate(rows)
        if (value := cost(row)) is not None and row.val_miou is not None
    ]
    if len(shown) < 2:
        return None
    axis, x_ticks = _cost_axis([value for _, _, value in shown])
    top = max(math.ceil(10 * max(row.val_miou_high or row.val_miou or 0 for _, row, _ in shown)) / 10, 0.1)
    quality = Scale(0.0, top, BOTTOM, TOP)
    points = [
        _point(
            index,
            row,
            axis.at(value),
            cost=f"{_short(value)} {x_label}",
            quality=quality,
            series=series[kind_of(row)],
            name_backbones=name_backbones,
        )
        for index, row, value in shown
    ]
    step = 0.1 if top <= 0.5 else 0.2
    y_ticks = [Tick(quality.at(n * step), f"{100 * n * step:.0f}") for n in range(round(top / step + 0.49) + 1)]
    y_ticks = [tick for tick in y_ticks if tick.at >= TOP - 1]
    return Plot(title, x_label, x_ticks, y_ticks, place_labels(points))


def _cost_axis(costs: Sequence[float]) -> tuple[CostAxis, list[Tick]]:
    positive = [cost for cost in costs if cost > 0] or [1.0]
    low, high = math.log10(min(positive)), math.log10(max(positive))
    margin = max(0.08 * (high - low), 0.08)
    has_zero = min(costs) <= 0
    start = LEFT + ZERO_GAP if has_zero else LEFT + 8
    log = Scale(low - margin, high + margin, start, RIGHT - 8)
    axis = CostAxis(log, LEFT + 14 if has_zero else None)
    ticks = [Tick(axis.at(0), "0")] if has_zero else []
    decades = range(math.floor(log.low), math.ceil(log.high) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)  # more would run into each other on many decades
    for decade, step in product(decades, steps):
        value = step * 10.0**decade
        if 10**log.low <= value <= 10**log.high:
            ticks.append(Tick(axis.at(value), _short(value)))
    return axis, ticks


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _point(index: int, row: Row, x: float, *, cost: str, quality: Scale, series: Series, name_backbones: bool) -> Point:
    """The marker of a row at the pixel ``x``, without a place for its name."""
    mean = row.val_miou or 0.0
    low, high = row.val_miou_low, row.val_miou_high
    label = f"{row.method}, {row.backbone}" if name_backbones else row.method
    return Point(
        row=index,
        title=f"{row.method} on {row.backbone}: {100 * mean:.1f} % val mIoU, {names_of(row.seeds)}, {cost}",
        label=label if len(label) <= 34 else f"{label[:33]}…",
        x=x,
        y=quality.at(mean),
        low=quality.at(mean if low is None else low),
        high=quality.at(mean if high is None else high),
        series=series.number,
        shape=series.shape,
    )


Rectangle = tuple[float, float, float, float]


def place_labels(points: Sequence[Point]) -> list[Point]:
    """Put every name where it covers no marker and no other name, as far as there is room.

    Names are placed from top to bottom; of a fixed list of places around its point each takes the first free one, or
    the least covered one.
    """
    taken: list[Rectangle] = [(point.x - 6, point.y - 6, point.x + 6, point.y + 6) for point in points]
    placed: dict[int, Point] = {}
    for point in sorted(points, key=lambda point: (point.y, point.x, point.row)):
        marker = (point.x - 6, point.y - 6, point.x + 6, point.y + 6)
        others = [box for box in taken if box != marker]
        best = min(_places(point), key=lambda place: (_covered(_box(place), others), _places(point).index(place)))
        taken.append(_box(best))
        placed[point.row] = best
    return [placed[point.row] for point in points]


def _places(point: Point) -> list[Point]:
    """The point with its name at each place where it may stand, the preferred places first."""
    beside = [(9.0, 0.0, "start"), (-9.0, 0.0, "end")]
    offsets = (-11.0, 11.0, -22.0, 22.0, -33.0, 33.0)
    aslant = [(dx, dy, anchor) for dy in offsets for dx, _, anchor in beside]
    return [
        replace(point, label_x=round(point.x + dx, 1), label_y=round(point.y + dy, 1), anchor=anchor)
        for dx, dy, anchor in beside + aslant
    ]


def _box(point: Point) -> Rectangle:
    width = LETTER * len(point.label)
    left = point.label_x if point.anchor == "start" else point.label_x - width
    return left, point.label_y - 6, left + width, point.label_y + 6


def _covered(box: Rectangle, others: Iterable[Rectangle]) -> float:
    """Area of ``box`` that lies under others or outside the diagram; outside counts double."""
    left, top, right, bottom = box
    shared = sum(
        max(min(right, other[2]) - max(left, other[0]), 0.0) * max(min(bottom, other[3]) - max(top, other[1]), 0.0)
        for other in others
    )
    outside = max(right - WIDTH, 0.0) + max(LEFT - left, 0.0)
    below = max(bottom - BOTTOM, 0.0) + max(TOP - 14 - top, 0.0)
    return shared + 24 * outside + 2 * below * (right - left)
