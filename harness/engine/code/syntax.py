"""A Python file as its syntax tree without what cannot reach a result, and the hash of that tree.

* Comments, blank lines, positions, docstrings, bare constants, ``pass`` and the body of ``if TYPE_CHECKING:`` are not
  in the tree. A docstring is no code: nothing that a stage computes may come from ``__doc__``.
* Neither is registration: functions marked ``@hookimpl``, and the arguments of the contract's records (``Card``,
  ``Reported``, ``GeneratorRecord``, ...). The planner reads records, and what of them can reach a stage (factory,
  parameters, needs, protocol sections, a backbone's record) enters the key as a value.
* The hash is the same on Python 3.11 to 3.14: it is made from node types and fields that are present, not from
  ``ast.dump``, whose text differs from version to version.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

CONTRACT = ("harness.contract", "harness.contract.records")

RECORDS = frozenset(
    {
        "BackboneRecord",
        "Card",
        "Claim",
        "DatasetRecord",
        "ExecutorRecord",
        "GeneratorRecord",
        "MethodRecord",
        "MetricRecord",
        "Pretrained",
        "RefinerRecord",
        "RendererRecord",
        "Reported",
        "Round",
        "SegmenterRecord",
        "SharedStage",
        "Use",
    }
)
"""Names of the contract whose calls state facts."""

_STATEMENTS = frozenset({"body", "orelse", "finalbody"})
_LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields that say nothing beyond the rest of the tree (``kind`` tells ``u""`` from ``""``)."""


def scan(tree: ast.Module, *, registration: bool = False) -> tuple[str, list[ast.AST]]:
    """Hash and nodes of a tree without what cannot reach a result.

    The text that is hashed holds node types and the fields that are present, in the order of their names.

    Args:
        tree: What ``ast.parse`` made of a file.
        registration: Keep hooks and records, for a plugin whose components are no importable names.
    """
    records = {  # the names under which the file knows records of the contract
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in CONTRACT and not registration
        for alias in node.names
        if alias.name in RECORDS
    }
    parts: list[str] = []
    nodes: list[ast.AST] = []
    pending: list[Any] = [tree]
    while pending:
        item = pending.pop()
        kind = item.__class__
        if kind is tuple:  # a piece of the text as it stands; no constant of a tree is a tuple
            parts.append(item[0])
        elif kind is list:
            parts.append("[")
            pending.append(_END)
            pending.extend(reversed(item))
        elif isinstance(item, ast.AST):
            nodes.append(item)
            parts.append(kind.__name__)
            pending.append(_END)
            for name, value in _content(item, records, registration):
                pending.append(value)
                pending.append((name,))
        else:
            # hex and ascii: without a limit of digits, and without escapes that depend on the version of Unicode
            parts.append(f"{kind.__name__}:{hex(item) if kind is int else ascii(item)}")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest(), nodes


_END = (")",)


def _content(node: ast.AST, records: set[str], registration: bool) -> Iterator[tuple[str, Any]]:
    """Fields that are present, from the last name to the first."""
    fact = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in records
    for name in _fields(node.__class__.__name__):
        value = getattr(node, name, None)
        if value is None:
            if name == "value":  # None is a value, and no field of that name comes and goes with versions
                yield name, value
        elif value.__class__ is list:
            if name in _STATEMENTS:
                value = [kept for item in value for kept in _kept(item, registration)]
            elif isinstance(node, ast.JoinedStr):
                value = list(_joined(value))
            if value and not (fact and name in ("args", "keywords")):
                yield name, value
        elif name != "format_spec" or list(_joined(value.values)):
            yield name, value


@cache
def _fields(node: str) -> tuple[str, ...]:
    return tuple(sorted(set(getattr(ast, node)._fields) - _LEFT_OUT, reverse=True))


def _kept(statement: ast.stmt, registration: bool) -> Iterator[ast.stmt]:
    """The statement, nothing, or what stands in its place."""
    if isinstance(statement, ast.Pass):
        return
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return
    if isinstance(statement, ast.If) and _name(statement.test) == "TYPE_CHECKING":
        for other in statement.orelse:
            yield from _kept(other, registration)
        return
    if not registration and isinstance(statement, ast.FunctionDef):
        marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in statement.decorator_list]
        if "hookimpl" in map(_name, marks):
            return
    yield statement


def _name(node: ast.expr) -> str | None:
    """The last name of ``a`` or ``a.b``."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _joined(values: list[ast.expr]) -> Iterator[ast.expr]:
    """Parts of an f-string with neighbouring texts as one and without empty ones, as no two versions split them."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text += value.value
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield value
    if text:
        yield ast.Constant(text)
