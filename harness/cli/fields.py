"""The fields of a benchmark file and of its protocol, from the descriptions that the models themselves carry.

``wsss plugins show protocol`` prints them, and ``docs/protocol-fields.md`` and ``docs/benchmark-fields.md`` are what
``--format md`` writes.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from harness.cli.console import console, print_json, print_table
from harness.contract import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

ROOTS = ("protocol", "benchmark")
_NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null"}
_MANY = {"whole number": "whole numbers", "number": "numbers", "text": "texts", "section": "sections"}


@dataclass(frozen=True)
class FieldRow:
    """One field: its type in words, its default as YAML (``required`` where there is none), what it means."""

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True)
class SectionRows:
    """The fields of one model, and every address below the root that has them."""

    addresses: tuple[str, ...]
    text: str
    fields: tuple[FieldRow, ...]


def is_section(name: str) -> bool:
    """Whether ``wsss plugins show NAME`` asks for the fields of a model, not for a component."""
    return name.partition(".")[0] in ROOTS


def show_fields(name: str, *, form: str) -> None:
    """Print the fields of ``protocol``, ``benchmark`` or one of their sections.

    Args:
        name: ``protocol.segmenter.optim`` and so on.
        form: ``table``, ``md`` or ``json``.

    Raises:
        ConfigError: There is no such section.
    """
    shown = sections(name)
    if form == "json":
        print_json({"name": name, "sections": [asdict(section) for section in shown]})
    elif form == "md":
        console().print(markdown(name, shown), end="", soft_wrap=True)
    else:
        for section in shown:
            console().print(", ".join(section.addresses), style="bold")
            console().print(section.text, soft_wrap=True)
            rows = [(row.name, row.type, row.default, row.description) for row in section.fields]
            print_table(("field", "type", "default", "meaning"), rows)


def sections(name: str) -> list[SectionRows]:
    """The model at ``name`` and those below it, each once, in the order of their fields.

    Raises:
        ConfigError: There is no such section; names the nearest.
    """
    from harness.contract.protocol import Protocol
    from harness.engine.plan.config import Benchmark

    root, *path = name.split(".")
    model: Any = {"protocol": Protocol, "benchmark": Benchmark}[root]
    for depth, key in enumerate(path):
        inner = _models(model.model_fields[key].annotation) if key in model.model_fields else []
        if not inner:
            names = ", ".join(field for field, info in model.model_fields.items() if _models(info.annotation))
            raise ConfigError(f"{'.'.join([root, *path[:depth]])} has no section {key!r} (sections: {names or 'none'})")
        model = inner[0]
    # A benchmark's protocol has a page of its own.
    stop = Protocol if root == "benchmark" else None
    addresses: dict[Any, list[str]] = {}
    for section, address in _walk(model, name, stop):
        addresses.setdefault(section, []).append(address)
    return [
        SectionRows(tuple(at), inspect.cleandoc(section.__doc__ or ""), tuple(_rows(section)))
        for section, at in addresses.items()
    ]


def markdown(name: str, shown: Sequence[SectionRows]) -> str:
    """The page of a section and of those below it."""
    lines = [f"# Fields of `{name}`", "", f"Written by `wsss plugins show {name} --format md`."]
    for section in shown:
        heading = ", ".join(f"`{address}`" for address in section.addresses)
        lines += ["", f"## {heading}", "", section.text.replace("``", "`"), ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        for row in section.fields:
            cells = (f"`{row.name}`", row.type, f"`{row.default}`", row.description)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _walk(model: type[BaseModel], address: str, stop: Any) -> Iterator[tuple[type[BaseModel], str]]:
    yield model, address
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            if inner is not stop:
                yield from _walk(inner, f"{address}.{name}", stop)


def _models(annotation: Any) -> list[Any]:
    """The models that a field may hold."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return [annotation]
    return list(dict.fromkeys(model for part in get_args(annotation) for model in _models(part)))


def _rows(model: type[BaseModel]) -> Iterator[FieldRow]:
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _yaml(field.get_default(call_default_factory=True))
        if isinstance(field.json_schema_extra, dict):  # filled in before the model is made
            default = str(field.json_schema_extra.get("default", default))
        yield FieldRow(name, _limited(_type(field.annotation), field.metadata), default, field.description or "")


def _yaml(value: Any) -> str:
    """A default as it would be written; the section of defaults is left to its own table."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        name = getattr(value, "name", None)
        return str(name) if name else "its defaults"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _type(annotation: Any) -> str:
    if annotation in _NAMES:
        return _NAMES[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _limited(_type(parts[0]), [item for part in parts[1:] for item in getattr(part, "metadata", [part])])
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_type, parts)))
    if origin in (list, tuple):
        inner, _, limit = _type(parts[0]).partition(", ")
        count = "list of" if origin is list or parts[-1] is ... else f"{len(parts)}"
        return f"{count} {_MANY.get(inner, inner)}" + (f", each {limit}" if limit else "")
    return "mapping" if origin is dict else "section"


def _limited(text: str, metadata: Sequence[Any]) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {value:g}"
        for name, word in words.items()
        for item in metadata
        if (value := getattr(item, name, None)) is not None
    ]
    return f"{text}, {' and '.join(limits)}" if limits else text
