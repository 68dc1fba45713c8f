"""Network parts of the harness and its plugins, cut out of their modules into a package that needs neither.

What is unusual here:

* Source is taken, not objects: of each module the definitions that a part needs, and those that these need in turn.
  Each module becomes a file of the package; imports between them become relative.
* Annotations need nothing, for they are never evaluated. Registration is left out: configurations name parts by their
  place (``package.module.Part``), which mmengine imports.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.common.lazy import homes
from harness.contract.errors import PluginError

_HEADER = '"""Taken from {module} by `wsss export`; it needs no wsss."""\n\n'
_FACE = '"""Parts of an exported network; the configuration beside this folder imports them."""\n'

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


class _Module:
    """The top level of a source file: what it defines, and where it imports the rest from."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.defined: dict[str, Definition] = {}
        self.imported: dict[str, tuple[str, str | None]] = {}
        for node in _statements(ast.parse(_source(name)).body):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.defined[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                self.defined |= {target.id: node for target in targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.imported |= {item.asname or item.name: (node.module, item.name) for item in node.names}
            elif isinstance(node, ast.Import):
                whole = {
                    item.asname or _top(item.name): item.name if item.asname else _top(item.name) for item in node.names
                }
                self.imported |= {name: (source, None) for name, source in whole.items()}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is imported, those below ``with`` and ``try`` among them."""
    for node in body:
        if isinstance(node, ast.With):
            yield from _statements(node.body)
        elif isinstance(node, ast.Try):
            yield from _statements([*node.body, *node.orelse])
        else:
            yield node


@cache
def _module(name: str) -> _Module:
    return _Module(name)


def _source(name: str) -> str:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        from importlib.util import find_spec

        spec = find_spec(name)
        file = spec.origin if spec is not None else None
    if file is None or not Path(file).is_file():
        raise PluginError(f"module {name}: its source is not there, so the network cannot be exported")
    return Path(file).read_text(encoding="utf-8")


class Bundle:
    """A package that is made of the definitions that some parts need.

    Args:
        package: Its name.
        own: Top-level packages whose code is taken along; all others are imported as they are.
    """

    def __init__(self, package: str, own: frozenset[str]) -> None:
        self._package, self._own = package, own
        self._taken: dict[str, dict[str, Definition]] = {}
        self._imports: dict[str, set[str]] = {}

    def add(self, module: str, name: str) -> str:
        """Take a part along; returns its place in the package.

        Raises:
            PluginError: Its source is not there, or does not define it by that name.
        """
        home, name = self._home(module, name)
        if name not in _module(home).defined:
            raise PluginError(f"module {home} does not define {name} in its source, so the network cannot be exported")
        self._take(home, name)
        return f"{self._package}.{_flat(home)}.{name}"

    def files(self) -> dict[str, str]:
        """Name of each file of the package and its source."""
        files = {"__init__.py": _FACE}
        for module, taken in sorted(self._taken.items()):
            in_order = sorted({id(node): node for node in taken.values()}.values(), key=lambda node: node.lineno)
            parts = [ast.unparse(_Relative(self).visit(ast.parse(ast.unparse(_bare(node))))) for node in in_order]
            head = "\n".join(["from __future__ import annotations", *sorted(self._imports.get(module, ()))])
            files[f"{_flat(module)}.py"] = _HEADER.format(module=module) + "\n\n\n".join([head, *parts]) + "\n"
        return files

    def internal(self, module: str) -> bool:
        """Whether the code of a module is taken along."""
        return _top(module) in self._own

    def _home(self, module: str, name: str) -> tuple[str, str]:
        """Where a name of a module of ours is defined, or is imported from another package."""
        while self.internal(module) and name not in _module(module).defined:
            source, original = _module(module).imported.get(name, (None, None))
            face = homes(module).get(name) if source is None and _is_package(module) else None
            if face is not None:
                source, _, attribute = face.partition(":")
                original = attribute or None
            if source is None or original is None:
                break
            module, name = source, original
        return module, name

    def _take(self, module: str, name: str) -> None:
        taken = self._taken.setdefault(module, {})
        if name in taken:
            return
        node = taken[name] = _module(module).defined[name]
        for used in _used(node):
            if used in _module(module).defined:
                self._take(module, used)
            elif used in _module(module).imported:
                self._imports.setdefault(module, set()).add(self._import(*_module(module).imported[used], used))
        for place, original in _late_imports(node):
            if self.internal(place):
                self._import(place, original, original)

    def _import(self, source: str, original: str | None, name: str) -> str:
        """The statement that imports a name in the package; a part of ours is taken along."""
        if original is None:
            if self.internal(source):
                raise PluginError(f"a network part uses the module {source} as a whole, which cannot be exported")
            return f"import {source}" if source == name else f"import {source} as {name}"
        home, found = self._home(source, original)
        suffix = "" if found == name else f" as {name}"
        if not self.internal(home):
            return f"from {home} import {found}{suffix}"
        self._take(home, found)
        return f"from .{_flat(home)} import {found}{suffix}"


class _Relative(ast.NodeTransformer):
    """Imports inside functions, of parts that are taken along, become relative."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:  # ast's name
        if not node.module or not self._bundle.internal(node.module):
            return node
        return [
            ast.parse(self._bundle._import(node.module, item.name, item.asname or item.name)).body[0]
            for item in node.names
        ]


def _top(module: str) -> str:
    return module.partition(".")[0]


def _flat(module: str) -> str:
    return module.replace(".", "_")


def _is_package(module: str) -> bool:
    return isinstance(sys.modules.get(module), ModuleType) and hasattr(sys.modules[module], "__path__")


def _bare(node: Definition) -> Definition:
    """The definition without its registration."""
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return node
    kept = [item for item in node.decorator_list if "register_module" not in ast.unparse(item)]
    fields = {**{name: getattr(node, name) for name in node._fields}, "decorator_list": kept}
    return ast.copy_location(type(node)(**fields), node)


def _used(node: Definition) -> set[str]:
    """Names that a definition looks up when it is made or run; those of annotations are not."""
    annotations: set[int] = set()
    for inner in ast.walk(node):
        for field in ("annotation", "returns"):
            annotation = getattr(inner, field, None)
            if isinstance(annotation, ast.AST):
                annotations.update(map(id, ast.walk(annotation)))
    names = [item for item in ast.walk(_bare(node)) if isinstance(item, ast.Name) and id(item) not in annotations]
    return {item.id for item in names}


def _late_imports(node: Definition) -> Iterator[tuple[str, str]]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.ImportFrom) and inner.module:
            yield from ((inner.module, item.name) for item in inner.names)
