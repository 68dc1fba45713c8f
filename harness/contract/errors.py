"""Errors that reach the user as one sentence. The command line maps each to an exit code."""

from __future__ import annotations


class WsssError(Exception):
    """Base of every error the harness raises on purpose; ``str(error)`` is one clear sentence."""

    exit_code = 2


class ConfigError(WsssError):
    """A configuration file, an override or a parameter is wrong; names the file and the field."""


class DataError(WsssError):
    """A data set, a list, an image or a mask is missing or damaged; names the file."""


class PluginError(WsssError):
    """A plugin is unknown, quarantined or breaks the contract; names plugin and reason."""


class SupervisionError(WsssError):
    """A method asked for supervision that it had not declared."""


class StoreError(WsssError):
    """The store cannot be read or written (disk full, read-only); nothing half-written remains."""
