"""The shared stages that the harness ships: ask for them in ``uses``."""

from __future__ import annotations

from harness.contract.records import SharedStage
from harness.contract.supervision import TAGS

FEATURES = SharedStage(
    name="features",
    run="harness.modelling.feature_stage:compute_features",
    reads=("backbone", "freeze"),
)
"""The frozen backbone's features of the protocol's fixed views, alike for all seeds.

Where the protocol has a section ``freeze`` the plan adds it, and the section, to every stage that reads ``backbone``.
"""

CLASSIFIER = SharedStage(
    name="classifier",
    run="harness.modelling.classification:train_classifier",
    needs=(TAGS,),
    reads=("backbone", "classifier"),
)
"""The protocol's image classifier, trained on tags: ``harness.modelling.load_classifier(ctx.input("classifier"))``."""

CAMS = SharedStage(
    name="cams",
    run="harness.modelling.cams:infer_cams",
    needs=(TAGS,),
    reads=("backbone", "classifier", "cam"),
    after=(CLASSIFIER,),
)
"""Its multi-scale, flipped CAMs, ReLU and max-normalised: ``harness.maps.ScoreReader(ctx.input("cams"))``."""

MINIMUM_BARRIER = SharedStage(name="saliency_minimum_barrier", run="harness.maps.saliency:write_saliency")
"""Saliency from the image alone, which sees no supervision: one plane of class 1 for each image (``ScoreReader``)."""
