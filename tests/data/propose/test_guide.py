"""What docs/your-own-data.md shows works: its commands lead from a folder to a table."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from harness.modelling.mmseg_params import MmsegParams
from tests.commands import wsss
from tests.data.propose import folders as made
from tests.data.propose.folders import letters

PAGE = (Path(__file__).parents[3] / "docs" / "your-own-data.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line)[2:] for line in re.findall(r"^\$ wsss .*$", PAGE, re.MULTILINE)]
QUICKER = ["-o", "protocol.segmenter.optim.iterations=2", "-o", "protocol.segmenter.optim.batch_size=2", "--jobs", "1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Boxes of YOLO for training images, boxes and masks for validation images."""
    monkeypatch.setenv("WSSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    root = Path("my_photos")
    for split, names in (("train", letters(6)), ("val", letters(4, 6))):
        made.photographs(root / "images" / split, names)
        made.yolo(root / "labels" / split, names)
    made.masks(root / "masks" / "val", letters(4, 6))
    (root / "data.yaml").write_text("names: [cat, dog]\n")
    return root


def test_at_most_six_commands_lead_to_a_table() -> None:
    assert [command[0] for command in COMMANDS] == ["datasets", "datasets", "run", "leaderboard"]
    assert len(COMMANDS) <= 6


@pytest.mark.usefixtures("folder")
def test_the_commands_before_the_run_describe_and_check_the_folder() -> None:
    for command in COMMANDS[:2]:
        assert wsss(*command).code == 0
    assert Path("my_photos.html").is_file()


@pytest.mark.slow  # trains a network for two steps, in a process of its own
@pytest.mark.usefixtures("folder")
def test_the_commands_end_in_a_table() -> None:
    for command in COMMANDS:
        ending = wsss(*command, *(QUICKER if command[0] == "run" else []))
        assert ending.code == 0, ending.output
    table = Path("tables/demo.md").read_text(encoding="utf-8")
    assert "box_fill" in table


def test_the_configuration_of_mmsegmentation_is_valid() -> None:
    (text,) = re.findall(r"^```yaml file=ours\.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert MmsegParams.model_validate(yaml.safe_load(text)["params"]).root == "data/ours"
