"""An artifact is there whole or not at all, and is never used damaged."""

import errno
import json
import os
from pathlib import Path

import pytest

from harness.common.atomic import write_atomically
from harness.common.files import file_sha256
from harness.contract import StoreError
from harness.engine.store import store as store_module
from harness.engine.store.store import MANIFEST, Artifact, Store
from tests.engine.toy import flip_byte

KEY = "ab" + "0" * 62


def publish(store, key=KEY, content="content"):
    with store.lock(key) as mine:
        assert mine
        built = store.build(key)
        (built / "sub").mkdir()
        (built / "sub" / "file").write_text(content)
        return store.publish(
            built,
            lambda files: Artifact(key, "fill", "generate", {"a": 1}, files, 1.5, 20.25, "cpu", {"tags": ["x"]}, {}),
        )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def test_what_was_published_is_found_and_sound(store):
    made = publish(store)
    for reader in (store, Store(store.runs)):
        assert reader.open(KEY) == made == reader.find(KEY)
    assert made.size == 7
    assert list(Store(store.runs).artifacts()) == [made]
    assert not store.work(KEY).exists()


def test_nothing_is_found_where_nothing_was_published(store):
    assert store.find(KEY) is None
    assert store.open(KEY) is None
    assert not store.runs.exists(), "looking writes nothing"


@pytest.mark.parametrize("file", ["sub/file", MANIFEST])
def test_a_flipped_byte_is_detected_and_set_aside(store, file):
    publish(store)
    flip_byte(store.folder(KEY) / file)
    fresh = Store(store.runs)
    assert fresh.open(KEY) is None
    assert not fresh.has(KEY)
    assert len(list((store.runs / "corrupt").iterdir())) == 1
    publish(fresh)
    assert fresh.open(KEY) is not None


def test_a_missing_file_and_a_changed_size_are_damage(store):
    publish(store)
    (store.folder(KEY) / "sub" / "file").unlink()
    assert store.open(KEY) is None
    publish(store)
    (store.folder(KEY) / "sub" / "file").write_text("longer than before")
    assert store.open(KEY) is None


def test_a_changed_number_in_the_manifest_is_damage(store):
    publish(store)
    manifest = store.folder(KEY) / MANIFEST
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "seconds": 0.1}))
    assert store.find(KEY) is None


def test_content_is_read_once_a_process(store, monkeypatch):
    publish(store)
    reader = Store(store.runs)
    read = []
    monkeypatch.setattr(store_module, "file_sha256", lambda path, **options: read.append(path) or file_sha256(path))
    assert reader.open(KEY)
    assert reader.open(KEY)
    assert len(read) == 1


def test_a_lock_is_held_by_one_and_comes_free(store):
    other = Store(store.runs)
    with store.lock(KEY) as mine:
        with other.lock(KEY) as theirs:
            assert (mine, theirs) == (True, False)
        with other.lock("cd" + KEY[2:]) as elsewhere:
            assert elsewhere
    with other.lock(KEY) as theirs:
        assert theirs


def test_leftovers_of_a_killed_build_are_swept(store):
    with store.lock(KEY):
        left = store.build(KEY)
        (left / "half").write_text("half")
    with store.lock(KEY):
        assert store.build(KEY) != left
    assert not left.exists()


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the file system is read-only")]
)
def test_an_unwritable_store_is_one_sentence_and_leaves_nothing(store, monkeypatch, number, words):
    def fail(paths):
        raise OSError(number, os.strerror(number))

    with store.lock(KEY):
        built = store.build(KEY)
        (built / "file").write_text("x")
        monkeypatch.setattr(store_module, "sync", fail)
        monkeypatch.setattr("harness.common.atomic.sync", fail)
        with pytest.raises(StoreError, match=words):
            store.publish(built, lambda files: Artifact(KEY, "n", "k", {}, files, 0.0, 0.0, "cpu"))
    assert not built.exists()
    assert not store.has(KEY)
    with pytest.raises(StoreError, match=words):
        write_atomically(store.runs / "record.json", "{}")
    assert list(store.runs.glob("*record*")) == []


def test_a_runs_folder_that_cannot_be_made_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", _read_only)
    with pytest.raises(StoreError, match="read-only"), Store(tmp_path / "runs").lock(KEY):
        pass


def _read_only(self, *args, **kwargs):
    raise OSError(errno.EROFS, "Read-only file system", str(self))


def test_a_runs_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(StoreError, match="runs/records/x: cannot be written"):
        write_atomically(tmp_path / "runs" / "records" / "x", "x")
