"""Promises of the annotation hours."""

import pytest

from harness.contract import Supervision
from harness.leaderboard.annotation import annotation_hours, note


@pytest.mark.parametrize(
    ("supervision", "seconds"),
    [
        ("none", 0.0),
        ("I", 20.0),
        ("B", 38.1),
        ("P", 22.1),
        ("F", 239.7),
        ("S", 0.0),
        ("I+S", 20.0),
        ("I+B", 38.1),
        ("B+F18%", 38.1 + 0.18 * 239.7),
        ("I+F5%", 20.0 + 0.05 * 239.7),
        ("I+F1e-05%", 20.0 + 1e-7 * 239.7),
    ],
)
def test_published_seconds_an_image_on_voc(supervision, seconds):
    hours = annotation_hours(supervision, images=10582, classes=21)
    assert hours == pytest.approx(10582 * seconds / 3600)


def test_tags_cost_one_second_a_class():
    assert annotation_hours("I", images=3600, classes=5) == pytest.approx(4.0)


@pytest.mark.parametrize("supervision", ["I+F(aux)", "F(aux)", "X", "B;F"])
def test_what_has_no_published_cost_is_none_not_a_guess(supervision):
    assert annotation_hours(supervision, images=10, classes=21) is None


@pytest.mark.parametrize("kind", Supervision)
def test_a_kind_without_a_price_has_no_hours_anywhere(kind, monkeypatch):
    monkeypatch.setattr(kind, "price", None)
    for supervision in (kind.letter, f"{kind.letter}18%", f"I+{kind.letter}", f"{kind.letter}+F"):
        assert annotation_hours(supervision, images=10, classes=21) is None
    assert f"{kind} " not in note().partition(": ")[2]


def test_a_kind_may_have_two_letters(monkeypatch):
    monkeypatch.setattr(Supervision.POINTS, "letter", "Po")
    hours = {text: annotation_hours(text, images=3600, classes=21) for text in ("Po", "Po50%", "S", "I+S+Po", "P")}
    assert hours == pytest.approx({"Po": 22.1, "Po50%": 11.05, "S": 0.0, "I+S+Po": 22.1, "P": None})


@pytest.mark.parametrize("supervision", ["Sc", "I+Sc", "P+Sc", "Sc50%+F"])
def test_scribbles_have_no_published_cost_so_their_rows_have_no_hours_rather_than_none_at_all(supervision):
    assert annotation_hours(supervision, images=10, classes=21) is None


def test_the_note_under_a_table_names_each_cost_with_its_source():
    assert note() == (
        "Annotation hours are published costs on PASCAL VOC times training images: tags 1 s a class, points 22.1 s and "
        "masks 239.7 s an image (Bearman et al., ECCV 2016), boxes 38.1 s an image (7 s a box, Papadopoulos et al., "
        "ICCV 2017), saliency 0."
    )
