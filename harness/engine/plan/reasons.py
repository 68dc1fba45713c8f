"""Why a stage is stale: in what its key inputs differ from those of an artifact that is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.engine.plan.layout import Plan, StageSpec
    from harness.engine.store.store import Artifact

MOST = 3
"""Differences that are named; of the others only the number is told."""

NEW = "new"
"""The reason of a stage that nothing stored can be compared with."""


def reasons(plan: Plan, wanted: Iterable[str], artifacts: Iterable[Artifact]) -> dict[str, tuple[str, ...]]:
    """Why each stage of ``wanted`` is to be computed, most telling first; empty where nothing at all is stored.

    A stage is compared with the stored artifact of the same name, kind, component, backbone and data set that its
    inputs differ least from. Without one it is ``new``, and so is a stage that only reads from new ones: what another
    row or data set has stored says nothing about it.

    Args:
        plan: The plan.
        wanted: Keys of stages without an artifact.
        artifacts: All that is stored.
    """
    stored: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in artifacts:
        stored.setdefault((artifact.name, artifact.kind), []).append(artifact)
    why: dict[str, tuple[str, ...]] = {}
    wanted = set(wanted)
    for key in (key for key in plan.stages if key in wanted):  # what a stage reads from comes before it
        spec = plan.stages[key]

        def distance(artifact: Artifact, after: Mapping[str, Any] = spec.key_inputs) -> tuple[int, int]:
            """How many inputs differ, and how many files of the code."""
            before = artifact.inputs
            files = set(before.get("code", {}).items()) ^ set(after["code"].items())
            return sum(before.get(name) != after[name] for name in after), len(files)

        named = stored.get((spec.name, spec.kind), [])
        alike = [artifact for artifact in named if _same_subject(artifact.inputs, spec.key_inputs)]
        lines = _against(plan, spec, min(alike, key=distance).inputs) if alike else (NEW,)
        new_above = {_upstream(plan, above) for above in spec.inputs.values() if why.get(above) == (NEW,)}
        told_anew = (NEW,) if new_above and new_above.issuperset(lines) else lines
        why[key] = told_anew if stored else ()
    return why


def _same_subject(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two stages run one component and backbone on one data set, some content of which may have changed."""
    data = (before.get("data") or {}, after["data"])
    names = [inputs.get("settings", {}).get("backbone", {}).get("name") for inputs in (before, after)]
    same_data = data[0].get("classes") == data[1]["classes"] and any(
        data[0].get(kind) == digest for kind, digest in data[1].items() if kind != "classes"
    )
    return before.get("component") == after["component"] and names[0] == names[1] and same_data


def _upstream(plan: Plan, key: str) -> str:
    return f"upstream: {plan.stages[key].name}"


def told(lines: Iterable[str]) -> str:
    """The first differences in one line, and how many more there are."""
    listed = list(lines)
    more = f" and {len(listed) - MOST} more" if len(listed) > MOST else ""
    return ", ".join(listed[:MOST]) + more


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Files or libraries that are not the same: ``harness/maps/crf/dense.py changed``, ``torch 2.12 -> 2.13``."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None or new is None:
            lines.append(f"{name} {'no longer used' if new is None else 'now used'}")
        else:
            lines.append(f"{name} changed" if ".py" in name else f"{name} {old} -> {new}")
    return lines


def _against(plan: Plan, spec: StageSpec, before: Mapping[str, Any]) -> tuple[str, ...]:
    """In what the key inputs of ``spec`` differ from those of a stored artifact."""
    after = spec.key_inputs
    if "code" not in before:
        return ("stored before the files of its code were noted",)
    files = differences(before["code"], after["code"])
    lines = [line for line in files if line.endswith(" changed")] + differences(before["libraries"], after["libraries"])
    for name in ("component", "params", "settings", "backbone", "data", "seed"):
        old, new = (dict(_leaves(name, inputs.get(name))) for inputs in (before, after))
        for path in old | new:
            if old.get(path) == new.get(path):
                continue
            if path.startswith("data."):
                lines.append(f"{path.removeprefix('data.')} of the data changed")
            else:
                lines.append(f"{path.rpartition('.')[2]} {_shown(old.get(path))} -> {_shown(new.get(path))}")
    lines += [line for line in files if not line.endswith(" changed")]
    changed = [name for name, key in after["upstream"].items() if before["upstream"].get(name) != key]
    return (*dict.fromkeys(lines), *(_upstream(plan, after["upstream"][name]) for name in changed))


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
