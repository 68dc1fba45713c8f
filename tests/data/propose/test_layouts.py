"""`wsss datasets init` recognises what people have; the file that it writes passes the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from harness.common.text import parse_yaml
from tests.commands import wsss
from tests.data.propose import folders as made
from tests.data.propose.folders import letters

TEN, FOUR = letters(10), letters(4, 10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data").mkdir()
    return Path("my data")


def init(folder: Path, *words: str, answers: str | None = None, code: int = 0) -> tuple[dict[str, Any], str, str]:
    """Reader and parameters of the file that ``init`` wrote, the file itself, and what it printed; checks the file."""
    from typer.testing import CliRunner

    from harness.cli.main import app

    asked = [] if answers is not None else ["--yes"]
    result = CliRunner().invoke(
        app, ["datasets", "init", str(folder), "--out", "mine.yaml", *asked, *words], input=answers
    )
    assert result.exit_code == 0, result.output
    text = Path("mine.yaml").read_text(encoding="utf-8")
    checked = wsss("datasets", "check", "mine.yaml")
    assert checked.code == code, f"{text}\n{checked.output}"
    config = parse_yaml(text, where="mine.yaml")
    return {"reader": config["name"], **config["params"]}, text, result.output


def test_voc_devkit(folder: Path) -> None:
    voc = folder / "VOCdevkit" / "VOC2012"
    made.photographs(voc / "JPEGImages", TEN + FOUR)
    made.xml(voc / "Annotations", TEN + FOUR)
    made.masks(voc / "SegmentationClass", TEN + FOUR, (8, 12))
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(TEN))
    (lists / "val.txt").write_text("\n".join(FOUR))
    (lists / "trainval.txt").write_text("\n".join(TEN + FOUR))
    params, _, printed = init(folder)
    assert params["reader"] == "voc"
    assert params["train"] == "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"
    assert params["classes"] == {"background": 0, "cat": 8, "dog": 12}
    assert (params["boxes"], params["tags"]) == ("xml", "xml")
    assert "10 training and 4 validation images" in printed


def test_scribbles_and_points_beside_a_voc_devkit_are_no_masks_and_no_tags(folder: Path) -> None:
    made.photographs(folder / "JPEGImages", TEN + FOUR)
    made.masks(folder / "SegmentationClass", TEN + FOUR, (8, 12))
    lists = folder / "ImageSets"
    lists.mkdir()
    (lists / "train.txt").write_text("\n".join(TEN))
    (lists / "val.txt").write_text("\n".join(FOUR))
    plain, _, _ = init(folder)
    Path("mine.yaml").unlink()
    made.scribbles(folder / "scribble_annotation" / "pascal_2012", TEN)
    made.clicks(folder / "pascal2012_trainval_main.json", TEN)
    params, _, _ = init(folder)
    assert params == plain | {"scribbles": "scribble_annotation/pascal_2012", "points": "pascal2012_trainval_main.json"}
    Path("mine.yaml").unlink()
    made.clicks(folder / "pascal2012_trainval_main.json", TEN[1:])
    next((folder / "scribble_annotation").glob("*/*.png")).unlink()
    params, text, _ = init(folder)
    assert params == plain
    assert "# pascal2012_trainval_main.json: points of 9 of 10 training images, so not used" in text
    assert "# scribble_annotation/pascal_2012: scribbles of 9 of 10 training images, so not used" in text


def test_images_that_are_called_points_and_a_data_set_that_is_called_scribbles_stay_what_they_are(folder: Path) -> None:
    names = [f"points_{number}" for number in range(10)]
    made.photographs(folder / "scribbles" / "images", names)
    made.labelme(folder / "scribbles" / "images", names, "polygon")
    params, _, _ = init(folder)
    assert params["boxes"] == {"path": "scribbles/images", "format": "labelme"}
    assert not {"points", "scribbles"} & set(params)


def test_voc_layout_without_lists_gets_a_written_split_that_is_always_the_same(folder: Path) -> None:
    made.photographs(folder / "JPEGImages", TEN)
    made.masks(folder / "SegmentationClass", TEN)
    params, text, printed = init(folder)
    assert params["reader"] == "voc"
    assert params["train"] == "../mine.train.txt"
    val = Path("mine.val.txt").read_text().split()
    assert len(val) == 2
    assert set(val) | set(Path("mine.train.txt").read_text().split()) == set(TEN)
    assert "no validation split was found: 2 of 10 images" in text
    assert "no validation split was found" in printed
    assert params["classes"] == {"background": 0, "class_1": 1, "class_2": 2}
    assert "# nothing names the ids of the masks" in text
    for path in ("mine.yaml", "mine.train.txt", "mine.val.txt"):
        Path(path).unlink()
    init(folder)
    assert Path("mine.val.txt").read_text().split() == val


def test_coco_beside_images(folder: Path) -> None:
    made.photographs(folder / "train2017", TEN)
    made.photographs(folder / "val2017", FOUR)
    made.coco(folder / "annotations" / "instances_train2017.json", TEN)
    made.coco(folder / "annotations" / "instances_val2017.json", FOUR)
    params, _, _ = init(folder)
    assert params["reader"] == "coco"
    assert (params["train_images"], params["val_images"]) == ("train2017", "val2017")
    assert params["classes"] == ["cat", "dog"]


def test_one_coco_file_is_divided_by_lists(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.coco(folder / "annotations.json", TEN)
    params, _, _ = init(folder)
    assert params["reader"] == "coco"
    assert params["train"] == params["val"] == "annotations.json"
    assert params["val_list"] == "../mine.val.txt"


def test_coco_boxes_alone_with_masks_of_validation_images(folder: Path) -> None:
    made.photographs(folder / "train", TEN, ".png")
    made.photographs(folder / "val", FOUR, ".png")
    made.coco(folder / "train.json", TEN, outlined=False, suffix=".png")
    made.coco(folder / "val.json", FOUR, outlined=False, suffix=".png")
    made.masks(folder / "val_masks", FOUR)
    params, _, _ = init(folder)
    assert params["reader"] == "folder"
    assert params["train"]["boxes"] == {"path": "train.json", "format": "coco"}
    assert "masks" not in params["train"]
    assert params["val"]["masks"] == {"path": "val_masks", "format": "png"}
    assert params["classes"] == {"background": 0, "cat": 1, "dog": 2}


def test_yolo_with_data_yaml_and_tif_images(folder: Path) -> None:
    made.photographs(folder / "images" / "train", TEN, ".tif")
    made.photographs(folder / "images" / "val", FOUR, ".tif")
    made.yolo(folder / "labels" / "train", TEN)
    made.yolo(folder / "labels" / "val", FOUR)
    (folder / "labels" / "val" / f"{FOUR[0]}.txt").unlink()
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: fox, 1: owl}\n")
    params, text, _ = init(folder)
    assert params["classes"] == ["background", "fox", "owl"]
    assert params["train"] == {"images": "images/train", "boxes": {"path": "labels/train", "format": "yolo"}}
    assert params["val"]["boxes"] == {"path": "labels/val", "format": "yolo", "missing": "empty"}
    assert "# 1 val images have no file in labels/val: they show no class" in text


def test_yolo_without_names_numbers_its_classes(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.yolo(folder / "labels", TEN)
    params, _, _ = init(folder)
    assert params["classes"] == ["background", "class_0", "class_1"]
    assert params["boxes"] == {"path": "labels", "format": "yolo", "classes": ["class_0", "class_1"]}


def test_a_folder_for_each_class(folder: Path) -> None:
    made.photographs(folder / "train" / "cat", TEN)
    made.photographs(folder / "train" / "dog", FOUR)
    made.photographs(folder / "val" / "cat", letters(2, 20))
    made.photographs(folder / "val" / "dog", letters(2, 30))
    params, _, _ = init(folder)
    assert params["classes"] == ["background", "cat", "dog"]
    assert params["tags"] == "folders"
    assert (params["train"], params["val"]) == ({"images": "train"}, {"images": "val"})


def test_folders_that_name_no_class_can_be_denied(folder: Path) -> None:
    made.photographs(folder / "monday", TEN)
    made.photographs(folder / "tuesday", FOUR)
    params, _, _ = init(folder, answers="no\nfox, owl\n")
    assert params["classes"] == ["background", "fox", "owl"]
    assert "tags" not in params


def test_images_of_the_same_name_in_both_splits_are_told_apart(folder: Path) -> None:
    for split in ("train", "val"):
        made.photographs(folder / split / "cat", FOUR)
        made.photographs(folder / split / "dog", FOUR)
    params, _, _ = init(folder)
    assert params["images"] == "."
    assert Path("mine.val.txt").read_text().split()[0] == f"val/cat/{FOUR[0]}"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,class", "{0}.jpg,{1}"),
        ("filename,labels", '{0}.jpg,"{1};owl"'),
        ("id,cat,dog,owl", "{0},{2},{3},1"),
        ("image,label,xmin,ymin,xmax,ymax", "{0},{1},5,4,20,14"),
        ("image,label,x,y,width,height", "{0},{1},0.1,0.1,0.5,0.5"),
    ],
)
def test_a_table_beside_images(folder: Path, header: str, row: str) -> None:
    made.photographs(folder / "images", TEN)
    rows = [row.format(name, ("cat", "dog")[n % 2], 1 - n % 2, n % 2) for n, name in enumerate(TEN)]
    (folder / "tags.csv").write_text("\n".join([header, *rows]) + "\n")
    params, _, _ = init(folder)
    assert params["classes"] == ["background", "cat", "dog", *(["owl"] if "owl" in header + row else [])]
    source = params["boxes" if "label," in header else "tags"]
    assert source["path"] == "tags.csv"
    assert ("units" in source) == ("0.1" in row)


def test_images_that_a_table_leaves_out_or_invents_are_told(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    rows = [f"{name}.jpg,cat" for name in [*TEN[:8], "ghost"]]
    (folder / "tags.csv").write_text("\n".join(["image,class", *rows]))
    params, text, _ = init(folder)
    assert params["tags"]["extra"] == "skip"
    assert "# tags.csv: names 1 images that are in no image folder" in text
    assert len(Path("mine.train.txt").read_text().split() + Path("mine.val.txt").read_text().split()) == 8


@pytest.mark.parametrize(("kind", "masks"), [("polygon", True), ("rectangle", False)])
def test_labelme_beside_the_images(folder: Path, kind: str, masks: bool) -> None:
    made.photographs(folder, TEN)
    made.labelme(folder, TEN, kind)
    params, _, _ = init(folder)
    assert params["boxes"] == {"path": ".", "format": "labelme"}
    assert ("masks" in params) == masks


def test_cvat(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.cvat(folder / "annotations.xml", TEN)
    params, _, _ = init(folder)
    assert params["boxes"] == {"path": "annotations.xml", "format": "cvat"}
    assert params["classes"] == ["background", "cat", "dog"]


def test_voc_xml_beside_images_of_another_folder(folder: Path) -> None:
    made.photographs(folder / "photos", TEN)
    made.xml(folder / "labels", TEN)
    params, _, _ = init(folder)
    assert params["reader"] == "folder"
    assert params["boxes"] == {"path": "labels", "format": "voc"}


def test_a_plain_folder_of_photographs(folder: Path) -> None:
    made.photographs(folder, TEN)
    params, text, _ = init(folder)
    assert params["classes"] == ["background", "object"]
    assert "# no labels were found" in text
    assert "# no label names a class; write the names of your classes here" in text


def test_binary_masks(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.masks(folder / "masks", TEN, (255,), "_mask")
    params, text, _ = init(folder)
    assert params["masks"] == {"path": "masks", "format": "binary", "suffix": "_mask"}
    assert params["classes"] == ["background", "object"]
    assert "# nothing says what the masks show" in text


def test_binary_masks_get_the_name_that_is_asked(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.masks(folder / "masks", TEN, (255,))
    params, text, _ = init(folder, answers="horse\n")
    assert params["classes"] == ["background", "horse"]
    assert "nothing says" not in text


def test_masks_beside_their_images(folder: Path) -> None:
    made.photographs(folder, TEN, ".png")
    made.masks(folder, TEN, (255,), "_mask")
    params, _, _ = init(folder)
    assert params["masks"] == {"path": ".", "format": "binary", "suffix": "_mask"}


def test_masks_in_colour_with_a_table(folder: Path) -> None:
    made.photographs(folder / "train", TEN)
    made.photographs(folder / "val", FOUR)
    colours = ((64, 0, 128), (192, 192, 0))
    made.colour_masks(folder / "train_labels", TEN, colours)
    made.colour_masks(folder / "val_labels", FOUR, colours)
    (folder / "class_dict.csv").write_text("name,r,g,b\nVoid,0,0,0\nCar,64,0,128\nTree,192,192,0\nSky,1,2,3\n")
    params, text, _ = init(folder)
    assert params["train"]["masks"]["colours"] == {
        "Void": [0, 0, 0], "Car": [64, 0, 128], "Tree": [192, 192, 0], "Sky": [1, 2, 3],
    }  # fmt: skip
    assert params["absent"] == ["Sky"]
    assert "# no training mask shows these classes" in text


def test_masks_in_colour_without_a_table(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.colour_masks(folder / "masks", TEN, ((64, 0, 128), (192, 192, 0)))
    params, text, _ = init(folder)
    assert params["classes"] == ["background", "colour_400080", "colour_c0c000"]
    assert "# no table names the colours" in text


def test_ids_and_tags_that_agree_in_number_are_named_in_order(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.masks(folder / "masks", TEN, (1, 2))
    rows = [f"{name},{('cat', 'dog')[n % 2]}" for n, name in enumerate(TEN)]
    (folder / "tags.csv").write_text("\n".join(["image,class", *rows]))
    params, text, _ = init(folder)
    assert params["classes"] == {"background": 0, "cat": 1, "dog": 2}
    assert "# which id is which class is a guess" in text


def test_masks_of_a_part_of_the_images_validate(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.masks(folder / "masks", TEN[:3], (1, 2))
    made.yolo(folder / "labels", TEN)
    (folder / "classes.txt").write_text("cat\ndog\n")
    params, text, _ = init(folder)
    assert "masks" not in params["train"]
    assert params["val"]["masks"] == {"path": "masks", "format": "png"}
    assert set(Path("mine.val.txt").read_text().split()) <= set(TEN[:3])
    assert "training images have masks, so none is used" in text


def test_a_folder_called_test_validates_where_none_is_called_val(folder: Path) -> None:
    for split, names in (("train", TEN), ("test", FOUR)):
        made.photographs(folder / split / "images", names)
        made.masks(folder / split / "masks", names)
    params, text, _ = init(folder)
    assert params["val"]["images"] == "test/images"
    assert "# no folder is called val; the images of the folder test validate" in text


def test_names_of_mask_ids_are_asked(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.masks(folder / "masks", TEN, (3, 9))
    params, _, printed = init(folder, answers="fox\nowl\n")
    assert params["classes"] == {"background": 0, "fox": 3, "owl": 9}
    assert "Mask id 3 is in" in printed


def test_hostile_names_are_data(folder: Path) -> None:
    name = "a: {b} # 'c' \"d\" & <e> - ñ"
    made.photographs(folder / name, [*TEN, "*&!|>%@` x", "line\nbreak"])
    made.masks(folder / "masks", [*TEN, "*&!|>%@` x"])
    params, text, _ = init(folder)
    assert params["images"] == name
    assert "# 1 images are left out" in text
    assert yaml.safe_load(text)["params"]["images"] == name


def test_a_name_that_looks_like_a_variable_is_refused(folder: Path) -> None:
    made.photographs(folder / "${HOME}", TEN)
    ending = wsss("datasets", "init", folder, "--yes")
    assert ending.code == 2
    assert "would take ${...} for a variable" in ending.output
    assert not list(Path().glob("*.yaml"))


def test_bad_input_is_one_sentence_and_writes_nothing(folder: Path) -> None:
    (folder / "notes.txt").write_text("nothing here")
    for words, text in (
        (["nowhere"], "nowhere: no such folder"),
        ([folder / "notes.txt"], "notes.txt: is no folder"),
        ([folder], "my data: holds 0 images, a data set has at least two"),
    ):
        ending = wsss("datasets", "init", *words, "--yes")
        assert (ending.code, ending.output.count("\n")) == (2, 1)
        assert text in ending.output
    assert [path.name for path in Path().iterdir()] == ["my data"]


def test_a_file_that_exists_is_never_overwritten(folder: Path) -> None:
    made.photographs(folder, TEN)
    Path("mine.yaml").write_text("precious")
    ending = wsss("datasets", "init", folder, "--yes", "--out", "mine.yaml")
    assert ending.code == 2
    assert "mine.yaml: exists already" in ending.output
    assert Path("mine.yaml").read_text() == "precious"


def test_defective_files_are_told_and_do_not_stop_it(folder: Path) -> None:
    made.photographs(folder / "images", TEN)
    made.masks(folder / "masks", TEN)
    (folder / "images" / f"{TEN[0]}.jpg").write_bytes(b"no image")
    Image.new("L", (3, 3)).save(folder / "masks" / f"{TEN[1]}.png")
    _, _, printed = init(folder, code=2)
    assert "2 defects, which the check names" in printed


def test_a_folder_that_links_to_itself_ends(folder: Path) -> None:
    made.photographs(folder, TEN)
    alone, _, _ = init(folder)
    for file in Path().glob("mine.*"):
        file.unlink()
    (folder / "again").symlink_to(folder.absolute())
    linked, _, _ = init(folder)
    assert linked == alone, "no image counts twice"


def test_an_absolute_folder_gives_absolute_paths(folder: Path) -> None:
    made.photographs(folder, TEN)
    params, _, _ = init(folder.absolute())
    assert params["root"] == str(folder.absolute())
    assert params["val"]["list"] == str(Path("mine.val.txt").absolute())


def test_names_that_yaml_would_take_for_numbers_stay_names(folder: Path) -> None:
    names = ("1e3", "2", "null", "yes", "traffic light", "a: b", "# c")
    for name in names:
        made.photographs(folder / name, [f"{name}_{number}" for number in range(3)])
    params, _, _ = init(folder)
    assert set(params["classes"][1:]) == set(names)


def test_a_name_of_two_words_in_a_table_is_one_class(folder: Path) -> None:
    made.photographs(folder / "images", letters(6))
    rows = (f"{name}.jpg,{tag}\n" for name, tag in zip(letters(6), ["traffic light", '"car,bus"'] * 3, strict=True))
    (folder / "tags.csv").write_text("image,classes\n" + "".join(rows))
    params, _, _ = init(folder)
    assert params["classes"] == ["background", "bus", "car", "traffic light"]


def test_hidden_files_are_nobodys_images(folder: Path) -> None:
    made.photographs(folder / "images/train", letters(4))
    made.photographs(folder / "images/val", letters(2, 4))
    for split, names in (("train", letters(4)), ("val", letters(2, 4))):
        made.yolo(folder / "labels" / split, names)
        (folder / "images" / split / "._img_00.jpg").write_bytes(b"of a file system")
    params, _, _ = init(folder)
    assert "list" not in params["train"]


def test_a_table_of_colours_is_no_table_of_labels_and_ignored_pixels_are_told(folder: Path) -> None:
    made.photographs(folder / "images", letters(6))
    made.masks(folder / "masks", letters(6), (254, 255))
    (folder / "class_dict.csv").write_text("name,r,g,b\nbackground,0,0,0\n")
    _, text, _ = init(folder)
    assert "class_dict.csv" not in text
    assert "# id 255 is in 3 of 6 masks; it is ignored, unless a class has it" in text


def test_cityscapes(folder: Path) -> None:
    for split, town in (("train", "aachen"), ("val", "ulm")):
        name = f"{town}_000000_000019"
        made.photograph(folder / "leftImg8bit" / split / town / f"{name}_leftImg8bit.png")
        labels = folder / "gtFine" / split / town
        labels.mkdir(parents=True)
        plane = made.plane(0, (26,))  # 26 is a car, 26001 the first car
        Image.fromarray(plane).save(labels / f"{name}_gtFine_labelIds.png")
        Image.fromarray(plane.astype("uint16") * 1000 + (plane > 0)).save(labels / f"{name}_gtFine_instanceIds.png")
    params, text, printed = init(folder)
    assert (params["reader"], params["classes"]) == ("cityscapes", "all")
    assert "# recognised: Cityscapes" in text
    assert "1 training and 1 validation images" in printed
