"""What docs/datasets.md shows is what the readers take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.data.annotations import JsonAnnotations
from harness.data.clicks import Clicks, is_of_clicks
from harness.data.configuration import expand_env, load_yaml, validate
from harness.data.folder import FolderDataset
from harness.data.folder_params import FolderParams
from harness.data.formats import FORMATS, MASK_FORMATS
from harness.data.images import read_plane
from harness.data.params import CityscapesParams, CocoParams, VocParams
from harness.data.prepare import NAMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")


def block(language: str, holding: str = "") -> str:
    """The only block of the page in this language that holds a text."""
    found = re.findall(rf"^```{language}[^\n]*\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (text,) = [text for text in found if holding in text]
    return str(text)


def test_the_configuration_for_own_images_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATA", "/mine")
    params = expand_env(yaml.safe_load(block("yaml", "my_animals"))["params"], where="page")
    assert validate(VocParams, params, where="page").class_ids()["dog"] == (12, 13)


def test_the_configuration_without_masks_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATA", "/mine")
    params = expand_env(yaml.safe_load(block("yaml", "masks: none"))["params"], where="page")
    assert validate(VocParams, params, where="page").unmasked == ("train", "val")


@pytest.mark.parametrize("name", ["my_folders", "sparse", "street", "few_masks"])
def test_the_configurations_of_folders_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATA", "/mine")
    params = expand_env(yaml.safe_load(block("yaml", f"name: {name}"))["params"], where="page")
    assert validate(FolderParams, params, where="page").name == name


FORMATS_OF_PAGE = re.findall(r"^```(\w+) (tags|boxes|yolo|cvat|labelme)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("language", "kind", "text"), FORMATS_OF_PAGE)
def test_each_example_of_a_format_is_read(tmp_path: Path, language: str, kind: str, text: str) -> None:
    for name in ("train/cat_1", "train/both", "train/none", "val/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (16, 12)).save(tmp_path / f"{name}.jpg")
    file = {"yolo": "labels/cat_1.txt", "labelme": "labels/cat_1.json"}.get(kind, f"labels.{language}")
    (tmp_path / "labels").mkdir()
    (tmp_path / file).write_text(text)
    source = {"path": file.partition("/cat_1")[0], "missing": "empty"}
    folders = {"train": {"images": "train"}, "val": {"images": "val"}, "classes": ["background", "cat", "dog"]}
    params = {"name": "page", "root": str(tmp_path), **folders, "tags" if kind == "tags" else "boxes": source}
    dataset = FolderDataset(FolderParams.model_validate(params))
    found = [dataset.tags(image_id) for image_id in ("cat_1", "both", "none")]
    assert found == ([(1,), (1, 2), ()] if kind in ("tags", "boxes") else [(1, 2), (), ()])
    assert kind == "tags" or dataset.boxes("cat_1")[0] == (1, 2, 1, 8, 7)


def test_every_format_is_in_the_table() -> None:
    assert len(FORMATS_OF_PAGE) == 8
    assert set(re.findall(r"^\| `(\w+)` \| .* \| .* \|$", PAGE, re.MULTILINE)) >= {*FORMATS, *MASK_FORMATS}


def test_the_annotations_without_xml_are_read(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(json.loads(block("json", "boxes"))))
    assert JsonAnnotations(path).read("a").boxes == (("cat", 2, 1, 8, 7),)


def test_the_points_of_the_page_are_read(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    path.write_text(json.dumps(json.loads(block("json", '"points": [{'))))
    assert [(point.name, point.x, point.y) for point in JsonAnnotations(path).read("a").points] == [
        ("cat", 5, 3),
        ("background", 0, 0),
    ]


@pytest.mark.parametrize("language", ["json", "csv"])
def test_the_clicks_of_the_page_are_read(tmp_path: Path, language: str) -> None:
    (text,) = re.findall(rf"^```{language} clicks\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / f"clicks.{language}"
    path.write_text(text)
    assert is_of_clicks(path)
    cat = {"json": "8", "csv": "cat"}[language]
    assert Clicks(path).read("a").points == ((cat, 5, 3), ("0", 0, 0))


def test_the_fields_of_points_and_scribbles_are_those_of_the_readers() -> None:
    fields = yaml.safe_load(block("yaml", "or a table of clicks"))
    for model in (VocParams, FolderParams):
        assert set(fields) <= set(model.model_fields)


def test_the_script_for_masks_in_colour_makes_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    colours = np.array([[[0, 0, 0], [64, 0, 0], [224, 224, 192], [1, 2, 3]]], dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "SegmentationClass" / "a.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python"), "docs/datasets.md", "exec"), {})
    assert read_plane(tmp_path / "SegmentationClass" / "a.png").tolist() == [[0, 8, 255, 254]]


def test_every_prepared_data_set_is_in_the_table_and_every_override_is_a_field() -> None:
    for name in NAMES:
        assert f"| `{name}` |" in PAGE
        assert (ROOT / "configs" / "datasets" / f"{name}.yaml").is_file()
    known: set[str] = set().union(*(model.model_fields for model in (VocParams, CocoParams, CityscapesParams)))
    found = re.findall(r"-o dataset\.params\.(\w+)=", PAGE)
    assert len(found) == 4
    assert set(found) - {"KEY"} <= known


@pytest.mark.parametrize("name", NAMES)
def test_each_configuration_reads_where_prepare_writes(name: str) -> None:
    config: dict[str, Any] = load_yaml(ROOT / "configs" / "datasets" / f"{name}.yaml")
    folder = {"voc2012": "VOC2012"}.get(name, name)
    assert config["params"]["root"] == f"${{WSSS_DATA}}/{folder}"
