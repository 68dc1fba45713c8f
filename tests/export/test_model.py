"""A network that leaves is loaded by mmseg alone, and predicts what the store holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from harness.contract import StoreError
from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings
from harness.contract.protocol import TestSettings as Settings
from harness.contract.run_record import RunRecord
from harness.data.images import read_image
from harness.export import export_model, find_row
from harness.modelling import inference, mm
from harness.modelling.networks import CONFIG, WEIGHTS, save_network, seeded_model
from harness.modelling.segmenter import build_config
from tests.commands import wsss
from tests.export.conftest import SIZES, photograph

SEGMENTERS = Path(__file__).parents[2] / "configs" / "segmenters"
PROGRAM = Path(__file__).with_name("plain_mmseg.py")
CASES = {
    "plain": ("tiny", "mlp_stride8", None, {}),
    "base": ("tiny", "fcn", 40, {}),
    "dilated": ("mobilenet_v2_x0.35", "deeplabv1", None, {}),
    "attention": ("mit_b0", "segformer", None, {}),
    "plugin": ("tiny", "fcn", None, {"type": "UncertainHead", "base": "FCNHead", "variances": 1}),
}


def artifact(folder, backbone, head, changes, classes=3):
    """A segmenter as a training writes it, with random weights."""
    settings = SegmenterSettings(
        config=str(SEGMENTERS / f"{head}.py"),
        optim=OptimSettings(iterations=1),
        augment=AugmentSettings(crop=32),
        output_stride=16,
    )
    cfg = build_config(settings, BackboneSettings(name=backbone), classes)
    cfg.model.decode_head.update(changes)
    if changes:
        import wsss_label_uncertainty.network  # noqa: F401  # registers the head

        cfg.model.decode_head.loss_decode = {"type": "LabelUncertaintyLoss", "fill": [0.5] * classes}
    model = seeded_model(cfg.model, 0)
    folder.mkdir()
    imports = ["wsss_label_uncertainty.network"] if changes else []
    config = {"model": mm.plain(cfg.model, sync_bn=True), "imports": imports}
    model.eval()
    pixels = model.data_preprocessor.normalise(torch.from_numpy(photograph(0)[0])[None])
    with torch.no_grad():  # every class wins somewhere
        model.decode_head.conv_seg.weight *= 3
        logits = model.encode_decode(pixels, [{"img_shape": SIZES[0]}])
        model.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))
    save_network(folder, model.state_dict(), weights=WEIGHTS, configs={CONFIG: config})


def row_of(record: RunRecord, folder: Path, base: int | None) -> SimpleNamespace:
    run = SimpleNamespace(confusions=lambda name: None)
    settings = Settings(base=base)
    return SimpleNamespace(record=record, segmenter=folder, folder=folder, settings=settings, name="a--b--s0", run=run)


@pytest.fixture(scope="module")
def exported(photo_folder, tmp_path_factory):
    """Folder of each case, after mmseg has predicted with all of them in one program."""
    folder = tmp_path_factory.mktemp("networks")
    record = find_row(photo_folder / "runs", "full").record.model_copy(update={"scores": {}})
    for name, (backbone, head, base, changes) in CASES.items():
        artifact(folder / f"{name}.artifact", backbone, head, changes)
        export_model(row_of(record, folder / f"{name}.artifact", base), folder / name, onnx=False)
    images = photo_folder / "data" / "JPEGImages"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", str(PROGRAM), str(images), *(str(folder / name) for name in CASES)]
    ending = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ending.returncode == 0, ending.stderr
    assert "unexpected key" not in ending.stdout + ending.stderr
    return folder


@pytest.mark.parametrize("case", CASES)
def test_plain_mmseg_predicts_what_the_harness_predicts_pixel_for_pixel(exported, photo_folder, case):
    paths = sorted((photo_folder / "data" / "JPEGImages").glob("*.png"))
    items = [(path.stem, read_image(path)) for path in paths]
    settings = Settings(base=CASES[case][2])
    with np.load(exported / case / "predicted.npz") as predicted:
        shown = set()
        for name, mask in inference.predict(exported / f"{case}.artifact", items, settings=settings):
            np.testing.assert_array_equal(predicted[name], mask)
            shown |= set(np.unique(mask))
    assert len(shown) > 1, "a network that knows one class proves nothing"
    assert (exported / case / "classes.txt").read_text() == "background red blue"


def test_what_mmseg_does_not_have_is_source_beside_the_configuration(exported):
    assert {path.name for path in (exported / "plain").iterdir()} >= {"config.py", "model.pth", "README.md"}
    for case in CASES:
        (package,) = (exported / case).glob("wsss_model_*")
        files = {path.stem for path in package.glob("*.py")} - {"__init__", "harness_modelling_exported"}
        assert (case in ("plain", "base")) == (not files)
        text = "".join(path.read_text() for path in package.glob("*.py"))
        assert "import harness" not in text
        assert "from harness." not in text.replace("Taken from harness.", "")
        assert "register_module" not in text
    assert not [name for name in weights(exported / "plugin") if "loss" in name]


def weights(folder):
    return torch.load(folder / "model.pth", weights_only=True)["state_dict"]


def test_the_checkpoint_holds_names_colours_and_the_configuration_mean_and_deviation(exported):
    meta = torch.load(exported / "plain" / "model.pth", weights_only=True)["meta"]["dataset_meta"]
    assert meta == {"classes": ["background", "red", "blue"], "palette": [[0, 0, 0], [128, 0, 0], [0, 128, 0]]}
    text = (exported / "plain" / "config.py").read_text()
    assert "[123.675, 116.28, 103.53]" in text
    assert "[58.395, 57.12, 57.375]" in text


def export(photo_folder, *more):
    return wsss("export", *more, "--runs", photo_folder / "runs")


def test_a_trained_row_is_compared_with_the_store_and_says_how_it_is_loaded(photo_folder, tmp_path):
    code, output = export(photo_folder, "full", "--model", tmp_path / "out", "--no-onnx")
    reader = find_row(photo_folder / "runs", "full").predictions()
    pixels = sum(reader.mask(name).size for name in reader.ids)
    told = f"(0 of {pixels:,} pixels of 4 validation images differ from the stored predictions)"
    assert (code, output) == (0, f"model of full--tiny--s0: {tmp_path / 'out'} {told}\n")
    text = (tmp_path / "out" / "README.md").read_text()
    for words in (
        "mIoU on the validation images: ",
        "(95 % bootstrap interval over 4 images, one seed)",
        "licence of the initial weights: none, they are random",
        "at its own size, scales 1, not mirrored, without a CRF",
        f"4 validation images, {pixels:,} pixels, through mmseg on a CPU: equal pixel for pixel.",
        "There is no ONNX file",
        '"optim": {',
    ):
        assert words in text
    assert not [name for name in sys.modules if name.startswith("wsss_model_")]


def test_a_protocol_of_several_views_is_stated_and_nothing_is_compared(photo_folder, tmp_path):
    row = find_row(photo_folder / "runs", "full")
    several = {**row.record.protocol, "test": {"scales": [0.5, 1.0], "flip": True, "base": 64, "crf": True}}
    row.run.record.__dict__["protocol"] = several
    assert export_model(row, tmp_path / "out", onnx=False, dataset=row.dataset()) is None
    text = (tmp_path / "out" / "README.md").read_text()
    assert "with a long side of 64 pixels, scales 0.5, 1, mirrored too, with a dense CRF behind" in text
    assert "So its labels are not those of the score, which `wsss predict` gives for new images." in text


def test_a_network_that_does_not_predict_what_the_store_holds_does_not_leave(photo_folder, tmp_path, monkeypatch):
    row = find_row(photo_folder / "runs", "full")
    reader = row.predictions()
    masks = {name: np.full_like(reader.mask(name), 9) for name in reader.ids}
    monkeypatch.setattr(type(reader), "mask", lambda self, name: masks[name])
    monkeypatch.setattr(type(row), "predictions", lambda self: reader)
    with pytest.raises(StoreError, match="the exported network differs from the stored predictions in"):
        export_model(row, tmp_path / "out", onnx=False, dataset=row.dataset())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("background", "--model", "OUT"), "predicts without a network of mmseg: there is no model to export"),
        (("full", "--labels", "OUT", "--onnx"), "--onnx and --no-onnx are about the network: add --model DIR"),
    ],
)
def test_what_has_no_network_is_one_sentence(photo_folder, tmp_path, options, words):
    ending = export(photo_folder, *(tmp_path / "out" if option == "OUT" else option for option in options))
    assert (ending.code, ending.output.count("\n")) == (2, 1)
    assert words in ending.output
    assert not list(tmp_path.iterdir())


def test_onnx_without_its_packages_is_one_sentence(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.export.onnx.find_spec", lambda name: None)
    code, output = export(photo_folder, "full", "--model", tmp_path / "out", "--onnx")
    assert (code, output.count("\n")) == (2, 1)
    words = "ONNX needs the packages onnx and onnxruntime: pip install 'wsss-harness[export]'"
    assert output == f"error: {words}\n"
    assert not list(tmp_path.iterdir())
    assert export(photo_folder, "full", "--model", tmp_path / "out").code == 0
    assert f"There is no ONNX file: {words}." in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.onnx
@pytest.mark.parametrize("case", ["plain", "base", "dilated", "attention", "pools"])
def test_onnxruntime_gives_the_same_labels(photo_folder, tmp_path, case):
    import onnx
    import onnxruntime

    cases = {
        **CASES,
        "base": ("mobilenet_v2_x0.35", "mlp_stride8_corners", 40, {}),
        "pools": ("tiny", "pspnet", None, {}),
    }
    backbone, head, base, changes = cases[case]
    artifact(tmp_path / "artifact", backbone, head, changes)
    record = find_row(photo_folder / "runs", "full").record.model_copy(update={"scores": {}})
    export_model(row_of(record, tmp_path / "artifact", base), tmp_path / "out", onnx=True)
    path = tmp_path / "out" / "model.onnx"
    facts = {item.key: json.loads(item.value) for item in onnx.load(str(path)).metadata_props}
    assert facts["classes"] == ["background", "red", "blue"]
    assert facts["mean"] == [123.675, 116.28, 103.53]
    assert (facts["size"] is None) == (case not in ("attention", "pools"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = [np.asarray(Image.fromarray(photograph(number)[0])) for number in range(8)]
    if facts["size"]:
        images = [np.asarray(Image.fromarray(image).resize(facts["size"][::-1])) for image in images]
    items = [(str(number), image) for number, image in enumerate(images)]
    equal = [
        session.run(None, {"image": image[None]})[0][0] == mask
        for (_, image), (_, mask) in zip(
            items, inference.predict(tmp_path / "artifact", items, settings=Settings(base=base)), strict=True
        )
    ]
    share = np.concatenate([item.ravel() for item in equal]).mean()
    assert share >= 0.999
    assert "any size" in (tmp_path / "out" / "README.md").read_text() or facts["size"]
