"""The classes of a data set of format ``folder``, and what it calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract import IGNORE, ConfigError
from harness.data.rules import IGNORED, Rules

if TYPE_CHECKING:
    from harness.data.folder_params import FolderParams

MOST = IGNORE - 1
"""Classes that masks of 8 bits can hold beside 255."""


def rules_of(params: FolderParams, listed: tuple[str, ...] | None) -> Rules:
    """The rules that ``params`` state; ``listed`` are the names of the file that its field ``classes`` gives.

    Raises:
        ConfigError: Classes, ids or names contradict each other.
    """
    where = f"data set {params.name!r}"
    if isinstance(params.classes, dict):
        ids = tuple((one,) if isinstance(one, int) else tuple(one) for one in params.classes.values())
        classes = tuple(params.classes)
    else:
        classes = listed or tuple(params.classes)
        ids = tuple((number,) for number in range(len(classes)))
    if not 2 <= len(classes) <= MOST:
        raise ConfigError(f"{where}: classes: 2 to {MOST} with the background are possible, got {len(classes)}")
    if twice := next((name for name in classes if classes.count(name) > 1), None):
        raise ConfigError(f"{where}: classes: {twice!r} occurs twice")
    if IGNORED in classes:
        raise ConfigError(f"{where}: classes: {IGNORED!r} is what is not scored, call the class otherwise")
    owner: dict[int, str] = dict.fromkeys(params.ignore_ids, "ignore_ids")
    for name, numbers in zip(classes, ids, strict=True):
        for number in numbers:
            if number in owner:
                raise ConfigError(f"{where}: mask id {number} belongs to both {owner[number]} and {name}")
            if not 0 <= number <= IGNORE:
                raise ConfigError(f"{where}: mask id {number} of {name!r} lies outside 0..255")
            owner[number] = name
    for name, target in params.names.items():
        if target not in (*classes, IGNORED):
            raise ConfigError(f"{where}: names.{name}: {target!r} is none of the classes, nor 'ignore'")
    if wrong := [name for name in params.absent if name not in classes[1:]]:
        raise ConfigError(f"{where}: absent: {wrong[0]!r} is no class besides the background {classes[0]!r}")
    return Rules(classes, ids, params.names, params.other, tuple(params.ignore_ids))
