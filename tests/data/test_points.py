"""Points of a JSON file are read, hashed, counted and refused like every other annotation."""

import json

import numpy as np
import pytest

from harness.contract import (
    MASKS,
    POINTS,
    ConfigError,
    DataError,
    Need,
    NoSupervision,
    Point,
    Supervision,
    SupervisionError,
)
from harness.data.checking import check
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.views import DatasetView, choose_fraction
from harness.data.voc import VocDataset
from harness.engine.plan.keys import data_for_key
from harness.testing.poison import PoisonedDataset

IMAGES = {
    "a": [("cat", 1, 2), ("background", 15, 11), ("person", 3.9, 7.2)],
    "b": [("cat", 0, 0)],
    "c": [],
    "d": [("person", 2, 8)],
}


def write(voc, images=IMAGES, **extra):
    """``points.json`` beside the images; the data set with it, and with further parameters."""
    entries = [
        {"id": image_id, "points": [{"cls": cls, "x": x, "y": y} for cls, x, y in points]}
        for image_id, points in images.items()
    ]
    (voc.root / "points.json").write_text(json.dumps({"images": entries}))
    return VocDataset(voc.params(points="points.json", **extra))


def test_a_point_is_the_pixel_it_lies_in_and_the_background_may_have_some(voc):
    dataset = write(voc)
    assert dataset.read(Supervision.POINTS, "a") == (Point(1, 1, 2), Point(0, 15, 11), Point(2, 3, 7))
    assert dataset.read(Supervision.POINTS, "c") == ()
    view = DatasetView(dataset, "train", [POINTS])
    assert view.points("b") == view.read(Supervision.POINTS, "b") == (Point(1, 0, 0),)
    assert view.meter.as_dict() == {"points": {"reads": 2, "images": 1}}
    with pytest.raises(SupervisionError, match=r"points of image 'a' .* add Need\(Supervision\.POINTS\) to needs"):
        DatasetView(dataset, "train", [MASKS]).points("a")


def test_half_of_the_points_can_be_declared_and_asked_for(voc):
    dataset = write(voc)
    view = DatasetView(dataset, "train", [Need(Supervision.POINTS, 0.5)])
    chosen = view.ids_with(Supervision.POINTS)
    assert chosen == choose_fraction("abc", 0.5, dataset.tags)
    for image_id in chosen:
        view.points(image_id)
    with pytest.raises(SupervisionError, match=r"ask only for the ids in ids_with\(Supervision\.POINTS\)"):
        view.points(min(set("abc") - chosen))


def test_names_that_no_class_has_are_an_error_or_left_out_as_in_boxes(voc):
    images = IMAGES | {"a": [("dog", 1, 1), ("cat", 1, 1)]}
    with pytest.raises(DataError, match=r"points\.json: image 'a': 'dog' is none of the classes"):
        write(voc, images).read(Supervision.POINTS, "a")
    assert write(voc, images, other="background").read(Supervision.POINTS, "a") == (Point(1, 1, 1),)
    assert write(voc, images, names={"dog": "person"}).read(Supervision.POINTS, "a")[0] == Point(2, 1, 1)


@pytest.mark.parametrize(("x", "y"), [(16, 0), (0, 12), (-0.1, 0), (0, 1e400), (float("nan"), 0)])
def test_a_point_outside_of_the_image_is_refused_before_anything_is_computed(voc, x, y):
    dataset = write(voc, IMAGES | {"b": [("cat", x, y)]})
    where = r"points\.json"
    with pytest.raises(DataError, match=where):
        dataset.read(Supervision.POINTS, "b")
    with pytest.raises(DataError, match=where):
        dataset.digests("train")


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"cls": "cat", "x": "1", "y": 2}, "x and y of a point must be numbers, got"),
        ({"cls": "cat", "x": True, "y": 2}, "x and y of a point must be numbers, got"),
        ({"cls": "cat", "x": 1}, "'y'"),
        ({"x": 1, "y": 1}, "'cls'"),
        ({"cls": 8, "x": 1, "y": 1}, "cls must be text, got 8"),
        ([1, 2], "a point must be a mapping, got"),
    ],
)
def test_a_malformed_point_is_one_sentence_with_file_and_field(voc, point, words):
    path = voc.root / "points.json"
    path.write_text(json.dumps({"images": [{"id": "a", "points": [point]}]}))
    with pytest.raises(DataError) as error:
        VocDataset(voc.params(points="points.json"))
    assert str(error.value).startswith(f"{path}: images.0: wrong or missing field: ")
    assert words in str(error.value)
    assert "(field points)" in str(error.value)


def test_a_source_of_points_that_holds_none_is_refused(voc):
    with pytest.raises(DataError, match=r"points\.json: no image has points, they are needed in the form"):
        write(voc, {image_id: [] for image_id in "abcd"})
    with pytest.raises(DataError, match=r"JPEGImages: is a folder, but one JSON file is needed"):
        VocDataset(voc.params(points="JPEGImages"))
    with pytest.raises(DataError, match=r"no such file.*\(field points\)"):
        VocDataset(voc.params(points="nothing.json"))
    with pytest.raises(DataError, match=r"points\.json: no entry with id 'c'"):
        write(voc, {"a": IMAGES["a"], "b": [], "d": []})


def test_a_source_that_knows_no_validation_image_is_complete_and_one_that_knows_some_must_know_all(voc):
    dataset = write(voc, {name: IMAGES[name] for name in "abc"})
    assert "points" in dataset.digests("train")
    assert "points" not in dataset.digests("val")
    with pytest.raises(NoSupervision, match="'tiny' has no points"):
        dataset.read(Supervision.POINTS, "d")
    assert check(dataset).clean
    voc.image("e")
    voc.mask("e", voc.plane(0))
    voc.list("val.txt", "d\ne\n")
    with pytest.raises(DataError, match=r"points\.json: no entry with id 'e'"):
        write(voc)


def test_points_have_a_digest_of_what_they_say_and_touch_no_other(voc):
    plain, first = VocDataset(voc.params()).digests("train"), write(voc).digests("train")
    assert {kind: first[kind] for kind in plain} == plain
    assert set(first) - set(plain) == {"points"}
    moved = write(voc, IMAGES | {"b": [("cat", 0, 1)]}).digests("train")
    assert {kind for kind in first if moved[kind] != first[kind]} == {"points"}
    (voc.root / "points.json").write_text((voc.root / "points.json").read_text() + "\n")
    assert VocDataset(voc.params(points="points.json")).digests("train") == moved


def test_a_stage_that_needs_points_has_them_in_its_key_and_a_data_set_without_says_what_to_set(voc):
    assert "train/points" in data_for_key(write(voc), "train", [POINTS])
    with pytest.raises(ConfigError, match=r"'tiny' has no points .*; name their file .* field points"):
        data_for_key(VocDataset(voc.params()), "train", [POINTS])
    with pytest.raises(ConfigError, match=r"'synthetic' has no points .*; set its parameter points"):
        data_for_key(SyntheticDataset(SyntheticParams(train=1, val=1, size=32)), "train", [POINTS])


def test_the_check_counts_points_and_finds_those_that_are_wrong(voc):
    report = check(write(voc))
    assert report.clean
    assert [count.marks for count in report.splits[0].classes] == [{"points": 1}, {"points": 2}, {"points": 1}]
    assert [count.marks for count in check(VocDataset(voc.params())).splits[0].classes] == [{}, {}, {}]
    defects = check(write(voc, IMAGES | {"b": [("cat", 99, 0)]})).defects
    assert [(defect.kind, defect.image_id) for defect in defects] == [("points", "b")]


class Careless(SyntheticDataset):
    """A reader whose points break the contract."""

    wrong = Point(1, 32, 0)

    def read(self, kind, image_id):
        return (self.wrong,) if kind is Supervision.POINTS else super().read(kind, image_id)


@pytest.mark.parametrize(
    ("wrong", "text"), [(Point(1, 32, 0), "does not lie in the 32x32 image"), (Point(9, 0, 0), "class 9 is none of")]
)
def test_points_of_a_careless_reader_are_defects(wrong, text, monkeypatch):
    monkeypatch.setattr(Careless, "wrong", wrong)
    defects = check(Careless(SyntheticParams(train=1, val=1, size=32))).defects
    assert {defect.kind for defect in defects} == {"points"}
    assert all(text in defect.message for defect in defects)


def test_generated_points_lie_on_their_creatures_and_leave_all_else_as_it_was():
    plain = SyntheticDataset(SyntheticParams(train=4, val=1, size=48, auxiliary_classes=2, auxiliary_train=1))
    dotted = SyntheticDataset(
        SyntheticParams(train=4, val=1, size=48, auxiliary_classes=2, auxiliary_train=1, points=2)
    )
    before, after = plain.digests("train"), dict(dotted.digests("train"))
    assert after.pop("points")
    assert after == before
    assert "points" in dotted.auxiliary.digests("train")
    for image_id in dotted.ids("train"):
        points, mask = dotted.read(Supervision.POINTS, image_id), dotted.mask(image_id)
        assert [mask[point.y, point.x] for point in points] == [point.cls for point in points]
        assert len(points) == 2 * len(dotted.boxes(image_id))
        assert dotted.read(Supervision.POINTS, image_id) == points
        np.testing.assert_array_equal(mask, plain.mask(image_id))


def test_poisoned_masks_leave_points_as_they_are(voc):
    dataset = write(voc)
    poisoned = PoisonedDataset(dataset, [POINTS])
    view = DatasetView(poisoned, "train", [POINTS])
    assert [view.points(image_id) for image_id in view.ids] == [dataset.read(Supervision.POINTS, i) for i in view.ids]
    assert not np.array_equal(poisoned.mask("a"), dataset.mask("a"))
