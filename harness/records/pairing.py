"""Two rows side by side: which rows are meant, and what differs in their settings and in their code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError
from harness.records.groups import by_seed
from harness.records.reader import Run, differing_fields, group_key, once_a_cell

if TYPE_CHECKING:
    from harness.contract.run_record import RunRecord
    from harness.scoring.confusion import Confusions

Difference = tuple[str, str, str]
"""Field, value of the first row, value of the second."""

_SCORED = ("train/ids", "train/masks", "val/ids", "val/masks")
"""Content that a score depends on, beside the classes."""

_SETTINGS = ("protocol", "method", "params", "rounds", "supervision", "backbone", "init", "init_sha256")


@dataclass(frozen=True)
class RowPair:
    """Two rows, each as its runs, ascending by seed."""

    before: tuple[Run, ...]
    after: tuple[Run, ...]

    @property
    def labels(self) -> tuple[str, str]:
        """Labels of the rows."""
        return self.before[0].record.label, self.after[0].record.label

    @property
    def names(self) -> tuple[str, str]:
        """Names that tell the rows apart: with the fingerprint where the labels are equal."""
        one, two = self.labels
        if one != two:
            return one, two
        return f"{one} ({_where(self.before[0].record)})", f"{two} ({_where(self.after[0].record)})"

    @property
    def different_images(self) -> str | None:
        """Why the scores cannot be compared, or ``None``: both were scored on the same images and masks."""
        one, two = (runs[0].record.dataset for runs in (self.before, self.after))
        if one.classes != two.classes:
            return "the classes differ"
        changed = [kind for kind in _SCORED if one.digests.get(kind) != two.digests.get(kind)]
        return f"the data differ in {', '.join(changed)}" if changed else None

    def scores(self, name: str) -> tuple[dict[int, Confusions], dict[int, Confusions]]:
        """Confusions of score ``name`` by seed, of the seeds that both rows have."""
        one, two = (by_seed(runs, name) for runs in (self.before, self.after))
        shared = sorted(one.keys() & two.keys())
        return {seed: one[seed] for seed in shared}, {seed: two[seed] for seed in shared}


def _where(record: RunRecord) -> str:
    return f"{record.benchmark} {record.fingerprint[:8]}"


def pair_by_name(runs: Sequence[Run], before: str, after: str, *, backbone: str | None = None) -> RowPair:
    """Two rows of one table by their labels.

    Raises:
        ConfigError: A label is no row, or is a row of several settings or backbones.
    """
    return RowPair(_named(runs, before, backbone), _named(runs, after, backbone))


def _named(runs: Sequence[Run], label: str, backbone: str | None) -> tuple[Run, ...]:
    rows = _rows(run for run in runs if run.record.label == label and backbone in (None, run.record.backbone))
    if len(rows) == 1:
        return next(iter(rows.values()))
    if rows:
        found = ", ".join(f"{_where(row[0].record)} {row[0].record.backbone}" for row in rows.values())
        folder = next(iter(rows.values()))[0].path.parent
        raise ConfigError(
            f"row {label!r} is there several times ({found}): choose with --backbone NAME or --runs {folder}"
        )
    known = ", ".join(sorted({run.record.label for run in runs}))
    raise ConfigError(f"there is no row {label!r}{f' on {backbone}' if backbone else ''}; rows are: {known}")


def pair_folders(before: Sequence[Run], after: Sequence[Run], *, backbone: str | None = None) -> list[RowPair]:
    """The rows that two folders of records have in common, by label and backbone.

    Raises:
        ConfigError: They have none in common, or a folder has one twice.
    """
    sides = [_by_label(runs, backbone) for runs in (before, after)]
    common = [key for key in sides[0] if key in sides[1]]
    if not common:
        raise ConfigError("the two folders have no row (label and backbone) in common")
    return [RowPair(sides[0][key], sides[1][key]) for key in common]


def _by_label(runs: Sequence[Run], backbone: str | None) -> dict[tuple[str, str], tuple[Run, ...]]:
    found: dict[tuple[str, str], tuple[Run, ...]] = {}
    for row in _rows(run for run in runs if backbone in (None, run.record.backbone)).values():
        record = row[0].record
        key = record.label, record.backbone
        if key in found:
            raise ConfigError(f"{row[0].path.parent}: row {record.label!r} is there under several settings")
        found[key] = row
    return dict(sorted(found.items()))


def _rows(runs: Iterable[Run]) -> dict[tuple[str, ...], tuple[Run, ...]]:
    rows: dict[tuple[str, ...], tuple[Run, ...]] = {}
    for run in sorted(once_a_cell(runs), key=lambda run: run.record.seed):
        key = group_key(run.record)
        rows[key] = (*rows.get(key, ()), run)
    return rows


def settings_differences(pair: RowPair) -> list[Difference]:
    """Fields of protocol, data set, method and seeds in which the rows differ."""
    one, two = (" ".join(str(run.record.seed) for run in runs) for runs in (pair.before, pair.after))
    first, second = (runs[0].record.model_dump(include={"params", "rounds"}) for runs in (pair.before, pair.after))
    orders = _orders(first, second)
    return [*_differences(pair, _settings), *orders, *([("seeds", one, two)] if one != two else [])]


def _orders(one: Any, two: Any, field: str = "") -> Iterator[Difference]:
    """Mappings of parameters with the same names in another order, which may mean something to the method."""
    if isinstance(one, list) and isinstance(two, list):
        one, two = ({f"{number}": item for number, item in enumerate(items, start=1)} for items in (one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        if one.keys() == two.keys() and list(one) != list(two):
            yield f"{field} (order)", ", ".join(one), ", ".join(two)
        for key in sorted(one.keys() & two.keys()):
            yield from _orders(one[key], two[key], f"{field}.{key}" if field else key)


def code_differences(pair: RowPair) -> list[Difference]:
    """Files that both rows ran in another state, plugins and library versions in which they differ, over all seeds."""
    one, two = (_code(run.record for run in runs) for runs in (pair.before, pair.after))
    files = [_files(run.record for run in runs) for runs in (pair.before, pair.after)]
    shared = [{file: side[file] for file in side if file in files[0] and file in files[1]} for side in files]
    return [*differing_fields(shared[0], shared[1]), *differing_fields(one, two)]


def _files(records: Iterable[RunRecord]) -> dict[str, object]:
    """Hash of each file that some record of a row ran, or the hashes of several states of it."""
    return _merged({file: sha256[:12] for file, sha256 in record.code.items()} for record in records)


def _differences(pair: RowPair, describe: Callable[[RunRecord], dict[str, object]]) -> list[Difference]:
    one, two = (describe(runs[0].record) for runs in (pair.before, pair.after))
    return list(differing_fields(one, two))


def _settings(record: RunRecord) -> dict[str, object]:
    rounds = {f"round {number}": item.model_dump(mode="json") for number, item in enumerate(record.rounds, start=1)}
    return {
        **record.model_dump(mode="json", include=set(_SETTINGS) - {"rounds"}),
        "rounds": rounds,
        "dataset": record.dataset.model_dump(mode="json", exclude={"show_images"}),
    }


def _code(records: Iterable[RunRecord]) -> dict[str, object]:
    """The code of all records of a row: a value, or the list of values where its seeds differ."""
    plugins: dict[str, list[Mapping[str, Any]]] = {}
    environments: list[Mapping[str, Any]] = []
    for record in records:
        environments.append(record.environment)
        for info in record.plugins:
            source = {"source": info.source_sha256[:12]} if info.source_sha256 else {}
            described = {"version": info.version, **source}
            plugins.setdefault(info.name, []).append(described)
    return {
        "plugin": {name: _merged(described) for name, described in plugins.items()},
        "environment": _merged(environments),
    }


def _merged(items: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    found: dict[str, list[object]] = {}
    for item in items:
        for name, value in item.items():
            for one in value if isinstance(value, list) else [value]:
                if one not in found.setdefault(name, []):
                    found[name].append(one)
    return {name: values[0] if len(values) == 1 else sorted(values, key=str) for name, values in found.items()}
