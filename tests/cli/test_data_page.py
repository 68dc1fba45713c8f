"""`wsss datasets check --html` shows a data set and each of its defects, and no name of a file becomes code."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.commands import wsss
from tests.data.conftest import VocFolder

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


@pytest.fixture
def folder(tmp_path: Path) -> VocFolder:
    return VocFolder(tmp_path / "voc")


def page_of(folder: VocFolder, code: int = 0, **params: object) -> str:
    fields = {"name": "tiny", "root": str(folder.root), "train": "train.txt", "val": "val.txt"}
    fields |= {"classes": {"background": 0, "cat": 8, "person": 15}, **params}
    file = folder.root / "tiny.yaml"
    file.write_text(yaml.safe_dump({"name": "voc", "params": fields}, sort_keys=False))
    ending = wsss("datasets", "check", file, "--html", folder.root / "page.html")
    assert ending.code == code, ending.output
    assert f"wrote {folder.root / 'page.html'}" in ending.stdout
    return (folder.root / "page.html").read_text(encoding="utf-8")


class Shape(HTMLParser):
    """Tags of a page, and whatever could fetch or run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("href", "src", "xlink:href")]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r'href="data:image/\w+;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def cause(page: str, words: str) -> str:
    """The one article that holds ``words``."""
    (found,) = [text for text in re.findall(r"<article.*?</article>", page, re.DOTALL) if words in text]
    return str(found)


def test_the_page_counts_and_draws_a_sound_data_set(folder: VocFolder) -> None:
    page = page_of(folder)
    assert "no defects" in page
    assert 'id="defects"' not in page
    for text in ("<dt>train images</dt><dd>3</dd>", "cat</th>", "person</th>", "16x12</th>", ">5</td>"):
        assert text in page
    assert len(pictures(page)) == 2 * 4  # a photograph and its mask for each of the images a, b, c, d
    assert page.count('class="photo"') == 4
    assert page.count('class="halo"') == 5 + 1 + 2  # boxes of cat and person in train, of d in val


def test_bars_stand_beside_the_numbers_that_they_show(folder: VocFolder) -> None:
    bars = re.compile(r'--v: ([\d.]+)">([^<]*)</td>')
    masked = bars.findall(page_of(folder))
    assert all(float(share) == 0 for share, number in masked if number in ("-", "0"))
    assert [float(share) for share, _ in masked[3:5]] == [1.0, 0.0]  # cat: in masks, tagged
    unmasked = bars.findall(page_of(folder, masks="none"))
    assert all(float(share) == 0 for share, number in unmasked if number == "-")
    tagged = [(float(share), int(number)) for share, number in unmasked if number.isdigit()]
    assert max(tagged)[0] == 1.0
    assert max(tagged)[1] == max(number for _, number in tagged)


def test_the_page_fetches_nothing_and_runs_nothing(folder: VocFolder) -> None:
    shape = Shape(page_of(folder))
    assert "script" not in shape.tags
    assert all(link.startswith(("data:image/", "#")) for link in shape.links)
    assert not shape.handlers


def test_no_name_of_a_file_or_class_becomes_code(folder: VocFolder) -> None:
    name = HOSTILE.replace("/", "")
    folder.image(name)
    folder.mask(name, folder.plane(1))
    folder.list("val.txt", "d\n" + HOSTILE + "\n")  # a defect that repeats the line
    folder.list("train.txt", "a\n" + name.replace("\x1b", "") + "\n")
    (folder.root / "JPEGImages" / f"{name}.jpg").rename(folder.root / "JPEGImages" / f"{name.replace(chr(27), '')}.jpg")
    page = page_of(folder, 2, name=HOSTILE, classes={"background": 0, HOSTILE: 8, "person": 15})
    shape = Shape(page)
    assert "script" not in shape.tags
    assert not shape.handlers
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_each_defect_stands_beside_its_picture(folder: VocFolder) -> None:
    folder.mask("a", np.full((12, 16), 77, dtype=np.uint8))
    folder.mask("b", np.zeros((30, 30), dtype=np.uint8))
    image = folder.root / "JPEGImages" / "c.jpg"
    image.write_bytes(image.read_bytes()[:-40])
    folder.list("val.txt", "d\nmissing\n")
    page = page_of(folder, 2)
    unknown = cause(page, "mask id 77")
    assert len(pictures(unknown)) == 2  # the photograph, and the mask as stored
    assert "mask as stored" in unknown
    assert "30x30" in cause(page, "30x30 pixels")
    cut = cause(page, "c.jpg")
    assert "what can be decoded: c.jpg" in cut
    assert len(pictures(cut)) == 1
    assert not pictures(cause(page, "JPEGImages/missing.jpg: no such file"))


def test_a_box_outside_the_image_is_drawn_where_it_lies(folder: VocFolder) -> None:
    images = [{"id": name, "boxes": [{"cls": "cat", "bbox_xyxy": [10, 2, 40, 8]}]} for name in "abcd"]
    (folder.root / "boxes.json").write_text(json.dumps({"images": images}))
    page = page_of(folder, 2, boxes="boxes.json", tags="masks")
    outside = cause(page, "3 like this")
    assert "reaches out of the 16x12 image" in outside
    view = re.search(r'viewBox="([^"]+)"', outside)
    wrong = re.search(r'class="wrong" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', outside)
    assert view
    assert wrong
    left, _, width, _ = map(float, view[1].split())
    assert left == 0
    assert float(wrong[1]) + float(wrong[2]) == 40 * 320 / 16 < width


def test_a_box_at_infinity_is_a_defect_like_any_other(folder: VocFolder) -> None:
    images = [{"id": name, "boxes": [{"cls": "cat", "bbox_xyxy": [1, 2, 1e300, 8]}]} for name in "abcd"]
    (folder.root / "boxes.json").write_text(json.dumps({"images": images}))
    assert 'class="wrong"' in page_of(folder, 2, boxes="boxes.json", tags="masks")


def test_points_are_drawn_and_counted(folder: VocFolder) -> None:
    points = [{"cls": "cat", "x": 5, "y": 3}, {"cls": "background", "x": 0, "y": 0}]
    (folder.root / "points.json").write_text(json.dumps({"images": [{"id": n, "points": points} for n in "abcd"]}))
    page = page_of(folder, points="points.json")
    assert page.count("<circle") == 8
    assert '<th scope="col" class="number">points</th>' in page


def test_a_file_that_is_no_picture_gives_a_sentence_and_no_picture(folder: VocFolder) -> None:
    (folder.root / "JPEGImages" / "a.jpg").write_bytes(b"GIF89a" + bytes(100))
    assert not pictures(cause(page_of(folder, 2), "a.jpg: damaged or no image"))


def test_a_page_that_cannot_be_written_is_one_sentence(folder: VocFolder) -> None:
    ending = wsss("datasets", "check", "synthetic", "-o", "train=1", "-o", "val=1", "--html", folder.root)
    assert ending.code == 2
    assert "cannot be written, is a directory" in ending.output


def test_a_data_set_of_other_classes_beside_it_has_a_section_of_its_own(tmp_path: Path) -> None:
    words = ("-o", "train=2", "-o", "val=2", "-o", "size=48", "-o", "auxiliary_classes=2", "-o", "auxiliary_train=2")
    ending = wsss("datasets", "check", "synthetic", *words, "--html", tmp_path / "new" / "page.html")
    assert ending.code == 0, ending.output
    assert ">auxiliary train</h2>" in (tmp_path / "new" / "page.html").read_text()


def test_points_and_scribbles_that_a_rule_made_are_drawn_counted_and_said_to_be_made(folder: VocFolder) -> None:
    page = page_of(folder, points="masks", scribbles="masks")
    assert page.count('class="scribbles"') == 3  # of the training images a, b, c
    assert page.count("<circle") == 3 * (1 + 2)  # two components and the background of each
    assert '<th scope="col" class="number">scribbles</th>' in page
    assert "<dt>made from masks</dt><dd>points, scribbles</dd>" in page
    assert "made from masks" not in page_of(folder)
    strokes = re.findall(r'class="scribbles" href="data:image/png;base64,([^"]+)"', page)
    drawn = np.array(Image.open(io.BytesIO(base64.b64decode(strokes[0]))).convert("RGBA"))
    assert set(np.unique(drawn[..., 3])) == {0, 255}


def test_the_check_says_which_labels_a_rule_made(folder: VocFolder) -> None:
    fields = {"name": "tiny", "root": str(folder.root), "train": "train.txt", "val": "val.txt"}
    fields |= {"classes": {"background": 0, "cat": 8, "person": 15}, "points": "masks"}
    file = folder.root / "tiny.yaml"
    file.write_text(yaml.safe_dump({"name": "voc", "params": fields}))
    ending = wsss("datasets", "check", file)
    assert ending.code == 0
    assert "tiny: a rule makes points of training images from masks: nobody drew them" in ending.output
    assert json.loads(wsss("datasets", "check", file, "--json").stdout)["made_from_masks"] == ["points"]
