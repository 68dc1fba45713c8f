"""Other people's files become rows: the same labels in every form, and refused where they do not fit."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from rich.console import Console

from harness.contract import ConfigError, Stated, parse_letters
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import Plan, build_plan
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.render import to_latex, to_markdown
from harness.leaderboard.terminal import to_rich
from harness.maps import LabelReader, voc_palette
from harness.registry import PluginManager, PluginSpec, manager_from_spec
from tests.engine.toy import BENCHMARK, MODELLING, PLUGIN, records, run_toy

TRAIN = [f"train{number}" for number in range(4)]
VAL = [f"val{number}" for number in range(3)]
SIDE = 8
BUILTINS = ("harness.engine.executors.builtin", "harness.maps.builtin", "harness.scoring.builtin", "wsss_external")


def drawn(image_id: str) -> npt.NDArray[np.uint8]:
    """(8, 8) labels of classes 0, 1 and 2."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[1:4, 1:6] = 1
    mask[5:, int(image_id[-1]) :] = 2
    return mask


def as_palette(path: Path, mask: Any) -> None:
    image = Image.fromarray(mask)
    image.putpalette(voc_palette())
    image.save(path.with_suffix(".png"))


def as_grey(path: Path, mask: Any) -> None:
    Image.fromarray(mask).save(path.with_suffix(".png"))


def as_colours(path: Path, mask: Any) -> None:
    colours = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
    Image.fromarray(colours[mask]).save(path.with_suffix(".png"))


def as_npy(path: Path, mask: Any) -> None:
    np.save(path.with_suffix(".npy"), mask.astype(np.int64))


def as_stack(path: Path, mask: Any) -> None:
    np.save(path.with_suffix(".npy"), np.stack([mask == c for c in range(3)]).astype(np.float32))


def as_npz(path: Path, mask: Any) -> None:
    np.savez_compressed(path.with_suffix(".npz"), labels=mask)


def as_psa(path: Path, mask: Any) -> None:
    """PSA, SEAM: ``{class: map}``, foreground classes counted from 0, pickled by numpy."""
    np.save(path.with_suffix(".npy"), {c - 1: (mask == c).astype(np.float32) for c in (1, 2)})  # type: ignore[arg-type]


def as_irn(path: Path, mask: Any) -> None:
    """IRN, ReCAM, AdvCAM: tensors of keys and of maps at two resolutions."""
    maps = torch.stack([torch.from_numpy((mask == c).astype(np.float32)) for c in (1, 2)])
    cams = {"keys": torch.tensor([0, 1]), "cam": maps[:, ::4, ::4].clone(), "high_res": maps.numpy()}
    np.save(path.with_suffix(".npy"), cams)  # type: ignore[arg-type]


def as_clip_es(path: Path, mask: Any) -> None:
    maps = np.stack([(mask == c).astype(np.float16) for c in (1, 2)])
    np.save(path.with_suffix(".npy"), {"keys": np.array([0, 1]), "attn_highres": maps})  # type: ignore[arg-type]


def as_pickle(path: Path, mask: Any) -> None:
    path.with_suffix(".pkl").write_bytes(pickle.dumps(mask))


FORMS: dict[str, tuple[Callable[[Path, Any], None], dict[str, Any]]] = {
    "palette": (as_palette, {}),
    "grey": (as_grey, {}),
    "colours": (as_colours, {"colours": "voc"}),
    "npy": (as_npy, {}),
    "stack": (as_stack, {}),
    "npz": (as_npz, {}),
    "psa": (as_psa, {"base": 0}),
    "irn": (as_irn, {"base": 0}),
    "clip_es": (as_clip_es, {"base": 0}),
    "pickle": (as_pickle, {}),
}


def write(folder: Path, form: str, ids: list[str] = TRAIN) -> Path:
    """A folder of the same labels in one form."""
    folder.mkdir()
    for image_id in ids:
        FORMS[form][0](folder / image_id, drawn(image_id))
    return folder


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    return manager_from_spec(PluginSpec(files=(str(PLUGIN),), env="", builtins=BUILTINS))


def row(name: str, folder: str, *, refiners: Any = (), segmenter: Any = "toy", **params: Any) -> dict[str, Any]:
    generator = {"name": "labels_from", "params": {"supervision": "I", "folder": folder, **params}}
    return {"name": name, "rounds": [{"generator": generator, "refiners": list(refiners), "segmenter": segmenter}]}


def planned(folder: Path, manager: PluginManager, *rows: Any) -> Plan:
    """The plan of a benchmark in ``folder``."""
    (folder / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    (folder / "mine.yaml").write_text(json.dumps({**BENCHMARK, "methods": rows}))
    return build_plan(load_benchmark(folder / "mine.yaml"), manager, modelling=MODELLING)


def refused(folder: Path, manager: PluginManager, *rows: Any) -> str:
    """The one sentence in which a plan is refused with exit code 2."""
    with pytest.raises(ConfigError) as caught:
        planned(folder, manager, *rows)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder}/mine.yaml: methods.")
    return str(caught.value)


@pytest.fixture(scope="module")
def all_forms(tmp_path_factory: pytest.TempPathFactory, manager: PluginManager) -> tuple[Path, dict[str, Any]]:
    """One run of the same labels in all forms, beside our own ``fill``; the runs folder and its records."""
    folder = tmp_path_factory.mktemp("forms")
    rows = [row(form, write(folder / form, form).name, **FORMS[form][1]) for form in FORMS]
    runs = folder / "runs"
    run_toy(planned(folder, manager, *rows, "fill"), manager, runs)
    return runs, records(runs)


def artifact(runs: Path, record: dict[str, Any], stage: str) -> Path:
    (key,) = {item["key"] for item in record["stages"] if item["name"].startswith(stage)}
    (found,) = (path for path in runs.rglob(key) if path.is_dir() and any(path.iterdir()))
    return found


def test_the_same_labels_in_every_form_give_the_same_segmenter(all_forms):
    runs, found = all_forms
    weights = {
        form: (artifact(runs, found[f"{form}--net--s0"], "r1/segmenter") / "segmenter.pth").read_bytes()
        for form in FORMS
    }
    assert {record["status"] for record in found.values()} == {"ok"}
    assert len(set(weights.values())) == 1


def test_labels_are_what_the_files_say(all_forms):
    runs, found = all_forms
    for form in FORMS:
        for image_id in TRAIN:
            path = artifact(runs, found[f"{form}--net--s0"], "r1/generate") / "masks" / f"{image_id}.png"
            np.testing.assert_array_equal(np.array(Image.open(path)), drawn(image_id))


def test_the_table_says_what_is_stated_and_what_was_metered(tmp_path, manager):
    write(tmp_path / "irn", "irn")
    theirs = row("theirs", "irn", supervision="I+S", annotation_hours=7.5, source="a repository, commit 1a2b3c4")
    unpriced = row("unpriced", "irn", supervision="F18%")
    run_toy(planned(tmp_path, manager, theirs, unpriced, "fill"), manager, tmp_path / "runs")
    found = records(tmp_path / "runs")
    assert found["theirs--net--s0"]["stated"] == {
        "supervision": "I+S",
        "hours": 7.5,
        "source": "a repository, commit 1a2b3c4",
        "notes": [],
    }
    assert found["theirs--net--s0"]["meter"]["tags"]["images"] == len(TRAIN)  # the comparison with the tags
    assert "stated" not in found["fill--net--s0"]
    board = build_board(load_runs(tmp_path / "runs"))
    rows = {item.method: item for item in board.rows}
    assert [(rows[name].supervision, rows[name].stated) for name in ("theirs", "unpriced", "fill")] == [
        ("I+S", True),
        ("F18%", True),
        ("I", False),
    ]
    assert rows["theirs"].annotation_hours == 7.5
    assert rows["unpriced"].annotation_hours == pytest.approx(0.18 * 239.7 * len(TRAIN) / 3600)
    for text in (to_markdown(board), to_latex(board)):
        assert "I+S (stated)" in text
        assert "7.50 (stated)" in text
    markdown = to_markdown(board)
    assert "nothing was metered of how they were made." in markdown
    assert "theirs: from a repository, commit 1a2b3c4." in markdown
    console = Console(file=io.StringIO(), width=200)
    console.print(to_rich(board))
    shown = " ".join(console.file.getvalue().split())
    assert "nothing was metered of how they were made." in shown
    assert "theirs: from a repository, commit 1a2b3c4." in shown


def test_a_row_without_files_is_as_it_was(tmp_path, manager):
    run_toy(planned(tmp_path, manager, "fill"), manager, tmp_path / "runs")
    assert "stated" not in to_markdown(build_board(load_runs(tmp_path / "runs")))


def test_noise_in_the_hidden_masks_changes_no_label(tmp_path, manager):
    write(tmp_path / "psa", "psa")
    plans = [planned(tmp_path, manager, row("theirs", "psa"))]
    poisoned = load_benchmark(tmp_path / "mine.yaml", ["dataset.params.masks=1"])
    plans.append(build_plan(poisoned, manager, modelling=MODELLING))
    keys = [{spec.kind: key for key, spec in plan.stages.items()} for plan in plans]
    assert keys[0]["score_labels"] != keys[1]["score_labels"]
    assert [keys[0][kind] for kind in ("generate", "segmenter")] == [
        keys[1][kind] for kind in ("generate", "segmenter")
    ]


def shrink(path: Path) -> None:
    np.save(path, np.load(path)[:4])


def turn_to_class(path: Path, number: int) -> None:
    np.save(path, np.full((SIDE, SIDE), number, np.int64))


def attack(path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return os.system, ("touch owned",)

    np.save(path, {0: Attack()}, allow_pickle=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "params", "sentence"),
    [
        (
            lambda path: path.unlink(),
            {},
            "1 of 4 images have no file, the first is 'train2'; add them, or set `missing:",
        ),
        (shrink, {}, "'train2'.*train2.npy: is 4x8, the image 8x8.*must have the size of its image"),
        (attack, {}, "train2.npy: holds posix.system, which is not read"),
        (lambda path: turn_to_class(path, 3), {}, "'train2'.*number 3 names no class, numbers are 0 to 2"),
        (
            lambda path: np.save(path, np.ones((5, SIDE, SIDE))),
            {},
            "5 planes of scores; 3 with the background or 2 without",
        ),
        (
            lambda path: np.save(path, np.full((3, SIDE, SIDE), 9.0)),
            {},
            "its scores leave .0, 1.; set `normalise: true`",
        ),
        (lambda path: path.write_bytes(b"nothing"), {}, "train2.npy: no .npy file that can be read"),
        (lambda path: np.save(path, np.ones((3, 9, 9))), {}, "is 9x9, the image 8x8.*but not larger or turned"),
        (lambda path: as_grey(path, drawn("train2")), {}, "'train2' has train2.png and train2.npy"),
        (lambda path: None, {"supervision": "X"}, "supervision: 'X': 'X' is no kind; write none, or letters"),
        (lambda path: None, {"annotation_hours": -1.0}, "annotation_hours: must lie between 0 and"),
        (
            lambda path: None,
            {"numbers": {"7": "cow"}},
            "numbers: 'cow' is no class of the data set .classes: background",
        ),
        (lambda path: None, {"base": 0, "numbers": {"0": "one"}}, "base and numbers both say which class a number is"),
        (lambda path: None, {"folder": "absent"}, "absent: no such folder"),
        (lambda path: None, {"suffix": ".jpg.npy"}, "holds a file of none of the 4 images, for example of 'train0'"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence_of_the_plan(tmp_path, manager, monkeypatch, change, params, sentence):
    monkeypatch.chdir(tmp_path)
    change(write(tmp_path / "npy", "npy") / "train2.npy")
    said = refused(tmp_path, manager, row("theirs", "npy", **params) if "folder" not in params else row("x", **params))
    assert re.search(sentence, said), said
    assert not (tmp_path / "owned").exists()


@pytest.fixture
def tagged(monkeypatch):
    """Tags of the toys: image 0 shows class one alone, image 1 class two alone."""
    tags = {"train0": (1,), "train1": (2,)}
    monkeypatch.setattr(toy_dataset(), "tags", lambda self, image_id: tags.get(image_id, (1, 2)))


def toy_dataset() -> Any:
    (module,) = {
        m for name, m in sys.modules.items() if name.startswith("wsss_file_toy_plugin") and hasattr(m, "ToyDataset")
    }
    return module.ToyDataset


def keyed(folder: Path, keys: dict[str, list[int]]) -> None:
    folder.mkdir()
    for image_id in TRAIN:
        maps = {key: np.ones((4, 4), np.float32) for key in keys.get(image_id, [])}
        np.save(folder / f"{image_id}.npy", maps, allow_pickle=True)  # type: ignore[arg-type]


def test_a_class_that_an_image_does_not_have_is_refused_with_image_and_class(tmp_path, manager, tagged):
    keyed(tmp_path / "psa", {"train0": [0], "train1": [0]})
    said = refused(tmp_path, manager, row("theirs", "psa", base=0))
    assert "image 'train1'" in said
    assert "names class 'one' (number 0 at base 0), the image is tagged 'two'" in said


def test_a_wrong_base_is_refused_and_the_right_one_named(tmp_path, manager, tagged):
    keyed(tmp_path / "psa", {"train0": [0], "train1": [1]})
    said = refused(tmp_path, manager, row("theirs", "psa", base=1))
    assert "names the background alone at base 1, the image is tagged 'one', and would fit at base 0" in said
    keyed(tmp_path / "behind", {"train0": [1], "train1": [2]})
    said = refused(tmp_path, manager, row("theirs", "behind", base=0))
    assert "names class 'two' (number 1 at base 0), the image is tagged 'one', and would fit at base 1" in said


def test_the_tags_tell_the_base(tmp_path, manager, tagged):
    keyed(tmp_path / "psa", {"train0": [0], "train1": [1]})
    keyed(tmp_path / "behind", {"train0": [0, 1], "train1": [0, 2]})
    rows = [row("zero", "psa", threshold=0.5), row("one", "behind", threshold=2.0)]
    run_toy(planned(tmp_path, manager, *rows), manager, tmp_path / "runs")
    for name, expected in (("zero", [1, 2, 0, 0]), ("one", [0, 0, 0, 0])):
        labels = LabelReader(artifact(tmp_path / "runs", records(tmp_path / "runs")[f"{name}--net--s0"], "r1/generate"))
        assert [int(labels.mask(image_id)[0, 0]) for image_id in TRAIN] == expected
    scores = labels.scores("train1")
    assert scores is not None
    assert scores.classes == (0, 2)


def test_a_base_that_the_tags_cannot_tell_must_be_stated(tmp_path, manager):
    write(tmp_path / "psa", "psa")
    keyed(tmp_path / "one", {image_id: [1] for image_id in TRAIN})
    assert "base: the tags of all images allow 0 and 1; set base" in refused(tmp_path, manager, row("x", "one"))
    assert "without tags nothing says which class" in refused(tmp_path, manager, row("x", "psa", check_tags=False))


def test_missing_files_are_counted_and_may_be_allowed(tmp_path, manager):
    (write(tmp_path / "npy", "npy") / "train2.npy").unlink()
    rows = [row(missing, "npy", missing=missing) for missing in ("ignore", "background")]
    run_toy(planned(tmp_path, manager, *rows), manager, tmp_path / "runs")
    for name, value in (("ignore", 255), ("background", 0)):
        record = records(tmp_path / "runs")[f"{name}--net--s0"]
        assert record["stated"]["notes"] == [f"1 of 4 images have no file ({name})"]
        mask = LabelReader(artifact(tmp_path / "runs", record, "r1/generate")).mask("train2")
        assert set(mask.ravel().tolist()) == {value}


def test_maps_that_are_smaller_than_the_image_are_resized_and_the_table_says_so(tmp_path, manager):
    keyed(tmp_path / "cams", {image_id: [0, 1] for image_id in TRAIN})
    plan = planned(tmp_path, manager, row("cams", "cams", base=0), row("erased", "cams", base=0, refiners=["erase"]))
    run_toy(plan, manager, tmp_path / "runs")
    found = records(tmp_path / "runs")
    assert {record["status"] for record in found.values()} == {"ok"}
    markdown = to_markdown(build_board(load_runs(tmp_path / "runs")))
    assert "cams: 4 of 4 maps are smaller than their image and resized to it." in markdown


def test_numbers_of_a_larger_data_set_are_mapped_by_name(tmp_path, manager):
    (tmp_path / "voc").mkdir()
    for image_id in TRAIN:
        as_palette(tmp_path / "voc" / image_id, np.array([0, 8, 12, 15], np.uint8)[drawn(image_id)])
    numbers = {"0": "background", "8": "one", "12": "two"}
    run_toy(planned(tmp_path, manager, row("theirs", "voc", numbers=numbers)), manager, tmp_path / "runs")
    found = LabelReader(artifact(tmp_path / "runs", records(tmp_path / "runs")["theirs--net--s0"], "r1/generate"))
    np.testing.assert_array_equal(found.mask("train1"), drawn("train1"))
    del numbers["12"]
    assert "number 12 names no class" in refused(tmp_path, manager, row("theirs", "voc", numbers=numbers))
    planned(tmp_path, manager, row("theirs", "voc", numbers=numbers, other="ignore"))


def test_other_content_under_the_same_name_is_another_key(tmp_path, manager):
    write(tmp_path / "npy", "npy")
    before = set(planned(tmp_path, manager, row("theirs", "npy")).stages)
    turn_to_class(tmp_path / "npy" / "train2.npy", 1)
    assert not before & set(planned(tmp_path, manager, row("theirs", "npy")).stages)


def test_what_is_stated_must_be_possible():
    with pytest.raises(ConfigError, match="is no kind"):
        Stated("I+X")
    assert parse_letters("B+F18%+F(aux)") == parse_letters("F(aux)+F18%+B")
