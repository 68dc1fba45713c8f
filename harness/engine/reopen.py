"""The data set behind a run record. A record holds no path, so the runs folder notes how its data set was opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError, DataError
from harness.engine.keys import dataset_info
from harness.engine.store import Store, write_atomically

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.contract.run_record import RunRecord
    from harness.engine.config import DatasetConfig
    from harness.plugins import PluginManager

FOLDER = "datasets"


def note_dataset(store: Store, fingerprint: str, config: DatasetConfig) -> None:
    """Note how the data set of a fingerprint is opened.

    Raises:
        StoreError: The runs folder cannot be written.
    """
    path, text = _note(store, fingerprint), config.model_dump_json() + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
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
    from harness.engine.rows import open_data

    name, params, where = _source(record, store, config)
    dataset = open_data(manager, name, params, where=where)
    found = dataset_info(dataset)
    if found.classes != record.dataset.classes:
        raise DataError(f"{where}: its classes are {found.classes}, those of the record {record.dataset.classes}")
    changed = [kind for kind, digest in record.dataset.digests.items() if found.digests.get(kind) != digest]
    if changed:
        raise DataError(f"{where}: the content of {', '.join(changed)} is not what the record was made with")
    return dataset


def _source(record: RunRecord, store: Store, config: DatasetConfig | None) -> tuple[str, dict[str, Any], str]:
    if config is not None:
        return config.name, config.params, "--config: dataset"
    path = _note(store, record.fingerprint)
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return noted["name"], noted["params"], str(path)
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: no note of the data set; name the benchmark's file with --config") from None
