"""Rows of a benchmark, resolved against the registered plugins: every component with validated parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract.errors import ConfigError, PluginError
from harness.contract.protocol import BackboneSettings
from harness.contract.records import BackboneRecord, Card, MethodRecord, Round, SharedStage, Use
from harness.contract.supervision import Need, letters
from harness.engine.code.provided import Provided, provided
from harness.engine.plan.config import BackboneConfig, Benchmark, ComponentConfig, RowConfig
from harness.engine.plan.weights import find_weights
from harness.registry import (
    PluginManager,
    build_params,
    component_needs,
    component_uses,
    guarded,
    method_rounds,
    params_dict,
    resolve,
)

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset


@dataclass(frozen=True)
class Part:
    """One component of a row.

    Attributes:
        kind: ``generator``, ``refiner`` or ``segmenter``.
        params: Validated parameters as JSON, defaults included.
        needs: Supervision that the component itself declares.
        uses: Shared stages that it reads.
        reads: Protocol sections that it may read.
        plugin: Name of the plugin that ships it.
        code: What of its record reaches a stage.
    """

    kind: str
    name: str
    params: Mapping[str, Any]
    needs: tuple[Need, ...]
    uses: tuple[SharedStage, ...]
    reads: tuple[str, ...]
    plugin: str
    code: Provided
    fits: bool = False
    random: bool = False
    uses_previous: bool = False
    card: Card | None = None

    @property
    def use(self) -> dict[str, Any]:
        """``{"name", "params"}``, as records show it."""
        return {"name": self.name, "params": dict(self.params)}


@dataclass(frozen=True)
class ResolvedRound:
    """A round whose components are known; without a segmenter it ends with its pseudo labels."""

    generator: Part
    refiners: tuple[Part, ...]
    segmenter: Part | None
    warm_start: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        """All components in order."""
        return (self.generator, *self.refiners, *([self.segmenter] if self.segmenter else []))


@dataclass(frozen=True)
class ResolvedRow:
    """A row whose rounds are known.

    Attributes:
        label: Name of the table row.
        method: Name of the method, the label for a row that is written out as rounds.
        params: Validated parameters of the method.
        record: The method's record, if there is one.
        recombined: True when components of the method were replaced; its reported numbers do not apply then.
    """

    label: str
    method: str
    params: Mapping[str, Any]
    rounds: tuple[ResolvedRound, ...]
    record: MethodRecord | None = None
    recombined: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """Components of all rounds."""
        return tuple(part for item in self.rounds for part in item.parts)

    @property
    def supervision(self) -> str:
        """Letters of everything that the row's components and their shared stages declare."""
        return letters(need for part in self.parts for need in all_needs(part))

    @property
    def reconstruction(self) -> bool:
        """Whether the method or one of its components is a reconstruction."""
        cards = [self.record.card if self.record else None, *(part.card for part in self.parts)]
        return any(card.reconstruction for card in cards if card)

    @property
    def reported(self) -> list[dict[str, Any]]:
        """Published numbers of the method; none when its components were replaced."""
        card = self.record.card if self.record else None
        return [asdict(item) for item in card.reported] if card and not self.recombined else []


def all_needs(part: Part) -> Iterable[Need]:
    """Supervision of a component and of the shared stages below it."""
    yield from part.needs
    pending = list(part.uses)
    while pending:
        stage = pending.pop()
        yield from stage.needs
        pending.extend(stage.after)


def resolve_rows(benchmark: Benchmark, manager: PluginManager) -> list[ResolvedRow]:
    """Every row of the benchmark with its components; the protocol's networks fit the backbones.

    Raises:
        ConfigError: An unknown name, a wrong parameter, or a backbone without the protocol's output stride or levels;
            names file and field.
    """
    rows = [_cut(row, _resolve(row, manager, f"{benchmark.path}: methods.{row.name}")) for row in benchmark.methods]
    for config in benchmark.backbones:
        record: Any = _get(manager, "backbone", config.name, f"{benchmark.path}: backbones")
        _check_strides(benchmark, record, sections_read(rows))
        _check_batches(benchmark, record, sections_read(rows), manager)
    return rows


def sections_read(rows: Iterable[ResolvedRow]) -> frozenset[str]:
    """Protocol sections that some component or shared stage of the rows reads, or that a segmenter trains by."""
    found: set[str] = set()
    for row in rows:
        found.update(section for part in row.parts for section in _all_reads(part))
        if any(item.segmenter for item in row.rounds):
            found.add("segmenter")
    return frozenset(found)


def _all_reads(part: Part) -> Iterable[str]:
    yield from part.reads
    pending = list(part.uses)
    while pending:
        stage = pending.pop()
        yield from stage.reads
        pending.extend(stage.after)


def _check_strides(benchmark: Benchmark, record: BackboneRecord, sections: Collection[str]) -> None:
    """What the sections that are read ask of a backbone is what its record offers."""
    protocol, path = benchmark.protocol, benchmark.path
    strides = {"classifier": protocol.classifier.output_stride, "segmenter": protocol.segmenter.output_stride}
    for section, stride in strides.items():
        if section in sections and stride not in record.output_strides:
            offered = " or ".join(map(str, sorted(record.output_strides)))
            raise ConfigError(
                f"{path}: protocol.{section}.output_stride: backbone {record.name!r} has no output stride {stride}, "
                f"set {offered}"
            )
    count = len(record.channels)
    wrong = [level for level in protocol.classifier.levels if not -count <= level < count]
    if "classifier" in sections and count and wrong:
        raise ConfigError(
            f"{path}: protocol.classifier.levels: backbone {record.name!r} has {count} levels, "
            f"{wrong[0]} is none of {-count} to {count - 1}"
        )


def _cut(row: RowConfig, resolved: ResolvedRow) -> ResolvedRow:
    """The row without its last segmenter if only its labels are wanted."""
    if not row.labels_only:
        return resolved
    *earlier, last = resolved.rounds
    return replace(resolved, rounds=(*earlier, replace(last, segmenter=None)))


def _resolve(row: RowConfig, manager: PluginManager, where: str) -> ResolvedRow:
    if row.rounds is not None:
        rounds = tuple(
            Round(_use(item.generator), tuple(map(_use, item.refiners)), _use(item.segmenter), item.warm_start)
            for item in row.rounds
        )
        return ResolvedRow(row.name, row.name, {}, _resolve_rounds(rounds, manager, where))
    record: Any = _get(manager, "method", str(row.method), where)
    params = build_params(record, row.params, where=where)
    rounds = _replaced(method_rounds(record, params), row)
    return ResolvedRow(
        row.name,
        record.name,
        params_dict(params),
        _resolve_rounds(rounds, manager, where),
        record,
        recombined=row.segmenter is not None or row.refiners is not None,
    )


def _use(component: ComponentConfig) -> Use:
    return Use(component.name, component.params)


def _replaced(rounds: tuple[Round, ...], row: RowConfig) -> tuple[Round, ...]:
    """The method's rounds with the row's segmenter and refiners in the last one."""
    last = rounds[-1]
    segmenter = last.segmenter if row.segmenter is None else _use(row.segmenter)
    refiners = last.refiners if row.refiners is None else tuple(map(_use, row.refiners))
    return (*rounds[:-1], Round(last.generator, refiners, segmenter, last.warm_start))


def _resolve_rounds(rounds: tuple[Round, ...], manager: PluginManager, where: str) -> tuple[ResolvedRound, ...]:
    if rounds[0].warm_start:
        raise ConfigError(f"{where}: the first round cannot warm-start, there is no segmenter before it")
    return tuple(
        ResolvedRound(
            _part(manager, "generator", item.generator, where),
            tuple(_part(manager, "refiner", use, where) for use in item.refiners),
            _part(manager, "segmenter", item.segmenter, where),
            item.warm_start,
        )
        for item in rounds
    )


def _part(manager: PluginManager, kind: str, use: Use, where: str) -> Part:
    record: Any = _get(manager, kind, use.name, where)
    params = build_params(record, use.params, where=where)
    plugin = manager.provider(kind, use.name).name
    return Part(
        kind=kind,
        name=record.name,
        params=params_dict(params),
        needs=component_needs(record, params),
        uses=component_uses(record, params),
        reads=record.reads,
        plugin=plugin,
        code=provided(manager, kind, use.name),
        fits=getattr(record, "fits", False),
        random=getattr(record, "random", False),
        uses_previous=getattr(record, "uses_previous", False),
        card=record.card,
    )


def _get(manager: PluginManager, kind: str, name: str, where: str) -> Any:
    try:
        return manager.get(kind, name)
    except PluginError as error:
        raise ConfigError(f"{where}: {error}") from None


def resolve_backbones(benchmark: Benchmark, manager: PluginManager) -> list[BackboneSettings]:
    """The benchmark's backbones with their initial weights found and hashed.

    Raises:
        ConfigError: An unknown backbone, or weights that do not exist.
    """
    return [_backbone(config, benchmark.path, manager) for config in benchmark.backbones]


def _backbone(config: BackboneConfig, path: Path, manager: PluginManager) -> BackboneSettings:
    record: Any = _get(manager, "backbone", config.name, f"{path}: backbones")
    chosen = config.weights if "weights" in config.model_fields_set else record.init
    trained_on = config.trained_on if config.weights or config.trained_on else record.trained_on
    if chosen is None:
        return BackboneSettings(name=config.name)
    stated = config.sha256 if "weights" in config.model_fields_set or config.sha256 else record.init_sha256
    where = f"{path}: backbones.{config.name}.weights"
    weights, sha256 = find_weights(chosen, stated, base=path.parent, where=where)
    return BackboneSettings(name=config.name, weights=weights, trained_on=trained_on, weights_sha256=sha256)


def _check_batches(
    benchmark: Benchmark, record: BackboneRecord, sections: Collection[str], manager: PluginManager
) -> None:
    """Steps of one image are left to networks that can learn from one; only such plans load torch for it."""
    for section in ("classifier", "segmenter"):
        settings: Any = getattr(benchmark.protocol, section)
        if section not in sections or settings.optim.batch_size > 1 or settings.optim.iterations == 0:
            continue
        from harness.modelling.backbones import use_records
        from harness.modelling.probe import trains_on_one_image

        use_records(manager.records("backbone").values())
        if not trains_on_one_image(section, settings, BackboneSettings(name=record.name)):
            raise ConfigError(
                f"{benchmark.path}: protocol.{section}.optim.batch_size: the {section} with backbone {record.name!r} "
                "holds a BatchNorm that sees 1 x 1 pixels, which cannot learn from one image a step; "
                "set at least 2, or take a configuration without global pooling"
            )


def build_data(benchmark: Benchmark, manager: PluginManager) -> Dataset:
    """The benchmark's data set; readers may come from any plugin of ``manager``."""
    return open_data(manager, benchmark.dataset.name, benchmark.dataset.params, where=f"{benchmark.path}: dataset")


def open_data(manager: PluginManager, name: str, params: Mapping[str, Any], *, where: str) -> Dataset:
    """A data set by the name of its reader.

    Raises:
        ConfigError: Unknown reader or wrong parameter.
        DataError: The data are missing or damaged.
        PluginError: The reader raises anything else.
    """
    record: Any = _get(manager, "dataset", name, where)
    checked = build_params(record, params, where=f"{where}.params")
    with guarded(f"{where}: reader {name!r}"):
        dataset: Dataset = resolve(record.factory)(checked)
    return dataset
