"""`name: mmseg` reads what mmsegmentation itself would read from the same configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.contract import ConfigError, DataError, WsssError
from harness.data.checking import check
from harness.modelling import mm
from harness.modelling.mmseg_dataset import MmsegDataset
from harness.modelling.mmseg_params import MmsegParams

H, W = 12, 16


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (H, W, 3), dtype=np.uint8)).save(path)


def mask(path: Path, *ids: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plane = np.resize(np.repeat(np.array(ids, np.uint8), 8), (H, W))
    Image.fromarray(plane).save(path)


def opened(folder: Path, source: str, **changes: Any) -> MmsegDataset:
    path = folder / "config.py"
    path.write_text(source)
    return MmsegDataset(MmsegParams(name="tiny", config=str(path), **changes))


def voc(root: Path) -> str:
    for number, name in enumerate(("a", "b", "c")):
        picture(root / "JPEGImages" / f"{name}.jpg", number)
        mask(root / "SegmentationClass" / f"{name}.png", 0, 8, 12 if number else 8, 255)
    (root / "train.txt").write_text("a\nb\n")
    (root / "val.txt").write_text("c\n")
    (root.parent / "base.py").write_text(
        f"data_root = {str(root)!r}\n"
        "prefix = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')\n"
        "train_dataloader = dict(batch_size=4, dataset=dict(type='PascalVOCDataset', data_root=data_root,\n"
        "    data_prefix=prefix, ann_file='train.txt', pipeline=[dict(type='LoadAnnotations')]))\n"
    )
    return (
        "_base_ = 'base.py'\n"
        "val_dataloader = dict(dataset=dict(type='PascalVOCDataset', data_root=_base_.data_root,\n"
        "    data_prefix=_base_.prefix, ann_file='val.txt', test_mode=True))\n"
    )


def cityscapes(root: Path) -> str:
    for split, names in (("train", ("aachen/aachen_0", "bonn/bonn_0")), ("val", ("ulm/ulm_0",))):
        for number, name in enumerate(names):
            picture(root / "leftImg8bit" / split / f"{name}_leftImg8bit.png", number)
            mask(root / "gtFine" / split / f"{name}_gtFine_labelTrainIds.png", 0, 11, 13, 255)
    return "".join(
        f"{split}_dataloader = dict(dataset=dict(type='CityscapesDataset', data_root={str(root)!r},\n"
        f"    data_prefix=dict(img_path='leftImg8bit/{split}', seg_map_path='gtFine/{split}')))\n"
        for split in ("train", "val")
    )


def ade(root: Path, metainfo: str = "") -> str:
    for split in ("training", "validation"):
        for number in range(2):
            picture(root / "images" / split / f"{number}.jpg", number)
            mask(root / "annotations" / split / f"{number}.png", 0, 1, 3, 13, 150)
    return "".join(
        f"{loader}_dataloader = dict(dataset=dict(type='ADE20KDataset', data_root={str(root)!r}, {metainfo}\n"
        f"    data_prefix=dict(img_path='images/{split}', seg_map_path='annotations/{split}')))\n"
        for loader, split in (("train", "training"), ("val", "validation"))
    )


def own(root: Path) -> str:
    for split in ("train", "val"):
        for number in range(2):
            picture(root / "img_dir" / split / f"{split}{number}.tif", number)
            mask(root / "ann_dir" / split / f"{split}{number}_labels.png", 0, 1, 2, 255)
    return (
        "metainfo = dict(classes=('background', 'cat', 'dog'), palette=[[0, 0, 0], [1, 1, 1], [2, 2, 2]])\n"
        + "".join(
            f"{split}_dataloader = dict(dataset=dict(type='BaseSegDataset', metainfo=metainfo,\n"
            f"    data_root={str(root)!r}, img_suffix='.tif', seg_map_suffix='_labels.png',\n"
            f"    data_prefix=dict(img_path='img_dir/{split}', seg_map_path='ann_dir/{split}')))\n"
            for split in ("train", "val")
        )
    )


def subset(root: Path) -> str:
    return ade(root, "metainfo=dict(classes=('sky', 'wall', 'person')),")


LAYOUTS = {"voc": voc, "cityscapes": cityscapes, "ade": ade, "own": own, "subset": subset}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_images_masks_and_classes_are_those_of_mmseg(tmp_path: Path, layout: str, split: str) -> None:
    from mmseg.datasets.transforms import LoadAnnotations

    ours = opened(tmp_path, LAYOUTS[layout](tmp_path / "data"))
    mm.enter_scope()
    config = mm.Config.fromfile(tmp_path / "config.py")[f"{split}_dataloader"].dataset
    theirs = mm.DATASETS.build({**config, "pipeline": [], "test_mode": False})
    assert ours.classes == tuple(theirs.metainfo["classes"])
    infos = [theirs.get_data_info(index) for index in range(len(theirs))]
    assert [ours._pairs[image_id].image for image_id in ours.ids(split)] == [Path(info["img_path"]) for info in infos]
    for image_id, info in zip(ours.ids(split), infos, strict=True):
        truth = LoadAnnotations()({**info, "seg_fields": []})["gt_seg_map"]
        assert np.array_equal(ours.mask(image_id), truth)


def test_images_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    dataset = opened(tmp_path, ade(tmp_path / "data"))
    assert dataset.ids("train") == ("train/0", "train/1")
    assert dataset.ids("val") == ("val/0", "val/1")


def test_the_check_accepts_it_and_counts_its_classes(tmp_path: Path) -> None:
    report = check(opened(tmp_path, voc(tmp_path / "data"), absent=sorted(set(VOC) - {"background", "cat", "dog"})))
    assert report.clean
    assert [count.name for count in report.splits[0].classes if count.images] == ["background", "cat", "dog"]


VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def test_repetitions_and_concatenations_are_opened(tmp_path: Path) -> None:
    own(tmp_path / "data")
    part = (
        f"dict(type='BaseSegDataset', data_root={str(tmp_path / 'data')!r}, img_suffix='.tif',\n"
        "  seg_map_suffix='_labels.png', metainfo=dict(classes=('background', 'cat', 'dog')),\n"
        "  data_prefix=dict(img_path='img_dir/{0}', seg_map_path='ann_dir/{0}'))"
    )
    source = (
        f"train_dataloader = dict(dataset=dict(type='RepeatDataset', times=40, dataset={part.format('train')}))\n"
        f"val_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=[{part.format('val')}]))\n"
    )
    dataset = opened(tmp_path, source)
    assert (dataset.ids("train"), dataset.ids("val")) == (("train0", "train1"), ("val0", "val1"))


def test_the_form_of_mmsegmentation_0_is_read(tmp_path: Path) -> None:
    own(tmp_path / "data")
    splits = ", ".join(
        f"{split}=dict(type='CustomDataset', data_root={str(tmp_path / 'data')!r}, img_dir='img_dir/{split}',\n"
        f"  ann_dir='ann_dir/{split}', img_suffix='.tif', seg_map_suffix='_labels.png',\n"
        "  classes=('background', 'cat', 'dog'))"
        for split in ("train", "val")
    )
    dataset = opened(tmp_path, f"data = dict(samples_per_gpu=4, {splits})\n")
    assert (dataset.ids("train"), dataset.classes) == (("train0", "train1"), ("background", "cat", "dog"))


def test_the_newer_form_that_names_types_by_import_is_read(tmp_path: Path) -> None:
    source = own(tmp_path / "data").replace("type='BaseSegDataset'", "type=BaseSegDataset")
    dataset = opened(tmp_path, f"from mmseg.datasets import BaseSegDataset\n{source}")
    assert dataset.ids("val") == ("val0", "val1")


def test_root_stands_in_for_data_root(tmp_path: Path) -> None:
    source = own(tmp_path / "data").replace(str(tmp_path / "data"), "data/elsewhere")
    assert opened(tmp_path, source, root=str(tmp_path / "data")).ids("val") == ("val0", "val1")


def test_images_without_a_folder_of_masks_say_so(tmp_path: Path) -> None:
    source = own(tmp_path / "data").replace(", seg_map_path='ann_dir/train'", "")
    dataset = opened(tmp_path, source)
    assert dataset.unmasked == ("train",)
    assert set(dataset.digests("train")) == {"ids", "images"}
    assert set(dataset.digests("val")) == {"ids", "images", "masks", "tags", "boxes"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("type='BaseSegDataset'", "type='Nonsense'", r"train_dataloader\.dataset\.type: 'Nonsense' is no data set"),
        ("type='BaseSegDataset'", "type='BaseCDDataset'", r"type: 'BaseCDDataset' is no data set of images and masks"),
        (", metainfo=metainfo", "", r"metainfo\.classes: a list of class names is needed"),
        ("img_suffix='.tif'", "indices=5", r"dataset\.indices: is not supported"),
        ("img_suffix='.tif'", "ignore_index=0", r"dataset\.ignore_index: only 255 is supported, got 0"),
        ("img_suffix='.tif'", "img_suffix=3", r"dataset\.img_suffix: text is needed, got int"),
        ("img_suffix='.tif'", "reduce_zero_label='yes'", r"reduce_zero_label: True or False is needed, got 'yes'"),
        ("img_path='img_dir/train'", "img_path=['a', 'b']", r"data_prefix\.img_path: the path of one folder is needed"),
        ("'img_dir/train'", "'nowhere'", r"nowhere: holds no image \*\.tif"),
        ("'cat', 'dog'", "'cat', 'cat'", r"metainfo\.classes: 2 to 253 different names are possible"),
        ("val_dataloader", "vall_dataloader", r"config\.py: val_dataloader\.dataset: required field is missing"),
        ("metainfo = dict(", "raise ValueError\nmetainfo = dict(", r"cannot be read by mmengine \(ValueError"),
        ("metainfo = dict(", "raise SystemExit(7)\nmetainfo = dict(", r"cannot be read by mmengine \(SystemExit: 7"),
        ("metainfo = dict(", "metainfo = dict((", r"cannot be read by mmengine"),
    ],
)
def test_what_is_not_supported_is_one_sentence_with_the_field(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    source = own(tmp_path / "data").replace(old, new, 1)
    with pytest.raises(WsssError, match=sentence) as raised:
        opened(tmp_path, source)
    assert "\n" not in str(raised.value)


def test_a_configuration_that_is_no_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: 1\n")
    for name, sentence in (("config.yaml", "is a .py file"), ("none.py", "no such file"), (".", "is a folder")):
        with pytest.raises(ConfigError, match=sentence):
            MmsegDataset(MmsegParams(name="tiny", config=str(tmp_path / name)))


def test_missing_files_wrong_ids_and_sizes_are_defects(tmp_path: Path) -> None:
    source = own(tmp_path / "data")
    (tmp_path / "data" / "ann_dir" / "train" / "train0_labels.png").unlink()
    mask(tmp_path / "data" / "ann_dir" / "train" / "train1_labels.png", 0, 7)
    Image.new("L", (3, 3)).save(tmp_path / "data" / "ann_dir" / "val" / "val0_labels.png")
    with pytest.raises(DataError, match=r"train0_labels\.png: no such file"):
        opened(tmp_path, source)
    dataset = MmsegDataset.lenient(MmsegParams(name="tiny", config=str(tmp_path / "config.py")))
    messages = [defect.message for defect in check(dataset).defects]
    assert any("mask id 7 is in no class of the configuration" in message for message in messages)
    assert any("val0_labels.png: 3x3 pixels" in message for message in messages)


def test_an_image_of_both_splits_is_refused(tmp_path: Path) -> None:
    source = voc(tmp_path / "data")
    (tmp_path / "data" / "val.txt").write_text("a\nc\n")
    with pytest.raises(DataError, match="'a' is a training image too"):
        opened(tmp_path, source)
