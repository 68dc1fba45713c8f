"""A row of CLIP-ES runs from files that the user brings, resumes, sees tags alone, and is refused without its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.contract import TAGS, ConfigError
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import Plan, build_plan
from harness.registry import PluginManager, PluginSpec, build_params, manager_from_spec
from harness.testing import check_row, fake_context, fake_view, scenes
from tests.engine.toy import BENCHMARK, MODELLING, PLUGIN, Inline, records, run_toy
from wsss_clip_es import method
from wsss_clip_es.generator import ClipEs, class_maps, labelled, normalised
from wsss_clip_es.params import ClipEsParams
from wsss_clip_es.tests.clip_toy import random_state, write_vocabulary
from wsss_clip_es.text import texts_for
from wsss_clip_es.weights import load_clip

BUILTINS = ("harness.engine.executors.builtin", "harness.maps.builtin", "harness.scoring.builtin", "wsss_clip_es")
CLASSES = ("background", "one", "two", "three")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with toy weights, a vocabulary, and vectors of the toys' classes."""
    folder = tmp_path_factory.mktemp("clip")
    torch.save(random_state(), folder / "clip.pt")
    write_vocabulary(folder / "bpe.txt.gz")
    write_texts(folder / "text.npz", CLASSES[1:])
    return folder


def write_texts(path: Path, classes: tuple[str, ...]) -> None:
    """Vectors that know nothing of the classes."""
    rng = np.random.default_rng(0)
    foreground, background = rng.normal(size=(len(classes), 16)), rng.normal(size=(4, 16))
    np.savez(path, classes=np.array(classes), foreground=foreground, background=background)


def params(files: Path, **changes: Any) -> ClipEsParams:
    return ClipEsParams(**{"weights": files / "clip.pt", "text": files / "text.npz", **changes})


def drawn(height: int = 37, width: int = 54) -> Any:
    y, x = np.mgrid[:height, :width]
    return np.stack([5 * y, 4 * x, (y + x) % 256], axis=2).astype(np.uint8)


def labels(files: Path, folder: Path, tags: tuple[int, ...], **changes: Any) -> Any:
    view = fake_view({"a": drawn()}, tags={"a": tags}, classes=CLASSES, needs=(TAGS,))
    (label,) = ClipEs(params(files, **changes)).generate(view, fake_context(folder, settings={"cam": cam_settings()}))
    return label


def cam_settings() -> Any:
    from harness.contract.protocol import CamSettings

    return CamSettings(stride=4)


def test_a_label_has_the_size_of_its_image_and_maps_of_its_tags_at_the_stride(files, tmp_path):
    label = labels(files, tmp_path, (1, 3))
    assert label.mask.shape == (37, 54)
    assert set(np.unique(label.mask)) <= {0, 1, 3, 255}
    assert label.scores.classes == (1, 3)
    assert label.scores.values.shape == (2, 10, 14)
    assert 0 <= label.scores.values.min() <= label.scores.values.max() <= 1


def test_prompts_read_by_the_weights_make_labels_too(files, tmp_path):
    label = labels(files, tmp_path, (2,), text=None, vocabulary=files / "bpe.txt.gz", crf=False)
    assert set(np.unique(label.mask)) == {0, 2}


def test_an_image_without_tags_is_all_background_and_the_next_one_is_made(files, tmp_path):
    view = fake_view({"a": drawn(), "b": drawn()}, tags={"a": (), "b": (2,)}, classes=CLASSES, needs=(TAGS,))
    context = fake_context(tmp_path, settings={"cam": cam_settings()})
    first, second = ClipEs(params(files, crf=False)).generate(view, context)
    assert not first.mask.any()
    assert second.scores.classes == (2,)


def test_switches_change_the_label_as_they_say(files, tmp_path):
    certain = labels(files, tmp_path, (1, 2), confidence=0.0)
    assert 255 not in certain.mask
    doubtful = labels(files, tmp_path, (1, 2), confidence=1.0)
    assert (doubtful.mask == 255).mean() > 0.5
    plain = labels(files, tmp_path, (1, 2), crf=False)
    assert 255 not in plain.mask
    for change in ({"caa": False}, {"softmax": False}, {"last_layers": 1}, {"half_positions": False}):
        other = labels(files, tmp_path, (1, 2), crf=False, **change)
        assert (other.scores.values != plain.scores.values).any(), change


def test_the_image_is_brought_to_whole_patches_and_to_the_numbers_that_clip_expects():
    pixels = normalised(np.full((37, 54, 3), 255, np.uint8), 16)
    assert pixels.shape == (1, 3, 48, 64)
    torch.testing.assert_close(pixels[0, :, 5, 5], torch.tensor([1.9303, 2.0749, 2.1459]), rtol=0, atol=1e-4)


def test_without_attention_maps_are_those_of_grad_cam(files):
    given = params(files, caa=False)
    clip = load_clip(given.weights)
    texts = texts_for(given, clip, CLASSES)
    image = drawn(32, 32)
    maps = class_maps(image, (2,), clip, texts, params=given, device="cpu")
    with torch.no_grad():
        tokens, _ = clip.image.before_last(normalised(image, 8))
    present = torch.cat([texts.foreground[1:2], texts.background])
    raw, _, _ = method.grad_cams(clip.image, tokens, present, 1, scale=clip.scale)
    np.testing.assert_allclose(maps, method.enlarged(method.cams(raw, (4, 4)), (32, 32)), atol=1e-6)


def test_the_official_image_of_the_crf_gives_another_label():
    ramp = np.linspace(90, 140, 40).astype(np.uint8)  # across the means, where the authors' picture wraps
    image = np.repeat(ramp[None, :, None], 24, axis=0).repeat(3, axis=2)
    maps = np.random.default_rng(0).random((1, 24, 40), np.float32)
    given = {"weights": Path("w"), "text": Path("t"), "confidence": 0.0}
    seen = [
        labelled(image, maps, (0, 1), params=ClipEsParams(**given, crf_image=kind), device="cpu")
        for kind in ("true", "official")
    ]
    assert (seen[0] != seen[1]).any()


def test_a_row_passes_the_conformance_kit(files, tmp_path):
    classes = scenes.make(scenes.Params()).classes[1:]
    write_texts(tmp_path / "text.npz", classes)
    given = {"weights": str(files / "clip.pt"), "text": str(tmp_path / "text.npz"), "crf": False}
    generator = {"name": "clip_es", "params": given}
    row = {"name": "clip", "rounds": [{"generator": generator}], "labels_only": True}
    findings = check_row(row, manager_from_spec(PluginSpec(env="")), tmp_path / "kit")
    assert [finding for finding in findings if finding.status == "fail"] == []
    assert {"labels", "deterministic", "supervision", "images", "resume", "writes"} <= {item.check for item in findings}


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    return manager_from_spec(PluginSpec(files=(str(PLUGIN),), env="", builtins=BUILTINS))


def planned(folder: Path, manager: PluginManager, **given: Any) -> Plan:
    """The plan of a benchmark in ``folder`` with a row of this method."""
    generator = {"name": "clip_es", "params": given}
    row = {"name": "clip", "rounds": [{"generator": generator, "refiners": ["dense_crf"], "segmenter": "toy"}]}
    (folder / "model.py").write_text("model = dict(type='EncoderDecoder')\n")
    (folder / "mine.yaml").write_text(json.dumps({**BENCHMARK, "methods": [row]}))
    return build_plan(load_benchmark(folder / "mine.yaml"), manager, modelling=MODELLING)


def test_a_row_with_a_refiner_behind_it_ends_with_a_segmenter(files, tmp_path, manager):
    plan = planned(tmp_path, manager, weights=str(files / "clip.pt"), text=str(files / "text.npz"), crf=False)
    run_toy(plan, manager, tmp_path / "runs", executor=Inline)
    (record,) = records(tmp_path / "runs").values()
    assert record["status"] == "ok"
    assert record["pretrained"] == [{"name": "CLIP", "trained_on": "400 million images with texts", "letter": "L"}]
    assert record["meter"].keys() == {"images", "tags"}
    assert str(files) not in json.dumps(record["rounds"])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"weights": "ViT-B-16.pt", "vocabulary": "bpe.txt.gz"}, "ViT-B-16.pt: no such file"),
        (
            {"weights": "clip.pt", "vocabulary": "bpe.txt.gz", "template": "{} " + "x" * 99},
            "tokens, this CLIP reads 77",
        ),
        (
            {"weights": "clip.pt", "vocabulary": "bpe.txt.gz", "text": "text.npz"},
            "give vocabulary (prompts are read by the weights), or text, and not both",
        ),
        (
            {"weights": "image.pt", "vocabulary": "bpe.txt.gz"},
            "has no text tower, so the prompts must come from `text`",
        ),
        ({"weights": "bpe.txt.gz", "text": "text.npz"}, "bpe.txt.gz: cannot be read as weights"),
        ({"weights": "clip.pt", "text": "other.npz"}, "other.npz: has no class 'one'; it has cat"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence_of_the_plan(files, tmp_path, manager, given, sentence):
    torch.save(random_state(text=False), files / "image.pt")
    np.savez(files / "other.npz", classes=np.array(["cat"]), foreground=np.ones((1, 16)), background=np.ones((1, 16)))
    paths = {name: str(files / value) if name != "template" else value for name, value in given.items()}
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, manager, **paths)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert sentence in str(caught.value)


def test_other_weights_under_the_same_name_are_another_key(files, tmp_path, manager):
    given = {"weights": str(tmp_path / "w.pt"), "text": str(files / "text.npz")}
    torch.save(random_state(), tmp_path / "w.pt")
    before = {spec.kind: key for key, spec in planned(tmp_path, manager, **given).stages.items()}
    torch.save({**random_state(), "logit_scale": torch.tensor(3.0)}, tmp_path / "w.pt")
    after = {spec.kind: key for key, spec in planned(tmp_path, manager, **given).stages.items()}
    assert before["generate"] != after["generate"]


def test_parameters_are_those_of_the_paper_by_default(manager):
    record = manager.get("generator", "clip_es")
    built = build_params(record, {"weights": "w", "text": "t"}, where="x")
    assert (built.last_layers, built.box_threshold, built.confidence) == (8, 0.4, 0.95)
    assert (built.template, len(built.background)) == ("a clean origami {}.", 25)
