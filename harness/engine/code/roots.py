"""Which modules the code of a stage begins in, by its kind, its component and the protocol sections that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engine.code.closure import Code, Roots, code_of, names_in
from harness.engine.code.imports import Finder
from harness.engine.code.provided import Provided, provided
from harness.engine.plan.segmenter_file import segmenter_files

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.engine.plan.config import Benchmark
    from harness.engine.plan.rows import Part
    from harness.registry import PluginManager

STAGE = "harness.engine.stage.kinds.stage"
"""What every stage is."""

WORK = {
    "shared": "harness.engine.stage.kinds.labels:shared",
    "fit": "harness.engine.stage.kinds.labels:fit",
    "generate": "harness.engine.stage.kinds.labels:generate",
    "refine": "harness.engine.stage.kinds.labels:refine",
    "segmenter": "harness.engine.stage.kinds.networks:segmenter",
    "predicted_features": "harness.engine.stage.kinds.networks:predicted_features",
    "predict": "harness.engine.stage.kinds.networks:predict",
    "foretell": "harness.engine.stage.kinds.labels:foretell",
    "score_labels": "harness.engine.stage.kinds.scores:score_labels",
    "score_predictions": "harness.engine.stage.kinds.scores:score_predictions",
    "count_labels": "harness.engine.stage.kinds.unscored:count_labels",
    "count_predictions": "harness.engine.stage.kinds.unscored:count_predictions",
}
"""What runs a stage of each kind."""

TRAINS = "harness.modelling.tasks"
"""Module of ``train_segmenter``."""

COMPUTES = "harness.modelling.feature_stage"
"""Module of ``compute_predicted``."""

PREDICTS, PREDICTS_WITH_CRF = "harness.modelling.inference", "harness.modelling.crf"
"""Modules of ``predict`` and ``predict_probabilities``; no code of the dense CRF counts where the protocol has none."""

MODELLING: str | None = None
"""A module that stands for all of these, for tests."""


@dataclass(frozen=True)
class StageCode:
    """The code of a benchmark's stages; a closure is walked once.

    Attributes:
        reader: The data set's.
        networks: By the name of the backbone.
        segmenter: Names in the protocol's segmenter configuration that may be code.
        crf: Whether the protocol predicts with a dense CRF.
        stand_in: Module that trains and predicts in place of the harness's own.
    """

    reader: Provided
    networks: Mapping[str, Provided]
    segmenter: tuple[str, ...]
    crf: bool
    stand_in: str | None = None
    closures: dict[Roots, Code] = field(default_factory=dict)
    finder: Finder = field(default_factory=Finder)

    @classmethod
    def of_benchmark(cls, benchmark: Benchmark, manager: PluginManager, modelling: str | None) -> StageCode:
        """What the rows of a benchmark have in common.

        Raises:
            PluginError: A record is missing, or the segmenter configuration is no Python.
        """
        return cls(
            provided(manager, "dataset", benchmark.dataset.name),
            {config.name: provided(manager, "backbone", config.name) for config in benchmark.backbones},
            names_in(segmenter_files(Path(benchmark.protocol.segmenter.config))),
            benchmark.protocol.test.crf,
            modelling or MODELLING,
        )

    def of(self, roots: Roots) -> Code:
        """Files and libraries of a closure."""
        if roots not in self.closures:
            self.closures[roots] = code_of(roots, self.finder)
        return self.closures[roots]

    def modelling(self, kind: str, part: Part | None) -> str | None:
        """The module that trains or predicts in a stage; ``None`` where no segmenter of the protocol is used."""
        if kind == "segmenter":
            return self.stand_in or TRAINS
        if kind == "predicted_features":
            return COMPUTES
        if kind == "predict" or (kind in ("fit", "generate") and part is not None and part.uses_previous):
            return self.stand_in or (PREDICTS_WITH_CRF if self.crf else PREDICTS)
        return None

    def roots(
        self,
        kind: str,
        settings: Mapping[str, BaseModel],
        *,
        part: Part | None,
        modules: Iterable[str],
        packages: Iterable[str],
        whole: Iterable[str] = (),
    ) -> Roots:
        """Everything that a stage runs begins in one of these modules.

        Args:
            kind: Of the stage.
            settings: Protocol sections that it reads.
            part: Its component.
            modules: What else it runs, as ``module`` or ``module:attribute``.
            packages: Of plugins, beside those of the component and of the data set.
            whole: Modules, and packages of which every module counts.
        """
        used = [self.reader, *([part.code] if part else [])]
        if "backbone" in settings:
            used.append(self.networks[settings["backbone"].name])  # type: ignore[attr-defined]
        begun = {STAGE, WORK[kind], *modules, *whole, *(type(section).__module__ for section in settings.values())}
        begun |= {module for item in used for module in item.modules}
        return Roots(
            modules=tuple(sorted({name.partition(":")[0] for name in begun})),
            names=(*(f"{name}." for name in whole), *(self.segmenter if "segmenter" in settings else ())),
            packages=tuple(sorted({*packages, *(package for item in used for package in item.packages)})),
            registration=any(item.registration for item in used),
        )
