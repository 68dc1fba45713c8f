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
"""Name -> its states in a cell, more than one where stages of the cell were computed by different ones."""


class Mixture(NamedTuple):
    """Names whose states differ between the same sets of cells, and their states by set, the largest set first."""

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
    versions = {
        name: tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
        for name, value in record.environment.items()
        if name not in _NOT_CODE and value is not None
    }
    return {**source, **form, **versions}


def mixtures(cells: Mapping[Cell, States]) -> list[Mixture]:
    """The names that have several states, those that fall apart alike together; by name."""
    cells_by_state: dict[str, dict[str, set[Cell]]] = defaultdict(lambda: defaultdict(set))
    for cell, states in cells.items():
        for name, values in states.items():
            for value in values:
                cells_by_state[name][value].add(cell)
    alike: dict[tuple[frozenset[Cell], ...], list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for name, by_value in sorted(cells_by_state.items()):
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
    states = []
    for values, part in mixture.states:
        seeds_here: dict[str, list[int]] = defaultdict(list)
        for cell in sorted(part):
            seeds_here[cell.row].append(cell.seed)
        rows = []
        for row, here in seeds_here.items():
            some = f"seed{'s' if len(here) > 1 else ''} {list_of(here)} of {row}"
            rows.append(row if here == seeds[row] else some)
        states.append(f"{', '.join(values[:_NAMED])}{', ...' if more > 0 else ''} in {', '.join(rows)}")
    return f"Mixed code: rows of different states of the code may differ for that alone: {what} {'; '.join(states)}."


def named(groups: Iterable[Sequence[Run]]) -> dict[str, Sequence[Run]]:
    """The runs of each row by a name that tells it from the other rows: its label, with more where labels repeat."""
    groups = list(groups)
    names: dict[str, list[str]] = {"label": [], "backbone": [], "settings": []}
    for group in groups:
        record = group[0].record
        weights = f"{record.init} {(record.init_sha256 or '')[:_DIGITS]}".strip()
        names["label"].append(record.label)
        names["backbone"].append(f"{record.label} ({record.backbone})")
        names["settings"].append(f"{record.label} ({record.backbone}, {weights}, {record.fingerprint[:_DIGITS]})")
    shortest = next((form for form in names.values() if len(set(form)) == len(groups)), names["settings"])
    return dict(zip(shortest, groups, strict=True))


def mixed_code(rows: Mapping[str, Sequence[Run]]) -> list[str]:
    """One sentence for each mixture of code among the runs of a table's rows."""
    cells = _cells(rows)
    return [sentence(mixture, cells) for mixture in mixtures(cells)]


def code_of_rows(rows: Mapping[str, Sequence[Run]]) -> dict[str, str]:
    """What tells the code of each row from that of others, for example ``numpy 2.4.6``; empty when nothing is mixed."""
    cells = _cells(rows)
    names = [name for mixture in mixtures(cells) for name in mixture.names]
    codes: dict[str, str] = {}
    for row in rows if names else ():
        of_row = [states for cell, states in cells.items() if cell.row == row]
        values = {name: sorted({value for states in of_row for value in states.get(name, ())}) for name in names}
        codes[row] = "; ".join(f"{name} {' and '.join(states)}" for name, states in values.items() if states)
    return codes


def _cells(rows: Mapping[str, Sequence[Run]]) -> dict[Cell, States]:
    """The code of each run that a row's numbers were made from."""
    return {
        Cell(row, run.record.seed): code_of(run.record)
        for row, runs in rows.items()
        for run in runs
        if run.record.status == "ok"
    }


def mixed_parameters(rows: Mapping[str, Sequence[Run]]) -> list[str]:
    """One sentence for each row whose seeds were computed with different parameters or components."""
    sentences = []
    for row, runs in rows.items():
        done = [run.record for run in runs if run.record.status == "ok"]
        for record, other in pairwise(done):
            before, after = (part.model_dump(mode="json", include={"params", "rounds"}) for part in (record, other))
            field, value, changed = next(differing_fields(before, after), ("", "", ""))
            if field:
                sentences.append(
                    f"Mixed parameters: the seeds of row {row} were computed with different parameters ({field}: "
                    f"{value} in seed {record.seed}, {changed} in seed {other.seed})."
                )
                break
    return sentences
