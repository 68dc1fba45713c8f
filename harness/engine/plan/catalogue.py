"""Which weights the shipped backbones and benchmarks name, where they come from, and under what licence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.files import file_problem
from harness.common.text import parse_yaml
from harness.contract.errors import ConfigError
from harness.modelling.weight_sources import VARIABLE, Download, find_download, folders
from harness.registry import did_you_mean

if TYPE_CHECKING:
    from harness.contract.records import BackboneRecord

_IMAGENET = "ImageNet-1k"


@dataclass(frozen=True)
class Weights:
    """One file of weights.

    Attributes:
        name: What ``wsss weights`` calls it.
        backbone: The backbone that they are for.
        file: Name in the folder of weights.
        source: Address or scheme that can be downloaded, ``None`` where the file must be brought.
        sha256: Of the file, or its first digits; empty where none is known.
        trained_on: Data set.
        licence: Of the weights.
        origin: Where the file comes from, in words.
        instead: A backbone whose weights are downloaded, for a file that must be brought.
    """

    name: str
    backbone: str
    file: str
    source: str | None
    sha256: str
    trained_on: str
    licence: str
    origin: str
    instead: str | None = None

    @property
    def path(self) -> Path | None:
        """The file where it is there; its content is not looked at."""
        paths = (folder / self.file for folder in folders())
        return next((path for path in paths if file_problem(path) is None), None)


def catalogue(backbones: Iterable[BackboneRecord] = ()) -> list[Weights]:
    """The weights that the harness knows, then the default weights of other backbones.

    Args:
        backbones: Records of all registered backbones.
    """
    records = {record.name: record for record in backbones}
    text = (files("harness.modelling") / "catalogue.yaml").read_text(encoding="utf-8")
    entries = [_entry(name, fields, records) for name, fields in parse_yaml(text, where="catalogue.yaml").items()]
    listed = {entry.source for entry in entries}
    for record in records.values():
        if record.init is not None and "://" in record.init and record.init not in listed:
            fields = {"source": record.init, "sha256": record.init_sha256, "licence": "not stated by the plugin"}
            entries.append(_entry(record.name, fields, records))
    return entries


def find_weights_named(name: str, backbones: Iterable[BackboneRecord]) -> Weights:
    """The entry with that name, file, address or backbone.

    Raises:
        ConfigError: There is none; suggests the nearest.
    """
    entries = catalogue(backbones)
    for field in ("name", "file", "source", "backbone"):
        for entry in entries:
            if getattr(entry, field) == name:
                return entry
    names = [entry.name for entry in entries]
    raise ConfigError(f"there are no weights called {name!r}{did_you_mean(name, names)}; `wsss weights list` shows all")


def hint(file: str) -> str:
    """What to do about a file of weights that a benchmark names and that is not there, as the end of a sentence."""
    entry = next((entry for entry in catalogue() if entry.file == file), None)
    if entry is None:
        return ""
    without = f", and -o 'backbones=[{entry.instead}]' does without it" if entry.instead else ""
    return f"; `wsss weights show {entry.name}` says where it comes from{without}"


def unset(variable: str, text: str) -> str:
    """What to add when a benchmark needs an environment variable that is not set.

    Args:
        variable: Its name.
        text: The value that holds it.
    """
    if variable == VARIABLE:
        return f": it names the folder of {Path(text).name}{hint(Path(text).name)}"
    if variable == "WSSS_DATA":
        return ": it names the folder of all data sets; `wsss datasets prepare` fills it with published ones"
    return ""


def _entry(name: str, fields: dict[str, Any], records: dict[str, BackboneRecord]) -> Weights:
    record = records.get(fields.get("backbone", name))
    source, sha256 = fields.get("source"), fields.get("sha256")
    download: Download | None = find_download(source, sha256) if source else None
    return Weights(
        name=name,
        backbone=fields.get("backbone", name),
        file=download.name if download else fields["file"],
        source=source,
        sha256=(download.sha256 if download else sha256) or "",
        trained_on=(record.trained_on if record and record.trained_on else _IMAGENET),
        licence=fields["licence"],
        origin=download.url if download else fields["origin"],
        instead=fields.get("instead"),
    )
