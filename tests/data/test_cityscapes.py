"""The Cityscapes reader on a small tree in the original layout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from harness.cli.datasets import app
from harness.contract import BOXES, MASKS, Box, ConfigError, DataError, NoSupervision
from harness.data.checking import check
from harness.data.cityscapes import EVALUATED, CityscapesDataset
from harness.data.configuration import build_dataset, expand_env, load_yaml
from harness.data.params import CityscapesParams
from harness.engine.plan.keys import data_for_key
from harness.registry import manager

H, W = 16, 24
A, B, V = "aachen_000000_000019", "bochum_000001_000004", "munster_000002_000019"


def street() -> tuple[np.ndarray, np.ndarray]:
    """labelIds and instanceIds: two cars that touch, a person in two parts, a group of persons, void, a caravan."""
    labels = np.full((H, W), EVALUATED["road"], np.uint8)
    labels[:2] = 3  # out of the region of interest
    labels[4:8, 2:10] = EVALUATED["car"]
    labels[4:12, 14:16] = EVALUATED["person"]
    labels[7, 14:16] = EVALUATED["pole"]  # hides the middle of the person
    labels[12:15, 18:23] = EVALUATED["person"]
    labels[12:14, 2:6] = 29  # a caravan: an object that is not evaluated
    instances = labels.astype(np.uint16)
    instances[4:8, 2:6] = EVALUATED["car"] * 1000
    instances[4:8, 6:10] = EVALUATED["car"] * 1000 + 1
    instances[(labels == EVALUATED["person"]) & (np.arange(W) < 17)] = EVALUATED["person"] * 1000
    instances[12:14, 2:6] = 29000
    return labels, instances


class CityscapesFolder:
    """Two training images of two towns and one validation image."""

    def __init__(self, root: Path) -> None:
        self.root = root
        labels, instances = street()
        trains = np.full(256, 255, np.uint8)
        trains[list(EVALUATED.values())] = np.arange(19)
        for image_id, split in ((A, "train"), (B, "train"), (V, "val")):
            self.image(split, image_id)
            self.plane(split, image_id, "labelIds", labels)
            self.plane(split, image_id, "instanceIds", instances)
            self.plane(split, image_id, "labelTrainIds", trains[labels])
            self.plane(split, image_id, "color", np.zeros((H, W, 4), np.uint8))

    def path(self, folder: str, split: str, image_id: str, ending: str) -> Path:
        path = self.root / folder / split / image_id.partition("_")[0] / f"{image_id}_{ending}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def image(self, split: str, image_id: str, size: tuple[int, int] = (H, W)) -> None:
        pixels = np.random.default_rng(len(image_id)).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(self.path("leftImg8bit", split, image_id, "leftImg8bit"))

    def plane(self, split: str, image_id: str, ending: str, plane: np.ndarray) -> None:
        Image.fromarray(plane).save(self.path("gtFine", split, image_id, f"gtFine_{ending}"))

    def params(self, **changes: Any) -> CityscapesParams:
        return CityscapesParams.model_validate({"root": str(self.root)} | changes)


@pytest.fixture
def town(tmp_path: Path) -> CityscapesFolder:
    return CityscapesFolder(tmp_path / "cityscapes")


def test_all_19_classes_are_numbered_like_the_benchmark(town: CityscapesFolder) -> None:
    dataset = CityscapesDataset(town.params())
    assert (dataset.ids("train"), dataset.ids("val")) == ((A, B), (V,))
    assert (len(dataset.classes), dataset.classes[0], dataset.classes[18]) == (19, "road", "bicycle")
    mask = dataset.mask(A)
    assert (mask[5, 3], mask[5, 14], mask[7, 14], mask[15, 0]) == (13, 11, 5, 0)
    assert (mask[:2] == 255).all()
    assert (mask[12:14, 2:6] == 255).all()
    assert dataset.image(A).shape == (*dataset.size(A), 3)


@pytest.mark.parametrize("void", ["ignore", "background"])
@pytest.mark.parametrize("classes", ["all", "vehicles_and_persons", "vehicle_person"])
def test_label_ids_and_train_ids_give_the_same_masks(town: CityscapesFolder, classes: str, void: str) -> None:
    one, other = (
        CityscapesDataset(town.params(classes=classes, void=void, label_ids=ids))
        for ids in ("labelIds", "labelTrainIds")
    )
    np.testing.assert_array_equal(one.mask(A), other.mask(A))


def test_vehicles_and_persons_on_a_background(town: CityscapesFolder) -> None:
    dataset = CityscapesDataset(town.params(classes="vehicles_and_persons"))
    assert dataset.classes == (
        "background", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    )  # fmt: skip
    assert dataset.tags(A) == (1, 3)
    mask = dataset.mask(A)
    assert set(np.unique(mask)) == {0, 1, 3, 255}
    two = CityscapesDataset(town.params(classes="vehicle_person", void="background"))
    assert two.classes == ("background", "vehicle", "person")
    np.testing.assert_array_equal(two.mask(A), np.choose(np.where(mask == 255, 0, mask), [0, 2, 0, 1]))


def test_boxes_are_extents_of_instances_and_components_of_groups(town: CityscapesFolder) -> None:
    """Touching cars have two boxes, a hidden middle leaves one box, a caravan none."""
    dataset = CityscapesDataset(town.params(classes="vehicles_and_persons"))
    person, car, other = Box(1, 14, 4, 16, 12), Box(3, 2, 4, 6, 8), Box(3, 6, 4, 10, 8)
    assert dataset.boxes(A) == (person, car, other, Box(1, 18, 12, 23, 15))
    alone = CityscapesDataset(town.params(classes="vehicles_and_persons", groups="none", min_box_pixels=15))
    assert alone.boxes(A) == (car, other)
    assert dataset.boxes_from_masks == dataset.classes[1:]


def test_a_binary_task_is_a_mapping(town: CityscapesFolder) -> None:
    dataset = CityscapesDataset(town.params(classes={"background": [], "car": ["car"]}))
    assert dataset.tags(A) == (1,)
    assert np.count_nonzero(dataset.mask(A) == 1) == 32


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"background": [], "car": ["cars"]}, "classes.car: 'cars' is none of road"),
        ({"background": [], "a": ["car"], "b": ["car"]}, "classes.b: 'car' stands in a too"),
        ({"background": []}, "2 to 254 classes"),
    ],
)
def test_impossible_classes_are_refused(town: CityscapesFolder, classes: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CityscapesDataset(town.params(classes=classes))


def test_ids_of_the_other_kind_are_never_taken_for_classes(town: CityscapesFolder) -> None:
    labels, _ = street()
    town.plane("train", A, "labelTrainIds", labels)
    with pytest.raises(DataError, match="none of labelTrainIds; set the field label_ids to labelIds"):
        CityscapesDataset(town.params(label_ids="labelTrainIds")).mask(A)
    town.plane("train", A, "labelIds", np.full((H, W), 255, np.uint8))
    with pytest.raises(DataError, match="id 255 is none of labelIds; set the field label_ids to labelTrainIds"):
        CityscapesDataset(town.params()).mask(A)
    town.plane("train", A, "labelIds", np.zeros((H, W, 4), np.uint8))
    with pytest.raises(DataError, match=r"labelIds.png: a palette or grey image is needed, this one has mode RGBA"):
        CityscapesDataset(town.params()).mask(A)


def test_a_sound_tree_is_clean_and_every_defect_is_found_in_one_go(town: CityscapesFolder) -> None:
    assert check(CityscapesDataset(town.params())).clean
    town.image("train", A, size=(H, W - 1))
    town.path("gtFine", "train", B, "gtFine_instanceIds").unlink()
    town.plane("val", V, "instanceIds", np.full((H, W), 60_000, np.uint16))
    (town.root / "val.txt").write_text(f"{V}\nulm_000000_000000\n{A}\n")
    report = check(CityscapesDataset.lenient(town.params(val_list="val.txt")))
    assert {(defect.split, defect.kind, defect.image_id) for defect in report.defects} == {
        ("train", "mask", A),
        ("train", "boxes", A),
        ("train", "boxes", B),
        ("val", "boxes", V),
        ("val", "image", "ulm_000000_000000"),
        ("val", "mask", "ulm_000000_000000"),
        ("val", "boxes", "ulm_000000_000000"),
        ("val", "list", A),
    }
    assert all(str(town.root) in defect.message for defect in report.defects)


def told(town: CityscapesFolder, **params: Any) -> str:
    """What planning says of the training images, which the check says too, as its only defect."""
    with pytest.raises(DataError) as caught:
        data_for_key(CityscapesDataset(town.params(**params)), "train", (MASKS, BOXES))
    defects = check(CityscapesDataset.lenient(town.params(**params))).defects
    said = str(caught.value)
    assert [defect.message for defect in defects] == [said]
    return said.removeprefix(f"{town.root}/")


def test_instance_images_of_8_bits_are_one_sentence(town: CityscapesFolder) -> None:
    town.plane("train", A, "instanceIds", street()[0])
    assert "_instanceIds.png: holds 8 bits per pixel; instanceIds are id * 1000 + number" in told(town)


def test_label_images_of_16_bits_are_read_where_they_hold_labels(town: CityscapesFolder) -> None:
    labels, instances = street()
    before = CityscapesDataset(town.params()).mask(A)
    town.plane("train", A, "labelIds", labels.astype(np.uint16))
    np.testing.assert_array_equal(CityscapesDataset(town.params()).mask(A), before)
    town.plane("train", A, "labelIds", instances)
    assert "_labelIds.png: id 29000 needs 16 bits, as in instanceIds; label images hold 8 bits" in told(town)


def test_a_pair_of_which_one_is_missing_is_one_sentence(town: CityscapesFolder) -> None:
    image = town.path("leftImg8bit", "train", B, "leftImg8bit")
    content = image.read_bytes()
    image.unlink()
    assert told(town) == f"leftImg8bit/train/bochum/{B}_leftImg8bit.png: no such file"
    image.write_bytes(content)
    town.path("gtFine", "train", B, "gtFine_instanceIds").unlink()
    assert told(town) == f"gtFine/train/bochum/{B}_gtFine_instanceIds.png: no such file"
    os.mkfifo(town.path("gtFine", "train", B, "gtFine_instanceIds"))
    assert told(town) == f"gtFine/train/bochum/{B}_gtFine_instanceIds.png: is a pipe, a file is needed"


def test_a_folder_without_files_of_the_name_is_told_once_with_what_it_holds(town: CityscapesFolder) -> None:
    for path in (town.root / "gtFine" / "train").glob("*/*"):
        path.rename(path.with_name(path.name.replace("gtFine", "gtCoarse")))
    report = check(CityscapesDataset.lenient(town.params()))
    start = f"{town.root}/gtFine/train: no "
    held = f"; it holds aachen/{A}_gtCoarse_color.png"
    assert [defect.message for defect in report.defects] == [
        f"{start}label image TOWN/..._gtFine_labelIds.png{held}",
        f"{start}instance image TOWN/..._gtFine_instanceIds.png{held}",
    ]
    for path in (town.root / "leftImg8bit" / "val").glob("*/*"):
        path.rename(path.with_suffix(".jpg"))
    report = check(CityscapesDataset.lenient(town.params()))
    end = f"leftImg8bit/val: no image TOWN/..._leftImg8bit.png; it holds munster/{V}_leftImg8bit.jpg"
    assert report.defects[-1].message.endswith(end)


def test_an_image_of_another_size_is_one_sentence(town: CityscapesFolder) -> None:
    town.plane("train", A, "labelIds", street()[0][:, 1:])
    assert f"{A}_gtFine_labelIds.png: 23x16 pixels, but the image {town.root}" in told(town)


@pytest.mark.parametrize(
    "line", [f"aachen/{A}", f"{A}_leftImg8bit.png", f"{A}_leftImg8bit", f"aachen/{A}_leftImg8bit.png"]
)
def test_lists_of_file_names_are_one_sentence(town: CityscapesFolder, line: str) -> None:
    (town.root / "train.txt").write_text(f"{B}\n{line}\n")
    sentence = told(town, train_list="train.txt")
    assert sentence.startswith("train.txt: ")
    assert line in sentence


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leftImg8bit/train: no image TOWN/"):
        CityscapesDataset(CityscapesParams(root=str(tmp_path)))


def test_digests_change_with_what_they_stand_for(town: CityscapesFolder) -> None:
    before = CityscapesDataset(town.params()).digests("train")
    assert set(before) == {"ids", "images", "tags", "boxes", "masks"}
    _, instances = street()
    instances[4:8, 6:10] = EVALUATED["car"] * 1000
    town.plane("train", A, "instanceIds", instances)
    after = CityscapesDataset(town.params()).digests("train")
    assert {kind for kind in before if before[kind] != after[kind]} == {"boxes"}
    grouped = CityscapesDataset(town.params(classes="vehicles_and_persons")).digests("train")
    assert {kind for kind in after if after[kind] != grouped[kind]} == {"tags", "boxes", "masks"}


def test_the_shipped_configuration_reads_the_original_layout(
    town: CityscapesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_DATA", str(town.root.parent))
    path = Path(__file__).parents[2] / "configs" / "datasets" / "cityscapes.yaml"
    config = expand_env(load_yaml(path), where=str(path))
    dataset = build_dataset(config["name"], config["params"], where=str(path), plugins=manager())
    assert (len(dataset.ids("train")), len(dataset.classes)) == (2, 9)


def test_the_command_checks_it_and_ends_with_2_where_it_is_defective(town: CityscapesFolder) -> None:
    config = town.root / "cityscapes.yaml"
    config.write_text(json.dumps({"name": "cityscapes", "params": town.params().model_dump()}))
    sound = CliRunner().invoke(app, ["check", str(config)])
    assert (sound.exit_code, "no defects" in sound.output) == (0, True)
    town.path("gtFine", "train", B, "gtFine_labelIds").unlink()
    defective = CliRunner().invoke(app, ["check", str(config)])
    assert (defective.exit_code, "no such file" in defective.output) == (2, True)


def test_training_images_without_label_images_have_tags_and_boxes_of_their_instances(town: CityscapesFolder) -> None:
    whole = CityscapesDataset(town.params())
    for image_id in (A, B):
        town.path("gtFine", "train", image_id, "gtFine_labelIds").unlink()
    dataset = CityscapesDataset(town.params(train_masks="none"))
    assert (dataset.unmasked, dataset.ids("train")) == (("train",), (A, B))
    assert [dataset.tags(A), dataset.boxes(A)] == [whole.tags(V), whole.boxes(V)]
    before = whole.digests("val")
    assert (dataset.digests("val"), dataset.digests("train").keys()) == (before, before.keys() - {"masks"})
    with pytest.raises(NoSupervision, match="has no masks for its train images; its file says so"):
        dataset.mask(A)
    assert check(dataset).clean
    with pytest.raises(DataError, match="no label image TOWN"):
        CityscapesDataset(town.params())
