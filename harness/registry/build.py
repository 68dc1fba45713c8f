"""From a record to what runs: the callable behind it, and its parameters, type-checked.

Unusual here: parameters are validated as JSON, not as Python objects. That is pydantic's strict mode with the types a
YAML file can hold: a list fills a tuple and a string a path, but ``"3"`` or ``true`` never passes for a number. Workers
run this module, so it is part of the key of every stage that runs a component; it imports no more than it needs.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.text import DEPTH, DIGITS
from harness.contract import ConfigError, PluginError, WsssError
from harness.registry.interrupts import of_user, sentence, watching
from harness.registry.names import did_you_mean, is_pydantic, kind_of, owner_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

    from harness.contract.input_files import Input
    from harness.contract.records import AnyRecord, Lazy


def resolve(lazy: Lazy) -> Callable[..., Any]:
    """The callable behind ``lazy``, imported if it is written ``"module:attribute"``.

    Raises:
        PluginError: The import fails or the attribute is missing or not callable; names plugin and reason.
    """
    if not isinstance(lazy, str):
        return lazy
    module, _, attribute = lazy.partition(":")
    try:
        with watching():
            target: Any = importlib.import_module(module)
            for part in attribute.split("."):
                target = getattr(target, part)
    except BaseException as error:
        if of_user(error):
            raise
        raise PluginError(
            f"plugin {owner_of(module)}: cannot import {lazy!r}: {type(error).__name__}: {sentence(error)}"
        ) from error
    if not callable(target):
        raise PluginError(f"plugin {owner_of(module)}: {lazy!r} is not callable")
    return target  # type: ignore[no-any-return]


def build_params(
    record: AnyRecord,
    mapping: Mapping[str, Any],
    *,
    where: str,
    find: Callable[[Input, Path], Path] | None = None,
) -> Any:
    """A validated instance of ``record.params``.

    Args:
        record: Whose parameters they are.
        mapping: Parameter name to value, as a YAML or JSON file can hold them; what is left out gets its default.
        where: File and field that the mapping comes from, for messages.
        find: Finds the files and folders that parameters name; else they stay as they are written.

    Raises:
        ConfigError: Unknown parameter, wrong type or a value that the plugin refuses.
        PluginError: The parameter class itself is faulty.
    """
    prefix = f"{where}: {kind_of(record)} {record.name!r}"
    if not isinstance(mapping, Mapping) or not all(isinstance(key, str) for key in mapping):
        raise ConfigError(f"{prefix}: parameters must be a mapping of names to values, got {mapping!r}")
    params: Any = record.params
    if is_pydantic(params):
        names = [field.alias or name for name, field in params.model_fields.items()]
    else:
        names = [field.name for field in dataclasses.fields(params) if field.init]
    for name in mapping:
        if name not in names:
            listed = f" (parameters: {', '.join(names)})" if names else " (it has no parameters)"
            raise ConfigError(f"{prefix}: parameter {name!r}: unknown{did_you_mean(name, names)}{listed}")

    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError, to_json

    for name, value in mapping.items():
        if problem := _odd_number(value):
            raise ConfigError(f"{prefix}: parameter {name!r}: {problem}")
    try:
        with watching():
            return adapter(params).validate_json(to_json(dict(mapping)), strict=True, extra="forbid", context=find)
    except ValidationError as error:
        raise ConfigError(f"{prefix}: {_first_error(error.errors())}") from None
    except PydanticSerializationError as error:
        raise ConfigError(f"{prefix}: parameters must be plain values: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{prefix}: {error}") from error
    except WsssError:
        raise
    except BaseException as error:
        if of_user(error):
            raise
        raise PluginError(f"{prefix}: {owner(params)}: {type(error).__name__}: {sentence(error)}") from error


def _odd_number(value: object, depth: int = 0) -> str | None:
    """Why a number in ``value`` cannot become part of a key, or ``None``; what nests too deep is left to pydantic."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no finite number"
    if isinstance(value, int) and abs(value) >= 10**DIGITS:
        return f"a number of over {DIGITS} digits"
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    problems = (_odd_number(item, depth + 1) for item in inside if depth < DEPTH)
    return next((problem for problem in problems if problem), None)


def owner(thing: object) -> str:
    """Name of the plugin that a class or function most likely belongs to."""
    module = getattr(thing, "__module__", None)  # a plugin may have set it to anything
    return owner_of(module if isinstance(module, str) else str(type(thing).__module__))


@cache
def adapter(params: type) -> TypeAdapter[Any]:
    """What validates the parameters; made once for each class."""
    from pydantic import TypeAdapter

    return TypeAdapter(params)


def _first_error(errors: list[ErrorDetails]) -> str:
    first = errors[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    path = ".".join(map(str, first["loc"]))
    got = "" if first["type"] == "missing" or not path else f", got {first['input']!r}"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        message, got = "unknown", ""
    return (f"parameter {path!r}: " if path else "") + message + got + more
