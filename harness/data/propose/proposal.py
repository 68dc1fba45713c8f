"""A proposed data set file: its fields, and what stands in it as comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.common.text import dump_yaml, one_line
from harness.contract import ConfigError

_WIDTH = 110


@dataclass
class Proposal:
    """A data set file in the making.

    Attributes:
        reader: Name of the data set reader.
        layout: What the folder was recognised as, for people.
        params: Its parameters, in the order in which they are written.
        notes: Field -> what could not be told about it; ``""`` = about the data set as a whole.
        lists: Split -> ids of a list that is written beside the file.
    """

    reader: str
    layout: str
    params: dict[str, Any]
    notes: dict[str, list[str]] = field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def note(self, name: str, *texts: str) -> None:
        """Say something about a field."""
        self.notes.setdefault(name, []).extend(texts)


def to_yaml(proposal: Proposal) -> str:
    """The file; what is said about a field stands above it.

    Raises:
        ConfigError: A path holds ``${``, which would be read as a variable.
    """
    _refuse_variables(proposal.params)
    known = set(proposal.params)
    lines = [f"# {one_line(proposal.layout)}"]
    for name, texts in proposal.notes.items():
        lines += [f"# {one_line(text)}" for text in texts if name not in known]
    lines += [f"name: {proposal.reader}", "params:"]
    for name, value in proposal.params.items():
        lines += [f"  # {one_line(text)}" for text in proposal.notes.get(name, ())]
        lines += [f"  {line}" for line in _dumped(name, value).splitlines()]
    return "\n".join(lines) + "\n"


def _dumped(name: str, value: Any) -> str:
    """One field as YAML, short values on one line."""
    if isinstance(value, Mapping | list):
        text = f"{name}: {dump_yaml(value, width=10**6, flow=True)}"
        if len(text) <= _WIDTH:
            return text
    return dump_yaml({name: value}, width=_WIDTH, flow=False)


def _refuse_variables(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_variables(key)
            _refuse_variables(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_variables(item)
    elif isinstance(value, str) and "${" in value:
        raise ConfigError(f"{one_line(value)}: a data set file would take ${{...}} for a variable; rename it")


def replaced(value: Any, texts: Mapping[str, str]) -> Any:
    """``value`` with each text that is a key of ``texts`` replaced, at any depth; names of fields stay."""
    if isinstance(value, Mapping):
        return {key: replaced(item, texts) for key, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, texts) for item in value]
    return texts.get(value, value) if isinstance(value, str) else value
