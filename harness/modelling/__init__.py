"""Networks: backbones, the CAM classifier, the segmenter, their training and inference.

The only package that touches mmengine and mmseg. Importing it imports neither; the names below load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.modelling.classifier import CamClassifier, load_classifier
    from harness.modelling.inference import load_segmenter, predict, predict_probabilities
    from harness.modelling.weights import load_weights

_HOMES = {
    "CamClassifier": "harness.modelling.classifier",
    "load_classifier": "harness.modelling.classifier",
    "load_segmenter": "harness.modelling.inference",
    "load_weights": "harness.modelling.weights",
    "predict": "harness.modelling.inference",
    "predict_probabilities": "harness.modelling.inference",
}

__all__ = [
    "CamClassifier",
    "load_classifier",
    "load_segmenter",
    "load_weights",
    "predict",
    "predict_probabilities",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
