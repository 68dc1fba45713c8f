"""Reported beside measured, claims with their verdict, and failures: the page's three tables of words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.leaderboard import columns as text
from harness.leaderboard.frame import Board, ClaimAnswer, ReportedNumber, Row

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


@dataclass(frozen=True)
class ReportedView:
    """One number of a paper beside the measured one."""

    row: int
    method: str
    metric: str
    reported: str
    measured: str
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
    return [_claim(answer) for answer in board.claims]


def _claim(answer: ClaimAnswer) -> ClaimView:
    sign = "/" if answer.relative else "\N{MINUS SIGN}"
    where = f", {answer.backbone}" if answer.backbone else ""
    return ClaimView(
        name=f"{answer.left} {answer.direction} {answer.right} ({answer.metric}{where})",
        text=answer.text,
        reported=_amount(answer.reported, relative=answer.relative),
        measured=_measured(answer) if answer.measured is not None else f"no {answer.left} {sign} {answer.right}",
        verdict=answer.verdict,
        reason=answer.reason,
        kind=_KINDS[answer.verdict],
        source=". ".join(part for part in (answer.source, answer.setting) if part),
    )


def _measured(answer: ClaimAnswer) -> str:
    value = _amount(answer.measured, relative=answer.relative)
    if answer.low is None or answer.high is None:
        return value
    low, high = (_amount(end, relative=answer.relative) for end in (answer.low, answer.high))
    return f"{value} [{low}, {high}]"


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
    return [
        _reported(index, row, number)
        for index, row in enumerate(rows)
        for number in sorted(row.reported or (), key=lambda number: number.split != "val")
    ]


def _reported(index: int, row: Row, number: ReportedNumber) -> ReportedView:
    value, low, high = measured_like(row, number)
    verdict, reason, kind = verdict_on(row, number)
    return ReportedView(
        row=index,
        method=row.method,
        metric=number.metric,
        reported=text.percent(number.value) or "",
        measured=text.interval(value, low, high) or "—",
        difference="—" if value is None else signed(value - number.value),
        verdict=verdict,
        reason=reason,
        kind=kind,
        protocol=text.reported_protocol(number),
        source=number.source,
    )


def measured_like(row: Row, number: ReportedNumber) -> tuple[float | None, float | None, float | None]:
    """The measured number of the same kind with its interval."""
    if number.split == "val":
        return row.val_miou, row.val_miou_low, row.val_miou_high
    return row.pseudo_miou, row.pseudo_miou_low, row.pseudo_miou_high


def verdict_on(row: Row, number: ReportedNumber) -> tuple[str, str, str]:
    """(verdict, reason, style): whether the measured number agrees, where the two can be compared at all."""
    value, low, high = measured_like(row, number)
    if value is None or low is None or high is None:
        return "no measurement", text.status(row) if row.status != "ok" else "", "none"
    other = [
        f"{what} {'not confirmed' if theirs is None else theirs}"
        for what, theirs, ours in (
            ("data set", number.dataset, row.dataset),
            ("backbone", number.backbone, row.backbone),
            ("weights", number.init, row.init),
        )
        if _plain(theirs) != _plain(ours)
    ]
    if other:
        return "not comparable", "; ".join(other), "none"
    if low <= number.value <= high:
        return "agrees", "inside the measured interval", "good"
    side = "below" if value < number.value else "above"
    return f"measured {side}", "outside the measured interval", "bad" if side == "below" else "unsure"


def _plain(name: str | None) -> str:
    return "".join(char for char in (name or "").lower() if char.isalnum())


def failures_of(rows: Iterable[Row]) -> list[FailureView]:
    """One entry for every row that is not ``ok``."""
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
