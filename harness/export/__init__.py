"""Everything out: labels, predictions and the network of a row, for use without this project.

Importing it imports neither torch nor mmseg; the names below load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.export.labels import export_labels, export_predictions
    from harness.export.model import export_model
    from harness.export.predict import find_images, load_model, predict_images
    from harness.export.rows import Row, find_row

__all__ = [
    "Row",
    "export_labels",
    "export_model",
    "export_predictions",
    "find_images",
    "find_row",
    "load_model",
    "predict_images",
]

__getattr__, __dir__ = lazy_face(__name__)
