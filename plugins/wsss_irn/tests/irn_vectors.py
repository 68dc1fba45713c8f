"""Numbers of the released code, computed by its own functions."""

import json
from pathlib import Path

VECTORS = json.loads((Path(__file__).parent / "vectors" / "irn.json").read_text())
