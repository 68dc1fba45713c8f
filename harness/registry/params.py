"""What a component declares with its parameters, type-checked, and its parameters for people and for records."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from harness.contract import ConfigError, MethodRecord, Need, PluginError, Pretrained, Round, SharedStage, Stated
from harness.contract.input_files import Input, InputPath
from harness.contract.records import GeneratorRecord, RefinerRecord, SegmenterRecord
from harness.registry.build import adapter, owner
from harness.registry.interrupts import of_user, sentence, watching
from harness.registry.names import is_pydantic, kind_of
from harness.registry.records import is_needs, is_pretrained, is_rounds, is_uses

Component = GeneratorRecord | RefinerRecord | SegmenterRecord


@dataclasses.dataclass(frozen=True)
class ParamInfo:
    """One parameter as ``wsss plugins show`` prints it; ``default`` is JSON, ``None`` also when ``required``."""

    name: str
    type: str
    default: Any
    required: bool
    help: str


def params_dict(instance: Any) -> dict[str, Any]:
    """Parameters by name as JSON values, defaults included; the inverse of ``build_params``.

    A parameter that is a mapping keeps its order, which may mean something to the component. A file or folder stays an
    ``InputPath``, which is a text.
    """
    from pydantic_core import to_jsonable_python

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(to_jsonable_python(key)): plain(entry) for key, entry in value.items()}
        if isinstance(value, set | frozenset):
            return sorted(map(plain, value), key=json.dumps)
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        return value if isinstance(value, InputPath) else to_jsonable_python(value)

    params: Any = type(instance)
    dumped = adapter(params).dump_python(instance, by_alias=True, warnings=False)
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


def trains_backbone(record: Component, params: Any) -> bool:
    """Whether the component trains a backbone with ``params`` also where the protocol freezes it.

    Raises:
        PluginError: A callable raised or returned anything but a boolean; names the plugin.
    """
    return _evaluated(record, "trains_backbone", params, lambda value: isinstance(value, bool), "a boolean")  # type: ignore[no-any-return]


def component_pretrained(record: Component, params: Any) -> tuple[Pretrained, ...]:
    """Networks that the component uses with ``params`` and that were trained elsewhere.

    Raises:
        PluginError: A callable raised or returned anything but a tuple of ``Pretrained``; names the plugin.
    """
    return _evaluated(record, "pretrained", params, is_pretrained, "a tuple of Pretrained")  # type: ignore[no-any-return]


def component_stated(record: Component, params: Any) -> Stated | None:
    """What the author of the benchmark states of files that the component reads, or ``None`` where it reads none.

    Raises:
        PluginError: The callable raised or returned anything but ``Stated``; names the plugin.
    """
    if not callable(getattr(record, "stated", None)):
        return None
    return _evaluated(record, "stated", params, lambda value: isinstance(value, Stated), "Stated")  # type: ignore[no-any-return]


def with_upstream(uses: Iterable[SharedStage]) -> Iterator[SharedStage]:
    """Shared stages, and those that they read in turn."""
    pending = list(uses)
    while pending:
        stage = pending.pop()
        yield stage
        pending.extend(stage.after)


def method_rounds(record: MethodRecord, params: Any) -> tuple[Round, ...]:
    """Rounds of the method with ``params``.

    Raises:
        PluginError: A callable raised or returned anything but one or more ``Round``; names the plugin.
    """
    return _evaluated(record, "rounds", params, is_rounds, "a tuple of one or more Round")  # type: ignore[no-any-return]


def describe_params(params: Any) -> tuple[ParamInfo, ...]:
    """Name, type, default and help of every parameter, in declared order."""
    if is_pydantic(params):
        return tuple(
            ParamInfo(
                field.alias or name,
                _type_name(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation),
                None if field.is_required() else _plain(field.get_default(call_default_factory=True)),
                field.is_required(),
                field.description or "",
            )
            for name, field in params.model_fields.items()
        )
    try:
        hints = get_type_hints(params, include_extras=True)
    except NameError:  # an annotation names what is imported for type checkers alone
        hints = {}
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


def _evaluated(record: Any, field: str, params: Any, check: Callable[[object], bool], wanted: str) -> Any:
    value = getattr(record, field)
    if not callable(value):
        return value
    where = f"plugin {owner(value)}: {field} of {kind_of(record)} {record.name!r}"
    try:
        with watching():
            result = value(params)
    except ConfigError as error:
        raise ConfigError(f"{kind_of(record)} {record.name!r}: {error}") from error
    except BaseException as error:
        if of_user(error):
            raise
        raise PluginError(f"{where} raised {type(error).__name__}: {sentence(error)}") from error
    if not check(result):
        raise PluginError(f"{where} must return {wanted}, got {result!r}")
    return result


def _type_name(annotation: Any) -> str:
    inputs = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Input)]
    if inputs:
        return f"Input{inputs[0].kind.capitalize()}"
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join("None" if part is NoneType else _type_name(part) for part in get_args(annotation))
    if isinstance(annotation, type) and not getattr(annotation, "__args__", ()):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _plain(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=repr)
