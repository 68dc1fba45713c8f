"""The shared stages that the harness ships: ask for them in ``uses``."""

from __future__ import annotations

from harness.contract.records import SharedStage
from harness.contract.supervision import TAGS

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
