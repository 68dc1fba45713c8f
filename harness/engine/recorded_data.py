"""The data set behind a run record. A record holds no path, so the runs folder notes how its data set was opened."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.atomic import write_atomically
from harness.common.files import read_json, read_text
from harness.contract.errors import ConfigError, DataError, StoreError
from harness.engine.plan.keys import SPLITS, dataset_info, digest
from harness.engine.store.store import Store

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.contract.run_record import DatasetInfo, RunRecord
    from harness.engine.plan.config import DatasetConfig
    from harness.registry import PluginManager

FOLDER = "datasets"


def note_dataset(store: Store, fingerprint: str, config: DatasetConfig) -> None:
    """Note how the data set of a fingerprint is opened.

    Raises:
        StoreError: The runs folder cannot be written.
    """
    path, text = _note(store, fingerprint), config.model_dump_json() + "\n"
    with suppress(StoreError):
        if read_text(path, error=StoreError) == text:
            return
    write_atomically(path, text)


def _note(store: Store, fingerprint: str) -> Path:
    return store.runs / FOLDER / f"{fingerprint}.json"


def recorded_dataset(
    record: RunRecord, store: Store, manager: PluginManager, config: DatasetConfig | None = None
) -> Dataset:
    """The data set that a record was scored on, held to the content hashes of the record.

    Args:
        record: A run record.
        store: The store of its runs folder.
        manager: Where the reader is looked up.
        config: How to open it; by default as the run noted.

    Raises:
        ConfigError: The run left no note, or the reader is unknown.
        DataError: The data are missing or damaged, or are not those of the record.
    """
    from harness.engine.plan.rows import open_data

    name, params, where = _source(record, store, config)
    dataset = open_data(manager, name, params, where=where)
    hold_to(dataset, record.dataset, where=where, other="the record")
    found = dataset_info(dataset)
    changed = [kind for kind, digest in record.dataset.digests.items() if found.digests.get(kind) != digest]
    if changed:
        raise DataError(f"{where}: the content of {', '.join(changed)} is not what the record was made with")
    return dataset


def hold_to(dataset: Dataset, known: DatasetInfo, *, where: str, other: str) -> None:
    """Refuse a data set of other classes, or of another number of images, than is known; looks at no file.

    Args:
        dataset: What was opened.
        known: What it should be.
        where: File or name that it was opened by, for the message.
        other: Who knows, for the message.

    Raises:
        DataError: One sentence with the first difference.
    """
    named = list(dataset.classes)
    if named != known.classes:
        raise DataError(f"{where}: {_other_class(named, known.classes, other)}")
    auxiliary = dataset.auxiliary
    classes = None if auxiliary is None else digest(list(auxiliary.classes))
    if classes != known.digests.get("auxiliary/classes"):
        raise DataError(f"{where}: its auxiliary data set has not the classes, or not their order, that {other} has")
    images = {split: len(dataset.ids(split)) for split in SPLITS}
    if auxiliary is not None:
        images["auxiliary"] = len(auxiliary.ids("train"))
    for split, count in images.items():
        if count != known.images[split]:
            raise DataError(f"{where}: {count} {split} images were found, {other} has {known.images[split]}")


def _other_class(found: list[str], known: list[str], other: str) -> str:
    if len(found) != len(known):
        return f"{len(found)} classes were found, {other} has {len(known)}"
    number = next(number for number, name in enumerate(found) if name != known[number])
    return f"class {number} is {found[number]!r}, in {other} it is {known[number]!r}"


def _source(record: RunRecord, store: Store, config: DatasetConfig | None) -> tuple[str, dict[str, Any], str]:
    if config is not None:
        return config.name, config.params, "--config: dataset"
    path = _note(store, record.fingerprint)
    try:
        noted = read_json(path, error=StoreError)
        name, params = noted["name"], noted["params"]
    except (StoreError, KeyError, TypeError, IndexError):
        name, params = None, None
    if not isinstance(name, str) or not isinstance(params, dict):
        raise ConfigError(f"{path}: no note of the data set; name the benchmark's file with --config")
    return name, params, str(path)
