from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.nn import functional

from harness.contract import ConfigError, PluginError, Segmenter
from harness.contract.protocol import BackboneSettings, SegmenterSettings
from harness.modelling import mm, preprocess
from harness.modelling.mm import Config
from harness.modelling.segmenter import build_config, configure, initial_model

CONFIGS = Path(__file__).parents[2] / "configs" / "segmenters"
TINY = BackboneSettings(name="tiny")
assert preprocess.Uint8Preprocessor


class Plain(Segmenter):
    pass


def write(folder: Path, text: str) -> str:
    (folder / "own.py").write_text(text)
    return str(folder / "own.py")


def with_config(settings: dict[str, Any], path: str) -> SegmenterSettings:
    found: SegmenterSettings = settings["segmenter"].model_copy(update={"config": path})
    return found


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.py")))
@pytest.mark.parametrize("backbone", ["tiny", "mobilenet_v2_x0.35", "mit_b0"])
def test_every_shipped_segmenter_fits_every_kind_of_backbone(
    settings: dict[str, Any], name: str, backbone: str
) -> None:
    cfg = build_config(with_config(settings, str(CONFIGS / f"{name}.py")), BackboneSettings(name=backbone), 5)
    model: Any = mm.build(cfg.model)
    model.eval()
    with torch.no_grad():
        logits = model.encode_decode(torch.zeros(1, 3, 65, 65), [{"img_shape": (65, 65)}])
    assert logits.shape == (1, 5, 65, 65)
    assert not any(isinstance(part, torch.nn.SyncBatchNorm) for part in model.modules())


def test_a_configuration_may_bring_its_own_backbone(settings: dict[str, Any], tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "model = dict(backbone=dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8, out_indices=(0, 1)),"
        " decode_head=dict(type='FCNHead', in_channels='auto', in_index=-1, channels=4, num_convs=1))",
    )
    cfg = build_config(with_config(settings, path), BackboneSettings(name="config"), 3)
    assert cfg.model.decode_head.in_channels == 16
    assert cfg.model.backbone.base_channels == 8
    with pytest.raises(ConfigError, match=r"fcn\.py: model\.backbone is missing"):
        build_config(settings["segmenter"], BackboneSettings(name="config"), 3)


def test_a_backbone_of_a_configuration_that_cannot_run_is_one_sentence(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    path = write(tmp_path, "model = dict(backbone=dict(type='ResNetV1c', depth=19), decode_head=dict(type='FCNHead'))")
    with pytest.raises(PluginError, match=r"own\.py: model\.backbone cannot be built and run: KeyError") as error:
        build_config(with_config(settings, path), BackboneSettings(name="config"), 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(", "own.py: cannot be read"),
        ("model = dict(backbone=1 / 0)", "ZeroDivisionError"),
        ("heads = 3", "decode_head is missing"),
        ("model = dict(decode_head=dict(in_channels='auto', in_index=9))", "in_index: the backbone has 4 levels"),
        ("model = dict(decode_head=3)", "model.decode_head must be a dictionary"),
    ],
)
def test_a_bad_configuration_is_one_sentence(settings: dict[str, Any], tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        build_config(with_config(settings, write(tmp_path, text)), TINY, 3)
    assert "\n" not in str(error.value)


def test_a_missing_configuration_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.py: no such file"):
        build_config(with_config(settings, "nowhere.py"), TINY, 3)


def test_a_method_changes_heads_and_sampler_and_nothing_else(settings: dict[str, Any]) -> None:
    class Greedy(Segmenter):
        def configure(self, cfg: Any, view: Any, ctx: Any) -> Any:
            cfg.model.decode_head.loss_decode.loss_weight = 0.5
            cfg.model.data_preprocessor.mean = [0, 0, 0]
            cfg.model.test_cfg = {"mode": "slide"}
            cfg.train_dataloader.sampler = {"type": "InfiniteSampler", "shuffle": False}
            cfg.train_dataloader.batch_size = 99
            cfg.optim_wrapper = {"type": "AmpOptimWrapper"}
            return cfg

    protocol = build_config(settings["segmenter"], TINY, 3)
    cfg = configure(Greedy(), protocol, None, None)  # type: ignore[arg-type]
    assert cfg.model.decode_head.loss_decode.loss_weight == 0.5
    assert cfg.train_dataloader.to_dict() == {"sampler": {"type": "InfiniteSampler", "shuffle": False}}
    assert set(cfg.keys()) == {"model", "train_dataloader"}
    assert cfg.model.data_preprocessor == protocol.model.data_preprocessor
    assert cfg.model.test_cfg == protocol.model.test_cfg
    assert protocol.model.decode_head.loss_decode.loss_weight == 1.0


def test_a_method_cannot_exchange_the_backbone_or_forget_the_result(settings: dict[str, Any]) -> None:
    class Swap(Segmenter):
        def configure(self, cfg: Any, view: Any, ctx: Any) -> Any:
            cfg.model.backbone.depth = 50
            return cfg

    class Forget(Segmenter):
        def configure(self, cfg: Any, view: Any, ctx: Any) -> Any:
            return None

    protocol = build_config(settings["segmenter"], TINY, 3)
    with pytest.raises(PluginError, match=r"Swap: configure changed model\.backbone"):
        configure(Swap(), protocol, None, None)  # type: ignore[arg-type]
    with pytest.raises(PluginError, match="Forget: configure must return"):
        configure(Forget(), protocol, None, None)  # type: ignore[arg-type]


def test_every_method_starts_from_the_same_weights_where_it_has_the_same_layers(settings: dict[str, Any]) -> None:
    protocol = build_config(settings["segmenter"], TINY, 3)
    other = Config({"model": mm.plain(protocol.model, sync_bn=True)})
    other.model.auxiliary_head = mm.plain(protocol.model.decode_head) | {"in_channels": 64, "in_index": -2}
    other.model.decode_head.num_classes = 7
    plain = initial_model(protocol, protocol, seed=1, weights=None).state_dict()
    method = initial_model(other, protocol, seed=1, weights=None).state_dict()
    again = initial_model(protocol, protocol, seed=1, weights=None).state_dict()
    for key, value in plain.items():
        assert torch.equal(value, again[key])
        assert "conv_seg" in key or torch.equal(value, method[key]), key
    another = initial_model(protocol, protocol, seed=2, weights=None).state_dict()
    assert not torch.equal(plain["backbone.stem.0.weight"], another["backbone.stem.0.weight"])


def test_initial_weights_reach_the_backbone_and_leave_the_head(settings: dict[str, Any], tmp_path: Path) -> None:
    protocol = build_config(settings["segmenter"], TINY, 3)
    donor: Any = initial_model(protocol, protocol, seed=5, weights=None)
    torch.save(donor.backbone.state_dict(), tmp_path / "w.pth")
    loaded = initial_model(protocol, protocol, seed=1, weights=str(tmp_path / "w.pth")).state_dict()
    plain = initial_model(protocol, protocol, seed=1, weights=None).state_dict()
    for key, value in loaded.items():
        source = donor.state_dict() if key.startswith("backbone.") else plain
        assert torch.equal(value, source[key]), key


BENCHMARKS = sorted(CONFIGS.parent.glob("benchmarks/**/*.yaml"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_corners_are_aligned_only_where_crops_end_on_a_feature(path: Path) -> None:
    segmenter = yaml.safe_load(path.read_text())["protocol"]["segmenter"]
    head = Config.fromfile(path.parent / segmenter["config"], format_python_code=False).model.decode_head
    on_feature = (segmenter["augment"]["crop"] - 1) % segmenter["output_stride"] == 0
    assert on_feature or not head.align_corners
    if on_feature and "deeplabv3plus" not in segmenter["config"]:  # shared with crops of 512
        assert head.align_corners


def test_the_demo_keeps_the_geometry_of_its_even_crops() -> None:
    head = Config.fromfile(CONFIGS / "mlp_stride8.py", format_python_code=False).model.decode_head
    assert not head.align_corners


def test_aligned_corners_put_features_at_multiples_of_the_stride_back_on_their_pixels() -> None:
    features = torch.arange(0.0, 66.0, 16.0)[None, None].expand(1, 1, 5, 5)
    pixels = functional.interpolate(features, (65, 65), mode="bilinear", align_corners=True)
    torch.testing.assert_close(pixels[0, 0, 0], torch.arange(65.0))
