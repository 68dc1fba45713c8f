"""Configuration: YAML files, environment variables, overrides, strict validation, data sets by name.

Unusual here: values are validated in JSON mode, so that a YAML list may stand for a tuple while ``"3"`` never
stands for ``3``; every failure is one ``ConfigError`` sentence that names the file and the field.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from harness.common.files import read_text
from harness.common.text import DEPTH, parse_yaml, printable
from harness.contract import ConfigError, Dataset

if TYPE_CHECKING:
    from harness.registry import PluginManager

T = TypeVar("T")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MOST_BYTES = 1 << 20
"""Of a YAML file: far more than any real one, and read in a second or two."""


def load_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ConfigError: The file is missing, unreadable, too long, no valid YAML, repeats a key or holds no mapping.
    """
    value = parse_yaml(read_text(path, limit=_MOST_BYTES), where=printable(path))
    if not isinstance(value, dict):
        raise ConfigError(f"{printable(path)}: the top level must be a mapping of fields, not {_kind(value)}")
    return value


def expand_env(
    value: Any, *, where: str, field: str = "", hint: Callable[[str, str], str] = lambda name, text: ""
) -> Any:
    """Replace ``${NAME}`` and ``${NAME:-default}`` in every string of ``value``.

    A variable that is set to nothing counts as unset.

    Args:
        value: Nested mappings, lists and scalars.
        where: File that the value came from, for messages.
        field: Dotted path of ``value`` in that file.
        hint: Called with the name of a variable that is not set and the text that needs it; ends the sentence.

    Raises:
        ConfigError: A variable without default is unset; names variable, file and field.
    """
    if isinstance(value, Mapping):
        return {key: expand_env(item, where=where, field=_join(field, key), hint=hint) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [expand_env(item, where=where, field=_join(field, i), hint=hint) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        text = os.environ.get(name) or default
        if text is None:
            raise ConfigError(f"{where}: {field or 'value'}: environment variable {name} is not set{hint(name, value)}")
        return text

    return _VARIABLE.sub(replace, value)


def apply_overrides(mapping: Mapping[str, Any], overrides: Iterable[str], *, where: str = "-o") -> dict[str, Any]:
    """Return a copy of ``mapping`` with each ``"a.b=value"`` applied in turn.

    The value is read as YAML. Unknown keys are created (strict validation complains later); a number in the path
    indexes an existing list.

    Raises:
        ConfigError: An override has no ``=``, or its path leads through something that has no fields.
    """
    result: dict[str, Any] = copy.deepcopy(dict(mapping))
    for override in overrides:
        path, equals, text = override.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys) or len(keys) > DEPTH:
            raise ConfigError(f"{where} {override}: an override has the form key=value or outer.inner=value")
        _assign(result, keys, parse_yaml(text, where=f"{where} {override}"), where=f"{where} {override}")
    return result


def _assign(target: Any, keys: list[str], value: Any, *, where: str) -> None:
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(target, list):
            if not (key.isdecimal() and len(key) < 10 and int(key) < len(target)):
                raise ConfigError(
                    f"{where}: {'.'.join(keys[:depth])} is a list of {len(target)}, it has no item {key!r}"
                )
            slot: Any = int(key)
        elif isinstance(target, dict):
            slot = key
            if not last and target.get(key) is None:
                target[key] = {}
        else:
            raise ConfigError(f"{where}: {'.'.join(keys[:depth])} is {_kind(target)}, it has no field {key!r}")
        if last:
            target[slot] = value
        else:
            target = target[slot]


def validate(model: type[T], data: Any, *, where: str) -> T:
    """Make a ``model`` (pydantic model or dataclass) of ``data``, strictly.

    Args:
        model: The type to make.
        data: What was read: mappings, lists and scalars.
        where: File or option that the data came from, for messages.

    Raises:
        ConfigError: One sentence ``WHERE: field.path: message`` (joined by ``;``), with did-you-mean for unknown keys.
    """
    if isinstance(data, Mapping) and _is_model(model):
        fields = _field_types(model)
        unknown = [str(key) for key in data if str(key) not in fields]
        if unknown:
            raise ConfigError(f"{where}: " + "; ".join(f"{key}: {_unknown(key, fields)}" for key in unknown))
    try:
        text = to_json(data, inf_nan_mode="constants")
    except PydanticSerializationError as error:
        raise ConfigError(f"{where}: {error}") from None
    try:
        return TypeAdapter(model).validate_json(text, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_sentences(error, model, data))) from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _sentences(error: ValidationError, model: type, data: Any) -> Iterator[str]:
    """One ``field.path: message`` for each field; the branches of a union that all failed are joined by ``or``."""
    by_field: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        loc = item["loc"]
        if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            fields = _fields_inside(model)
            for key in loc[:-1]:
                fields = _fields_inside(fields[str(key)]) if key in fields else fields
            message = _unknown(str(loc[-1]), fields)
        else:
            loc = _existing(data, loc, missing=item["type"].startswith("missing"))
            text = str(item["msg"]).removeprefix("Value error, ")
            message, value = text[:1].lower() + text[1:], repr(item["input"])
            simple = isinstance(item["input"], str | int | float | bool | None) and len(value) <= 60
            if item["type"] in ("missing", "missing_argument"):
                message = "required field is missing"
            elif simple and item["type"] != "value_error":
                message = f"{message}, got {value}"
        messages = by_field.setdefault(".".join(map(str, loc)), [])
        if message not in messages:
            messages.append(message)
    for field, messages in by_field.items():
        yield f"{field}: {' or '.join(messages)}" if field else " or ".join(messages)


def _existing(data: Any, loc: tuple[int | str, ...], *, missing: bool) -> tuple[int | str, ...]:
    """Cut from ``loc`` the union branches that pydantic appends: keep what leads through ``data``."""
    kept: list[int | str] = []
    for key in loc:
        if isinstance(data, Mapping) and (names := {str(name): name for name in data}) and str(key) in names:
            data = data[names[str(key)]]
        elif isinstance(data, list | tuple) and isinstance(key, int) and key < len(data):
            data = data[key]
        elif missing and key == loc[-1]:
            pass
        else:
            continue
        kept.append(key)
    return tuple(kept)


def _unknown(key: str, fields: Iterable[str]) -> str:
    names = sorted(fields)
    close = difflib.get_close_matches(key, names, n=1)
    if close:
        return f"unknown field, did you mean {close[0]!r}?"
    return "unknown field" + (f", known are {', '.join(names)}" if names else ", there are none")


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation))


def _field_types(model: Any) -> dict[str, Any]:
    """Field name -> annotation of a pydantic model or dataclass; empty for other types."""
    if not _is_model(model):
        return {}
    if issubclass(model, BaseModel):
        return {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    hints = get_type_hints(model)
    return {field.name: hints[field.name] for field in dataclasses.fields(model) if field.init}


def _fields_inside(annotation: Any) -> dict[str, Any]:
    fields = dict(_field_types(annotation))
    for part in get_args(annotation):
        fields |= _fields_inside(part)
    return fields


def _join(field: str, key: object) -> str:
    return f"{field}.{key}" if field else str(key)


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")


def build_dataset(
    name: str,
    params: Mapping[str, Any],
    *,
    where: str,
    plugins: PluginManager | None = None,
    lenient: bool = False,
) -> Dataset:
    """The registered data set ``name`` with ``params``.

    Args:
        name: Name of a registered reader, for example ``voc``.
        params: Its parameters, not yet validated.
        where: File that they came from, for messages.
        plugins: Where to look the name up; default: the plugins of this process.
        lenient: Make the data set with its class method ``lenient``, where it has one, which leaves defective
            images out instead of raising and says so in ``defects``.

    Raises:
        PluginError: No such data set is registered (the message suggests the closest name), or its reader raises
            anything but the harness's own errors.
        ConfigError: A parameter is wrong.
        DataError: The data are missing or damaged.
    """
    from harness.data.tag_noise import NoisyTags, without_noise
    from harness.registry import guarded, manager, resolve

    record = (plugins or manager()).get("dataset", name)
    factory = resolve(record.factory)
    if lenient:
        factory = getattr(factory, "lenient", factory)
    params, noise = without_noise(params, record.params, where=f"{where}: params")
    checked = validate(record.params, params, where=f"{where}: params")
    with guarded(f"{where}: reader {name!r}"):
        dataset: Dataset = factory(checked)
        return dataset if noise is None else NoisyTags(dataset, noise)
