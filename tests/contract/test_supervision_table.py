"""A kind of supervision is one entry of a table; letters, legends and readers follow from it."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from harness.contract import (
    BOXES,
    POINTS,
    SCRIBBLES,
    Box,
    DataError,
    Dataset,
    Need,
    NoSupervision,
    Point,
    Supervision,
    SupervisionError,
    View,
    letters,
)
from harness.contract.run_record import Supervised
from harness.contract.supervision import legend
from harness.leaderboard.annotation import _NEED
from harness.testing.fakes import MemoryDataset, fake_view
from harness.testing.poison import PoisonedDataset
from harness.testing.scenes import ALARM, Watched

ROOT = Path(__file__).parents[2]
IMAGES = {"a": np.zeros((4, 6, 3), np.uint8)}
LABELS = {
    Supervision.TAGS: (1, 2),
    Supervision.BOXES: (Box(1, 0, 0, 2, 2),),
    Supervision.SALIENCY: np.ones((4, 6), np.float32),
    Supervision.POINTS: (Point(2, 5, 3), Point(0, 0, 0)),
    Supervision.SCRIBBLES: np.where(np.eye(4, 6), 1, 255).astype(np.uint8),
    Supervision.MASKS: np.eye(4, 6, dtype=np.uint8),
}


def memory():
    return MemoryDataset(IMAGES, **{kind.value: {"a": labels} for kind, labels in LABELS.items()})


def test_letters_tell_kinds_apart_and_no_letter_begins_with_a_whole_other_row():
    found = [kind.letter for kind in Supervision]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[A-Z][a-z]*", letter) for letter in found)


@pytest.mark.parametrize("supervision", ["Sc", "Sc18%+F(aux)", "B+Sc5%(aux)"])
def test_a_record_and_the_annotation_hours_take_a_kind_of_several_letters(supervision):
    assert TypeAdapter(Supervised).validate_python(supervision) == supervision
    assert all(_NEED.fullmatch(need) for need in supervision.split("+"))


def test_a_member_is_its_name_and_travels_as_one():
    assert [kind.value for kind in Supervision] == ["tags", "boxes", "saliency", "points", "scribbles", "masks"]
    for kind in Supervision:
        assert kind == kind.value == str(kind)
        assert Supervision(kind.value) is kind
        assert pickle.loads(pickle.dumps(kind)) is kind
    with pytest.raises(ValueError, match="scrawls"):
        Supervision("scrawls")


def test_a_row_of_points_shows_their_letter_in_the_order_of_the_table():
    assert letters([Need(Supervision.MASKS, 0.05), POINTS, BOXES]) == "B+P+F5%"
    assert letters([Need(Supervision.MASKS, 0.05), SCRIBBLES, POINTS]) == "P+Sc+F5%"


def test_the_legend_of_the_readme_is_that_of_the_table():
    (line,) = re.findall(r"\* \*\*supervision\*\*: (.*?);", (ROOT / "README.md").read_text())
    assert line == legend()


@pytest.mark.parametrize("kind", Supervision)
def test_every_kind_is_read_by_one_method_of_data_sets_views_and_wrappers(kind):
    data = memory()
    ALARM.set(None)
    for source in (data, fake_view(IMAGES, **{kind.value: {"a": LABELS[kind]}}), PoisonedDataset(data, [Need(kind)])):
        np.testing.assert_array_equal(source.read(kind, "a"), LABELS[kind])
    np.testing.assert_array_equal(Watched(data).read(kind, "a"), LABELS[kind])
    assert ALARM.count == 1
    if kind.shortcut:
        np.testing.assert_array_equal(getattr(Watched(data), kind.shortcut)("a"), LABELS[kind])
        assert ALARM.count == 2


def test_poison_spares_every_kind_but_masks():
    poisoned = PoisonedDataset(memory(), [])
    for kind in set(Supervision) - {Supervision.MASKS}:
        np.testing.assert_array_equal(poisoned.read(kind, "a"), LABELS[kind])
    assert not np.array_equal(poisoned.read(Supervision.MASKS, "a"), LABELS[Supervision.MASKS])


def test_a_view_has_points_as_a_shortcut():
    view = fake_view(IMAGES, points={"a": LABELS[Supervision.POINTS]})
    assert view.points("a") == LABELS[Supervision.POINTS]
    assert view.meter.as_dict() == {"points": {"reads": 1, "images": 1}}


def test_a_view_has_scribbles_as_a_shortcut():
    view = fake_view(IMAGES, scribbles={"a": LABELS[Supervision.SCRIBBLES]})
    np.testing.assert_array_equal(view.scribbles("a"), LABELS[Supervision.SCRIBBLES])
    assert view.meter.as_dict() == {"scribbles": {"reads": 1, "images": 1}}
    with pytest.raises(SupervisionError, match=r"scribbles of image 'a' .* add Need\(Supervision\.SCRIBBLES\)"):
        fake_view(IMAGES, needs=(POINTS,)).scribbles("a")


def test_a_data_set_hands_out_points_and_scribbles_by_name_as_read_gives_them():
    data = memory()
    assert data.points("a") == LABELS[Supervision.POINTS]
    np.testing.assert_array_equal(data.scribbles("a"), LABELS[Supervision.SCRIBBLES])
    for read, noun in ((Old().points, "points"), (Old().scribbles, "scribbles")):
        with pytest.raises(NoSupervision, match=f"data set 'old' has no {noun}"):
            read("a")
    assert Old().made_from_masks == ()


def test_data_in_memory_knows_the_kinds_of_the_table_alone():
    with pytest.raises(TypeError, match="'scrawls' is no kind of supervision; there are tags, boxes"):
        MemoryDataset(IMAGES, scrawls={"a": ()})
    with pytest.raises(DataError, match="'a' was made without points"):
        MemoryDataset(IMAGES).read(Supervision.POINTS, "a")


class Old(Dataset):
    """A reader written before ``read``: it has the named methods alone."""

    name, classes = "old", ("background", "one")

    def ids(self, split):
        return ("a",)

    def image(self, image_id):
        return IMAGES["a"]

    def size(self, image_id):
        return 4, 6

    def mask(self, image_id):
        return LABELS[Supervision.MASKS]

    def tags(self, image_id):
        return (1, 2)

    def boxes(self, image_id):
        return LABELS[Supervision.BOXES]

    def digests(self, split):
        return {}


def test_a_reader_without_read_gives_what_its_named_methods_give_and_says_what_it_lacks():
    for kind in (Supervision.TAGS, Supervision.BOXES, Supervision.MASKS):
        np.testing.assert_array_equal(Old().read(kind, "a"), LABELS[kind])
    with pytest.raises(NoSupervision, match="data set 'old' has no saliency maps"):
        Old().read(Supervision.SALIENCY, "a")
    with pytest.raises(DataError, match="data set 'old' has no points"):
        Old().read(Supervision.POINTS, "a")


class OldView(View):
    """A view written before ``read``."""

    ids, classes, mask_ids, auxiliary = ("a",), ("background", "one"), frozenset("a"), None
    image = size = boxes = saliency = mask = Old.boxes

    def tags(self, image_id):
        return (1,)


def test_a_view_without_read_gives_what_its_named_methods_give():
    view = OldView()
    assert view.read(Supervision.TAGS, "a") == (1,)
    assert view.ids_with(Supervision.TAGS) == view.ids_with(Supervision.MASKS) == {"a"}
    with pytest.raises(SupervisionError, match="this view cannot read points"):
        view.points("a")
    with pytest.raises(SupervisionError, match="this view cannot read scribbles"):
        view.scribbles("a")
