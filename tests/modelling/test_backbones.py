from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from harness.contract import BackboneRecord, ConfigError
from harness.modelling import backbones
from harness.modelling import builtin as records
from harness.modelling.backbones import backbone_config, find_backbone
from harness.modelling.mm import build

RECORDS = {record.name: record for record in records.wsss_backbones()}
LIGHT = ["tiny", "mobilenet_v2", "mobilenet_v2_x0.35", "resnet18", "mit_b0"]


@pytest.mark.parametrize(
    ("name", "output_stride"), [(name, stride) for name in LIGHT for stride in RECORDS[name].output_strides]
)
def test_a_backbone_keeps_the_channels_and_strides_of_its_record(name: str, output_stride: int) -> None:
    record = RECORDS[name]
    network = build(backbone_config(record, output_stride))
    network.eval()
    with torch.no_grad():
        levels = network(torch.zeros(1, 3, 65, 65))
    assert tuple(level.shape[1] for level in levels) == record.channels
    assert levels[-1].shape[2] == 64 // output_stride + 1


def test_an_output_stride_that_is_not_offered_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'mit_b0' has no output stride 8 \(has 16, 32\)"):
        backbone_config(RECORDS["mit_b0"], 8)


def test_an_unknown_backbone_is_answered_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"resnet5.*resnet50"):
        find_backbone("resnet5")


def test_a_backbone_of_a_plugin_becomes_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "_known", dict(backbones._known))
    record = BackboneRecord("mine", factory=lambda stride: {"type": "ResNet", "stride": stride}, output_strides=(32,))
    backbones.use_records([record])
    assert backbone_config(find_backbone("mine"), 32) == {"type": "ResNet", "stride": 32}


def test_records_and_the_package_load_nothing_heavy() -> None:
    code = (
        "import sys, harness.modelling, harness.modelling.builtin as r; list(r.wsss_backbones());"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'mmengine', 'mmseg', 'cv2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
