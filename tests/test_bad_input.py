"""Bad input gives one sentence that names file and field, exit code 2, and leaves nothing half-written."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from harness.cli.main import app

ROOT = Path(__file__).parent.parent
OPTIM = {"iterations": 2, "batch_size": 2}
CLASSES = {"background": 0, "thing": 7}


@pytest.fixture
def project(tmp_path):
    """A sound benchmark on four images in VOC layout; each test breaks one thing."""
    rng = np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for name in "abcd":
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), np.uint8)).save(tmp_path / f"data/JPEGImages/{name}.jpg")
        mask = np.zeros((40, 48), np.uint8)
        mask[10:30, 10:30] = 7
        Image.fromarray(mask).save(tmp_path / f"data/SegmentationClass/{name}.png")
    (tmp_path / "data/train.txt").write_text("a\nb\n")
    (tmp_path / "data/val.txt").write_text("c\nd\n")
    shutil.copy(ROOT / "configs/segmenters/fcn.py", tmp_path / "fcn.py")
    config = {
        "name": "bad",
        "dataset": {
            "name": "voc",
            "params": {"name": "mine", "root": str(tmp_path / "data"), "train": "train.txt", "val": "val.txt",
                       "classes": dict(CLASSES)},
        },
        "backbones": ["tiny"],
        "methods": ["background"],
        "protocol": {
            "classifier": {"optim": OPTIM, "augment": {"crop": 32}},
            "segmenter": {"config": "fcn.py", "optim": OPTIM, "augment": {"crop": 32}},
        },
    }  # fmt: skip
    return tmp_path, yaml.safe_load(yaml.safe_dump(config))


def invoke(folder, config, *arguments, command="plan", text=None):
    """Exit code and everything printed."""
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(config) if text is None else text)
    result = CliRunner().invoke(app, [command, str(path), "--runs", str(folder / "runs"), *arguments])
    return result.exit_code, " ".join(result.output.split())


def set_field(config, dotted, value):
    *parents, last = dotted.split(".")
    for key in parents:
        config = config[key]
    config[last] = value


def test_the_project_that_is_broken_below_is_sound(project):
    code, output = invoke(*project)
    assert code == 0, output


FIELDS = [
    # field, value, what the sentence names
    ("protocol.segmenter.optim.iterations", -1, ["bench.yaml", "protocol.segmenter.optim.iterations"]),
    ("protocol.segmenter.optim.lr", "fast", ["bench.yaml", "protocol.segmenter.optim.lr"]),
    ("protocol.segmenter.optim.learning_rate", 0.1, ["bench.yaml", "learning_rate"]),
    ("protocol.cam", {"treshold": 0.3}, ["bench.yaml", "treshold", "threshold"]),
    ("protocol.cam", {"threshold": 1.5}, ["bench.yaml", "protocol.cam.threshold"]),
    ("protocol.classifier.augment.crop", 4, ["bench.yaml", "protocol.classifier.augment.crop"]),
    ("protocol.segmenter.config", "nowhere.py", ["nowhere.py"]),
    ("methods", ["cma"], ["cma", "cam"]),
    ("methods", [], ["bench.yaml", "methods"]),
    ("methods", [{"name": "cam", "params": {"treshold": 0.2}}], ["treshold", "threshold"]),
    ("methods", [{"name": "cam", "params": {"threshold": "high"}}], ["threshold"]),
    ("methods", ["cam", "cam"], ["bench.yaml", "cam"]),
    ("backbones", ["tinny"], ["tinny", "tiny"]),
    ("backbones", [{"name": "tiny", "weights": "no_such.pth"}], ["no_such.pth"]),
    ("seeds", ["one"], ["bench.yaml", "seeds"]),
    ("dataset.name", "vok", ["vok", "voc"]),
    ("dataset.params.root", "/no/such/folder", ["/no/such/folder"]),
    ("dataset.params.root", "${WSSS_NOT_SET}/x", ["WSSS_NOT_SET"]),
    ("dataset.params.trian", "train.txt", ["trian", "train"]),
    ("dataset.params.classes", {"background": 0}, ["classes"]),
    ("dataset", "missing.yaml", ["missing.yaml"]),
    ("dataset", "a\0b.yaml", ["bench.yaml", "NUL byte"]),
    ("dataset.params.root", "a\0b", ["NUL byte"]),
    ("dataset.params.train", "\x1b[2Jx" * 60, ["\\x1b"]),
    ("protocol.segmenter.config", "a\0b.py", ["bench.yaml", "protocol.segmenter.config", "NUL byte"]),
    ("protocol.segmenter.config", "x" * 300, ["bench.yaml", "protocol.segmenter.config", "name is too long"]),
    ("protocol.segmenter.config", "/dev/null", ["bench.yaml", "protocol.segmenter.config", "is a device"]),
    ("protocol.segmenter.config", "data", ["bench.yaml", "protocol.segmenter.config", "is a folder"]),
    ("backbones", [{"name": "tiny", "weights": "a\0b"}], ["bench.yaml", "backbones.tiny.weights", "NUL byte"]),
    ("backbones", [{"name": "tiny", "weights": "data"}], ["bench.yaml", "backbones.tiny.weights", "is a folder"]),
    ("backbones", {}, ["bench.yaml", "backbones"]),
    ("methods", 5, ["bench.yaml", "methods"]),
    ("methods", [["cam"]], ["bench.yaml", "methods.0"]),
    ("protocol.test", {"scales": [[1.0]]}, ["bench.yaml", "protocol.test.scales"]),
    ("protocol.test", {"scales": [None]}, ["bench.yaml", "protocol.test.scales"]),
    ("protocol.test", {"scales": []}, ["bench.yaml", "protocol.test.scales"]),
    ("protocol.cam", {"scales": ["1.0"]}, ["bench.yaml", "protocol.cam.scales"]),
    ("protocol.segmenter.output_stride", 3, ["bench.yaml", "protocol.segmenter.output_stride", "set 8 or 16 or 32"]),
    ("name", "../../evil", ["bench.yaml", "name"]),
    ("name", "x" * 300, ["bench.yaml", "name"]),
    ("protocol.cam", {5: 1, None: 2}, ["bench.yaml", "protocol.cam"]),
]


@pytest.mark.parametrize(("field", "value", "named"), FIELDS, ids=[f"{f[0]}={f[1]}" for f in FIELDS])
def test_a_wrong_field_is_named(project, field, value, named):
    folder, config = project
    set_field(config, field, value)
    code, output = invoke(folder, config)
    assert code == 2, output
    assert "Traceback" not in output
    for word in named:
        assert word in output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seeds", "9" * 5000),
        ("-o", f"seeds={'9' * 5000}"),
        ("-o", f"seeds={'[' * 3000}{']' * 3000}"),
        ("-o", ".".join("a" * 3000) + "=1"),
        ("-o", "dataset={a, b}"),
        ("-o", "methods=5"),
        ("-o", "=1"),
    ],
)
def test_an_option_with_an_odd_value_is_one_sentence(project, arguments):
    folder, config = project
    set_field(config, "methods", ["full"])
    code, output = invoke(folder, config, *arguments)
    assert code == 2, output
    assert output.startswith("error: ")
    assert "Traceback" not in output
    assert "unexpected" not in output


def _list_of_unknown(data):
    (data / "train.txt").write_text("a\nzebra\n")


def _empty_list(data):
    (data / "train.txt").write_text("")


def _no_list(data):
    (data / "val.txt").unlink()


def _double_line(data):
    (data / "train.txt").write_text("a\na\n")


def _no_mask(data):
    (data / "SegmentationClass/b.png").unlink()


def _truncated_image(data):
    path = data / "JPEGImages/b.jpg"
    path.write_bytes(path.read_bytes()[:400])


def _no_image_at_all(data):
    (data / "JPEGImages/b.jpg").write_text("hello")


def _unknown_id(data):
    Image.fromarray(np.full((40, 48), 9, np.uint8)).save(data / "SegmentationClass/b.png")


def _wrong_size(data):
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(data / "SegmentationClass/b.png")


DAMAGE = [
    (_list_of_unknown, ["zebra"]),
    (_empty_list, ["train.txt"]),
    (_no_list, ["val.txt"]),
    (_double_line, ["train.txt", "a"]),
    (_no_mask, ["b.png"]),
    (_truncated_image, ["b.jpg"]),
    (_no_image_at_all, ["b.jpg"]),
    (_unknown_id, ["b.png", "9"]),
    (_wrong_size, ["b.png"]),
]


@pytest.mark.parametrize(("damage", "named"), DAMAGE, ids=[d[0].__name__ for d in DAMAGE])
def test_damaged_data_is_named(project, damage, named):
    folder, config = project
    damage(folder / "data")
    code, output = invoke(folder, config)
    if code == 0:  # what planning need not open, running does
        code, output = invoke(folder, config, "--no-table", command="run")
    assert code == 2, output
    assert "Traceback" not in output
    for word in named:
        assert word in output
    assert not list(folder.glob("runs/records/*/*"))


def _void(data):
    for name in "cd":
        Image.fromarray(np.full((40, 48), 255, np.uint8)).save(data / f"SegmentationClass/{name}.png")


def _binary(data):
    for name in "abcd":
        path = data / f"SegmentationClass/{name}.png"
        Image.fromarray((np.array(Image.open(path)) > 0).astype(np.uint8) * 255).save(path)


def _turned(data):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(data / "JPEGImages/c.jpg").save(data / "JPEGImages/c.jpg", exif=exif)


def _deep(data):
    (data / "JPEGImages/b.jpg").unlink()
    Image.fromarray(np.full((40, 48), 4000, np.uint16)).save(data / "JPEGImages/b.png")


def _jpeg_mask(data):
    Image.new("L", (48, 40)).save(data / "SegmentationClass/b.png", format="JPEG")


def _pipe(data):
    (data / "SegmentationClass/b.png").unlink()
    os.mkfifo(data / "SegmentationClass/b.png")


PLANNED = [
    (_void, "every pixel of the val masks is ignored (255)"),
    (_binary, "are binary, 0 and 255; write classes: {background: 0, thing: 255}"),
    (_turned, "its EXIF orientation 3 says that it is shown turned by 180 degrees"),
    (_deep, "a photograph has 8 bits per channel"),
    (_jpeg_mask, "is JPEG inside, whatever its name says"),
    (_pipe, "is a pipe, a file is needed"),
    (_wrong_size, "40x40 pixels, but the image"),
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("damage", "sentence"), PLANNED, ids=[d[0].__name__ for d in PLANNED])
def test_data_that_would_be_misread_stop_the_plan_and_the_check_alike(project, damage, sentence):
    folder, config = project
    damage(folder / "data")
    code, output = invoke(folder, config)
    assert code == 2, output
    assert sentence in output
    (folder / "mine.yaml").write_text(yaml.safe_dump(config["dataset"], sort_keys=False))
    result = CliRunner().invoke(app, ["datasets", "check", str(folder / "mine.yaml")])
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


@pytest.mark.parametrize("text", ["name: [", "- a\n- b\n", "", "name: x\nname: y\n"])
def test_a_file_that_is_no_benchmark_is_named(project, text):
    code, output = invoke(*project, text=text)
    assert code == 2, output
    assert "bench.yaml" in output
    assert "Traceback" not in output


def test_a_missing_file_is_named(tmp_path):
    result = CliRunner().invoke(app, ["run", str(tmp_path / "nowhere.yaml")])
    assert result.exit_code == 2
    assert "nowhere.yaml" in "".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["-o", "protocol.segmenter.optim.lr"], "="),
        (["-o", "protocol.segmentr.optim.lr=1"], "segmentr"),
        (["--methods", "nothing*"], "nothing*"),
        (["--seeds", "a"], "--seeds"),
        (["--plugin", "no_plugin.py"], "no_plugin.py"),
    ],
)
def test_a_wrong_argument_is_named(project, arguments, named):
    code, output = invoke(*project, *arguments)
    assert code == 2, output
    assert named in output
    assert "Traceback" not in output


def test_a_batch_of_one_image_with_a_pooling_head_is_refused_at_plan_and_one_without_is_not(project):
    folder, config = project
    shutil.copy(ROOT / "configs/segmenters/pspnet.py", folder / "pspnet.py")
    set_field(config, "methods", ["full"])
    set_field(config, "protocol.segmenter.optim", OPTIM | {"batch_size": 1})
    assert invoke(folder, config)[0] == 0
    set_field(config, "protocol.segmenter.config", "pspnet.py")
    code, output = invoke(folder, config)
    assert code == 2, output
    assert "bench.yaml: protocol.segmenter.optim.batch_size: the segmenter with backbone 'tiny'" in output
    assert "set at least 2" in output
