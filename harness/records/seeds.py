"""Seeds: how they are named beside a mean, and which rows share enough of them to be set against each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

SHARED = (
    "Rows of different seeds are set against each other over the seeds that both have: % of full (the seeds are named "
    "where they are not all of both rows), differences, ranks and claims."
)
APART = "A row without a rank beside ranked ones has no seed in common with them."
"""Notes of a table whose rows have different seeds."""

_RUN = 4
"""So many consecutive seeds are written as their ends."""


def count_of(seeds: Sequence[int]) -> str:
    """For example ``1 seed`` or ``3 seeds``."""
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def list_of(seeds: Sequence[int]) -> str:
    """For example ``0 1 2``; ``0-9`` where ascending seeds are many and none is left out."""
    if len(seeds) >= _RUN and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]}-{seeds[-1]}"
    return " ".join(map(str, seeds))


def names_of(seeds: Sequence[int]) -> str:
    """For example ``1 seed (2)`` or ``3 seeds (0 1 2)``."""
    return f"{count_of(seeds)} ({list_of(seeds)})" if seeds else count_of(seeds)


def comparable(rows: Mapping[str, Collection[int]]) -> list[str]:
    """The rows that can be ranked together: every two of them share a seed.

    The rows that share no seed with the largest number of others are left out together, until no two rows are without a
    common seed. Rows that fall into equal halves are therefore all left out: neither half has the better claim.

    Args:
        rows: Name of a row to its seeds.

    Returns:
        Names, in the order given.
    """
    kept = list(rows)
    while True:
        apart = {name: sum(not set(rows[name]) & set(rows[other]) for other in kept) for name in kept}
        worst = max(apart.values(), default=0)
        if not worst:
            return kept
        kept = [name for name in kept if apart[name] < worst]
