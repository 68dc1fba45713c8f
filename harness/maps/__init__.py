"""Maps that methods share: label and score stores, normalisation, CAM inference, dense CRF.

Importing the package loads nothing heavy; a name brings in its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.maps.affinity import Affinity, cosine_step, feature_affinity
    from harness.maps.cam import CamItem, SizeRule, infer_cams
    from harness.maps.crf import Bilateral, DenseCRF, Gaussian
    from harness.maps.guided_filter import apply_guided_filter, box_mean
    from harness.maps.labels import LabelReader, LabelWriter, voc_palette
    from harness.maps.normalise import max_normalise, minmax_normalise
    from harness.maps.scores import ScoreReader, ScoreWriter, downsample, upsample
    from harness.maps.seeds import background_power, power_labels, threshold_labels

_MODULES = {
    "Affinity": "affinity",
    "Bilateral": "crf",
    "CamItem": "cam",
    "DenseCRF": "crf",
    "Gaussian": "crf",
    "LabelReader": "labels",
    "LabelWriter": "labels",
    "ScoreReader": "scores",
    "ScoreWriter": "scores",
    "SizeRule": "cam",
    "apply_guided_filter": "guided_filter",
    "background_power": "seeds",
    "box_mean": "guided_filter",
    "cosine_step": "affinity",
    "downsample": "scores",
    "feature_affinity": "affinity",
    "infer_cams": "cam",
    "max_normalise": "normalise",
    "minmax_normalise": "normalise",
    "power_labels": "seeds",
    "threshold_labels": "seeds",
    "upsample": "scores",
    "voc_palette": "labels",
}

__all__ = [
    "Affinity",
    "Bilateral",
    "CamItem",
    "DenseCRF",
    "Gaussian",
    "LabelReader",
    "LabelWriter",
    "ScoreReader",
    "ScoreWriter",
    "SizeRule",
    "apply_guided_filter",
    "background_power",
    "box_mean",
    "cosine_step",
    "downsample",
    "feature_affinity",
    "infer_cams",
    "max_normalise",
    "minmax_normalise",
    "power_labels",
    "threshold_labels",
    "upsample",
    "voc_palette",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
