"""Mutations of JSON, YAML and XML documents: any node becomes something odd, goes, or comes twice."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import yaml

DIGITS, DEEP = "@digits@", "@deep@"
LENGTHY = {DIGITS: "9" * 5000, DEEP: "[" * 3000 + "]" * 3000}
"""Written into the text as they are: no library would dump them."""

TEXTS = [
    "", " ", "\0", "a\0b", "x" * 300, "x" * 70_000, "../../../../evil", "../evil", "/dev/zero", "/dev/null", "/", ".",
    "..", "~", "a/b", "a\\b", "-", "-rf", "\x1b[31mred\x07", "\x1b]0;title\x07", "\u202egnp.exe", "\u2028", "ünï 漢字",
    "${UNSET}", "${", "${PATH}", "file:///etc/passwd", "https://127.0.0.1:9/w.pth", "2020-13-45", "1e3", "nan", "NaN",
    "inf", "null", "true", "=1+1", "[a](javascript:x)", "<script>", "%s{0}{x!r}", "*", "a|b", "a\nb", "\ud800", "0",
    "-1",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 255, 256, 2**31, 2**63, 10**12, 10**39, 10**40, 0.5, 1.5, -0.5, -0.0, 1e9, 1e308,
    1e-320, float("inf"), float("-inf"), float("nan"), [], {}, [[]], [{}], [None], [[["a"]]], [1, [2.0]], ["a", "a"],
    {"a": {}}, {"": 1}, {"x\0y": 1}, {"name": "x"}, {"name": 5}, list(range(300)), [0] * 5000,
    {str(n): n for n in range(300)}, *LENGTHY,
]  # fmt: skip

Address = tuple[Any, ...]


def odd(rng: Random) -> Any:
    """A value that nobody expects."""
    return copy.deepcopy(rng.choice(VALUES if rng.random() < 0.5 else TEXTS))


def nodes(value: Any, at: Address = ()) -> Iterator[Address]:
    """Addresses of a value and of everything below it."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, (*at, key))


def mutated(value: Any, rng: Random) -> Any:
    """A copy of a document with one to three nodes replaced, dropped, repeated, renamed or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        addresses = list(nodes(value))
        at = rng.choice(addresses)
        if not at:
            if rng.random() < 0.1:
                value = odd(rng)
            continue
        holder = value
        for key in at[:-1]:
            holder = holder[key]
        rng.choice((_replace, _replace, _replace, _drop, _repeat, _rename, _borrow))(holder, at[-1], rng, value)
    return value


def _replace(holder: Any, key: Any, rng: Random, document: Any) -> None:
    holder[key] = odd(rng)


def _drop(holder: Any, key: Any, rng: Random, document: Any) -> None:
    del holder[key]


def _repeat(holder: Any, key: Any, rng: Random, document: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{key}2"] = copy.deepcopy(holder[key])


def _rename(holder: Any, key: Any, rng: Random, document: Any) -> None:
    if isinstance(holder, list):
        rng.shuffle(holder)
    else:
        holder[rng.choice(TEXTS)] = holder.pop(key)


def _borrow(holder: Any, key: Any, rng: Random, document: Any) -> None:
    """Put what stands elsewhere in the document."""
    other: Any = document
    for part in rng.choice(list(nodes(document))):
        other = other[part]
    holder[key] = copy.deepcopy(other)


def _lengthy(text: str, quote: str) -> bytes:
    for name, content in LENGTHY.items():
        text = text.replace(f"{quote}{name}{quote}", content)
    return text.encode("utf-8", "surrogatepass")


def write_json(path: Path, value: Any) -> None:
    """Write a document that may hold what JSON has no words for."""
    path.write_bytes(_lengthy(json.dumps(value), '"'))


def write_yaml(path: Path, value: Any) -> None:
    """Likewise as YAML."""
    path.write_bytes(_lengthy(yaml.safe_dump(value, sort_keys=False), "'"))


def json_tree(path: Path, rng: Random) -> None:
    """Change nodes of a JSON file."""
    write_json(path, mutated(json.loads(path.read_bytes()), rng))


def yaml_tree(path: Path, rng: Random) -> None:
    """Change nodes of a YAML file."""
    write_yaml(path, mutated(yaml.safe_load(path.read_bytes()), rng))


def json_repeated_key(path: Path, rng: Random) -> None:
    """Say a key twice, which no library writes."""
    text = path.read_text()
    places = [at for at, character in enumerate(text) if character == "{" and text[at + 1 : at + 2] in ('"', "\n", " ")]
    if not places:
        return
    at = rng.choice(places)
    name = text[at + 1 :].partition('"')[2].partition('"')[0]
    path.write_text(f"{text[: at + 1]}{json.dumps(name)}: {json.dumps(rng.choice(VALUES[:20]))}, {text[at + 1 :]}")


def yaml_text(path: Path, rng: Random) -> None:
    """Replace a value of one line by what only YAML has words for."""
    lines = path.read_text().splitlines()
    chosen = [number for number, line in enumerate(lines) if ":" in line]
    at = rng.choice(chosen)
    lines[at] = f"{lines[at].partition(':')[0]}: {rng.choice(_YAML)}"
    path.write_text("\n".join(lines) + "\n")


_BOMB = "&a0 [x, x], " + ", ".join(f"&a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(12))
_YAML = (
    f"[{_BOMB}]", "&a [*a]", "&a {b: *a}", "!!python/object/apply:os.system [true]", "!!int foo", "!!float [1]",
    "!!set {a, b}", "!!binary aGk=", "!!timestamp 2020-13-45", "2020-13-45", "2020-01-01", "? [a, b]\n  : c",
    "{a: 1, a: 2}", "*nothing", "!unknown x", "0x1F", "0o17", "1:30:00", "1_000", ".inf", ".nan", "~",
    "|\n  text\n  more", "'open", "[open", "{a: [}", "9" * 5000, "[" * 3000 + "]" * 3000,
    "{a: " * 150 + "1" + "}" * 150, "\t- tab", "@at", "`tick", "%TAG", "<<: [1, 2]", "{<<: 5}",
    "{null: 1, true: 2, 1.5: 3}", "!!null x", "!!bool maybe", "\"\\ud800\"", "\"\\x1b[2J\"", "--- \n--- \na",
    "# only",
)  # fmt: skip


def xml_tree(path: Path, rng: Random) -> None:
    """Change elements of an XML file."""
    root = ElementTree.fromstring(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(_XML)(root, rng.choice(list(root.iter())), rng)
    path.write_bytes(ElementTree.tostring(root).replace(b"&#0;", b"\0"))


def _xml_text(root: Any, element: Any, rng: Random) -> None:
    element.text = rng.choice([str(value) for value in VALUES] + [text for text in TEXTS if text != "\ud800"])


def _xml_drop(root: Any, element: Any, rng: Random) -> None:
    for parent in root.iter():
        if element in list(parent):
            parent.remove(element)


def _xml_repeat(root: Any, element: Any, rng: Random) -> None:
    root.extend([copy.deepcopy(element) for _ in range(rng.choice((1, 2, 100)))])


def _xml_rename(root: Any, element: Any, rng: Random) -> None:
    element.tag = rng.choice(("object", "name", "bndbox", "xmin", "ünï", "x" * 300))


def _xml_nest(root: Any, element: Any, rng: Random) -> None:
    for _ in range(rng.choice((1, 50, 200))):
        child = ElementTree.SubElement(element, element.tag)
        child.text, element = element.text, child


_XML: tuple[Callable[[Any, Any, Random], None], ...] = (
    _xml_text, _xml_text, _xml_text, _xml_drop, _xml_repeat, _xml_rename, _xml_nest,
)  # fmt: skip


def xml_head(path: Path, rng: Random) -> None:
    """Another declaration, document type or encoding."""
    body = path.read_bytes()
    entity = b'<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;"> %s]>'
    heads = (
        b'<?xml version="1.0" encoding="klingon"?>', b'<?xml version="1.0" encoding="utf-16"?>',
        b'<?xml version="1.0" encoding="utf-7"?>', b'<?xml version="9"?>', entity % b"", b"<!DOCTYPE annotation>",
        entity % b'<!ENTITY c SYSTEM "file:///etc/passwd">', b'<?xml version="1.0" encoding="hex"?>', b"\xef\xbb\xbf",
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">', b"text", b"<!-- open", b"<![CDATA[",
        b'<?xml encoding="\xff"?>',
    )  # fmt: skip
    encoded = body.decode("utf-8", "replace").encode(rng.choice(("utf-8", "utf-16", "utf-32", "latin-1")), "replace")
    path.write_bytes(rng.choice(heads) + body if rng.random() < 0.7 else encoded)
