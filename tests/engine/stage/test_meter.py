"""The meter on disk."""

import pickle
import shutil

import pytest

from harness.contract import StoreError
from harness.engine.stage.meter import ReadLog, mend, total


def test_an_interrupted_attempt_counts(tmp_path):
    with ReadLog(tmp_path / "log") as log:
        log.count("tags", "a")
    with (tmp_path / "log").open("a") as file:
        file.write('["tags", "cut')
    assert mend(tmp_path / "log")
    with ReadLog(tmp_path / "log") as log:
        log.count("tags", "b")
        log.count("tags", "b")
    assert ReadLog.__mro__[1].__name__ == "Meter"
    with ReadLog(tmp_path / "log") as log:
        assert log.ids() == {"tags": ["a", "b"]}


@pytest.mark.parametrize("line", ['{"a": 1, "b": 2}', '"ab"', "[1, 2]", "[" * 5000, "\0", '["tags", "a", "b"]', ""])
def test_a_damaged_line_is_found_rather_than_read_as_another(tmp_path, line):
    (tmp_path / "log").write_text(f'["tags", "a"]\n{line}\n["tags", "b"]\n')
    assert not mend(tmp_path / "log")
    with ReadLog(tmp_path / "other") as log:
        log.count("tags", "a")
        shutil.copy(tmp_path / "log", tmp_path / "other")
        with pytest.raises(StoreError, match="line 2"):
            log.ids()


def test_a_copy_in_another_process_counts_into_the_same_file(tmp_path):
    with ReadLog(tmp_path / "log") as log, pickle.loads(pickle.dumps(log)) as copy:
        log.count("tags", "a")
        copy.count("masks", "b")
        assert log.ids() == {"masks": ["b"], "tags": ["a"]}


def test_a_cell_counts_an_image_once_a_stage_and_different_images_once():
    meters = [{"tags": ["a", "b"]}, {"tags": ["b", "c"], "boxes": ["a"]}, {}]
    assert total(meters) == {"boxes": {"reads": 1, "images": 1}, "tags": {"reads": 4, "images": 3}}
