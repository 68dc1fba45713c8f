"""Numbers of the released code; ``vectors/released_code.json`` names their source."""

import json
from pathlib import Path

import numpy as np

VECTORS = json.loads((Path(__file__).parent / "vectors" / "released_code.json").read_text())


def planes(maps, dtype=np.float64):
    """Class indices (key + 1) in the order of the keys, and (K, H, W) maps."""
    return tuple(int(key) + 1 for key in maps), np.array(list(maps.values()), dtype)
