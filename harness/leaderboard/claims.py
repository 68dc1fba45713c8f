"""Claims of the papers, answered by measured rows.

The rules, in one place. A claim is about one statistic: the mIoU of ``left`` minus that of ``right``, or their ratio
where the claim is relative. It is measured with its 95 % paired bootstrap interval over images, over the seeds that
both rows have, and compared with a *bound*: no difference (0, or ratio 1), or for ``>=`` the stated size.

=========  =============================  ================================  ==========================
direction  holds                          does not hold                     unresolved
=========  =============================  ================================  ==========================
``>``      the interval lies above        it lies below                     it spans the bound
``<``      it lies below                  it lies above                     it spans the bound
``>=``     no part of it lies below       all of it lies below              it spans the bound
``=``      within ``EQUAL`` of the bound  it lies wholly outside that zone  it lies partly in that zone
=========  =============================  ================================  ==========================

A claim is *not comparable* when a row is missing, failed or has no such score, when the rows have different settings,
or when they share no seed. Each claim is one question asked in advance: there is no correction for several. The stated
size is shown beside the measured one; data, backbone and schedule differ, so it decides nothing except for ``>=``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.leaderboard.frame import ClaimAnswer
from harness.records.groups import by_seed, settings_key
from harness.records.truth import why_unmeasured
from harness.scoring.paired import pair_interval
from harness.scoring.statistics import Interval

if TYPE_CHECKING:
    from harness.contract import Claim
    from harness.records.reader import Run
    from harness.registry import PluginManager

EQUAL = 0.01
"""Half width of the zone that counts as equal; a claim may state a larger one as its size."""

SCORES = {"val mIoU": "val", "pseudo-label mIoU": "pseudo"}

Verdict = Literal["holds", "does not hold", "unresolved", "not comparable"]
Settings = tuple[str, str, str, str]


class Judgement(NamedTuple):
    """A verdict and why."""

    verdict: Verdict
    reason: str


def judge(direction: str, interval: Interval, *, size: float | None = None, relative: bool = False) -> Judgement:
    """The verdict on a measured statistic; see the rules above.

    Args:
        direction: ``>``, ``<``, ``=`` or ``>=``.
        interval: left - right, or left / right where ``relative``.
        size: What the claim states.
        relative: Whether the statistic is a ratio.
    """
    bound = 1.0 if relative else 0.0
    if direction == "=":
        return _judge_equal(interval, bound, max(EQUAL, abs((bound if size is None else size) - bound)))
    if direction == ">=" and size is not None:
        bound = size
    above, below = interval.low > bound, interval.high < bound
    name = f"{100 * bound:g} {'%' if relative else 'points'}" if bound else "zero"
    if direction == ">=":
        above = interval.low >= bound
    if not above and not below:
        return Judgement("unresolved", f"the interval spans {name}")
    holds = below if direction == "<" else above
    return Judgement("holds" if holds else "does not hold", f"the interval lies {'above' if above else 'below'} {name}")


def _judge_equal(interval: Interval, bound: float, zone: float) -> Judgement:
    name = f"{100 * zone:.1f} points"
    if abs(interval.low - bound) <= zone and abs(interval.high - bound) <= zone:
        return Judgement("holds", f"the interval lies within {name} of equal")
    if interval.low > bound + zone or interval.high < bound - zone:
        return Judgement("does not hold", f"the interval lies more than {name} from equal")
    return Judgement("unresolved", f"the interval reaches in and out of {name} around equal")


def claims_of(plugins: PluginManager, runs: Iterable[Run]) -> list[Claim]:
    """Every claim on a card of a plugin that took part in one of the runs, each once, in order of registration."""
    present = {info.name for run in runs for info in run.record.plugins}
    claims: list[Claim] = []
    for kind in ("method", "generator", "refiner", "segmenter"):
        for name, record in plugins.records(kind).items():
            if record.card is not None and plugins.provider(kind, name).name in present:
                claims += [claim for claim in record.card.claims if claim not in claims]
    return claims


def answer_claims(runs: Sequence[Run], claims: Iterable[Claim]) -> list[ClaimAnswer]:
    """Answer each claim once for every group of comparable runs that holds one of its rows, else once without numbers.

    Answered claims stand first, each part in the order of the claims.

    Args:
        runs: Runs of a table.
        claims: What papers state; ``left`` and ``right`` are labels of rows, or else names of methods.

    Raises:
        DataError: A confusion file is missing, damaged or changed.
    """
    groups: dict[Settings, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (settings_key(run.record), run.record.seed)):
        groups.setdefault(settings_key(run.record), []).append(run)
    answers: list[ClaimAnswer] = []
    for claim in claims:
        rows = [(_row(group, claim.left), _row(group, claim.right)) for group in groups.values()]
        complete = [(left, right) for left, right in rows if left and right]
        answers += [_answer(claim, left, right) for left, right in complete]
        if not complete:
            sides = ((claim.left, 0), (claim.right, 1))
            missing = [name for name, side in sides if not any(pair[side] for pair in rows)]
            reason = f"no row {' and no row '.join(missing)}" if missing else "the rows have different settings"
            answers.append(_refusal(claim, reason))
    return sorted(answers, key=lambda answer: not answer.answered)


def _row(group: Sequence[Run], name: str) -> list[Run]:
    """The runs of the row of that label; without one, of the only row of that method."""
    labelled = [run for run in group if run.record.label == name]
    of_method = [run for run in group if run.record.method == name]
    return labelled or (of_method if len({run.record.label for run in of_method}) == 1 else [])


def _answer(claim: Claim, left: Sequence[Run], right: Sequence[Run]) -> ClaimAnswer:
    """The answer of two comparable rows, or why they have none."""
    backbone = left[0].record.backbone
    score = SCORES.get(claim.metric)
    if score is None:
        return _refusal(claim, f"{claim.metric} is not measured", backbone)
    sides = []
    for name, runs in ((claim.left, left), (claim.right, right)):
        scored = by_seed(runs, score)
        if not scored:
            if unmeasured := why_unmeasured(runs[0].record, score):
                return _refusal(claim, unmeasured, backbone)
            status = next((run.record.status for run in runs if run.record.status != "ok"), None)
            return _refusal(claim, f"row {name} {status or f'has no {claim.metric}'}", backbone)
        sides.append(scored)
    shared = sorted(sides[0].keys() & sides[1].keys())
    interval = pair_interval(*sides, relative=claim.relative, resamples=left[0].record.scoring.bootstrap)
    if interval is None:
        return _refusal(claim, f"row {claim.right} is at zero" if shared else "the rows share no seed", backbone)
    judgement = judge(claim.direction, interval, size=claim.size, relative=claim.relative)
    steps = [runs[0].record.trainings for runs in (left, right)]
    if steps[0] != steps[1]:
        judgement = judgement._replace(reason=f"{judgement.reason}; the steps differ: {steps[0]}x and {steps[1]}x")
    return _described(claim, judgement, backbone, interval, shared)


def _refusal(claim: Claim, reason: str, backbone: str | None = None) -> ClaimAnswer:
    return _described(claim, Judgement("not comparable", reason), backbone)


def _described(
    claim: Claim,
    judgement: Judgement,
    backbone: str | None,
    interval: Interval | None = None,
    seeds: list[int] | None = None,
) -> ClaimAnswer:
    return ClaimAnswer(
        left=claim.left,
        right=claim.right,
        metric=claim.metric,
        direction=claim.direction,
        relative=claim.relative,
        reported=claim.size,
        measured=interval and interval.value,
        low=interval and interval.low,
        high=interval and interval.high,
        verdict=judgement.verdict,
        reason=judgement.reason,
        text=claim.text,
        setting=claim.setting,
        source=claim.source,
        backbone=backbone,
        seeds=seeds,
    )
