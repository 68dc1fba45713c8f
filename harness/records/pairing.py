"""Two rows side by side: which rows are meant, and what differs in their settings and in their code."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.common.text import printable
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

_SETTINGS = {"protocol", "method", "params", "supervision", "pretrained", "backbone", "init", "init_sha256"}


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
        before, after = self.labels
        if before != after:
            return before, after
        return f"{before} ({_where(self.before[0].record)})", f"{after} ({_where(self.after[0].record)})"

    @property
    def different_images(self) -> str | None:
        """Why the scores cannot be compared, or ``None``: both were scored on the same images and masks."""
        before, after = self.before[0].record.dataset, self.after[0].record.dataset
        if before.classes != after.classes:
            return "the classes differ"
        changed = [kind for kind in _SCORED if before.digests.get(kind) != after.digests.get(kind)]
        return f"the data differ in {', '.join(changed)}" if changed else None

    def scores(self, name: str) -> tuple[dict[int, Confusions], dict[int, Confusions]]:
        """Confusions of score ``name`` by seed, of the seeds that both rows have."""
        before, after = by_seed(self.before, name), by_seed(self.after, name)
        shared = sorted(before.keys() & after.keys())
        return {seed: before[seed] for seed in shared}, {seed: after[seed] for seed in shared}


def _where(record: RunRecord) -> str:
    return f"{record.benchmark} {record.fingerprint[:8]}"


def pair_by_name(runs: Sequence[Run], before: str, after: str, *, backbone: str | None = None) -> RowPair:
    """Two rows of one table by their labels.

    Raises:
        ConfigError: A label is no row, or is a row of several settings or backbones.
    """
    return RowPair(named_row(runs, before, backbone=backbone), named_row(runs, after, backbone=backbone))


def named_row(runs: Sequence[Run], label: str, *, backbone: str | None = None) -> tuple[Run, ...]:
    """The runs of the row ``label``, ascending by seed.

    Raises:
        ConfigError: The label is no row, or is a row of several settings or backbones.
    """
    rows = _rows(run for run in runs if run.record.label == label and backbone in (None, run.record.backbone))
    if len(rows) == 1:
        return next(iter(rows.values()))
    if rows:
        firsts = [row[0] for row in rows.values()]
        folders = list(dict.fromkeys(shlex.quote(printable(run.path.parent)) for run in firsts))
        backbones = list(dict.fromkeys(run.record.backbone for run in firsts))
        ways = [f"--runs {folder}" for folder in folders if len(folders) > 1]
        ways += [f"--backbone {name}" for name in backbones if len(backbones) > 1]
        advice = f"add {' or '.join(ways)}" if ways else "move the records of one of them to another folder of runs"
        raise ConfigError(f"row {label!r} is there several times: {_places(firsts)}; {advice}")
    labels = ", ".join(sorted({run.record.label for run in runs}))
    raise ConfigError(f"there is no row {label!r}{f' on {backbone}' if backbone else ''}; rows are: {labels}")


def _places(runs: Iterable[Run]) -> str:
    """Folder, backbone and initial weights of each run."""
    return ", ".join(f"{printable(run.path.parent)} on {run.record.backbone} ({run.record.init})" for run in runs)


def pair_folders(before: Sequence[Run], after: Sequence[Run], *, backbone: str | None = None) -> list[RowPair]:
    """The rows that two folders of records have in common, by label and backbone.

    Raises:
        ConfigError: They have none in common, or a folder has one twice.
    """
    sides: list[dict[tuple[str, str], tuple[Run, ...]]] = []
    for runs in (before, after):
        by_label: dict[tuple[str, str], tuple[Run, ...]] = {}
        for row in _rows(run for run in runs if backbone in (None, run.record.backbone)).values():
            record = row[0].record
            if by_label.setdefault((record.label, record.backbone), row) is not row:
                raise ConfigError(f"{row[0].path.parent}: row {record.label!r} is there under several settings")
        sides.append(by_label)
    common = sorted(sides[0].keys() & sides[1].keys())
    if not common:
        raise ConfigError("the two folders have no row (label and backbone) in common")
    return [RowPair(sides[0][key], sides[1][key]) for key in common]


def _rows(runs: Iterable[Run]) -> dict[tuple[str, ...], tuple[Run, ...]]:
    """The runs of each row, ascending by seed, under what its seeds share."""
    rows: dict[tuple[str, ...], tuple[Run, ...]] = {}
    for run in sorted(once_a_cell(runs), key=lambda run: run.record.seed):
        key = group_key(run.record)
        rows[key] = (*rows.get(key, ()), run)
    return rows


def settings_differences(pair: RowPair) -> list[Difference]:
    """Fields of protocol, data set, method and seeds in which the rows differ."""
    settings: list[dict[str, Any]] = []
    for record in (pair.before[0].record, pair.after[0].record):
        rounds = {f"round {number}": item.model_dump(mode="json") for number, item in enumerate(record.rounds, start=1)}
        dataset = record.dataset.identity()
        named = record.model_dump(mode="json", include=_SETTINGS)
        settings.append({**named, "rounds": rounds, "dataset": dataset})
    in_order = [runs[0].record.model_dump(include={"params", "rounds"}) for runs in (pair.before, pair.after)]
    before, after = (" ".join(str(run.record.seed) for run in runs) for runs in (pair.before, pair.after))
    seeds = [("seeds", before, after)] if before != after else []
    return [*differing_fields(settings[0], settings[1]), *_orders(in_order[0], in_order[1]), *seeds]


def _orders(before: Any, after: Any, field: str = "") -> Iterator[Difference]:
    """Mappings of parameters with the same names in another order, which may mean something to the method."""
    if isinstance(before, list) and isinstance(after, list):
        before, after = ({f"{number}": item for number, item in enumerate(items, start=1)} for items in (before, after))
    if isinstance(before, dict) and isinstance(after, dict):
        if before.keys() == after.keys() and list(before) != list(after):
            yield f"{field} (order)", ", ".join(before), ", ".join(after)
        for key in sorted(before.keys() & after.keys()):
            yield from _orders(before[key], after[key], f"{field}.{key}" if field else key)


def code_differences(pair: RowPair) -> list[Difference]:
    """Files that both rows ran in another state, plugins and library versions in which they differ, over all seeds."""
    files: list[dict[str, object]] = []
    versions: list[dict[str, object]] = []
    for runs in (pair.before, pair.after):
        plugins: dict[str, list[Mapping[str, Any]]] = {}
        for info in (info for run in runs for info in run.record.plugins):
            source = {"source": info.source_sha256[:12]} if info.source_sha256 else {}
            plugins.setdefault(info.name, []).append({"version": info.version, **source})
        by_plugin = {name: _merged(states) for name, states in plugins.items()}
        versions.append({"plugin": by_plugin, "environment": _merged(run.record.environment for run in runs)})
        files.append(_merged({file: sha256[:12] for file, sha256 in run.record.code.items()} for run in runs))
    # A file that only one row ran says nothing about the code that both of them ran.
    shared = [{file: side[file] for file in files[0].keys() & files[1].keys()} for side in files]
    return [*differing_fields(shared[0], shared[1]), *differing_fields(versions[0], versions[1])]


def _merged(items: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    """The value of each name, or the list of its values where the items differ in it."""
    states: dict[str, list[object]] = {}
    for item in items:
        for name, value in item.items():
            for state in value if isinstance(value, list) else [value]:
                if state not in states.setdefault(name, []):
                    states[name].append(state)
    return {name: values[0] if len(values) == 1 else sorted(values, key=str) for name, values in states.items()}
