"""Networks of timm by name: records, output strides, weights."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.common.shipped import configs_folder
from harness.contract import ConfigError, PluginError
from harness.contract.protocol import BackboneSettings
from harness.engine.plan.layout import Cell
from harness.modelling import mm, timm_networks
from harness.modelling.backbones import backbone_config, find_backbone, input_rule, record_of
from harness.modelling.mm import build
from harness.modelling.probe import check_backbone
from harness.modelling.timm_networks import TimmBackbone
from harness.modelling.weight_sources import check_format, find_download
from harness.modelling.weights import load_weights
from harness.registry import manager
from harness.testing.checks import NotApplicable, sound_backbone
from tests.commands import wsss
from tests.modelling.pretrained import randomise

LITE = "timm/tf_efficientnet_lite0"
EXACT = ["resnet18", "resnet26d", "tf_efficientnet_lite0", "mobilenetv2_050", "regnetx_002", "convnext_atto"]
"""Filters and local pools alone, one network of each kind: stems, average pools, 'same' padding, groups, patches."""


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(name: str, output_stride: int) -> nn.Module:
    torch.manual_seed(0)
    made = build(backbone_config(find_backbone(f"timm/{name}"), output_stride))
    made.eval()
    return made


@cache
def trained(name: str) -> nn.Module:
    made = network(name, 32)
    randomise(made)
    return made


def levels(network: nn.Module, side: int) -> list[Tensor]:
    torch.manual_seed(1)
    with torch.no_grad():
        found: list[Tensor] = network(torch.randn(1, 3, side, side))
    return found


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("name", EXACT)
def test_a_network_of_timm_at_a_smaller_output_stride_is_the_trained_one(name: str, output_stride: int) -> None:
    dense = network(name, output_stride)
    dense.load_state_dict(trained(name).state_dict())
    side = 64 + find_backbone(f"timm/{name}").inputs.corners
    for found, expected in zip(levels(dense, side), levels(trained(name), side), strict=True):
        skip = (found.shape[-1] - side % 2) // (expected.shape[-1] - side % 2)
        kept = found[..., ::skip, ::skip]
        assert kept.shape == expected.shape
        assert (kept - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet26d", "densenet121"])
def test_folding_norms_gives_the_same_levels_of_a_network_of_timm(name: str) -> None:
    head = nn.Sequential(trained(name), nn.Identity())
    expected = levels(trained(name), 65)
    before = sum(isinstance(part, nn.BatchNorm2d) for part in head.modules())
    mm.fuse_conv_bn(head)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in head.modules()) < before
    for found, wanted in zip(levels(head, 65), expected, strict=True):
        assert (found - wanted).norm() < 1e-4 * wanted.norm()
    trained.cache_clear()


def test_a_norm_that_would_fold_into_another_network_is_left_alone() -> None:
    class Twice(TimmBackbone):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
            self.network[1].running_mean += 1.0

        def forward(self, x: Tensor) -> list[Tensor]:
            seen = self.network[0](x)
            return [seen + self.network[1](seen)]

    part = Twice()
    part.fold_norms()
    assert isinstance(part.network[1], nn.BatchNorm2d)


def test_a_record_has_what_timm_says_of_the_weights() -> None:
    record = find_backbone("timm/resnet18.tv_in1k")
    assert record.channels == (64, 128, 256, 512)
    assert record.output_strides == (8, 16, 32)
    assert (record.init, record.trained_on) == ("timm://resnet18.tv_in1k", "tv_in1k")
    assert input_rule("timm/resnet18.tv_in1k").mean == (123.675, 116.28, 103.53)
    assert input_rule(LITE).mean == (127.5, 127.5, 127.5)
    assert input_rule(LITE).at(16).side(170) == 177
    assert {part.eps for part in trained("tf_efficientnet_lite0").modules() if isinstance(part, nn.BatchNorm2d)} == {
        0.001
    }
    for stride in record.output_strides:
        check_backbone(record, stride)


def test_a_file_that_was_trained_otherwise_than_timm_says_brings_its_own_rule() -> None:
    (sha256,) = timm_networks._TRAINED
    for name in ("timm/efficientnet_lite0", LITE):
        found = record_of(BackboneSettings(name=name, weights="w.pth", weights_sha256=sha256))
        assert found.inputs.mean == (127.0, 127.0, 127.0)
        assert found.inputs.std == (128.0, 128.0, 128.0)
        assert backbone_config(found, 16)["network"] == "tf_efficientnet_lite0"
    other = record_of(BackboneSettings(name="timm/efficientnet_lite0", weights="w.pth", weights_sha256="0" * 64))
    assert other == find_backbone("timm/efficientnet_lite0")


def test_attention_has_the_output_stride_that_it_was_trained_at_only() -> None:
    assert find_backbone("timm/pvt_v2_b0").output_strides == (32,)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("efficientnet_lit0", "timm has no network 'efficientnet_lit0'; did you mean 'efficientnet_lite0'"),
        ("resnet18.mine", r"timm has no weights 'mine' of 'resnet18' \(it has "),
        ("vit_tiny_patch16_224", "takes images of 224 x 224 pixels only"),
        ("hrnet_w18_small", "takes no image of 129 x 129 pixels"),
        (
            "inception_v3",
            "does not pad: of 129 pixels its deepest level has 2 cells, where its stride of 32 gives 4 or 5",
        ),
    ],
)
def test_a_name_that_cannot_be_used_is_one_sentence(name: str, words: str) -> None:
    with pytest.raises(PluginError, match=words) as error:
        manager().get("backbone", f"timm/{name}")
    assert "\n" not in str(error.value)


def test_without_timm_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PluginError, match=r"need the package timm: pip install 'wsss-harness\[timm\]'"):
        timm_networks.record("resnet10t")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_in_the_layout_of_timm_are_read_from_both_kinds_of_file(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    with mm.quiet():
        import timm
    donor = timm.create_model("resnet18", pretrained=False).state_dict()
    path = tmp_path / f"weights{suffix}"
    save_file(donor, path) if suffix == ".safetensors" else torch.save({"state_dict": donor}, path)
    check_format(path)
    made = network("resnet18", 16)
    load_weights(made, str(path))
    for key, value in made.state_dict().items():
        assert torch.equal(value, donor[key.removeprefix("network.")]), key
    other = network("resnet26d", 16)
    with pytest.raises(ConfigError, match=r"lacks key 'network\.conv1\.0\.weight'"):
        load_weights(other, str(path))


def test_a_damaged_file_of_safetensors_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for content in (b"", b"\xff" * 40, b"\x02\x00\x00\x00\x00\x00\x00\x00{]"):
        path.write_bytes(content)
        if content[:1] != b"\x02":
            with pytest.raises(ConfigError, match="is no file of safetensors, or its end is missing"):
                check_format(path)
        with pytest.raises(ConfigError, match=r"weights\.safetensors: ") as error:
            load_weights(network("resnet18", 16), str(path))
        assert "\n" not in str(error.value)


def test_timms_own_weights_are_an_address_that_its_file_name_pins_or_the_user_does() -> None:
    pinned = find_download("timm://tf_efficientnet_lite0")
    assert pinned.url.endswith("/tf_efficientnet_lite0-0aa007d2.pth")
    assert pinned.sha256 == "0aa007d2"
    with pytest.raises(ConfigError, match="write its sha256 beside weights"):
        find_download("timm://convnext_tiny")
    assert find_download("timm://convnext_tiny", "ab" * 32).url.endswith("/model.safetensors")
    with pytest.raises(ConfigError, match="timm has no network 'nothing'"):
        find_download("timm://nothing")


BENCHMARK = """
name: named
dataset: {configs}/datasets/synthetic.yaml
backbones: {backbones}
methods: [full]
protocol:
  classifier: {{optim: {{iterations: 1}}, augment: {{crop: 97}}}}
  segmenter:
    config: {configs}/segmenters/fcn.py
    output_stride: 16
    optim: {{iterations: 1}}
    augment: {{crop: 97}}
"""


@pytest.mark.parametrize(
    ("backbones", "code", "words"),
    [
        (
            "[timm/resnet1]",
            2,
            "backbones: backbone timm/resnet1: timm has no network 'resnet1'; did you mean 'resnet18'",
        ),
        ("[timm]", 2, "backbones: 'timm' stands for many; write timm/ and the name of one"),
        ("[timm/resnet18]", 2, "weights: not given; name a file, timm://resnet18 (a download) or null (random)"),
        ("[{name: timm/pvt_v2_b0, weights: null}]", 2, "'timm/pvt_v2_b0' has no output stride 16, set 32"),
        ("[{name: timm/resnet18, weights: null}]", 0, "cells: 1"),
    ],
)
def test_the_plan_answers_for_a_network_of_timm(tmp_path: Path, backbones: str, code: int, words: str) -> None:
    path = tmp_path / "named.yaml"
    path.write_text(BENCHMARK.format(configs=configs_folder(), backbones=backbones))
    answered, output = wsss("plan", str(path), "--runs", str(tmp_path / "runs"))
    assert (answered, words in " ".join(output.split())) == (code, True), output


def test_a_name_of_timm_makes_one_file_of_a_record() -> None:
    cell = Cell(SimpleNamespace(label="full"), BackboneSettings(name=LITE), 0, (), (), None)  # type: ignore[arg-type]
    assert cell.stem == "full--timm_tf_efficientnet_lite0--s0"


def test_a_family_is_not_checked_as_a_backbone() -> None:
    with pytest.raises(NotApplicable):
        sound_backbone(manager(), "timm")
    assert "4 levels" in sound_backbone(manager(), "timm/resnet18")


def test_listing_the_backbones_imports_neither_timm_nor_torch() -> None:
    code = (
        "import sys; from harness.registry import manager; m = manager(); assert m.records('backbone')['timm'].family;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
