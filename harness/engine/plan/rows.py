"""Rows of a benchmark, resolved against the registered plugins: every component with validated parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from harness.contract.errors import ConfigError, PluginError
from harness.contract.pretrained import Pretrained
from harness.contract.protocol import BackboneSettings
from harness.contract.records import BackboneRecord, Card, MethodRecord, Round, SharedStage, Stated, Use
from harness.contract.scores import ScoreName, score_names
from harness.contract.supervision import Need, letters, parse_letters
from harness.engine.code.provided import Provided, provided
from harness.engine.plan.config import Benchmark, ComponentConfig, RowConfig
from harness.engine.plan.inputs import Finder, digested, finder, for_record
from harness.engine.plan.weights import find_weights
from harness.registry import (
    PluginManager,
    build_params,
    component_needs,
    component_pretrained,
    component_stated,
    component_uses,
    guarded,
    method_rounds,
    params_dict,
    resolve,
    trains_backbone,
    with_upstream,
)

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.contract.records import Lazy


@dataclass(frozen=True)
class Part:
    """One component of a row.

    Attributes:
        kind: ``generator``, ``refiner`` or ``segmenter``.
        params: Validated parameters as JSON, defaults included; files are digested paths (``plan/inputs.py``).
        needs: Supervision that the component itself declares.
        uses: Shared stages that it reads.
        reads: Protocol sections that it may read.
        plugin: Name of the plugin that ships it.
        trains_backbone: Whether it trains a backbone also where the protocol freezes it.
        trains: False of a segmenter without a network.
        code: What of its record reaches a stage.
        placeholder: Whether its labels say nothing and are not scored.
        predicts: Whether it predicts without any training.
        stated: What the author of the benchmark states of the files that it reads.
        check: What checks these files once the data set is open.
        note: What the check found that a reader of the table should know.
        pretrained: Networks that it uses and that were trained elsewhere.
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
    trains_backbone: bool = False
    trains: bool = True
    card: Card | None = None
    placeholder: bool = False
    predicts: bool = False
    stated: Stated | None = None
    check: Lazy | None = None
    note: str = ""
    pretrained: tuple[Pretrained, ...] = ()

    @property
    def use(self) -> dict[str, Any]:
        """``{"name", "params"}``, as records show it."""
        return {"name": self.name, "params": for_record(self.params)}

    @property
    def shared(self) -> list[SharedStage]:
        """The shared stages that it reads, and those that they read in turn."""
        return list(with_upstream(self.uses))


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
    def score_names(self) -> list[ScoreName]:
        """Its scores in the order of its rounds, predictions last; labels that only stand for some have none."""
        names = score_names(len(self.rounds), segmenter=self.rounds[-1].segmenter is not None)
        return [name for name in names if name.round is None or not self.rounds[name.round - 1].generator.placeholder]

    @property
    def supervision(self) -> str:
        """Letters of all that the row's components and their shared stages declare, or that is stated of them."""
        needs: list[Need] = []
        for part in self.parts:
            needs += part.needs if part.stated is None else parse_letters(part.stated.supervision)
            needs += [need for stage in part.shared for need in stage.needs]
        return letters(needs)

    @property
    def pretrained(self) -> list[dict[str, Any]]:
        """Networks that its components use and that were trained elsewhere, each once, as records show them."""
        return [asdict(item) for item in dict.fromkeys(item for part in self.parts for item in part.pretrained)]

    @property
    def stated(self) -> dict[str, Any] | None:
        """What is stated of files that components read, as records show it; ``None`` for a row without such files."""
        parts = list({part.name: part for part in self.parts if part.stated}.values())
        stated = [part.stated for part in parts if part.stated]
        if not stated:
            return None
        needs = [need for item in stated for need in parse_letters(item.supervision)]
        return {
            "supervision": letters(needs),
            "hours": stated[0].hours if len(stated) == 1 else None,
            "source": "; ".join(dict.fromkeys(item.source for item in stated if item.source)),
            "notes": list(dict.fromkeys(part.note for part in parts if part.note)),
        }

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


def resolve_rows(benchmark: Benchmark, manager: PluginManager) -> list[ResolvedRow]:
    """Every row of the benchmark with its components; the protocol's networks fit the backbones.

    Raises:
        ConfigError: An unknown name, a wrong parameter, or a backbone without the protocol's output stride or levels;
            names file and field.
    """
    find = finder(benchmark.path.parent)
    rows = [_resolve(row, manager, f"{benchmark.path}: methods.{row.name}", find) for row in benchmark.methods]
    for config in benchmark.backbones:
        record: Any = _get(manager, "backbone", config.name, f"{benchmark.path}: backbones")
        _check_backbone(benchmark, record, sections_read(rows), manager)
    return rows


def sections_read(rows: Iterable[ResolvedRow]) -> frozenset[str]:
    """Protocol sections that some component or shared stage of the rows reads, or that a segmenter trains by."""
    sections: set[str] = set()
    for row in rows:
        for part in row.parts:
            sections.update(part.reads, *(stage.reads for stage in part.shared))
        if any(item.segmenter for item in row.rounds):
            sections.add("segmenter")
    return frozenset(sections)


def _resolve(row: RowConfig, manager: PluginManager, where: str, find: Finder) -> ResolvedRow:
    record: MethodRecord | None = None
    params: dict[str, Any] = {}
    if row.rounds is not None:
        rounds = tuple(
            Round(_use(item.generator), tuple(map(_use, item.refiners)), _use(item.segmenter), item.warm_start)
            for item in row.rounds
        )
    else:
        record = cast("MethodRecord", _get(manager, "method", str(row.method), where))
        values = build_params(record, row.params, where=where, find=find)
        params = digested(params_dict(values), where)
        *earlier, last = method_rounds(record, values)
        segmenter = last.segmenter if row.segmenter is None else _use(row.segmenter)
        refiners = last.refiners if row.refiners is None else tuple(map(_use, row.refiners))
        rounds = (*earlier, replace(last, segmenter=segmenter, refiners=refiners))
    rounds += (replace(rounds[-1], warm_start=True),) * (row.repeat - 1)
    if rounds[0].warm_start:
        raise ConfigError(f"{where}: the first round cannot warm-start, there is no segmenter before it")
    resolved = [
        ResolvedRound(
            _part(manager, "generator", item.generator, where, find),
            tuple(_part(manager, "refiner", use, where, find) for use in item.refiners),
            _part(manager, "segmenter", item.segmenter, where, find),
            item.warm_start,
        )
        for item in rounds
    ]
    for item in resolved if len(resolved) > 1 else ():
        if item.segmenter and item.segmenter.predicts:
            raise ConfigError(
                f"{where}: segmenter {item.segmenter.name!r} trains nothing, so it stands in a row of one round"
            )
    for item in resolved:
        if item.generator.placeholder:
            _check_placeholder(item, where, labels_only=row.labels_only and item is resolved[-1])
    if row.labels_only:
        resolved[-1] = replace(resolved[-1], segmenter=None)
    return ResolvedRow(
        label=row.name,
        method=record.name if record else row.name,
        params=params,
        rounds=tuple(resolved),
        record=record,
        recombined=row.segmenter is not None or row.refiners is not None,
    )


def _check_placeholder(item: ResolvedRound, where: str, *, labels_only: bool) -> None:
    """Refuse what cannot stand behind a generator that makes no labels."""
    problem, segmenter = "", item.segmenter
    if labels_only:
        problem = "and the row ends with them; leave labels_only out"
    elif item.refiners:
        problem = f"and refiner {item.refiners[0].name!r} refines them; leave it out"
    elif segmenter and not (segmenter.predicts or segmenter.needs):
        problem = f"and segmenter {segmenter.name!r} learns from labels alone; use one that needs none"
    if problem:
        raise ConfigError(f"{where}: generator {item.generator.name!r} makes no labels, {problem}")


def _use(component: ComponentConfig) -> Use:
    return Use(component.name, component.params)


def _part(manager: PluginManager, kind: str, use: Use, where: str, find: Finder) -> Part:
    record: Any = _get(manager, kind, use.name, where)
    params = build_params(record, use.params, where=where, find=find)
    plugin = manager.provider(kind, use.name).name
    try:
        needs = component_needs(record, params)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return Part(
        kind=kind,
        name=record.name,
        params=digested(params_dict(params), where),
        needs=needs,
        uses=component_uses(record, params),
        reads=record.reads,
        plugin=plugin,
        code=provided(manager, kind, use.name),
        fits=getattr(record, "fits", False),
        random=getattr(record, "random", False),
        uses_previous=getattr(record, "uses_previous", False),
        trains_backbone=trains_backbone(record, params),
        trains=getattr(record, "trains", True),
        placeholder=getattr(record, "placeholder", False),
        predicts=getattr(record, "predicts", False),
        stated=component_stated(record, params),
        check=getattr(record, "check", None),
        pretrained=component_pretrained(record, params),
        card=record.card,
    )


def _get(manager: PluginManager, kind: str, name: str, where: str) -> Any:
    try:
        record = manager.get(kind, name)
    except PluginError as error:
        raise ConfigError(f"{where}: {error}") from None
    if getattr(record, "family", None):
        raise ConfigError(f"{where}: {name!r} stands for many; write {name}/ and the name of one")
    return record


def resolve_backbones(benchmark: Benchmark, manager: PluginManager) -> list[BackboneSettings]:
    """The benchmark's backbones with their initial weights found and hashed.

    Raises:
        ConfigError: An unknown backbone, or weights that do not exist.
    """
    settings = []
    for config in benchmark.backbones:
        where = f"{benchmark.path}: backbones"
        record: Any = _get(manager, "backbone", config.name, where)
        of_record = "weights" not in config.model_fields_set
        if of_record and record.init and "/" in record.name:
            raise ConfigError(
                f"{where}.{record.name}.weights: not given; name a file, {record.init} (a download) or null (random)"
            )
        source = record.init if of_record else config.weights
        if source is None:
            settings.append(BackboneSettings(name=config.name))
            continue
        stated = record.init_sha256 if of_record and not config.sha256 else config.sha256
        trained_on = config.trained_on if config.weights or config.trained_on else record.trained_on
        weights, sha256 = find_weights(
            source, stated, base=benchmark.path.parent, where=f"{where}.{config.name}.weights"
        )
        settings.append(
            BackboneSettings(name=config.name, weights=weights, trained_on=trained_on, weights_sha256=sha256)
        )
    return settings


def _check_backbone(
    benchmark: Benchmark, record: BackboneRecord, sections: frozenset[str], manager: PluginManager
) -> None:
    """Check that a backbone offers what the sections that are read ask of it."""
    networks: tuple[Literal["classifier", "segmenter"], ...] = ("classifier", "segmenter")
    for section in networks:
        if section not in sections:
            continue
        settings: Any = getattr(benchmark.protocol, section)
        where = f"{benchmark.path}: protocol.{section}"
        if settings.output_stride not in record.output_strides:
            offered = " or ".join(map(str, sorted(record.output_strides)))
            raise ConfigError(
                f"{where}.output_stride: backbone {record.name!r} has no output stride {settings.output_stride}, "
                f"set {offered}"
            )
        count = len(record.channels)
        wrong = [level for level in getattr(settings, "levels", ()) if count and not -count <= level < count]
        if wrong:
            raise ConfigError(
                f"{where}.levels: backbone {record.name!r} has {count} levels, "
                f"{wrong[0]} is none of {-count} to {count - 1}"
            )
        if settings.optim.batch_size > 1 or settings.optim.iterations == 0:
            continue
        # Only a plan with steps of one image loads torch, to ask the network whether it can learn from one.
        from harness.modelling.backbones import use_records
        from harness.modelling.probe import trains_on_one_image

        use_records(manager.records("backbone").values())
        if not trains_on_one_image(section, settings, BackboneSettings(name=record.name)):
            raise ConfigError(
                f"{where}.optim.batch_size: the {section} with backbone {record.name!r} "
                "holds a BatchNorm that sees 1 x 1 pixels, which cannot learn from one image per step; "
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
    from harness.data.tag_noise import NoisyTags, without_noise

    record: Any = _get(manager, "dataset", name, where)
    params, noise = without_noise(params, record.params, where=f"{where}.params")
    checked = build_params(record, params, where=f"{where}.params")
    with guarded(f"{where}: reader {name!r}"):
        dataset: Dataset = resolve(record.factory)(checked)
        return dataset if noise is None else NoisyTags(dataset, noise)
