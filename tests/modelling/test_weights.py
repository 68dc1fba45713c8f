from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.contract import ConfigError
from harness.modelling.backbones import backbone_config, find_backbone
from harness.modelling.mm import build
from harness.modelling.weights import load_weights


def network(name: str = "tiny") -> torch.nn.Module:
    return build(backbone_config(find_backbone(name), 16))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return network().state_dict()


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone."])
@pytest.mark.parametrize("nested", [True, False])
def test_every_common_layout_of_a_weights_file_loads(
    tmp_path: Path, state: dict[str, torch.Tensor], prefix: str, nested: bool
) -> None:
    path = tmp_path / "w.pth"
    saved = {prefix + key: value for key, value in state.items()}
    saved[prefix + "fc.weight"] = saved[prefix + "conv2.conv.weight"] = torch.zeros(2, 2)
    torch.save({"state_dict": saved, "meta": {"top1": 0.7}} if nested else saved, path)
    loaded = network()
    load_weights(loaded, str(path))
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_a_missing_key_is_named(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=r"w\.pth lacks key 'layer1\.0\.conv1\.weight'"):
        load_weights(network(), str(tmp_path / "w.pth"))


def test_weights_of_another_network_or_width_are_refused(tmp_path: Path) -> None:
    torch.save(network("mobilenet_v2_x0.35").state_dict(), tmp_path / "narrow.pth")
    with pytest.raises(ConfigError, match=r"narrow\.pth .*not weights of this backbone"):
        load_weights(network(), str(tmp_path / "narrow.pth"))
    with pytest.raises(ConfigError, match=r"narrow\.pth has '.*' of shape .*, the backbone needs"):
        load_weights(network("mobilenet_v2"), str(tmp_path / "narrow.pth"))


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    whole, cut, text, wrong = (tmp_path / name for name in ("whole.pth", "cut.pth", "text.pth", "wrong.pth"))
    torch.save(state, whole)
    cut.write_bytes(whole.read_bytes()[:5000])
    text.write_text("no weights")
    torch.save([1, 2], wrong)
    for path in (cut, text, wrong, tmp_path / "absent.pth", tmp_path):
        with pytest.raises(ConfigError, match=r"backbone\.weights: ") as error:
            load_weights(network(), str(path))
        assert "\n" not in str(error.value)
        assert path.name in str(error.value)


def test_code_in_a_weights_file_never_runs(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "harmed",))

    torch.save({"state_dict": Harm()}, tmp_path / "w.pth")
    with pytest.raises(ConfigError):
        load_weights(network(), str(tmp_path / "w.pth"))
    assert not (tmp_path / "harmed").exists()
