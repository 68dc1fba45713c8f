"""Maps that methods share: label and score stores, normalisation, CAM inference, dense CRF.

Importing the package loads nothing heavy; a name brings in its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.maps.affinity import Affinity, cosine_step, feature_affinity, half_disc
    from harness.maps.cam import CamItem, ForwardCam, infer_cams
    from harness.maps.crf.dense import DenseCRF
    from harness.maps.crf.kernels import REFERENCE_SIDE, Bilateral, Gaussian, kernels_for
    from harness.maps.guided_filter import apply_guided_filter, box_mean
    from harness.maps.labels import LabelReader, LabelWriter, voc_palette
    from harness.maps.normalise import max_normalise, minmax_normalise
    from harness.maps.params import AffinityWalkParams
    from harness.maps.scores import ScoreReader, ScoreWriter, downsample, upsample
    from harness.maps.seeds import background_power, power_labels, threshold_labels, tie_exponent


__all__ = [
    "REFERENCE_SIDE",
    "Affinity",
    "AffinityWalkParams",
    "Bilateral",
    "CamItem",
    "DenseCRF",
    "ForwardCam",
    "Gaussian",
    "LabelReader",
    "LabelWriter",
    "ScoreReader",
    "ScoreWriter",
    "apply_guided_filter",
    "background_power",
    "box_mean",
    "cosine_step",
    "downsample",
    "feature_affinity",
    "half_disc",
    "infer_cams",
    "kernels_for",
    "max_normalise",
    "minmax_normalise",
    "power_labels",
    "threshold_labels",
    "tie_exponent",
    "upsample",
    "voc_palette",
]

__getattr__, __dir__ = lazy_face(__name__)
