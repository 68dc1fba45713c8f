"""Promises of the annotation hours."""

import pytest

from harness.leaderboard.annotation import annotation_hours


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
