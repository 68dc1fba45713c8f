"""Whether the cells of a table were computed by one state of the code, and with one set of parameters for each row.

A fingerprint covers protocol and data, not code: records that were written before and after a change of a plugin or of
a library share a table. Each cell brings a mapping of names (a plugin, a library) to what identifies their state; a
name that has several states among the cells that have it is a mixture. Cells that lack a name say nothing about it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from harness.records.reader import differing_fields
from harness.records.seeds import list_of

if TYPE_CHECKING:
    from harness.contract.run_record import RunRecord
    from harness.records.reader import Run

_NOT_CODE = frozenset({"commit", "platform", "device"})
"""What a record's environment holds beside versions; a commit also moves when no line that a stage calls changed."""

_DIGITS = 8
_NAMED = 3
"""Names that a sentence spells out with their states."""


class Cell(NamedTuple):
    """One run of a row."""

    row: str
    seed: int


States = Mapping[str, tuple[str, ...]]
"""Name -> its state in a cell; several where stages of the cell were computed by several."""


class Mixture(NamedTuple):
    """Names that fall apart in the same way: what each is in each set of cells, the largest set first."""

    names: tuple[str, ...]
    states: tuple[tuple[tuple[str, ...], frozenset[Cell]], ...]


def code_of(record: RunRecord) -> dict[str, tuple[str, ...]]:
    """Hashes of the source and versions of the libraries that a record was computed with.

    A record names its source file by file, or in an older form plugin by plugin; the form is part of the answer,
    because two records of different forms have no hash in common that could tell them apart.
    """
    by_file: Mapping[str, str] = getattr(record, "code", {})
    by_plugin = {f"plugin {info.name}": info.source_sha256 for info in record.plugins if info.source_sha256}
    source = {name: (sha256[:_DIGITS],) for name, sha256 in {**by_plugin, **by_file}.items()}
    form = {"record of code": ("by file",) if by_file else ("by plugin",)} if source else {}
    versions = {name: value for name, value in record.environment.items() if name not in _NOT_CODE}
    return {**source, **form, **{name: _texts(value) for name, value in versions.items() if value is not None}}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)


def mixtures(cells: Mapping[Cell, States]) -> list[Mixture]:
    """The names that have several states, those that fall apart alike together; by name."""
    found: dict[str, dict[str, set[Cell]]] = defaultdict(lambda: defaultdict(set))
    for cell, states in cells.items():
        for name, values in states.items():
            for value in values:
                found[name][value].add(cell)
    alike: dict[tuple[frozenset[Cell], ...], list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for name, by_value in sorted(found.items()):
        if len(by_value) > 1:
            ordered = sorted(by_value.items(), key=lambda item: (-len(item[1]), sorted(item[1]), item[0]))
            alike[tuple(frozenset(part) for _, part in ordered)].append((name, tuple(value for value, _ in ordered)))
    return [
        Mixture(
            tuple(name for name, _ in named),
            tuple((tuple(values[place] for _, values in named), part) for place, part in enumerate(parts)),
        )
        for parts, named in alike.items()
    ]


def sentence(mixture: Mixture, cells: Iterable[Cell]) -> str:
    """One mixture in words, for example ``plugin a is 1a2b3c4d in cam, full; 9f8e7d6c in seed 2 of box_fill``."""
    seeds: dict[str, list[int]] = defaultdict(list)
    for cell in sorted(cells):
        seeds[cell.row].append(cell.seed)
    several = len(mixture.names) > 1
    names, more = ", ".join(mixture.names[:_NAMED]), len(mixture.names) - _NAMED
    what = f"{names}{f' and {more} more' if more > 0 else ''} {'are' if several else 'is'}"
    states = "; ".join(
        f"{', '.join(values[:_NAMED])}{', ...' if more > 0 else ''} in {_rows(part, seeds)}"
        for values, part in mixture.states
    )
    return f"Mixed code: rows of different states of the code may differ for that alone: {what} {states}."


def _rows(part: Iterable[Cell], seeds: Mapping[str, Sequence[int]]) -> str:
    """Rows, with their seeds where not all of a row's seeds are meant."""
    found: dict[str, list[int]] = defaultdict(list)
    for cell in sorted(part):
        found[cell.row].append(cell.seed)
    return ", ".join(row if own == seeds[row] else f"{_seeds(own)} of {row}" for row, own in found.items())


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {list_of(seeds)}"


def named(groups: Iterable[Sequence[Run]]) -> dict[str, Sequence[Run]]:
    """The runs of each row by a name that tells it from the other rows: its label, with more where labels repeat."""
    found: dict[str, Sequence[Run]] = {}
    groups = list(groups)
    for describe in (_label, _with_backbone, _with_settings):
        names = [describe(group[0].record) for group in groups]
        found = dict(zip(names, groups, strict=True))
        if len(found) == len(groups):
            break
    return found


def _label(record: RunRecord) -> str:
    return record.label


def _with_backbone(record: RunRecord) -> str:
    return f"{record.label} ({record.backbone})"


def _with_settings(record: RunRecord) -> str:
    weights = f"{record.init} {(record.init_sha256 or '')[:_DIGITS]}".strip()
    return f"{record.label} ({record.backbone}, {weights}, {record.fingerprint[:_DIGITS]})"


def mixed_code(rows: Mapping[str, Sequence[Run]]) -> list[str]:
    """One sentence for each mixture of code among the runs of a table's rows."""
    cells = _cells(rows)
    return [sentence(mixture, cells) for mixture in mixtures(cells)]


def code_of_rows(rows: Mapping[str, Sequence[Run]]) -> dict[str, str]:
    """What tells the code of each row from that of others, for example ``numpy 2.4.6``; empty when nothing is mixed."""
    cells = _cells(rows)
    names = [name for mixture in mixtures(cells) for name in mixture.names]
    found: dict[str, str] = {}
    for row in rows if names else ():
        own = [states for cell, states in cells.items() if cell.row == row]
        values = {name: sorted({value for states in own for value in states.get(name, ())}) for name in names}
        found[row] = "; ".join(f"{name} {' and '.join(states)}" for name, states in values.items() if states)
    return found


def _cells(rows: Mapping[str, Sequence[Run]]) -> dict[Cell, States]:
    return {Cell(row, run.record.seed): code_of(run.record) for row, runs in rows.items() for run in _done(runs)}


def _done(runs: Iterable[Run]) -> list[Run]:
    """The runs that a row's numbers are of."""
    return [run for run in runs if run.record.status == "ok"]


def mixed_parameters(rows: Mapping[str, Sequence[Run]]) -> list[str]:
    """One sentence for each row whose seeds were computed with different parameters or components."""
    return [found for row, runs in rows.items() for found in _mixed_parameters(row, _done(runs))]


def _mixed_parameters(row: str, runs: Sequence[Run]) -> list[str]:
    for first, other in pairwise(runs):
        one, two = (run.record.model_dump(mode="json", include={"params", "rounds"}) for run in (first, other))
        field, value, changed = next(differing_fields(one, two), ("", "", ""))
        if field:
            return [
                f"Mixed parameters: the seeds of row {row} were computed with different parameters ({field}: "
                f"{value} in seed {first.record.seed}, {changed} in seed {other.record.seed})."
            ]
    return []
