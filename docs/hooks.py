"""Makes the pages of ``docs/`` a site: what they link to beside ``docs/`` becomes a link into the repository."""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\]\(\.\./(?!docs/)([^)]+)\)")
_FENCE_FILE = re.compile(r"^```(\w+) file=(\S+)$", re.MULTILINE)


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Point links out of the site at the repository, and name the file of a code block above it."""
    markdown = _OUTSIDE.sub(rf"]({config.repo_url.rstrip('/')}/blob/main/\1)", markdown)
    return _FENCE_FILE.sub(r"``` { .\1 title='\2' }", markdown)
