"""Packages whose public names load on first use.

A package face says each name twice: imported under ``TYPE_CHECKING``, from the module that defines it, and in
``__all__``. Type checkers and editors read the imports; ``lazy_face`` reads them too, from the source, so that
importing the package runs none of its modules.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def lazy_face(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package whose public names stand under ``if TYPE_CHECKING:``."""

    def load(name: str) -> Any:
        home = homes(package).get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = home.partition(":")
        return getattr(import_module(module), attribute) if attribute else import_module(module)

    return load, lambda: sorted(homes(package))


@cache
def homes(package: str) -> dict[str, str]:
    """Public name to ``module:name``, or to ``module`` where it is one; read from the source, which is not run."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return read_homes(Path(spec.origin).read_text(encoding="utf-8"), package)


def read_homes(source: str, package: str) -> dict[str, str]:
    """The same from the source of the package's ``__init__``."""
    table: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for item in node.body:
                if isinstance(item, ast.ImportFrom) and item.module is not None:
                    separator = "." if item.module == package else ":"
                    table.update({alias.name: f"{item.module}{separator}{alias.name}" for alias in item.names})
    return table
