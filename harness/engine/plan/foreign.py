"""Files that components read are checked against the data set before anything is computed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError, PluginError, WsssError
from harness.data.digests import save_cache
from harness.data.views import DatasetView, dev_split
from harness.registry import build_params, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.contract.interfaces import Dataset
    from harness.engine.plan.rows import Part, ResolvedRow
    from harness.registry import PluginManager


def check_files(
    rows: Sequence[ResolvedRow], dataset: Dataset, manager: PluginManager, *, dev_fraction: float, path: Any
) -> list[ResolvedRow]:
    """The rows, whose components know what the checks of their files found.

    Args:
        rows: Of the benchmark.
        dataset: Its data set.
        manager: Plugins.
        dev_fraction: Share of the validation images that is not scored.
        path: The benchmark file, for messages.

    Raises:
        ConfigError: Files do not fit the data set; names row and component.
        PluginError: A check fails in another way.
    """

    def checked(part: Part | None, where: str) -> Any:
        if part is None or part.check is None:
            return part
        split = "val" if part.kind == "segmenter" else "train"
        view = DatasetView(dataset, split, part.needs)
        if split == "val":
            view.ids = dev_split(view.ids, dev_fraction)[1]
        return replace(part, note=_found(part, view, manager, f"{where}: {part.kind} {part.name!r}"))

    done = []
    for row in rows:
        where = f"{path}: methods.{row.label}"
        rounds = tuple(
            replace(
                item,
                generator=checked(item.generator, where),
                refiners=tuple(checked(part, where) for part in item.refiners),
                segmenter=checked(item.segmenter, where),
            )
            for item in row.rounds
        )
        done.append(replace(row, rounds=rounds))
    save_cache()
    return done


def _found(part: Part, view: DatasetView, manager: PluginManager, where: str) -> str:
    check: Callable[..., Any] = resolve(part.check) if part.check else str
    try:
        note = check(build_params(manager.get(part.kind, part.name), part.params, where=where), view)
    except WsssError as error:
        raise ConfigError(f"{where}: {error}") from None
    except Exception as error:
        raise PluginError(f"{where}: its check raised {type(error).__name__}: {error}") from error
    return note if isinstance(note, str) else ""
