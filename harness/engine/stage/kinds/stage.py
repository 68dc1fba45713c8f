"""A stage in progress, as every kind of stage sees it."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.common.seeds import derive_seed
from harness.data.views import DatasetView, dev_split
from harness.engine.stage.context import StageContext
from harness.registry import build_params, resolve

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset, View
    from harness.engine.plan.layout import StageSpec
    from harness.engine.stage.meter import ReadLog
    from harness.registry import PluginManager


@dataclass(frozen=True)
class Stage:
    """A stage in progress."""

    spec: StageSpec
    ctx: StageContext
    manager: PluginManager
    dataset: Dataset
    reads: ReadLog

    def view(self, split: str = "train") -> View:
        """The declared supervision of ``split``, every access logged."""
        return DatasetView(self.dataset, split, self.spec.needs, self.reads)

    def component(self) -> Any:
        """The component of the stage, made by its factory."""
        part = self.spec.part
        assert part is not None
        record: Any = self.manager.get(part.kind, part.name)
        return resolve(record.factory)(build_params(record, part.params, where=self.spec.name))

    def load(self) -> Callable[[Stage], None]:
        """What runs the stage, with all that it calls imported, so that its time does not depend on what ran before."""
        part, spec = self.spec.part, self.spec
        if part is not None:
            record: Any = self.manager.get(part.kind, part.name)
            resolve(record.factory)
        if spec.run is not None:
            resolve(spec.run)
        if spec.modelling is not None:
            import_module(spec.modelling)
        return resolve(spec.work)

    def scored_ids(self, split: str) -> tuple[str, ...]:
        """All ids of ``train``; of ``val`` those outside the dev part."""
        ids = self.dataset.ids(split)
        if split == "train":
            return ids
        _, scored = dev_split(ids, self.spec.params["dev_fraction"])
        return scored


def fix_global_seeds(spec: StageSpec) -> None:
    """Seed the generators that plugins might use in passing; what is random on purpose asks ``ctx.seed``."""
    seed = derive_seed(spec.seed or 0, "global")
    random.seed(seed)
    import numpy as np

    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
