"""Text that anyone may have written: YAML, JSON and XML become plain values, or one sentence says why not.

Unusual here: depth and size are bounded before a value is built. A parser's own answer to a list nested 3,000 deep, a
number of 5,000 digits or aliases that multiply is an exception of the interpreter, or all memory.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable
from typing import Any, NoReturn
from xml.etree import ElementTree

import yaml

from harness.contract.errors import ConfigError, WsssError

DEPTH = 100
"""Levels that a document may nest: far above any real one, far below the interpreter's recursion limit."""

NODES = 1_000_000
"""Values that a YAML document may hold once its aliases are written out."""

DIGITS = 40
"""Digits of a whole number; Python itself refuses to read more than 4,300."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def printable(value: object) -> str:
    r"""``str(value)`` on one line and without control characters, which are shown as ``\x1b``.

    A name from a file must neither move the cursor of a terminal nor reverse the direction of its text.
    """

    def escape(match: re.Match[str]) -> str:  # a byte of a file name that is not UTF-8 is shown as that byte
        code = ord(match[0])
        if 0xDC80 <= code <= 0xDCFF:
            return f"\\x{code - 0xDC00:02x}"
        return match[0].encode("unicode_escape").decode("ascii")

    return _CONTROL.sub(escape, str(value))


def one_line(value: object) -> str:
    """``printable`` with line breaks and runs of blanks as one blank each: for a cell of a table, or a sentence."""
    return printable(" ".join(str(value).split()))


class _Loader(yaml.SafeLoader):
    """YAML where ``1e-3`` is a number, a date is text, and a repeated or unhashable key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a name or a number", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is repeated", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth = getattr(self, "_depth", 0) + 1
        if self._depth > DEPTH:
            self._refuse(f"nested more than {DEPTH} levels deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_document(self, node: yaml.Node) -> Any:
        if _values(node, {}) > NODES:
            self._refuse(f"holds more than {NODES:,} values once its aliases are written out")
        return super().construct_document(node)

    def _refuse(self, problem: str) -> NoReturn:
        raise yaml.composer.ComposerError(None, None, problem, self.get_mark())


def _values(node: yaml.Node, counted: dict[int, int]) -> int:
    """Values below a node with every alias written out; an alias inside its own anchor counts as too many."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in counted:
        counted[id(node)] = NODES + 1
        children = [child for pair in node.value for child in (pair if isinstance(pair, tuple) else (pair,))]
        counted[id(node)] = min(1 + sum(_values(child, counted) for child in children), NODES + 1)
    return counted[id(node)]


def _scalar(name: str) -> Any:
    """The constructor of a scalar, with a sentence in place of the ``ValueError`` of a value that has no meaning."""
    plain = yaml.SafeLoader.yaml_constructors[f"tag:yaml.org,2002:{name}"]

    def construct(loader: _Loader, node: yaml.ScalarNode) -> Any:
        text = loader.construct_scalar(node)
        if name == "int" and sum(character.isdigit() for character in text) > DIGITS:
            raise yaml.constructor.ConstructorError(None, None, f"a number of over {DIGITS} digits", node.start_mark)
        try:
            return plain(loader, node)
        except (ValueError, KeyError, IndexError):
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            problem = f"{shown!r} cannot be read as {name}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    return construct


for _name in ("int", "float", "bool", "null"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _scalar(_name))
for _tag in ("timestamp", "binary"):  # no field of any file here is a date: 2020-13-45 is a name
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", yaml.SafeLoader.yaml_constructors["tag:yaml.org,2002:str"])
for _tag in ("set", "omap", "pairs"):
    _Loader.yaml_constructors.pop(f"tag:yaml.org,2002:{_tag}", None)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str, *, where: str, error: type[WsssError] = ConfigError) -> Any:
    """The value of one YAML document: mappings, lists, text, numbers, truth values, nothing.

    Args:
        text: The document.
        where: File or option that it came from, for messages.
        error: What to raise.

    Raises:
        WsssError: ``error`` with ``WHERE: line L, column C: reason``.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        line = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(wrong, "problem", None) or getattr(wrong, "reason", None) or "no valid YAML"
        raise error(f"{where}: {line}{printable(problem)}") from None


class _Dumper(yaml.SafeDumper):
    """Quotes every text that ``_Loader`` would take for something else, such as ``1e3``."""


_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def dump_yaml(value: Any, *, width: int, flow: bool) -> str:
    """The document that ``parse_yaml`` reads as ``value``; ``flow`` writes lists and mappings on one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow
    )
    return text


def parse_json(text: str | bytes, *, where: str, error: type[WsssError] = ConfigError) -> Any:
    """The value of a JSON document.

    Args:
        text: The document; bytes must be UTF-8, with or without a byte order mark.
        where: File that it came from, for messages.
        error: What to raise.

    Raises:
        WsssError: ``error`` with one sentence: no valid JSON, not UTF-8, or nested deeper than ``DEPTH``.
    """

    def whole(digits: str) -> int:
        if len(digits) > DIGITS:
            raise ValueError(f"a number of {len(digits)} digits")
        return int(digits)

    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if _deeper(data, DEPTH):
        raise error(f"{where}: nested more than {DEPTH} levels deep")
    try:
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text, parse_int=whole)
    except UnicodeDecodeError as wrong:
        raise error(f"{where}: is not UTF-8 text (byte {wrong.start})") from None
    except RecursionError:
        raise error(f"{where}: nested more than {DEPTH} levels deep") from None
    except ValueError as wrong:
        raise error(f"{where}: no valid JSON: {wrong}") from None


_ALIKE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))


def _deeper(document: bytes, levels: int) -> bool:
    """Whether the lists and mappings of a JSON document nest deeper than ``levels``; right for valid JSON.

    Works on the text, because a walk through the values of an instances file costs as much as reading it: of the
    document only the brackets outside strings are kept, and each turn takes the innermost pairs away.
    """
    if b"\\" in document:
        document = document.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = document.translate(_ALIKE, _OTHERS).replace(b'""', b"")
    if b'"' in brackets:
        brackets = b"".join(brackets.split(b'"')[::2])
    for _ in range(levels):
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets):  # none left, or brackets without partner, which the parser names
            return False
        brackets = outer
    return b"[]" in brackets


def unfit(value: Any, field: str = "") -> str | None:
    r"""What no table or file could hold of a parsed document, as ``FIELD: reason``, or ``None``.

    JSON text can say ``NaN``, ``1e999`` and half a character (``\ud800``); none of them can be written again.

    Args:
        value: As ``parse_json`` returns it, of bounded depth.
        field: Dotted name of ``value``, empty for a whole document.
    """
    if isinstance(value, str):
        return f"{field or 'file'}: holds half a character" if _SURROGATE.search(value) else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{field or 'file'}: {value} is no finite number"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        below = f"{field}.{printable(name)}" if field else printable(name)
        if problem := unfit(name, below) or unfit(item, below):
            return problem
    return None


def dump_json(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    r"""``value`` as JSON in UTF-8, with every control character written as ``\u001b``, also those that JSON permits.

    Raises:
        ValueError: It holds a number that is not finite.
    """
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)
    return _CONTROL.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def parse_xml(data: bytes, *, where: str, error: type[WsssError] = ConfigError) -> ElementTree.Element:
    """The root of an XML document without a document type, so that no entity can multiply.

    Args:
        data: The document, in the encoding that it declares.
        where: File that it came from, for messages.
        error: What to raise.

    Raises:
        WsssError: ``error`` with one sentence: no valid XML, an unknown encoding, or entities.
    """
    if b"<!ENTITY" in data:
        raise error(f"{where}: declares entities, which are not read")
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError, RecursionError) as wrong:
        raise error(f"{where}: no valid XML: {printable(wrong)}") from None
