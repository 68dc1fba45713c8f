"""The plan: every cell (row x backbone x seed) as a graph of stages, equal stages of all cells merged by key.

    shared stages -> [fit] -> generate -> [fit] -> refine ... -> segmenter -> predict -> score     (once per round)

* A round's pseudo labels are scored on the training images, the last round's predictions on the scored validation
  images. Only score stages see hidden masks that were not declared.
* The seed enters the key of a stage that trains or draws random numbers, and of what is computed from it. Labels made
  from supervision alone are made once for all seeds.
* Planning imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError, PluginError
from harness.contract.protocol import SECTIONS, BackboneSettings, Protocol
from harness.contract.records import SharedStage
from harness.contract.run_record import DatasetInfo
from harness.contract.scores import ScoreName
from harness.contract.shared import FEATURES
from harness.contract.supervision import MASKS, Need
from harness.data.checking import refuse_blank
from harness.engine.code.closure import importable
from harness.engine.code.provided import name_for_key
from harness.engine.code.roots import WORK, StageCode
from harness.engine.plan.foreign import check_files
from harness.engine.plan.freeze import check_freeze
from harness.engine.plan.inputs import digested, for_key
from harness.engine.plan.keys import (
    Digests,
    data_for_key,
    dataset_info,
    fingerprint,
    in_order,
    settings_for_key,
    stage_key,
)
from harness.engine.plan.roles import Roles
from harness.engine.plan.rows import Part, ResolvedRound, ResolvedRow, build_data, resolve_backbones, resolve_rows
from harness.engine.plan.unfit import check_backbones

if TYPE_CHECKING:
    from pydantic import BaseModel

    from harness.contract.interfaces import Dataset
    from harness.engine.code.closure import Roots
    from harness.engine.plan.config import Benchmark
    from harness.registry import PluginManager


LABELS = frozenset({"labels", "placeholder", "previous_labels", "scored"})
"""Names of inputs that are label maps, and no network."""


@dataclass(frozen=True)
class StageSpec:
    """One node of the graph; picklable, and all that a worker needs to know of it.

    Attributes:
        key: Content key.
        name: For people and time estimates, for example ``generate cam``.
        kind: ``shared``, ``fit``, ``generate``, ``refine``, ``segmenter``, ``predicted_features``, ``predict``,
            ``foretell`` (a segmenter that predicts without training), ``score_labels`` or ``score_predictions``; on
            images without masks ``count_labels`` or ``count_predictions`` in their place.
        part: The component that runs, if any.
        run: ``module:attribute`` of a shared stage.
        params: Parameters of a shared stage.
        needs: Supervision of the training images that the stage sees.
        settings: Protocol sections that it may read.
        inputs: Upstream keys by the name under which the stage finds them.
        seed: The run's seed if it enters the key, else ``None``.
        key_inputs: What the key was hashed from.
        work: ``module:function`` that runs the stage.
        roots: Where its code begins; ``key_inputs`` holds a hash for each file of it.
        modelling: Module whose ``train_segmenter``, or ``predict`` and ``predict_probabilities``, is used.
    """

    key: str
    name: str
    kind: str
    part: Part | None
    run: str | None
    params: Mapping[str, Any]
    needs: tuple[Need, ...]
    settings: Mapping[str, BaseModel]
    inputs: Mapping[str, str]
    seed: int | None
    num_classes: int
    key_inputs: Mapping[str, Any]
    work: str
    roots: Roots
    modelling: str | None = None


@dataclass(frozen=True)
class Cell:
    """What becomes one record: a row with a backbone and a seed.

    Attributes:
        stages: (role, key) in order of the work; roles of rounds begin with ``r1/``.
        pseudo: Keys of the stages that score each round's pseudo labels, or count them where there are no masks.
        val: Key of the stage that scores the predictions; ``None`` for a row that ends with its labels.
    """

    row: ResolvedRow
    backbone: BackboneSettings
    seed: int
    stages: tuple[tuple[str, str], ...]
    pseudo: tuple[str, ...]
    val: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        """Keys that the record is made of."""
        return (*self.pseudo, *([self.val] if self.val else []))

    @property
    def stem(self) -> str:
        """File name of the record without suffix."""
        return f"{self.row.label}--{self.backbone.name.replace('/', '_')}--s{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All stages and cells of a benchmark."""

    benchmark: Benchmark
    fingerprint: str
    dataset: DatasetInfo
    stages: Mapping[str, StageSpec]
    cells: tuple[Cell, ...]

    @property
    def folder(self) -> str:
        """Folder of the records below ``runs/records``."""
        return f"{self.benchmark.name}-{self.fingerprint[:8]}"


def build_plan(
    benchmark: Benchmark, manager: PluginManager, *, dataset: Dataset | None = None, modelling: str | None = None
) -> Plan:
    """Resolve everything that the benchmark names and lay out its stages.

    Args:
        benchmark: What to run.
        manager: Plugins that the names are looked up in.
        dataset: The benchmark's data set, if it was opened before.
        modelling: Module that trains segmenters and predicts in place of ``NETWORKS``.

    Raises:
        ConfigError: A name, parameter or file of the benchmark is wrong.
        DataError: The data set is missing or damaged, or its masks leave nothing to score or to learn.
        PluginError: A plugin fails to say what it needs.
    """
    rows, backbones = resolve_rows(benchmark, manager), resolve_backbones(benchmark, manager)
    check_freeze(benchmark, [manager.records("backbone")[item.name] for item in backbones], backbones)
    names, frozen = [item.name for item in backbones], benchmark.protocol.freeze is not None
    check_backbones(rows, names, manager, frozen=frozen, path=benchmark.path)
    dataset = dataset or build_data(benchmark, manager)
    digests = Digests()
    info = dataset_info(dataset, digests)
    refuse_blank(dataset)
    fraction = benchmark.protocol.scoring.dev_fraction
    rows = check_files(rows, dataset, manager, dev_fraction=fraction, path=benchmark.path)
    stages: dict[str, StageSpec] = {}
    chosen = StageCode.of_benchmark(benchmark, manager, modelling)
    cells = [
        _Layout(stages, dataset, digests, benchmark.protocol, backbone, seed, chosen).cell(row)
        for seed in benchmark.seeds
        for backbone in backbones
        for row in rows
    ]
    return Plan(benchmark, fingerprint(benchmark.protocol, info), info, stages, tuple(cells))


@dataclass
class _Layout:
    """Lays out one cell; nodes that exist already are reused."""

    stages: dict[str, StageSpec]
    dataset: Dataset
    digests: Digests
    protocol: Protocol
    backbone: BackboneSettings
    seed: int
    code: StageCode
    roles: Roles = field(default_factory=Roles)
    label: str = ""

    def cell(self, row: ResolvedRow) -> Cell:
        self.label = row.label
        pseudo: list[str] = []
        previous: dict[str, str] = {}
        for number, item in enumerate(row.rounds, start=1):
            prefix = f"r{number}"
            labels = self._labels(item, prefix, previous)
            if item.segmenter is not None and not item.segmenter.predicts:
                inputs = {"placeholder" if item.generator.placeholder else "labels": labels}
                if item.warm_start:
                    inputs["warm_start"] = previous["previous_segmenter"]
                reads = ("backbone", "segmenter")
                segmenter = self._component(item.segmenter, "segmenter", prefix, inputs, reads=reads)
                previous = {"previous_labels": labels, "previous_segmenter": segmenter}
            if not item.generator.placeholder:
                pseudo.append(self._score(ScoreName(number, len(row.rounds)), labels))
        val = None
        last = row.rounds[-1].segmenter
        if last is not None:
            predictions = self._predictions(last, previous)
            val = self._score(ScoreName(None, len(row.rounds)), predictions)
        used: set[str] = set()
        pending = [*pseudo, *([val] if val else [])]
        while pending:
            key = pending.pop()
            if key not in used:
                used.add(key)
                pending.extend(self.stages[key].inputs.values())
        stages = tuple((role, key) for role, key in self.roles.items() if key in used)
        return Cell(row, self.backbone, self.seed, stages, tuple(pseudo), val)

    def _predictions(self, segmenter: Part, previous: Mapping[str, str]) -> str:
        """Predictions of the last round's segmenter, or of one that needs no training; their key."""
        more: dict[str, Any] = {"params": {"dev_fraction": self.protocol.scoring.dev_fraction}, "split": "val"}
        if segmenter.predicts:
            name, reads = f"predict {segmenter.name}", segmenter.reads
            return self._add_stage("predict", name, "foretell", part=segmenter, inputs={}, reads=reads, **more)
        features = {} if self.protocol.freeze is None else {FEATURES.name: self._predicted_features()}
        inputs = {"segmenter": previous["previous_segmenter"], **features}
        return self._add_stage("predict", "predict", "predict", inputs=inputs, reads=("test",), **more)

    def _labels(self, item: ResolvedRound, prefix: str, previous: Mapping[str, str]) -> str:
        """Generator and refiners of one round; the key of its pseudo labels."""
        part = item.generator
        before = dict(previous) if part.uses_previous else {}
        more = ("test",) if before else ()
        fit = {"fit": self._component(part, "fit", prefix, before, reads=more)} if part.fits else {}
        labels = self._component(part, "generate", prefix, {**before, **fit}, reads=more)
        for refiner in item.refiners:
            given = {"labels": labels}
            fit = {"fit": self._component(refiner, "fit", prefix, given)} if refiner.fits else {}
            labels = self._component(refiner, "refine", prefix, {**given, **fit})
        return labels

    def _component(
        self, part: Part, kind: str, prefix: str, inputs: Mapping[str, str], reads: tuple[str, ...] = ()
    ) -> str:
        shared = {stage.name: self._shared(stage, part.code.packages) for stage in part.uses}
        name = f"{kind} {part.name}"
        return self._add_stage(
            f"{prefix}/{name}",
            name,
            kind,
            part=part,
            needs=part.needs,
            inputs={**shared, **inputs},
            reads=(*part.reads, *reads),
            trains=kind in ("fit", "segmenter") or part.random,
        )

    def _shared(self, stage: SharedStage, packages: tuple[str, ...]) -> str:
        upstream = {below.name: self._shared(below, packages) for below in stage.after}
        run = stage.run if isinstance(stage.run, str) else importable(stage.run)
        if run is None:
            raise PluginError(
                f"shared stage {stage.name!r}: run={stage.run!r} cannot be imported by its name; give a function of a "
                "module, and its settings as params"
            )
        return self._add_stage(
            stage.name,
            stage.name,
            "shared",
            run=run,
            params=digested(stage.params, f"shared stage {stage.name!r}"),
            needs=stage.needs,
            inputs=upstream,
            reads=stage.reads,
            more=stage.code,
            packages=packages,
            trains=stage is not FEATURES,
        )

    def _predicted_features(self) -> str:
        """The frozen backbone's features of the scored validation images."""
        return self._add_stage(
            "features of predicted images",
            "features of predicted images",
            "predicted_features",
            inputs={},
            reads=("backbone", "test"),
            params={"dev_fraction": self.protocol.scoring.dev_fraction},
            split="val",
        )

    def _score(self, score: ScoreName, scored: str) -> str:
        scoring = self.protocol.scoring
        part = {"dev_fraction": scoring.dev_fraction} if score.split == "val" else {}
        if score.split in self.dataset.unmasked:
            kind = score.kind.replace("score", "count")
            name = kind.replace("_", " ")
            return self._add_stage(score.stage, name, kind, inputs={"scored": scored}, params=part, split=score.split)
        rules = scoring.model_dump(include={"version", "absent_class", "pseudo_ignore"})
        return self._add_stage(
            score.stage,
            score.kind.replace("_", " "),
            score.kind,
            needs=(MASKS,),
            inputs={"scored": scored},
            params={
                **rules,
                **part,
                **({"counts": list(scoring.counts)} if scoring.counts else {}),
            },
            split=score.split,
        )

    def _add_stage(
        self,
        role: str,
        name: str,
        kind: str,
        *,
        inputs: Mapping[str, str],
        reads: Iterable[str] = (),
        part: Part | None = None,
        run: str | None = None,
        params: Mapping[str, Any] | None = None,
        needs: tuple[Need, ...] = (),
        more: tuple[str, ...] = (),
        packages: tuple[str, ...] = (),
        trains: bool = False,
        split: str = "train",
    ) -> str:
        settings = self._settings(reads, name)
        computes = run == FEATURES.run or kind == "predicted_features"
        if "freeze" in settings and not computes and (part is None or part.trains):
            inputs = {FEATURES.name: self._shared(FEATURES, ()), **inputs}
        params = params or {}
        seeded = trains or any(self.stages[key].seed is not None for key in inputs.values())
        seed = self.seed if seeded else None
        modelling = self.code.modelling(kind, part)
        modules = [name for name in (run, modelling) if name is not None]
        roots = self.code.roots(kind, settings, part=part, modules=modules, packages=packages, whole=more)
        above = [self.stages[key] for name, key in inputs.items() if name not in LABELS]
        networks = [spec.roots for spec in above if "backbone" in spec.settings]
        roots = roots.joined(networks)  # who loads a network runs the code that built it
        code = self.code.of(roots)
        key_inputs = {
            "stage": kind,
            "component": [part.kind, part.name, part.code.factory] if part else run and name_for_key(run),
            "params": in_order(for_key({**params, **part.params} if part else params)),
            "code": code.files,
            "libraries": code.libraries,
            "upstream": dict(inputs),
            "data": self._data(split, needs, part or run),
            "settings": settings_for_key(settings),
            "backbone": self.code.networks[self.backbone.name].facts if "backbone" in settings else None,
            "seed": seed,
        }
        key = stage_key(key_inputs)
        if key not in self.stages:
            self.stages[key] = StageSpec(
                key=key,
                name=name,
                kind=kind,
                part=part,
                run=run,
                params=dict(params),
                needs=needs,
                settings=settings,
                inputs=dict(inputs),
                seed=seed,
                num_classes=len(self.dataset.classes),
                key_inputs=key_inputs,
                work=WORK[kind],
                roots=roots,
                modelling=modelling,
            )
        self.roles.take(role, key)
        return key

    def _data(self, split: str, needs: tuple[Need, ...], of_row: object) -> dict[str, Any]:
        """Digests of what a stage may see; what the data set lacks is told with the row that needs it."""
        try:
            return data_for_key(self.dataset, split, needs, self.digests)
        except ConfigError as error:
            raise ConfigError(f"methods.{self.label}: {error}" if of_row else str(error)) from None

    def _settings(self, reads: Iterable[str], name: str) -> dict[str, BaseModel]:
        wanted = set(reads)
        unknown = sorted(wanted - set(SECTIONS))
        if unknown:
            raise PluginError(f"{name}: reads={unknown[0]!r} is no protocol section (sections: {', '.join(SECTIONS)})")
        if "backbone" in wanted:
            wanted.add("freeze")
        sections = {section: getattr(self.protocol, section, self.backbone) for section in SECTIONS}
        return {name: section for name, section in sections.items() if name in wanted and section is not None}
