"""A component's parameters, declared supervision, shared stages and rounds, all type-checked.

Unusual here: parameters are validated as JSON, not as Python objects. That is pydantic's strict mode with the types a
YAML file can hold: a list fills a tuple and a string a path, but ``"3"`` or ``true`` never passes for a number.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

from harness.common.text import DEPTH, DIGITS
from harness.contract import ConfigError, MethodRecord, Need, PluginError, Round, SharedStage, WsssError
from harness.contract.records import AnyRecord, GeneratorRecord, Lazy, RefinerRecord, SegmenterRecord
from harness.plugins._interrupts import of_user, watching
from harness.plugins._records import did_you_mean, is_needs, is_pydantic, is_rounds, is_uses, kind_of
from harness.plugins._sources import owner_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Component = GeneratorRecord | RefinerRecord | SegmenterRecord


@dataclasses.dataclass(frozen=True)
class ParamInfo:
    """One parameter as ``wsss plugins show`` prints it; ``default`` is JSON, ``None`` also when ``required``."""

    name: str
    type: str
    default: Any
    required: bool
    help: str


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
            f"plugin {owner_of(module)}: cannot import {lazy!r}: {type(error).__name__}: {error}"
        ) from error
    if not callable(target):
        raise PluginError(f"plugin {owner_of(module)}: {lazy!r} is not callable")
    return target  # type: ignore[no-any-return]


def build_params(record: AnyRecord, mapping: Mapping[str, Any], *, where: str) -> Any:
    """A validated instance of ``record.params``.

    Args:
        record: Whose parameters they are.
        mapping: Parameter name to value, as a YAML or JSON file can hold them; what is left out gets its default.
        where: File and field that the mapping comes from, for messages.

    Raises:
        ConfigError: Unknown parameter, wrong type or a value that the plugin refuses.
        PluginError: The parameter class itself is faulty.
    """
    prefix = f"{where}: {kind_of(record)} {record.name!r}"
    if not isinstance(mapping, Mapping) or not all(isinstance(key, str) for key in mapping):
        raise ConfigError(f"{prefix}: parameters must be a mapping of names to values, got {mapping!r}")
    known = _parameter_names(record.params)
    for name in mapping:
        if name not in known:
            listed = f" (parameters: {', '.join(known)})" if known else " (it has no parameters)"
            raise ConfigError(f"{prefix}: parameter {name!r}: unknown{did_you_mean(name, known)}{listed}")

    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError, to_json

    for name, value in mapping.items():
        if problem := _odd_number(value):
            raise ConfigError(f"{prefix}: parameter {name!r}: {problem}")
    try:
        with watching():
            return _adapter(record.params).validate_json(to_json(dict(mapping)), strict=True, extra="forbid")
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
        raise PluginError(f"{prefix}: {_owner(record.params)}: {type(error).__name__}: {error}") from error


def _odd_number(value: object, depth: int = 0) -> str | None:
    """Why a number in ``value`` cannot become part of a key, or ``None``; what nests too deep is left to pydantic."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no finite number"
    if isinstance(value, int) and abs(value) >= 10**DIGITS:
        return f"a number of over {DIGITS} digits"
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    found = (_odd_number(item, depth + 1) for item in inside if depth < DEPTH)
    return next((problem for problem in found if problem), None)


def params_dict(instance: Any) -> dict[str, Any]:
    """Parameters by name as JSON values, defaults included; the inverse of ``build_params``.

    A parameter that is a mapping keeps its order, which may mean something to the component.
    """
    from pydantic_core import to_jsonable_python

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(to_jsonable_python(key)): plain(entry) for key, entry in value.items()}
        if isinstance(value, set | frozenset):
            return sorted(map(plain, value), key=json.dumps)
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        return to_jsonable_python(value)

    params: Any = type(instance)
    dumped = _adapter(params).dump_python(instance, by_alias=True, warnings=False)
    return dict(sorted(plain(dumped).items()))


def component_needs(record: Component, params: Any) -> tuple[Need, ...]:
    """Supervision that the component itself declares with ``params``.

    Raises:
        PluginError: A callable raised or returned anything but a tuple of ``Need``; names the plugin.
    """
    return _evaluated(record, "needs", params, is_needs, "a tuple of Need")  # type: ignore[no-any-return]


def component_uses(record: Component, params: Any) -> tuple[SharedStage, ...]:
    """Shared stages that the component reads with ``params``.

    Raises:
        PluginError: A callable raised or returned anything but a tuple of ``SharedStage``; names the plugin.
    """
    return _evaluated(record, "uses", params, is_uses, "a tuple of SharedStage")  # type: ignore[no-any-return]


def method_rounds(record: MethodRecord, params: Any) -> tuple[Round, ...]:
    """Rounds of the method with ``params``.

    Raises:
        PluginError: A callable raised or returned anything but one or more ``Round``; names the plugin.
    """
    return _evaluated(record, "rounds", params, is_rounds, "a tuple of one or more Round")  # type: ignore[no-any-return]


def describe_params(params: type) -> tuple[ParamInfo, ...]:
    """Name, type, default and help of every parameter, in declared order."""
    if is_pydantic(params):
        return tuple(_describe_model(params))
    hints = _hints(params)
    described = []
    for field in dataclasses.fields(params):
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        required = default is dataclasses.MISSING
        described.append(
            ParamInfo(
                field.name,
                _type_name(hints.get(field.name, field.type)),
                None if required else _plain(default),
                required,
                str(field.metadata.get("help", "")),
            )
        )
    return tuple(described)


def _describe_model(params: Any) -> list[ParamInfo]:
    return [
        ParamInfo(
            field.alias or name,
            _type_name(field.annotation),
            None if field.is_required() else _plain(field.get_default(call_default_factory=True)),
            field.is_required(),
            field.description or "",
        )
        for name, field in params.model_fields.items()
    ]


def _evaluated(record: Any, field: str, params: Any, check: Callable[[object], bool], wanted: str) -> Any:
    value = getattr(record, field)
    if not callable(value):
        return value
    where = f"plugin {_owner(value)}: {field} of {kind_of(record)} {record.name!r}"
    try:
        with watching():
            result = value(params)
    except ConfigError as error:
        raise ConfigError(f"{kind_of(record)} {record.name!r}: {error}") from error
    except BaseException as error:
        if of_user(error):
            raise
        raise PluginError(f"{where} raised {type(error).__name__}: {error}") from error
    if not check(result):
        raise PluginError(f"{where} must return {wanted}, got {result!r}")
    return result


def _owner(thing: object) -> str:
    return owner_of(getattr(thing, "__module__", None) or type(thing).__module__)


def _parameter_names(params: type) -> list[str]:
    if is_pydantic(params):
        model: Any = params
        return [field.alias or name for name, field in model.model_fields.items()]
    return [field.name for field in dataclasses.fields(params) if field.init]


@cache
def _adapter(params: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(params)


def _first_error(errors: list[ErrorDetails]) -> str:
    first = errors[0]
    message = first["msg"][:1].lower() + first["msg"][1:]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    path = ".".join(map(str, first["loc"]))
    if first["type"] == "missing" or not path:
        got = ""
    else:
        got = f", got {first['input']!r}"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        message, got = "unknown", ""
    return (f"parameter {path!r}: " if path else "") + message + got + more


def _hints(params: type) -> dict[str, Any]:
    """Resolved annotations; empty when a name is only known to type checkers."""
    try:
        return get_type_hints(params)
    except NameError:
        return {}


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not getattr(annotation, "__args__", ()):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=repr)
