"""Names in messages: whose a module is, what was probably meant, what kind of record it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from harness.contract.records import AnyRecord

FILE_PREFIX = "wsss_file_"
"""What the module name of a single-file plugin begins with; a hash of its content follows the stem."""


def owner_of(module: str) -> str:
    """Name of the plugin that ``module`` most likely belongs to, for messages."""
    if module.startswith(FILE_PREFIX):
        return module.removeprefix(FILE_PREFIX).rpartition("_")[0]
    package, _, rest = module.partition(".")
    return f"{package}.{rest.partition('.')[0]}" if package == "harness" and rest else package


def did_you_mean(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """``; did you mean 'cam'?`` with at most ``most`` of the known names, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=most)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""


def kind_of(record: AnyRecord) -> str:
    """``generator``, ``method``, ..."""
    return type(record).__name__.removesuffix("Record").lower()


def is_pydantic(params: type) -> bool:
    """Whether ``params`` is a pydantic model, without importing pydantic."""
    return any(base.__module__ == "pydantic.main" and base.__name__ == "BaseModel" for base in params.__mro__)
