"""A digest follows content, kind by kind, with and without the cache."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.data import digests
from harness.data.voc import VocDataset


@pytest.fixture(autouse=True)
def _no_cache() -> Iterator[None]:
    digests.set_cache(None)
    yield
    digests.set_cache(None)


def changed(before: dict[str, str], voc: Any) -> set[str]:
    after = VocDataset(voc.params()).digests("train")
    return {kind for kind in before if before[kind] != after[kind]}


def test_kinds_that_the_data_set_lacks_are_left_out(voc: Any) -> None:
    assert set(VocDataset(voc.params()).digests("train")) == {"ids", "images", "tags", "boxes", "masks"}
    (voc.root / "saliency").mkdir()
    for image_id in "abcd":
        Image.new("L", (16, 12)).save(voc.root / "saliency" / f"{image_id}.png")
    assert "saliency" in VocDataset(voc.params(saliency="saliency")).digests("train")


def test_a_change_reaches_only_the_kinds_that_it_touches(voc: Any) -> None:
    before = VocDataset(voc.params()).digests("train")
    assert changed(before, voc) == set()
    plane = voc.plane(0)
    plane[2, 2] = 255
    voc.mask("a", plane)
    assert changed(before, voc) == {"masks"}
    plane[11, 15] = 8
    voc.mask("a", plane)
    assert changed(before, voc) == {"masks", "boxes"}
    plane[11, 15] = 15
    voc.mask("a", plane)
    assert changed(before, voc) == {"masks", "boxes", "tags"}
    voc.mask("a", voc.plane(0))
    voc.image("a", 99)
    assert changed(before, voc) == {"images"}
    voc.image("a", 0)
    voc.image("d", 98)
    assert changed(before, voc) == set()
    voc.list("train.txt", "b\na\nc\n")
    assert "ids" in changed(before, voc)


def test_the_meaning_of_mask_ids_belongs_to_the_masks(voc: Any) -> None:
    one = VocDataset(voc.params()).digests("train")
    other = VocDataset(voc.params(classes={"background": 0, "person": 15, "cat": 8})).digests("train")
    assert one["masks"] != other["masks"]
    assert one["images"] == other["images"]


def test_where_the_folder_lies_does_not_matter(voc: Any, tmp_path: Path) -> None:
    before = VocDataset(voc.params()).digests("train")
    moved = voc.root.rename(tmp_path / "elsewhere")
    assert VocDataset(voc.params(root=str(moved))).digests("train") == before


def settle(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        os.utime(path, ns=(10**18, 10**18))


def test_the_cache_gives_the_same_answers_without_reading(
    voc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(voc.root)
    plain = VocDataset(voc.params()).digests("train")
    digests.set_cache(tmp_path / "cache" / "digests.json")
    assert VocDataset(voc.params()).digests("train") == plain
    digests.set_cache(tmp_path / "cache" / "digests.json")
    monkeypatch.setattr(Path, "read_bytes", None)
    monkeypatch.setattr(VocDataset, "_from_mask", None)
    assert VocDataset(voc.params()).digests("train") == plain


def test_a_changed_file_is_read_again(voc: Any, tmp_path: Path) -> None:
    digests.set_cache(tmp_path / "digests.json")
    settle(voc.root)
    before = VocDataset(voc.params()).digests("train")
    voc.mask("a", np.zeros((12, 16), dtype=np.uint8))
    assert changed(before, voc) == {"masks", "boxes", "tags"}


def test_a_file_of_the_last_seconds_is_never_remembered(tmp_path: Path) -> None:
    digests.set_cache(tmp_path / "digests.json")
    file = tmp_path / "f"
    file.write_text("one")
    stamp = file.stat().st_mtime_ns
    first = digests.file_digest(file)
    file.write_text("two")
    os.utime(file, ns=(stamp, stamp))
    assert digests.file_digest(file) != first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "[" * 3000, '{"texts": 3}', "\x00", '{"sha256": null}'])
def test_a_damaged_cache_is_no_more_than_lost_time(voc: Any, tmp_path: Path, text: str) -> None:
    plain = VocDataset(voc.params()).digests("train")
    (tmp_path / "digests.json").write_text(text)
    digests.set_cache(tmp_path / "digests.json")
    assert VocDataset(voc.params()).digests("train") == plain


@pytest.mark.parametrize("kind", ["folder", "pipe"])
@pytest.mark.timeout(20)
def test_a_cache_that_is_no_file_is_no_cache(voc: Any, tmp_path: Path, kind: str) -> None:
    settle(voc.root)
    {"folder": Path.mkdir, "pipe": os.mkfifo}[kind](tmp_path / "digests.json")
    digests.set_cache(tmp_path / "digests.json")
    VocDataset(voc.params()).digests("train")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digests.json", "voc"]


def test_a_cache_that_was_changed_by_hand_is_rebuilt(voc: Any, tmp_path: Path) -> None:
    settle(voc.root)
    digests.set_cache(tmp_path / "digests.json")
    plain = VocDataset(voc.params()).digests("train")
    sound = (tmp_path / "digests.json").read_text()
    (tmp_path / "digests.json").write_text(re.sub(r"\[\[", "[[[", sound).replace("a", "b"))
    digests.set_cache(tmp_path / "digests.json")
    assert VocDataset(voc.params()).digests("train") == plain
    assert (tmp_path / "digests.json").read_text() == sound


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_different_texts_have_different_digests(one: list[str], other: list[str]) -> None:
    assert (digests.combine(one) == digests.combine(other)) == (one == other)
