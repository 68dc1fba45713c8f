"""The benchmark file: which data, protocol, rows, backbones and seeds.

* A row is a method's name, a method with changes, or rounds written out. A component is a name or ``{name, params}``.
* Rows, backbones and seeds that were not selected are dropped before ``${VAR}`` is expanded, so an unset variable
  of an unused row is no error.
* Everything wrong is one ``ConfigError`` sentence that names file and field.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from harness.common.files import file_problem
from harness.common.shipped import dataset_file
from harness.common.text import printable
from harness.contract.errors import ConfigError
from harness.contract.protocol import Protocol
from harness.data.configuration import apply_overrides, expand_env, load_yaml, validate
from harness.engine.plan.catalogue import unset
from harness.engine.plan.segmenter_file import segmenter_config_sha256

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$"
"""What names of benchmarks and rows may be: parts of file names on every system."""


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _distinct(values: list[Any]) -> list[Any]:
    """Check that no name of a row or backbone, and no seed, occurs twice."""
    names = [getattr(value, "name", value) for value in values]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} occurs twice; give each its own name")
    return values


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ComponentConfig(_Strict):
    """A generator, refiner or segmenter by name with its parameters."""

    name: str = Field(description="name of a registered component")
    params: dict[str, Any] = Field({}, description="its parameters, see `wsss plugins show NAME`")


ComponentField = Annotated[ComponentConfig, BeforeValidator(_named)]


class ExecutorConfig(ComponentConfig):
    """Where stages run; the numbers of a table do not depend on it, so no key and no fingerprint holds it."""

    name: str = Field(description="name of a registered executor: local, torchrun, dask or a plugin's")


class RoundConfig(_Strict):
    """One round of a row that is written out."""

    generator: ComponentField = Field(description="makes the pseudo labels; a name or {name, params}")
    refiners: list[ComponentField] = Field([], description="change the labels, one after another")
    segmenter: ComponentField = Field(ComponentConfig(name="plain"), description="is trained on them")
    warm_start: bool = Field(False, description="the segmenter begins with the weights of the round before")


class RowConfig(_Strict):
    """One row of the table.

    ``segmenter`` and ``refiners`` replace those of the method's last round. A row with ``labels_only`` ends with the
    last round's pseudo labels: they are scored, and no segmenter is trained on them.
    """

    name: str = Field(
        pattern=NAME, description="label in the table", json_schema_extra={"default": "the method's name"}
    )
    method: str | None = Field(None, description="a registered method; null = the one of that name")
    rounds: list[RoundConfig] | None = Field(None, min_length=1, description="the rounds written out, without a method")
    params: dict[str, Any] = Field({}, description="parameters of the method, see `wsss plugins show NAME`")
    segmenter: ComponentField | None = Field(None, description="replaces the last round's; null = the method's own")
    refiners: list[ComponentField] | None = Field(None, description="replace the last round's; null = its own")
    labels_only: bool = Field(False, description="end with the last pseudo labels, train no segmenter on them")
    repeat: int = Field(
        1,
        ge=1,
        le=100,
        description="how many times the last round is run, the segmenter going on from its weights: 3 = 3x the steps",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value, "method": value}
        if isinstance(value, dict) and "rounds" not in value:
            named = value.get("name") or value.get("method")
            return {"name": named, "method": named, **value} if named else value
        return value

    @model_validator(mode="after")
    def _one_recipe(self) -> RowConfig:
        if self.rounds is not None and (self.method or self.params or self.segmenter or self.refiners is not None):
            raise ValueError("a row with rounds takes no method, params, segmenter or refiners beside them")
        if self.labels_only and self.segmenter is not None:
            raise ValueError("a row with labels_only trains no segmenter, take one of the two away")
        if self.labels_only and self.repeat > 1:
            raise ValueError("a row with labels_only trains no segmenter, there is nothing to repeat")
        return self


class BackboneConfig(_Strict):
    """A backbone of the benchmark; weights that are not given are the record's."""

    name: str = Field(description="name of a registered backbone, see `wsss plugins list`")
    weights: str | None = Field(
        None,
        description="path, URL or scheme; null = random; must be given for a backbone of timm",
        json_schema_extra={"default": "the backbone's own"},
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the weights; a URL needs it unless its file name ends in the first digits",
    )
    trained_on: str | None = Field(None, description="data set that the weights were trained on, for the table")


class DatasetConfig(_Strict):
    """A data set reader and its parameters."""

    name: str = Field(description="name of a registered reader")
    params: dict[str, Any] = Field({}, description="its parameters, see `wsss plugins show NAME`")


class Benchmark(_Strict):
    """A whole benchmark, selected and validated."""

    name: str = Field(
        pattern=NAME, description="folder of the records", json_schema_extra={"default": "the file's name"}
    )
    dataset: DatasetConfig = Field(description="a data set file relative to this one, or its fields written out")
    backbones: Annotated[list[Annotated[BackboneConfig, BeforeValidator(_named)]], AfterValidator(_distinct)] = Field(
        min_length=1, description="an axis: each row is computed with each; a name or fields"
    )
    protocol: Protocol = Field(description="the settings that all rows share, see `wsss plugins show protocol`")
    methods: Annotated[list[RowConfig], AfterValidator(_distinct)] = Field(
        min_length=1, description="the rows of the table; a method's name or fields"
    )
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_distinct)] = Field(
        [0], min_length=1, description="an axis: each row for each seed"
    )
    timeout: float | None = Field(None, gt=0, description="seconds that one stage may take")
    executor: Annotated[ExecutorConfig, BeforeValidator(_named)] = Field(
        ExecutorConfig(name="local"), description="where stages run; a name or {name, params}"
    )
    _path: Path = PrivateAttr(default=Path())

    @property
    def path(self) -> Path:
        """The file that the benchmark was read from."""
        return self._path


def load_benchmark(
    path: Path | str,
    overrides: Iterable[str] = (),
    *,
    methods: Sequence[str] | None = None,
    backbones: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    registered: Mapping[str, Collection[str]] | None = None,
) -> Benchmark:
    """Read, override, select, expand and validate a benchmark file.

    Args:
        path: The YAML file.
        overrides: ``key=value`` with a dotted key; ``methods.<label>.<parameter>`` reaches into the row of that label.
        methods: Labels to keep, ``*`` and ``?`` allowed; a registered method that is no row yet is added as one.
        backbones: Names to keep, alike.
        seeds: Replaces the file's seeds.
        registered: Names of registered methods and backbones by kind, that ``methods`` and ``backbones`` may add.

    Raises:
        ConfigError: Anything is wrong; names file and field.
    """
    path, registered = Path(path), registered or {}
    where, given = str(path), list(overrides)
    raw = _unshared(load_yaml(path))
    raw.setdefault("name", path.stem)
    raw["dataset"] = _read_dataset(raw.get("dataset"), path.parent, where)

    of_dataset = [override for override in given if override.partition("=")[0].strip() == "dataset"]
    for override in of_dataset:  # before all others, which may change fields of the new data set
        raw = apply_overrides(raw, [override])
        if isinstance(raw["dataset"], str):
            raw["dataset"] = str(dataset_file(Path(raw["dataset"])))
        raw["dataset"] = _read_dataset(raw["dataset"], Path(), f"-o {override}")
    of_rows = [override for override in given if override.startswith("methods.")]
    raw = apply_overrides(raw, [override for override in given if override not in (*of_dataset, *of_rows)])
    for field, patterns, kind in (("methods", methods, "method"), ("backbones", backbones, "backbone")):
        raw[field] = _with_added(raw.get(field), patterns, registered.get(kind, ()), field, where)
    rows = raw["methods"] if isinstance(raw["methods"], list) else []
    for override in of_rows:  # before rows are left out, so that an override of one that is left out harms nothing
        _override_row(rows, override, where)
    raw["methods"] = _select(raw["methods"], methods)
    raw["backbones"] = _select(raw["backbones"], backbones)
    if seeds is not None:
        raw["seeds"] = list(seeds)
    benchmark = validate(Benchmark, expand_env(raw, where=where, hint=unset), where=where)

    segmenter = benchmark.protocol.segmenter
    config = path.parent / segmenter.config
    try:
        update = {"config_sha256": segmenter_config_sha256(config), "config": str(config.resolve())}
    except ConfigError as error:
        raise ConfigError(f"{where}: protocol.segmenter.config: {error}") from None
    protocol = benchmark.protocol.model_copy(update={"segmenter": segmenter.model_copy(update=update)})
    benchmark = benchmark.model_copy(update={"protocol": protocol})
    benchmark._path = path
    return benchmark


def _unshared(value: Any) -> Any:
    """A copy in which YAML aliases are values of their own, so that an override changes one place only."""
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def _read_dataset(value: object, folder: Path, where: str) -> object:
    """The content of the data set file that ``value`` names; fields that are written out are returned as they are."""
    if not isinstance(value, str):
        return value
    file = folder / expand_env(value, where=where, field="dataset", hint=unset)
    if problem := file_problem(file):
        raise ConfigError(f"{where}: dataset: {printable(file)}: {problem}")
    return load_yaml(file)


def _override_row(rows: list[Any], override: str, where: str) -> None:
    """Apply ``methods.LABEL.PARAMETER=VALUE`` to the row with the longest such label: labels may hold dots."""
    address = override.partition("=")[0].removeprefix("methods.")
    labels = [_label(row) for row in rows]
    label = max((label for label in labels if address.startswith(f"{label}.")), key=len, default=None)
    if label is None:
        raise ConfigError(f"-o {override}: {_unknown(address.split('.')[0], labels, f'row of {where}')}")
    index = labels.index(label)
    row: dict[str, Any] = {"name": label} if isinstance(rows[index], str) else rows[index]
    if "rounds" in row:
        raise ConfigError(f"-o {override}: row {label!r} is written out as rounds, change it in {where}")
    params = row.get("params") or {}
    if isinstance(params, dict):  # else validation says what it must be
        params = apply_overrides(params, [override.removeprefix(f"methods.{label}.")])
    rows[index] = {**row, "params": params}


def _label(item: object) -> str:
    named = (item.get("name") or item.get("method")) if isinstance(item, Mapping) else item
    return named if isinstance(named, str) else ""


def _with_added(
    items: Any, patterns: Sequence[str] | None, registered: Collection[str], field: str, where: str
) -> list[Any] | Any:
    """Items in file order, then the registered names of ``patterns`` that the file does not list."""
    if patterns is None or not isinstance(items, list):
        return items
    labels = [_label(item) for item in items]
    added = [name for name in dict.fromkeys(patterns) if not any(fnmatchcase(label, name) for label in labels)]
    for name in added:
        if name not in registered and name.partition("/")[0] not in registered:
            raise ConfigError(f"--{field}: {_unknown(name, [*labels, *registered], f'{field} entry of {where}')}")
    return [*items, *added]


def _select(items: Any, patterns: Sequence[str] | None) -> list[Any] | Any:
    """Items whose label is one of ``patterns`` or matches one."""
    if patterns is None or not isinstance(items, list):
        return items
    labels = [(item, _label(item)) for item in items]
    return [item for item, label in labels if any(label == name or fnmatchcase(label, name) for name in patterns)]


def _unknown(name: str, known: Iterable[str], what: str) -> str:
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(names)) or 'none'}"
    return f"{name!r} is no {what}; {hint}"
