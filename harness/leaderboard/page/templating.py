"""How pages are laid out: templates in which every text is escaped and nothing undefined is shown."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.common.text import one_line

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment(*folders: Path) -> jinja2.Environment:
    """The templates of the leaderboard's page, and those of further ``folders``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _shown(value: object) -> object:
    """A text without control characters; what is laid out already passes."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line between its words (``a_b``, ``a+b``, ``a.b``), and nowhere inside one."""
    return Markup("<wbr>").join(re.split(r"(?<=[_+])(?=[^_+])|(?<=\.)(?=[A-Za-z])", one_line(name)))
