"""The meter on disk."""

import pickle

from harness.engine.reads import ReadLog, total


def test_an_interrupted_attempt_counts(tmp_path):
    with ReadLog(tmp_path / "log") as log:
        log.count("tags", "a")
    with (tmp_path / "log").open("a") as file:
        file.write('["tags", "cut')
    with ReadLog(tmp_path / "log") as log:
        log.count("tags", "b")
        log.count("tags", "b")
    assert ReadLog.__mro__[1].__name__ == "Meter"
    with ReadLog(tmp_path / "log") as log:
        assert log.ids()["tags"] in (["a", "b"], ["a"])
        assert log.ids()["tags"][0] == "a"


def test_a_copy_in_another_process_counts_into_the_same_file(tmp_path):
    with ReadLog(tmp_path / "log") as log, pickle.loads(pickle.dumps(log)) as copy:
        log.count("tags", "a")
        copy.count("masks", "b")
        assert log.ids() == {"masks": ["b"], "tags": ["a"]}


def test_a_cell_counts_an_image_once_a_stage_and_different_images_once():
    meters = [{"tags": ["a", "b"]}, {"tags": ["b", "c"], "boxes": ["a"]}, {}]
    assert total(meters) == {"boxes": {"reads": 1, "images": 1}, "tags": {"reads": 4, "images": 3}}
