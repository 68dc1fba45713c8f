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
from harness.records.files import runs_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.contract.interfaces import Dataset
    from harness.contract.run_record import DatasetInfo, RunRecord
    from harness.engine.plan.config import DatasetConfig
    from harness.records.reader import Run
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
    """The data set that a record was scored on, compared with the content hashes of the record.

    Args:
        record: A run record.
        store: The store of its runs folder.
        manager: Where the reader is looked up.
        config: How to open it; by default as the run noted.

    Raises:
        ConfigError: The run left no note, or the reader is unknown.
        DataError: The data are missing or damaged, or are not those of the record.
    """
    dataset, where = _opened(record, store, manager, config)
    digests = dataset_info(dataset).digests
    changed = [kind for kind, digest in record.dataset.digests.items() if digests.get(kind) != digest]
    if changed:
        raise DataError(f"{where}: the content of {', '.join(changed)} is not what the record was made with")
    return dataset


def _opened(
    record: RunRecord, store: Store, manager: PluginManager, config: DatasetConfig | None
) -> tuple[Dataset, str]:
    """The data set with the classes and the numbers of images of a record, and what says how it is opened."""
    from harness.engine.plan.rows import open_data

    name: Any
    params: Any
    if config is not None:
        name, params, where = config.name, config.params, "--config: dataset"
    else:
        path = _note(store, record.fingerprint)
        where = str(path)
        try:
            noted = read_json(path, error=StoreError)
            name, params = noted["name"], noted["params"]
        except (StoreError, KeyError, TypeError, IndexError):
            name, params = None, None
        if not isinstance(name, str) or not isinstance(params, dict):
            raise ConfigError(f"{where}: no note of the data set; name the benchmark's file with --config")
    dataset = open_data(manager, name, params, where=where)
    check_dataset(dataset, record.dataset, where=where, other="the record")
    return dataset, where


def open_recorded(
    run: Run, config: Path | None = None, plugin_files: Sequence[Path] = (), *, content: bool = True
) -> Dataset:
    """The data set of a record.

    Args:
        run: A record and its file.
        config: A benchmark file that says how to open it; by default as the run noted.
        plugin_files: Plugins that bring its reader.
        content: Whether its content is compared with the record too, and not only its classes and numbers of images.

    Raises:
        ConfigError: Nothing says how to open it.
        DataError: It is missing, or not the one that the record was made with.
    """
    from harness.data.digests import save_cache, set_cache
    from harness.engine.plan.config import load_benchmark
    from harness.registry import manager

    folder = runs_folder(run.path)
    plugins = manager(plugin_files=plugin_files, config_dir=config.parent if config is not None else None)
    chosen = load_benchmark(config).dataset if config is not None else None
    if not content:
        return _opened(run.record, Store(folder), plugins, chosen)[0]
    set_cache(folder / "digests.json")
    dataset = recorded_dataset(run.record, Store(folder), plugins, chosen)
    save_cache()
    return dataset


def check_dataset(dataset: Dataset, known: DatasetInfo, *, where: str, other: str) -> None:
    """Check that a data set has the classes and the numbers of images that are known of it; looks at no file.

    Args:
        dataset: What was opened.
        known: What it should be.
        where: File or name that it was opened by, for the message.
        other: Who knows, for the message.

    Raises:
        DataError: One sentence with the first difference.
    """
    classes = list(dataset.classes)
    if len(classes) != len(known.classes):
        raise DataError(f"{where}: {len(classes)} classes were found, {other} has {len(known.classes)}")
    for number, (name, expected) in enumerate(zip(classes, known.classes, strict=True)):
        if name != expected:
            raise DataError(f"{where}: class {number} is {name!r}, in {other} it is {expected!r}")
    auxiliary = dataset.auxiliary
    auxiliary_classes = None if auxiliary is None else digest(list(auxiliary.classes))
    if auxiliary_classes != known.digests.get("auxiliary/classes"):
        raise DataError(f"{where}: its auxiliary data set has not the classes, or not their order, that {other} has")
    images = {split: len(dataset.ids(split)) for split in SPLITS}
    if auxiliary is not None:
        images["auxiliary"] = len(auxiliary.ids("train"))
    for split, count in images.items():
        if count != known.images[split]:
            raise DataError(f"{where}: {count} {split} images were found, {other} has {known.images[split]}")
