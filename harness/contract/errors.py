"""Errors that reach the user as one sentence. The command line maps each to an exit code."""

from __future__ import annotations

LONGEST = 2000
"""Characters of a sentence; a longer one is cut in its middle."""

_BLANKS = str.maketrans("\n\t\u00a0\u3000", "    ")
"""Line end, tab and two wide blanks become a blank, other characters that do not print become an escape."""


class WsssError(Exception):
    r"""Base of every error the harness raises on purpose; ``str(error)`` is one clear sentence.

    Names from files and options become part of it: a control character is shown as ``\x1b``, so that no name moves the
    cursor of a terminal or reverses the direction of its text, and no name is long enough to hide the reason.
    """

    exit_code = 2

    def __str__(self) -> str:
        """The sentence on one line."""
        text = super().__str__()
        if len(text) > LONGEST:
            kept = LONGEST // 2 - 10
            text = f"{text[:kept]} [...] {text[-kept:]}"
        characters = text.translate(_BLANKS)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in characters)


class ConfigError(WsssError):
    """A configuration file, an override or a parameter is wrong; names the file and the field."""


class DataError(WsssError):
    """A data set, a list, an image or a mask is missing or damaged; names the file."""


class NoSupervision(DataError):
    """A data set has no labels of the kind that was read, by design: nothing is damaged."""


class PluginError(WsssError):
    """A plugin is unknown, quarantined or breaks the contract; names plugin and reason."""


class SupervisionError(WsssError):
    """A method asked for supervision that it had not declared."""


class StoreError(WsssError):
    """The store cannot be read or written (disk full, read-only); nothing half-written remains."""
