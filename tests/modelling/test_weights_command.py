"""``wsss weights``: what there is, where it comes from, and how it gets there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from harness.engine.plan.catalogue import catalogue
from harness.modelling import builtin as records
from harness.modelling import mm
from harness.modelling.backbones import backbone_config, find_backbone
from tests.commands import wsss

PLUGIN = """
from harness.contract import BackboneRecord, hookimpl

@hookimpl
def wsss_backbones():
    yield BackboneRecord(
        "mine", factory="harness.modelling.backbones:tiny", channels=(16, 32, 64, 128), output_strides=(8, 16, 32),
        init="{url}", init_sha256="{sha256}", trained_on="Flowers",
    )
"""


def weights(*arguments: str) -> tuple[int, str]:
    code, output = wsss("weights", *arguments)
    return code, " ".join(output.split())


@pytest.fixture
def published(server: tuple[Path, str]) -> tuple[str, str]:
    """Address and SHA-256 of weights whose name carries no checksum."""
    served, address = server
    torch.save(mm.build(backbone_config(find_backbone("tiny"), 16)).state_dict(), served / "flowers.pth")
    return f"{address}/flowers.pth", hashlib.sha256((served / "flowers.pth").read_bytes()).hexdigest()


@pytest.fixture
def plugin(tmp_path: Path, published: tuple[str, str]) -> str:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(url=published[0], sha256=published[1]))
    return str(path)


def test_weights_of_a_plugins_backbone_are_listed_shown_and_fetched(
    folder: Path, plugin: str, published: tuple[str, str]
) -> None:
    url, digest = published
    code, text = weights("list", "--plugin", plugin, "--json")
    assert code == 0
    (entry,) = (e for e in json.loads(text)["weights"] if e["name"] == "mine")
    assert (entry["origin"], entry["sha256"], entry["trained_on"], entry["path"]) == (url, digest, "Flowers", None)
    assert "state not here; a run fetches it" in weights("show", "mine", "--plugin", plugin)[1]
    code, text = weights("fetch", "mine", "--plugin", plugin)
    assert code == 0, text
    path = folder / f"flowers-{digest[:8]}.pth"
    assert f"sha256: {digest}" in text
    assert path.is_file()
    assert "state there" in weights("show", "mine", "--plugin", plugin)[1]


def test_an_address_without_a_checksum_is_fetched_and_its_sha256_printed(
    folder: Path, published: tuple[str, str]
) -> None:
    url, digest = published
    for _ in range(2):
        code, text = weights("fetch", url)
        assert (code, f"sha256: {digest}" in text) == (0, True), text
    assert [path.name for path in folder.iterdir()] == [f"flowers-{digest[:8]}.pth"]


def test_another_checksum_is_refused_and_nothing_kept(folder: Path, published: tuple[str, str]) -> None:
    code, text = weights("fetch", published[0], "--sha256", "0" * 64)
    assert code == 2
    assert "nothing was kept" in text
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize("sha256", ["12", "xyzxyzxy", "0" * 65, "ABCDEF01"])
def test_a_checksum_that_is_none_is_refused(sha256: str) -> None:
    code, text = weights("fetch", "resnet50", "--sha256", sha256)
    assert (code, "is not 8 to 64 hexadecimal digits" in text) == (2, True)


def test_weights_that_cannot_be_downloaded_say_where_they_come_from_and_what_does_without(folder: Path) -> None:
    code, text = weights("fetch", "mobilenet_v2_x0.35")
    assert code == 2
    assert "Keras Applications" in text
    assert "the backbone mobilenet_v2 has weights that are fetched" in text


def test_a_page_that_is_no_file_of_weights_is_told_apart(folder: Path, server: tuple[Path, str]) -> None:
    (server[0] / "page.pth").write_text("<html>not found</html>")
    code, text = weights("fetch", f"{server[1]}/page.pth")
    assert code == 2
    assert "page.pth: is no file of PyTorch weights; nothing was kept" in text
    assert list(folder.iterdir()) == []


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    code, text = weights("show", "resnet5")
    assert code == 2
    assert "resnet50" in text


def test_every_backbone_with_default_weights_has_an_entry_with_licence_and_checksum() -> None:
    shipped = list(records.wsss_backbones())
    entries = {(entry.backbone, entry.source): entry for entry in catalogue(shipped)}
    for record in shipped:
        if record.init:
            entry = entries[record.name, record.init]
            assert len(entry.sha256) >= 8
            assert entry.licence != "not stated by the plugin"
