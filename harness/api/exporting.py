"""What leaves of a row: what ``wsss export`` and ``Runs.export`` both do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.folders import nested, refuse_filled
from harness.contract.errors import ConfigError, WsssError
from harness.export import export_labels, export_model, export_predictions

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.export import Row
    from harness.export.labels import Form, Ids
    from harness.export.model import Comparison


@dataclass(frozen=True)
class Exported:
    """One folder that was written.

    Attributes:
        what: ``labels``, ``predictions`` or ``model``.
        folder: Where.
        comparison: Of a network, how its predictions agree with the stored ones; ``None`` where nothing was compared.
    """

    what: str
    folder: Path
    comparison: Comparison | None = None


def export_row(
    find: Callable[[], Row],
    *,
    labels: Path | None = None,
    predictions: Path | None = None,
    model: Path | None = None,
    onnx: bool | None = None,
    ids: Ids = "dataset",
    form: Form = "png",
    soft: bool = False,
    force: bool = False,
    config: Path | None = None,
    plugins: Sequence[Path] = (),
    tell: Callable[[str, int, int], None] | None = None,
) -> list[Exported]:
    """Write what folders are named for; nothing is looked up before the options fit together.

    Args:
        find: Finds the row.
        labels: Folder of the pseudo labels.
        predictions: Folder of the predictions.
        model: Folder of the network.
        onnx: The network as ONNX too; ``None`` where that is installed.
        ids: The data set's own class ids, or class indices.
        form: Palette PNG, or ``.npz``.
        soft: Also the soft scores behind the labels.
        force: Replace folders that hold something.
        config: Benchmark file that names the data set.
        plugins: Plugin files that bring its reader.
        tell: Told of labels or predictions, how many of how many images are done.

    Raises:
        ConfigError: The options do not fit together, a folder is not empty, or there is no such row.
        DataError: The data set is missing, and its class ids are asked for.
        StoreError: The store does not hold what is asked for, or nothing can be written.
    """
    folders = {"--labels": labels, "--predictions": predictions, "--model": model}
    _check_options(folders, soft=soft, onnx=onnx)
    for folder in folders.values():
        if folder is not None:
            refuse_filled(folder, force=force)
    row = find()
    opened = _Opened(row, config, plugins)
    masks: list[tuple[str, Path | None, Callable[..., Path]]] = [
        ("labels", labels, partial(export_labels, soft=soft)),
        ("predictions", predictions, export_predictions),
    ]
    written = []
    for what, folder, write in masks:
        if folder is not None:
            dataset = opened.needed if ids == "dataset" else None
            progress = None if tell is None else partial(tell, what)
            write(row, folder, ids=ids, form=form, dataset=dataset, force=force, progress=progress)
            written.append(Exported(what, folder))
    if model is not None:
        comparison = export_model(row, model, onnx=onnx, dataset=opened.at_hand, force=force)
        written.append(Exported("model", model, comparison))
    return written


def _check_options(folders: Mapping[str, Path | None], *, soft: bool, onnx: bool | None) -> None:
    named = [folder for folder in folders.values() if folder is not None]
    if not named:
        raise ConfigError(f"nothing to export: name a folder with {', '.join(folders)}")
    if any(nested(one, other) for one, other in combinations(named, 2)):
        raise ConfigError(f"{', '.join(folders)}: name a folder of its own for each, none inside another")
    if soft and folders["--labels"] is None:
        raise ConfigError("--soft writes the scores behind pseudo labels: add --labels DIR")
    if onnx is not None and folders["--model"] is None:
        raise ConfigError("--onnx and --no-onnx are about the network: add --model DIR")


class _Opened:
    """The data set of a row, opened where it is asked for."""

    def __init__(self, row: Row, config: Path | None, plugins: Sequence[Path]) -> None:
        self._open: Callable[[], Dataset] = lambda: row.dataset(config, plugins)

    @cached_property
    def needed(self) -> Dataset:
        """For its own class ids."""
        try:
            return self._open()
        except WsssError as error:
            raise type(error)(f"{error}; class indices need no data set: --ids dense") from None

    @property
    def at_hand(self) -> Dataset | None:
        """For a comparison with its images, which need not be there."""
        try:
            return self._open()
        except WsssError:
            return None
