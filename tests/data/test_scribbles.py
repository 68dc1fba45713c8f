"""Scribbles of files are read, hashed, counted and refused like every other annotation, and a rule can make some."""

import shutil

import numpy as np
import pytest
from PIL import Image

from harness.contract import POINTS, SCRIBBLES, ConfigError, DataError, NoSupervision, Point, Supervision
from harness.data.checking import check
from harness.data.folder import FolderDataset
from harness.data.folder_params import FolderParams
from harness.data.sparse import mask_points, mask_scribbles
from harness.data.tag_noise import NoisyTags
from harness.data.views import DatasetView
from harness.data.voc import VocDataset
from harness.engine.plan.keys import data_for_key, dataset_info
from harness.testing.poison import PoisonedDataset
from tests.data.conftest import H, W

NONE = 255
XML = "<annotation><size><width>16</width><height>12</height></size><segmented>1</segmented>{}</annotation>"
CAT = "<polygon><tag>cat</tag><point><X>2</X><Y>5</Y></point><point><X>12</X><Y>5</Y></point></polygon>"
BACK = "<polygon><tag>background</tag><point><X>0</X><Y>10</Y></point><point><X>30</X><Y>10</Y></point></polygon>"


def plane():
    stored = np.full((H, W), NONE, np.uint8)
    stored[5, 2:12], stored[10], stored[0, 0] = 8, 0, 15
    return stored


def folder(voc, files=None, **more):
    """Scribbles of each training image, ``plane`` where ``files`` say nothing; the fields with ``more``."""
    shutil.rmtree(voc.root / "scribbles", ignore_errors=True)
    (voc.root / "scribbles").mkdir()
    for image_id in "abc":
        content = (files or {}).get(image_id, plane())
        path = voc.root / "scribbles" / image_id
        if isinstance(content, str):
            path.with_suffix(".xml").write_text(content)
        else:
            Image.fromarray(content).save(path.with_suffix(".png"))
    return voc.params(scribbles="scribbles", **more)


def test_a_picture_of_ids_becomes_classes_and_255_is_no_scribble(voc):
    dataset = VocDataset(folder(voc))
    found = dataset.scribbles("a")
    assert found.dtype == np.uint8
    assert (found[5, 2:12] == 1).all()
    assert (found[10] == 0).all()
    assert found[0, 0] == 2
    assert (found == NONE).sum() == H * W - 10 - W - 1
    view = DatasetView(dataset, "train", [SCRIBBLES])
    np.testing.assert_array_equal(view.scribbles("a"), found)
    assert view.meter.as_dict() == {"scribbles": {"reads": 1, "images": 1}}
    with pytest.raises(NoSupervision, match="'tiny' has no scribbles"):
        dataset.scribbles("d")


def test_strokes_of_scribblesup_are_three_pixels_wide_and_cut_off_at_the_border(voc):
    found = VocDataset(folder(voc, {"a": XML.format(CAT + BACK)})).scribbles("a")
    assert (found[4:7, 2:13] == 1).all()
    assert (found[9:12] == 0).all()
    assert (found[:4] == NONE).all()
    assert not (found[4:7, 14:] == 1).any()


def test_names_and_ids_of_no_class_are_an_error_or_what_other_says(voc):
    sofa = XML.format(CAT.replace("cat", "sofa"))
    other = np.where(plane() == 15, 9, plane()).astype(np.uint8)
    params = folder(voc, {"a": sofa, "b": other})
    with pytest.raises(DataError, match=r"a\.xml: polygon 1: 'sofa' is none of the classes"):
        VocDataset(params).scribbles("a")
    with pytest.raises(DataError, match=r"b\.png: mask id 9 is in no class"):
        VocDataset(params).scribbles("b")
    for word, cls in (("ignore", NONE), ("background", 0)):
        dataset = VocDataset(voc.params(scribbles="scribbles", other=word))
        assert (dataset.scribbles("a")[5, 2:13] == cls).all()
        assert dataset.scribbles("b")[0, 0] == cls
    renamed = VocDataset(voc.params(scribbles="scribbles", names={"sofa": "person"}))
    assert (renamed.scribbles("a")[5, 2:13] == 2).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.full((H, W + 1), NONE, np.uint8), "17x12 pixels, but the image"),
        (XML.format(CAT).replace("16", "17"), "17x12 pixels, but the image"),
        (np.zeros((H, W), np.uint8), "every pixel has an id; scribbles are 255 where nobody drew"),
        (np.zeros((H, W, 3), np.uint8), "a palette or grey image is needed"),
        ("<annotation/>", "size needs the whole numbers width and height"),
        (XML.format(CAT).replace("16", "9" * 5000), "size needs the whole numbers width and height"),
        ("<note/>", "the top element is 'note', XML of scribbles has 'annotation'"),
        ("<annotation>", "xml"),
        (XML.format("<polygon><tag>cat</tag></polygon>"), "polygon 1: has no point"),
        (XML.format(CAT.replace("cat", "")), "polygon 1: has no tag"),
        (XML.format(CAT.replace("<X>2", "<X>two")), "polygon 1: a point needs the whole numbers X and Y"),
        (XML.format(CAT.replace("<Y>5", "<Y>99")), "polygon 1: the stroke 'cat' lies outside the 16x12 image"),
    ],
)
def test_a_file_of_scribbles_that_is_wrong_is_one_sentence_with_its_name(voc, content, words):
    dataset = VocDataset(folder(voc, {"a": content}))
    with pytest.raises(DataError) as error:
        dataset.scribbles("a")
    assert str(error.value).startswith(str(voc.root / "scribbles" / "a."))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert [(defect.kind, defect.image_id) for defect in check(dataset).defects] == [("scribbles", "a")]


def test_a_picture_of_another_size_is_refused_before_anything_is_computed(voc):
    for wrong in (np.full((H, W + 1), NONE, np.uint8), XML.format(CAT).replace("16", "17")):
        with pytest.raises(DataError, match="17x12 pixels, but the image"):
            VocDataset(folder(voc, {"b": wrong})).digests("train")


def test_a_folder_that_lacks_an_image_or_is_none_is_told(voc):
    params = folder(voc)
    (voc.root / "scribbles" / "b.png").unlink()
    with pytest.raises(DataError, match=r"scribbles/b\.png: no such file \(nor \.xml\)"):
        VocDataset(params)
    with pytest.raises(DataError, match=r"nothing: no such folder \(field scribbles\)"):
        VocDataset(voc.params(scribbles="nothing"))


def test_scribbles_have_a_digest_of_their_own_and_touch_no_other(voc):
    plain, first = VocDataset(voc.params()).digests("train"), VocDataset(folder(voc)).digests("train")
    assert {kind: first[kind] for kind in plain} == plain
    assert set(first) - set(plain) == {"scribbles"}
    changed = plane()
    changed[1, 1] = 8
    for files, names in (({"c": changed}, {}), ({}, {"sofa": "cat"})):
        again = VocDataset(folder(voc, files, names=names)).digests("train")
        assert {kind for kind in first if again[kind] != first[kind]} == {"scribbles"}
    assert "train/scribbles" in data_for_key(VocDataset(folder(voc)), "train", [SCRIBBLES])
    with pytest.raises(ConfigError, match=r"'tiny' has no scribbles .*; name their .* field scribbles or say 'masks'"):
        data_for_key(VocDataset(voc.params()), "train", [SCRIBBLES])


def test_the_check_counts_pixels_of_scribbles(voc):
    report = check(VocDataset(folder(voc)))
    assert report.clean
    assert [count.marks["scribbles"] for count in report.splits[0].classes] == [3 * W, 30, 3]


def test_the_check_notes_a_class_that_an_image_is_not_tagged_with(voc):
    notices = {notice.image_id: notice for notice in check(VocDataset(folder(voc))).notices}
    assert notices["a"].message == "image 'a': scribbles of person, but it is not tagged so"
    assert notices["a"].kind == "scribbles"
    assert "b" not in notices


def test_a_rule_makes_points_and_scribbles_from_training_masks_and_everybody_is_told(voc):
    dataset = VocDataset(voc.params(points="masks", scribbles="masks", min_box_pixels=4))
    for image_id in "abc":
        mask = dataset.mask(image_id)
        assert dataset.points(image_id) == mask_points(mask, 4)
        np.testing.assert_array_equal(dataset.scribbles(image_id), mask_scribbles(mask, 4))
    assert dataset.points("a")[0] == Point(1, 2, 2)
    assert dataset.made_from_masks == NoisyTags(dataset, None).made_from_masks == ("points", "scribbles")
    assert dataset_info(dataset).made_from_masks == ["points", "scribbles"]
    with pytest.raises(NoSupervision, match="'tiny' has no points"):
        dataset.points("d")
    assert not {"points", "scribbles"} & set(dataset.digests("val"))
    assert check(dataset).clean


def test_labels_that_a_rule_makes_follow_the_masks_and_stay_under_poison(voc):
    dataset = VocDataset(voc.params(points="masks", scribbles="masks"))
    before = dataset.digests("train")
    poisoned = PoisonedDataset(dataset, [POINTS, SCRIBBLES])
    assert poisoned.points("a") == dataset.points("a")
    np.testing.assert_array_equal(poisoned.scribbles("a"), dataset.scribbles("a"))
    assert not np.array_equal(poisoned.mask("a"), dataset.mask("a"))
    voc.mask("a", voc.plane(2))
    after = VocDataset(voc.params(points="masks", scribbles="masks")).digests("train")
    assert {kind for kind in before if after[kind] != before[kind]} >= {"points", "scribbles", "masks"}
    other = VocDataset(voc.params(points="masks", scribbles="masks", min_box_pixels=5)).digests("train")
    assert all(other[kind] != after[kind] for kind in ("points", "scribbles"))


def test_there_is_nothing_to_make_labels_of_without_masks(voc):
    with pytest.raises(ValueError, match="scribbles: the train images have no masks to make them of"):
        voc.params(scribbles="masks", train_masks="none", tags="t.json", boxes="t.json")
    base = {
        "name": "f",
        "root": "r",
        "images": "JPEGImages",
        "classes": ["background", "cat"],
        "hold_out": 0.3,
    }
    for masks in (None, {"path": "SegmentationClass", "missing": "unmasked"}):
        with pytest.raises(ValueError, match="points: not all training images have masks to make them of"):
            FolderParams.model_validate(base | {"masks": masks, "points": "masks"})


def test_the_reader_of_folders_takes_scribbles_in_files_and_from_masks(voc):
    folder(voc, {"a": XML.format(CAT)})
    base = {"name": "f", "root": str(voc.root), "images": "JPEGImages", "masks": "SegmentationClass"}
    lists = {"train": {"list": "train.txt"}, "val": {"list": "val.txt"}}
    classes = {"background": 0, "cat": 8, "person": 15}
    drawn = FolderDataset(FolderParams.model_validate({**base, **lists, "classes": classes, "scribbles": "scribbles"}))
    voc_drawn = VocDataset(voc.params(scribbles="scribbles"))
    made = FolderDataset(FolderParams.model_validate({**base, **lists, "classes": classes, "scribbles": "masks"}))
    for image_id in "abc":
        np.testing.assert_array_equal(drawn.scribbles(image_id), voc_drawn.scribbles(image_id))
        np.testing.assert_array_equal(made.scribbles(image_id), mask_scribbles(made.mask(image_id)))
    assert (drawn.made_from_masks, made.made_from_masks) == ((), (Supervision.SCRIBBLES,))
    assert "scribbles" in made.digests("train")
    assert "scribbles" not in made.digests("val")


def test_scribbles_of_which_no_image_has_one_are_a_defect(voc):
    empty = np.full((H, W), NONE, np.uint8)
    found = check(VocDataset(folder(voc, dict.fromkeys("abc", empty))))
    (defect,) = [one for one in found.defects if one.kind == "scribbles"]
    assert "no train image has scribbles of a class or of the background" in defect.message
    assert not [one for one in check(VocDataset(folder(voc, {"a": empty}))).defects if one.kind == "scribbles"]
