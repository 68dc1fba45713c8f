"""Thirty photographs with tags and boxes and not one mask: rows run, and what they say is that nothing was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import harness
from harness.cli.main import app
from harness.contract import Claim, ConfigError
from harness.data.digests import set_cache
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import Plan, build_plan
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.engine.store.store import Store
from harness.leaderboard import build_board, load_runs
from harness.maps.labels import LabelReader
from harness.registry import PluginSpec, manager_from_spec
from tests.engine.toy import Inline

SIDE, TRAIN, VAL = 48, 22, 8
OPTIM = {"iterations": 2, "batch_size": 4, "lr": 0.01}
AUGMENT = {"crop": 32}
ROOT = Path(__file__).parent.parent
PROTOCOL = {
    "classifier": {"optim": OPTIM, "augment": AUGMENT},
    "cam": {"scales": [1.0]},
    "segmenter": {"config": str(ROOT / "harness/testing/segmenter.py"), "optim": OPTIM, "augment": AUGMENT},
}
MANAGER = manager_from_spec(PluginSpec(env=""))


def photograph(root: Path, number: int) -> dict[str, Any]:
    """Write one photograph of a bright thing; its tags and its box, as the annotation file holds them."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
    x, y = (int(corner) for corner in rng.integers(2, 20, 2))
    name, colour = (("cat", (250, 120, 0)), ("dog", (0, 120, 250)))[number % 2]
    pixels[y : y + 20, x : x + 24] = colour
    Image.fromarray(pixels).save(root / "JPEGImages" / f"photo_{number:02}.jpg", quality=95)
    box = {"cls": name, "bbox_xyxy": [x, y, x + 24, y + 20]}
    return {"id": f"photo_{number:02}", "tags": [name], "boxes": [box]}


def write_masks(root: Path, images: list[dict[str, Any]]) -> None:
    (root / "SegmentationClass").mkdir()
    for entry in images:
        mask = np.zeros((SIDE, SIDE), np.uint8)
        x0, y0, x1, y1 = entry["boxes"][0]["bbox_xyxy"]
        mask[y0:y1, x0:x1] = {"cat": 1, "dog": 2}[entry["tags"][0]]
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{entry['id']}.png")


class Person:
    """A folder of photographs, and benchmarks of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.runs = root, root / "runs"
        (root / "JPEGImages").mkdir()
        images = [photograph(root, number) for number in range(TRAIN + VAL)]
        (root / "labels.json").write_text(json.dumps({"images": images}))
        names = [entry["id"] for entry in images]
        (root / "train.txt").write_text("\n".join(names[:TRAIN]))
        (root / "val.txt").write_text("\n".join(names[TRAIN:]))
        write_masks(root, images)
        (root / "SegmentationClass").rename(root / "hidden")  # nobody's masks, but to compare with

    def benchmark(self, name: str, methods: list[str], **masks: str) -> Path:
        params = {
            "name": "photos",
            "root": str(self.root),
            "train": "train.txt",
            "val": "val.txt",
            "classes": {"background": 0, "cat": 1, "dog": 2},
            "tags": "labels.json",
            "boxes": "labels.json",
            "show_images": True,
            **masks,
        }
        path = self.root / f"{name}.yaml"
        content = {"dataset": {"name": "voc", "params": params}, "backbones": ["tiny"], "methods": methods}
        path.write_text(json.dumps({"name": name, "protocol": PROTOCOL, **content}))
        return path

    def plan(self, name: str, methods: list[str], **masks: str) -> Plan:
        set_cache(None)
        registered = {kind: MANAGER.records(kind) for kind in ("method", "backbone")}
        return build_plan(load_benchmark(self.benchmark(name, methods, **masks), registered=registered), MANAGER)

    def run(self, name: str, methods: list[str], **masks: str) -> tuple[Plan, dict[str, dict[str, Any]]]:
        """Run a benchmark; its records by row."""
        plan = self.plan(name, methods, **masks)
        display = ProgressDisplay(plan, self.runs)
        outcome = run_plan(plan, runs=self.runs, manager=MANAGER, make_executor=Inline, progress=display, device="cpu")
        assert outcome.exit_code == 0, outcome.errors
        found = (json.loads(path.read_text()) for path in outcome.records.glob("*.json"))
        return plan, {record["label"]: record for record in found}

    def command(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return " ".join(result.stdout.split())


ROWS = ["cam", "box_fill", "background"]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return Person(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def unmasked(person: Person) -> tuple[Plan, dict[str, dict[str, Any]]]:
    return person.run("unmasked", ROWS, masks="none")


def test_labels_and_models_come_out_and_the_records_say_what_was_not_measured(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    plan, found = unmasked
    assert set(found) == set(ROWS)
    store = Store(person.runs)
    for label, record in found.items():
        assert (record["status"], record["scores"], record["oracle"]) == ("ok", {}, None), label
        assert record["dataset"]["unmasked"] == ["train", "val"]
        assert not [kind for kind in record["dataset"]["digests"] if kind.endswith("masks")]
        assert 0 < record["label_coverage"] <= 1
        stages = {stage["name"].rpartition("/")[2].partition(" ")[0]: stage["key"] for stage in record["stages"]}
        assert len(LabelReader(store.folder(stages["generate"])).ids) == TRAIN
        assert len(LabelReader(store.folder(stages["predict"])).ids) == VAL
        assert (store.folder(stages["segmenter"]) / "segmenter.pth").is_file()
    assert {spec.kind for spec in plan.stages.values()} >= {"count_labels", "count_predictions"}


def test_every_rendering_has_dashes_and_says_that_there_is_no_truth(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    folder = person.runs / "records" / unmasked[0].folder
    for form in ("md", "tex", "html"):
        text = person.command("leaderboard", str(folder), "--format", form)
        assert "No truth: the training images of photos have no masks" in text, form
        assert "no prediction was measured and no row has a rank" in text, form
    markdown = person.command("leaderboard", str(folder), "--format", "md")
    (line,) = (part for part in markdown.split(" | ") if part.startswith("box"))
    assert "images: train 22 without masks, val 8 without masks" in markdown
    assert line == "box_fill (reference)"
    assert "No truth: the validation images" in person.command("leaderboard", str(folder))
    board = json.loads(person.command("leaderboard", str(folder), "--format", "json"))
    assert board["dataset"]["unmasked"] == ["train", "val"]
    measured = [name for name in board["rows"][0] if "miou" in name or name in ("rank", "class_iou", "percent_of_full")]
    assert len(measured) > 10
    assert all(row[name] is None for row in board["rows"] for name in measured)
    assert all((row["status"], row["error"], row.get("metrics")) == ("ok", None, None) for row in board["rows"])
    csv = person.command("leaderboard", str(folder), "--format", "csv", "--columns", "method,val_miou,pseudo_miou")
    assert csv.split()[1:] == [f"{label},,,,,," for label in ("background", "box_fill", "cam")]


def test_the_page_shows_labels_and_predictions_without_a_truth(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    config = person.benchmark("unmasked", ROWS, masks="none")
    page = person.command("leaderboard", str(config), "--runs", str(person.runs), "--format", "html")
    assert "Training images: pseudo labels, no truth" in page
    assert "Validation images: predictions, no truth" in page
    assert 'alt="pseudo label of cam for photo_' in page
    assert 'alt="truth of' not in page
    assert "where it is wrong" not in page


def test_compare_and_claims_say_that_nothing_was_measured(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    folder = person.runs / "records" / unmasked[0].folder
    for score, split in (("val", "val"), ("pseudo", "train")):
        text = person.command("compare", "cam", "box_fill", "--runs", str(folder), "--score", score)
        assert f"no statistics: nothing was measured, the {split} images have no masks" in text
    claims = [Claim("cam", "box_fill", "s", metric=metric) for metric in ("val mIoU", "pseudo-label mIoU")]
    answers = build_board(load_runs(folder), claims=claims).claims
    assert [answer.verdict for answer in answers] == ["not comparable"] * 2
    assert [answer.reason for answer in answers] == [
        f"nothing was measured, the {split} images have no masks" for split in ("val", "train")
    ]


def test_a_program_and_show_reach_the_labels_that_no_mask_scored(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    results = harness.load(person.runs / "records" / unmasked[0].folder)
    assert len(results.labels("cam")) == TRAIN
    assert len(results.predictions("cam")) == VAL
    text = " ".join(str(results.show("cam")).split())
    assert "No truth: the training images of photos have no masks" in text
    assert "predictions" in text


def test_verify_counts_the_labels_again_and_passes(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    folder = person.runs / "records" / unmasked[0].folder
    text = person.command("verify", str(folder))
    assert all(f"{label}--tiny--s0: verified" in text for label in ROWS)
    record = folder / "cam--tiny--s0.json"
    before = record.read_text()
    forged = json.loads(before)
    forged["label_coverage"] /= 2
    record.write_text(json.dumps(forged))
    result = CliRunner().invoke(app, ["verify", str(record)])
    record.write_text(before)
    assert (result.exit_code, "label_coverage: the record says" in result.stdout) == (3, True)


def test_masks_of_the_validation_images_alone_are_enough_for_a_ranked_table(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    plan, found = person.run("val_only", ROWS, train_masks="none", masks="hidden")
    assert {name for record in found.values() for name in record["scores"]} == {"val"}
    assert found["cam"]["oracle"] is None
    again = plan.stages.keys() - unmasked[0].stages.keys()
    assert {plan.stages[key].kind for key in again} == {"score_predictions"}, "labels and models are those of before"
    folder = str(person.runs / "records" / plan.folder)
    board = json.loads(person.command("leaderboard", folder, "--format", "json"))
    assert all(row["rank"] and row["val_miou"] and row["pseudo_miou"] is None for row in board["rows"])
    assert "no statistics" not in person.command("compare", "cam", "box_fill", "--runs", folder)
    assert "differs" not in person.command("verify", folder)


def test_masks_of_the_training_images_alone_score_the_labels(
    person: Person, unmasked: tuple[Plan, dict[str, dict[str, Any]]]
) -> None:
    plan, found = person.run("train_only", ROWS, val_masks="none", masks="hidden")
    assert {name for record in found.values() for name in record["scores"]} == {"pseudo"}
    assert found["cam"]["oracle"] is not None
    folder = str(person.runs / "records" / plan.folder)
    board = json.loads(person.command("leaderboard", folder, "--format", "json"))
    assert all((row["rank"], row["val_miou"]) == (None, None) and row["pseudo_miou"] for row in board["rows"])
    assert "differs" not in person.command("verify", folder)
    assert "no statistics" not in person.command("compare", "cam", "box_fill", "--runs", folder, "--score", "pseudo")


@pytest.mark.parametrize("method", ["full", "pixel_subset"])
def test_a_row_that_learns_from_masks_is_refused_in_one_sentence(person: Person, method: str) -> None:
    with pytest.raises(ConfigError) as caught:
        person.plan("refused", ["cam", method], masks="none")
    assert str(caught.value) == (
        f"methods.{method}: data set 'photos' has no masks for its train images; its file says so (none in a field of "
        "masks), so leave out what needs them"
    )
