"""The user's Ctrl-C told from a ``KeyboardInterrupt`` that a plugin raises.

A plugin may raise anything, also what is meant to end a process: ``SystemExit``, ``GeneratorExit``,
``KeyboardInterrupt``. That is a fault of the plugin alone. The user's Ctrl-C arrives as a signal, and a signal can be
noted; it ends the command also when a plugin runs.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from harness.contract.errors import PluginError, WsssError


class _Watch:
    """What is known of Ctrl-C: how many watch for it, and whether it was pressed."""

    def __init__(self) -> None:
        self.depth = 0
        self.pressed = False
        self.plain: Any = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        self.plain(number, frame)


_watch = _Watch()


@contextmanager
def watching() -> Iterator[None]:
    """Note a Ctrl-C while code of plugins runs; only the main thread is ever told of one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _watch.depth == 0:
        _watch.pressed = False
        if callable(plain := signal.getsignal(signal.SIGINT)):
            _watch.plain = plain
            signal.signal(signal.SIGINT, _watch.handle)
    _watch.depth += 1
    try:
        yield
    finally:
        _watch.depth -= 1
        if _watch.depth == 0 and _watch.plain is not None:
            signal.signal(signal.SIGINT, _watch.plain)
            _watch.plain = None


def of_user(error: BaseException) -> bool:
    """Whether an exception that came out of a plugin's code is the user's Ctrl-C; call it while ``watching``."""
    return isinstance(error, KeyboardInterrupt) and _watch.pressed


@contextmanager
def guarded(who: str) -> Iterator[None]:
    """Run code of a plugin: whatever it raises becomes one ``PluginError`` that begins with ``who``.

    The harness's own errors and the user's Ctrl-C pass.
    """
    try:
        with watching():
            yield
    except WsssError:
        raise
    except BaseException as error:
        if of_user(error):
            raise
        raise PluginError(f"{who}: {type(error).__name__}: {sentence(error)}") from error


def sentence(error: BaseException) -> str:
    """The error's message on one line."""
    try:
        return " ".join(str(error).split())
    except BaseException as second:
        if of_user(second):
            raise
        return "(its message cannot be printed)"
