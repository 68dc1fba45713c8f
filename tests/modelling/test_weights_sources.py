"""Weights of any origin are read by one safe loader, and a download is pinned by its checksum."""

from __future__ import annotations

import hashlib
import os
import pickle
from http.client import HTTPException
from pathlib import Path

import pytest
import torch
from torchvision.models import mobilenet_v2

from harness.contract import ConfigError
from harness.modelling import mm
from harness.modelling.backbones import backbone_config, find_backbone
from harness.modelling.segmenter import build_config
from harness.modelling.weight_sources import Download, check_format, fetch, find_download, receive
from harness.modelling.weights import load_weights


class Harm:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (str(self.folder),))


def network() -> torch.nn.Module:
    return mm.build(backbone_config(find_backbone("tiny"), 16))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("way", ["path", "file", "http", "http with sha256"])
def test_code_in_weights_of_any_origin_never_runs(
    way: str, legacy: bool, tmp_path: Path, folder: Path, server: tuple[Path, str]
) -> None:
    served, address = server
    evil = served / "evil.pth"
    torch.save({"state_dict": Harm(tmp_path / "harmed")}, evil, _use_new_zipfile_serialization=not legacy)
    named = evil.rename(served / f"evil-{sha256(evil)[:8]}.pth")
    sources = {"path": str(named), "file": named.as_uri(), "http": f"{address}/{named.name}"}
    source, stated = (sources["http"], sha256(named)) if way == "http with sha256" else (sources[way], None)
    with pytest.raises(ConfigError, match=r"backbone\.weights: .*cannot be read as PyTorch weights"):
        load_weights(network(), source, stated)
    assert not (tmp_path / "harmed").exists()


def test_a_bare_pickle_behind_an_address_never_runs(tmp_path: Path, folder: Path, server: tuple[Path, str]) -> None:
    served, address = server
    (served / "evil.pkl").write_bytes(pickle.dumps(Harm(tmp_path / "harmed")))
    with pytest.raises(ConfigError):
        load_weights(network(), f"{address}/evil.pkl", sha256(served / "evil.pkl"))
    assert not (tmp_path / "harmed").exists()


def test_a_download_is_kept_under_a_name_with_its_checksum_and_used_again(
    folder: Path, server: tuple[Path, str]
) -> None:
    served, address = server
    torch.save(network().state_dict(), served / "w.pth")
    digest = sha256(served / "w.pth")
    load_weights(network(), f"{address}/w.pth", digest)
    assert [path.name for path in folder.glob("*.pth")] == [f"w-{digest[:8]}.pth"]
    (served / "w.pth").unlink()
    load_weights(network(), f"{address}/w.pth", digest)


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(folder: Path, server: tuple[Path, str]) -> None:
    served, address = server
    (served / "w-0123abcd.pth").write_bytes(b"other")
    with pytest.raises(ConfigError, match=r"w-0123abcd\.pth: has sha256 .*, not 0123abcd; nothing was kept"):
        fetch(find_download(f"{address}/w-0123abcd.pth"))
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == []
    (folder / "w-0123abcd.pth").write_bytes(b"damaged later")
    with pytest.raises(ConfigError, match="it is another file, or it is damaged"):
        fetch(find_download(f"{address}/w-0123abcd.pth"))


def test_an_address_that_nothing_pins_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"https://host/w\.pth: nothing says which file lies there; write its sha256"):
        find_download("https://host/w.pth")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("torchvision://resnet50", "resnet50-0676ba61.pth"),
        ("mmcls://mobilenet_v2", "mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth"),
        ("open-mmlab://resnet50_v1c", "resnet50_v1c-2cccc1ad.pth"),
        ("torchvision://resnet50.imagenet1k_v2", "resnet50-11ad3fa6.pth"),
        ("torchvision://ResNet50_Weights.IMAGENET1K_V2", "resnet50-11ad3fa6.pth"),
        ("torchvision://MobileNet_V2_Weights.IMAGENET1K_V1", "mobilenet_v2-b0353104.pth"),
    ],
)
def test_a_scheme_leads_to_a_pinned_address(source: str, name: str) -> None:
    download = find_download(source)
    assert (download.name, download.sha256) == (name, name[-12:-4])


@pytest.mark.parametrize("source", ["s3://bucket/w.pth", "petrel://w", "pavi://w", "ftp://host/w-01234567.pth", "://w"])
def test_a_scheme_that_is_not_read_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=r"weights cannot be read from .*known are https"):
        find_download(source)


def test_an_unknown_name_of_a_scheme_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"mmcls://mobilenet_v22: there are no weights of that name.*mobilenet_v2"):
        find_download("mmcls://mobilenet_v22")


def test_without_a_network_the_sentence_says_what_to_do(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be downloaded .*wsss weights fetch .*or put the file there as"):
        fetch(Download("http://127.0.0.1:9/w-01234567.pth", "01234567"))


def test_an_address_without_a_file_leaves_nothing_behind(folder: Path, server: tuple[Path, str]) -> None:
    folder.mkdir()
    address = server[1]
    with pytest.raises(OSError, match="404"):
        receive(f"{address}/absent.pth", folder / "absent.pth")
    assert list(folder.iterdir()) == []


def test_a_connection_that_ends_early_keeps_nothing(folder: Path, server: tuple[Path, str]) -> None:
    served, address = server
    folder.mkdir()
    (served / "cut.pth").write_bytes(bytes(1000))
    with pytest.raises((OSError, HTTPException)):
        receive(f"{address}/cut.pth", folder / "cut.pth")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"pretrained": "evil.pth"},
        {"backbone": {"type": "ResNet", "depth": 18, "init_cfg": {"type": "Pretrained", "checkpoint": "evil.pth"}}},
        {"backbone": {"type": "mmpretrain.TIMMBackbone", "pretrained": True}},
        {"backbone": {"type": "TIMMBackbone", "checkpoint_path": "evil.pth"}},
        {"init_cfg": [{"type": "mmengine.model.PretrainedInit", "checkpoint": "evil.pth", "prefix": "x."}]},
    ],
)
def test_a_configuration_that_loads_weights_by_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"^model\..*loads weights by itself; .*weights of the backbone"):
        mm.build({"type": "EncoderDecoder", **change})


def test_a_segmenter_file_that_loads_weights_by_itself_is_named(tmp_path: Path, settings: dict[str, object]) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        'model = dict(decode_head=dict(type="FCNHead", init_cfg=dict(type="Pretrained", checkpoint="w")))\n'
    )
    segmenter = settings["segmenter"].model_copy(update={"config": str(path)})  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"own\.py: model\.decode_head\.init_cfg\.type: loads weights by itself"):
        build_config(segmenter, settings["backbone"], 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_whose_end_is_missing_are_found_without_using_them(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save(network().state_dict(), path, _use_new_zipfile_serialization=not legacy)
    check_format(path)
    whole = path.read_bytes()
    for length in (0, 3, 1000, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match=r"w\.pth") as caught:
            check_format(path)
        assert "\n" not in str(caught.value)


def test_weights_of_torchvisions_mobilenet_become_those_of_the_backbone(tmp_path: Path) -> None:
    theirs = mobilenet_v2(weights=None).eval()
    for module in theirs.modules():  # statistics and factors that would show an exchanged layer
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.5)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours = mm.build(backbone_config(find_backbone("mobilenet_v2"), 32))
    load_weights(ours, str(tmp_path / "w.pth"))
    ours.eval()
    image = torch.rand(1, 3, 65, 65)
    with torch.no_grad():
        torch.testing.assert_close(ours(image)[-1], theirs.features[:18](image))
    narrow = mm.build(backbone_config(find_backbone("mobilenet_v2_x0.35"), 32))
    with pytest.raises(ConfigError, match="of shape"):
        load_weights(narrow, str(tmp_path / "w.pth"))
