"""Mutations of plain text: lists of ids, Python files."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.fuzz.mutate_trees import TEXTS

LINES = [
    *TEXTS, "a.jpg", "JPEGImages/a.jpg", "a 1", "a b", "a\tb", "a,b", "JPEGImages/a.jpg SegmentationClass/a.png",
    "a\r", "A", "nowhere", "a" * 255, "a" * 256, "..\\a", "/etc/passwd", "a\x00", "# comment", "\ufeffa", "a\x85b",
    "./a", "a//b", "e\u0301", "CON", "a.", " a", "'a'", '"a"', "[a]", "{a}", "a;b", "$(touch x)", "`touch x`", "a&b",
    "con\x7f",
]  # fmt: skip
CODECS = ("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037", "utf-16-be", "shift_jis")


def lines(path: Path, rng: Random) -> None:
    """Change, drop, repeat or add lines of a list."""
    found = path.read_text().splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(found) + 1)
        way = rng.random()
        if way < 0.6:
            found[at : at + 1] = [rng.choice(LINES)]
        elif way < 0.7:
            found[at:at] = found[at : at + 1] * rng.choice((1, 3))
        elif way < 0.8:
            del found[at : at + 1]
        else:
            found[at:at] = [rng.choice(LINES)]
    path.write_bytes("\n".join(found).encode("utf-8", "surrogatepass"))


def whole_list(path: Path, rng: Random) -> None:
    """The same change of every line, as the tools of others write it; or another end of line, or encoding."""
    found = path.read_text().splitlines()
    ways = (
        lambda name, n: f"{name}.jpg", lambda name, n: f"{n} {name}", lambda name, n: f"{name},1",
        lambda name, n: f" {name} ", lambda name, n: f"JPEGImages/{name}.jpg SegmentationClass/{name}.png",
        lambda name, n: f'"{name}"', lambda name, n: name * 100, lambda name, n: f"{name}\r",
        lambda name, n: f"{name}\n", lambda name, n: name.upper(), lambda name, n: f"../{name}",
        lambda name, n: f"{name}\0", lambda name, n: name,
    )  # fmt: skip
    way = rng.choice(ways)
    text = rng.choice(("\n", "\n", "\r\n", "\r", "\x0b", " ")).join(way(name, n) for n, name in enumerate(found))
    path.write_bytes(text.encode(rng.choice(("utf-8", "utf-8", *CODECS)), "replace"))


STATEMENTS = [
    "_base_ = './model.py'", "_base_ = 'nowhere.py'", "_base_ = ['a.py', 'b.py']", "_base_ = 5", "_base_ = ['\\0']",
    "_base_ = '/dev/zero'", "_base_ = 'other.py'", "_base_ = '../../../../../etc/passwd'", "_base_ = 'x' * 10",
    "_base_ = ''", "_base_ = '.'", "_base_ = ['other.py'] * 9", "_base_ = " + "(" * 300 + "1" + ")" * 300,
    "_base_ = '" + "x" * 300 + "'", "raise SystemExit", "while True: pass", "import os; os._exit(0)",
    "model = dict(type=" + "dict(a=" * 95 + "1" + ")" * 95 + ")", "model = [" * 3000, "x = " + "-" * 5000 + "1",
    "x = 9" + "9" * 5000, "\0", "\ufeffmodel = 1", "# -*- coding: klingon -*-", "# -*- coding: utf-16 -*-", "def f(:",
    "model =", "class", "model = {", "'''", "\x0c\x0c x", "\tx = 1", "x = '\\N{nothing}'", "x = '\\ud800'",
    "_base_ = '\\ud800.py'", "_base_ = '\\x1b[2J.py'", "x = '\\d'", "if 1 is 1: pass", "x = 1if 1else 2",
    "_base_ = ('other.py',)", "_base_: str = 'other.py'", "a = _base_ = 'other.py'", "_base_ = f'{1}.py'",
    "assert (1, 'x')",
]  # fmt: skip


def statements(path: Path, rng: Random) -> None:
    """Replace or add lines of a Python file."""
    found = path.read_text().splitlines()
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(found) + 1)
        found[at : at + rng.choice((0, 1))] = [rng.choice(STATEMENTS)]
    path.write_bytes("\n".join(found).encode("utf-8", "surrogatepass"))
