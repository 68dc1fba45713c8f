"""Reported beside measured, claims with their verdict, and failures: the page's three tables of words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.leaderboard import columns as text
from harness.leaderboard.frame import Board, ReportedNumber, Row
from harness.leaderboard.reported import kind_of, measured_like, plain, reported_settings, split_confirmed
from harness.records.seeds import names_of

_KINDS = {"holds": "good", "does not hold": "bad", "unresolved": "unsure", "not comparable": "none"}


@dataclass(frozen=True)
class ClaimView:
    """One claim of a paper and its answer; ``kind`` is the style of the verdict."""

    name: str
    text: str
    reported: str
    measured: str
    verdict: str
    reason: str
    kind: str
    source: str
    answered: bool


@dataclass(frozen=True)
class ReportedView:
    """One number of a paper beside the measured one of the same kind; ``measured_name`` is the kind with its split."""

    row: int
    method: str
    metric: str
    reported: str
    measured: str
    measured_name: str
    difference: str
    verdict: str
    reason: str
    kind: str
    protocol: str
    source: str


@dataclass(frozen=True)
class FailureView:
    """Why a row lacks numbers."""

    row: int
    method: str
    backbone: str
    status: str
    seed: int
    stage: str
    kind: str
    message: str
    log: str


def claims_of(board: Board) -> list[ClaimView]:
    """The claims that the frame has answers to."""
    views = []
    for answer in board.claims:
        sign = "/" if answer.relative else "\N{MINUS SIGN}"
        where = f", {answer.backbone}" if answer.backbone else ""
        measured = f"no {answer.left} {sign} {answer.right}"
        if answer.measured is not None:
            measured = _amount(answer.measured, relative=answer.relative)
            if answer.low is not None and answer.high is not None:
                low, high = (_amount(end, relative=answer.relative) for end in (answer.low, answer.high))
                measured += f" [{low}, {high}]{f', {names_of(answer.seeds)}' if answer.seeds else ''}"
        view = ClaimView(
            name=f"{answer.left} {answer.direction} {answer.right} ({text.claim_metric(answer)}{where})",
            text=answer.text,
            reported=_amount(answer.reported, relative=answer.relative),
            measured=measured,
            verdict=answer.verdict,
            reason=answer.reason,
            kind=_KINDS[answer.verdict],
            source=". ".join(part for part in (answer.source, answer.setting) if part),
            answered=answer.answered,
        )
        views.append(view)
    return views


def _amount(value: float | None, *, relative: bool) -> str:
    """A difference in points with its sign, or a ratio in per cent."""
    if value is None:
        return "direction only"
    return f"{100 * value:.1f} %" if relative else signed(value)


def signed(value: float) -> str:
    """A difference of fractions in points, with its sign."""
    text = f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return text if text.strip("+\N{MINUS SIGN}0.") else "0.0"


def reported_of(rows: Iterable[Row]) -> list[ReportedView]:
    """Every reported number of the rows, validation numbers first."""
    views = []
    for index, row in enumerate(rows):
        for number in sorted(row.reported or (), key=lambda number: kind_of(number) != "val"):
            measured = measured_like(row, number)
            verdict, reason, kind = verdict_on(row, number)
            view = ReportedView(
                row=index,
                method=row.method,
                metric=number.metric,
                reported=text.percent(number.value) or "",
                measured=(measured and text.interval(measured.value, measured.low, measured.high)) or "—",
                measured_name=measured.name if measured else "",
                difference=signed(measured.value - number.value) if measured else "—",
                verdict=verdict,
                reason=reason,
                kind=kind,
                protocol=reported_settings(number),
                source=number.source,
            )
            views.append(view)
    return views


def verdict_on(row: Row, number: ReportedNumber) -> tuple[str, str, str]:
    """(verdict, reason, style): whether the measured number agrees, where the two can be compared at all."""
    if kind_of(number) is None:
        return "not comparable", "no number of this metric and split is measured here", "none"
    measured = measured_like(row, number)
    if measured is None or measured.low is None or measured.high is None:
        return "no measurement", text.status(row) if row.error or row.status != "ok" else "", "none"
    if other := _other_settings(row, number):
        return "not comparable", "; ".join(other), "none"
    if measured.low <= number.value <= measured.high:
        return "agrees", "inside the measured interval", "good"
    side = "below" if measured.value < number.value else "above"
    return f"measured {side}", "outside the measured interval", "bad" if side == "below" else "unsure"


def _other_settings(row: Row, number: ReportedNumber) -> list[str]:
    """What the reported number was measured with, where that differs or is not confirmed."""
    split = [] if split_confirmed(number) else ["split not confirmed"]
    return split + [
        f"{what} {'not confirmed' if theirs is None else theirs}"
        for what, theirs, ours in (
            ("data set", number.dataset, row.dataset),
            ("backbone", number.backbone, row.backbone),
            ("weights", number.init, row.init),
        )
        if plain(theirs) != plain(ours)
    ]


def failures_of(rows: Iterable[Row]) -> list[FailureView]:
    """One entry for every row that is not ``ok`` or has no score."""
    return [
        FailureView(
            row=index,
            method=row.method,
            backbone=row.backbone,
            status=row.status,
            seed=row.error.seed,
            stage=row.error.stage or "—",
            kind=row.error.kind,
            message=row.error.message,
            log=row.error.log or "—",
        )
        for index, row in enumerate(rows)
        if row.error is not None
    ]
