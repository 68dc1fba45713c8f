"""One rule for seeds, so that the engine, the networks and the trainings draw from the same axes."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, axis: str) -> int:
    """A 31-bit seed from ``seed`` and an axis such as ``"init"``: the first 31 bits of SHA-256 of ``"seed/axis"``."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{axis}".encode()).digest()[:4], "big") >> 1
