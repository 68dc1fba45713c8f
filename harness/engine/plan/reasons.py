"""Why a stage is stale: in what its key inputs differ from those of an artifact that is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.engine.plan.layout import Plan, StageSpec
    from harness.engine.store.store import Artifact

MOST = 3
"""Differences that are named; of more the number is told."""


def reasons(plan: Plan, wanted: Iterable[str], artifacts: Iterable[Artifact]) -> dict[str, tuple[str, ...]]:
    """Why each stage of ``wanted`` is to be computed, most telling first; empty where nothing like it is stored.

    A stage is compared with the stored artifact of the same name and kind that its inputs differ least from.

    Args:
        plan: The plan.
        wanted: Keys of stages without an artifact.
        artifacts: All that is stored.
    """
    stored: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in artifacts:
        stored.setdefault((artifact.name, artifact.kind), []).append(artifact)
    found = {}
    for key in wanted:
        spec = plan.stages[key]
        near = min(
            (artifact.inputs for artifact in stored.get((spec.name, spec.kind), ())),
            key=lambda inputs, after=spec.key_inputs: _distance(inputs, after),  # type: ignore[misc]
            default=None,
        )
        found[key] = _against(plan, spec, near) if near is not None else ()
    return found


def _distance(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[int, int]:
    """How many inputs differ, and how many files."""
    one, two = before.get("code", {}), after["code"]
    return sum(before.get(name) != after[name] for name in after), len(set(one.items()) ^ set(two.items()))


def told(found: Iterable[str]) -> str:
    """The first differences in one line, and how many more there are."""
    listed = list(found)
    more = f" and {len(listed) - MOST} more" if len(listed) > MOST else ""
    return ", ".join(listed[:MOST]) + more


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Files or libraries that are not the same: ``harness/maps/crf/dense.py changed``, ``torch 2.12 -> 2.13``."""
    return [
        _told(name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _told(name: str, before: Any, after: Any) -> str:
    if before is None or after is None:
        return f"{name} {'no longer used' if after is None else 'now used'}"
    return f"{name} changed" if ".py" in name else f"{name} {before} -> {after}"


def _against(plan: Plan, spec: StageSpec, before: Mapping[str, Any]) -> tuple[str, ...]:
    """Differences of the key inputs of ``spec`` from others."""
    after = spec.key_inputs
    if "code" not in before:
        return ("stored before the files of its code were noted",)
    files = differences(before["code"], after["code"])
    found = [
        *[line for line in files if line.endswith(" changed")],
        *differences(before["libraries"], after["libraries"]),
    ]
    for name in ("component", "params", "settings", "backbone", "data", "seed"):
        found += _values(name, before.get(name), after.get(name))
    found += [line for line in files if not line.endswith(" changed")]
    changed = [name for name, key in after["upstream"].items() if before["upstream"].get(name) != key]
    return (*dict.fromkeys(found), *(f"upstream: {plan.stages[after['upstream'][name]].name}" for name in changed))


def _values(name: str, before: Any, after: Any) -> Iterator[str]:
    one, two = (dict(_leaves(name, value)) for value in (before, after))
    for path in [*one, *(path for path in two if path not in one)]:
        if one.get(path) != two.get(path):
            yield _value(path, one.get(path), two.get(path))


def _value(path: str, before: Any, after: Any) -> str:
    if path.startswith("data."):
        return f"{path.removeprefix('data.')} of the data changed"
    short = path.rpartition(".")[2] if path.count(".") else path
    return f"{short} {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything below ``value``; lists are values, but for those of ``keys.in_order``."""
    if isinstance(value, Mapping) and set(value) == {"in order"}:
        value = dict(value["in order"])
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(f"{path}.{name}", item)
    else:
        yield path, value
