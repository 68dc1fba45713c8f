"""Networks: backbones, the CAM classifier, the segmenter, their training and inference.

The only package that touches mmengine and mmseg. Importing it imports neither; the names below load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.modelling import mm
    from harness.modelling.backbones import FROM_CONFIG, backbone_config, find_backbone, input_rule, record_of
    from harness.modelling.classifier import (
        CamClassifier,
        build_classifier,
        classifier_config,
        load_classifier,
        save_classifier,
    )
    from harness.modelling.crf import predict, predict_probabilities
    from harness.modelling.dataset import Sample, TrainingSet, Views, multi_hot, tagged_images
    from harness.modelling.features import stored_features
    from harness.modelling.inference import load_segmenter
    from harness.modelling.mm import MODELS
    from harness.modelling.networks import save_network, seeded, seeded_model
    from harness.modelling.preprocess import Uint8Preprocessor
    from harness.modelling.tasks import train_segmenter
    from harness.modelling.training import Recipe, fit, parameter_groups, poly_rate, train
    from harness.modelling.weights import load_weights

__all__ = [
    "FROM_CONFIG",
    "MODELS",
    "CamClassifier",
    "Recipe",
    "Sample",
    "TrainingSet",
    "Uint8Preprocessor",
    "Views",
    "backbone_config",
    "build_classifier",
    "classifier_config",
    "find_backbone",
    "fit",
    "input_rule",
    "load_classifier",
    "load_segmenter",
    "load_weights",
    "mm",
    "multi_hot",
    "parameter_groups",
    "poly_rate",
    "predict",
    "predict_probabilities",
    "record_of",
    "save_classifier",
    "save_network",
    "seeded",
    "seeded_model",
    "stored_features",
    "tagged_images",
    "train",
    "train_segmenter",
]

__getattr__, __dir__ = lazy_face(__name__)
