"""Whether the parameters of a method reach its rounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.contract import ConfigError
from harness.testing.checks import Fault

if TYPE_CHECKING:
    from harness.contract import MethodRecord
    from harness.registry import PluginManager


def required_params(record: Any) -> list[str]:
    """Names of the parameters of a record that have no default."""
    from harness.registry import describe_params

    return [item.name for item in describe_params(record.params) if item.required]


def idle_params(manager: PluginManager, name: str) -> str:
    """Some parameter of a method changes its rounds, or may: of a text no other value is known to try.

    Raises:
        Fault: The rounds are the same whatever the parameters are.
        PluginError: The rounds cannot be made.
    """
    from harness.registry import describe_params

    record: MethodRecord = manager.get("method", name)
    described = describe_params(record.params)
    if not described:
        return "the method has no parameters"
    if required_params(record):
        return "the method has parameters without a default, so no other value of one can be tried"
    reaching = [
        item.name for item in described if callable(record.rounds) and _reaches(record, item.name, item.default)
    ]
    if not reaching:
        names = ", ".join(repr(item.name) for item in described)
        reach = (
            f"parameter {names} of method {name!r} reaches"
            if len(described) == 1
            else (f"parameters {names} of method {name!r} reach")
        )
        raise Fault(f"{reach} no component; make rounds a function of the parameters, rounds=lambda p: (Round(...),)")
    return f"{', '.join(reaching)} may change the rounds"


def _reaches(record: MethodRecord, name: str, default: Any) -> bool:
    """Whether another value of the parameter gives other rounds; true also where no other value is known."""
    from harness.registry import build_params, method_rounds

    usual = method_rounds(record, build_params(record, {}, where=record.name))
    tried = 0
    for value in _others(default):
        try:
            params = build_params(record, {name: value}, where=record.name)
        except ConfigError:
            continue  # the method refuses this value
        tried += 1
        if method_rounds(record, params) != usual:
            return True
    return not tried


def _others(default: Any) -> Iterator[Any]:
    """Values of the same type; none for what is neither a truth value nor a number."""
    if isinstance(default, bool):
        yield not default
    elif isinstance(default, int):
        yield from (default + 1, default - 1)
    elif isinstance(default, float):
        yield from (default / 2 or 0.5, default + 1.0)
