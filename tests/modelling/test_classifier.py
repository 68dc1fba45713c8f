from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from harness.contract import StoreError
from harness.modelling import backbones
from harness.modelling.classifier import CONFIG, WEIGHTS, CamClassifier, load_classifier
from harness.modelling.segmenter import seeded_model


def config(levels: tuple[int, ...] = (-1,)) -> dict[str, object]:
    record = backbones.find_backbone("tiny")
    return {
        "type": "CamClassifier",
        "backbone": backbones.backbone_config(record, 16),
        "channels": record.channels,
        "levels": levels,
        "num_classes": 4,
    }


def classifier(levels: tuple[int, ...] = (-1,)) -> CamClassifier:
    model = seeded_model(config(levels), 0)
    assert isinstance(model, CamClassifier)
    model.eval()
    return model


@pytest.mark.parametrize(("levels", "side"), [((-1,), 4), ((2, 3), 4), ((1, 3), 8)])
def test_logits_are_the_mean_of_the_maps_before_the_relu(levels: tuple[int, ...], side: int) -> None:
    model = classifier(levels)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = model.head(model._joined(x))
        torch.testing.assert_close(model.forward_logits(x), before.mean((2, 3)))
        torch.testing.assert_close(model.forward_cam(x), before.clamp(min=0))
    assert before.shape == (2, 4, side, side)


def test_features_are_all_levels() -> None:
    with torch.no_grad():
        assert [f.shape[1] for f in classifier().features(torch.zeros(1, 3, 64, 64))] == [16, 32, 64, 128]


def test_a_saved_classifier_comes_back_in_evaluation_mode(tmp_path: Path) -> None:
    model = classifier()
    torch.save(model.state_dict(), tmp_path / WEIGHTS)
    (tmp_path / CONFIG).write_text(json.dumps(config()))
    loaded = load_classifier(tmp_path, "cpu")
    assert not any(part.training for part in loaded.modules())
    x = torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        torch.testing.assert_close(loaded.forward_cam(x), model.forward_cam(x))


def test_a_folder_without_classifier_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no readable classifier"):
        load_classifier(tmp_path)
