"""Code blocks of the guides are run: Python in page order, TOML and YAML are read, shown output is compared."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.main import app
from harness.registry import manager

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page):
    return [(m[1], m[2], m[3]) for m in FENCE.finditer(page.read_text(encoding="utf-8"))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSSS_PLUGINS", "")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_blocks_of_a_page_run_in_order(page, folder):
    names = {"__name__": f"docs_{page.stem.replace('-', '_')}"}
    for language, file, text in blocks(page):
        assert language in ("python", "console", "toml", "yaml", "json"), f"{page.name}: who runs {language}?"
        if file:
            (folder / file).write_text(text, encoding="utf-8")
        if language == "python":
            exec(compile(text, f"{page.name}:{file or 'block'}", "exec"), names if not file else dict(names))
        elif language == "toml":
            tomllib.loads(text)
        elif language == "yaml":
            yaml.safe_load(text)
        elif language == "json":
            json.loads(text)


def test_the_check_shown_in_the_guide_is_what_the_command_prints(folder):
    page = ROOT / "docs/add-a-method.md"
    (source,) = [text for _, file, text in blocks(page) if file == "my_method.py"]
    (shown,) = [text for language, _, text in blocks(page) if language == "console" and "all checks passed" in text]
    (folder / "my_method.py").write_text(source, encoding="utf-8")
    command, _, output = shown.partition("\n")
    result = CliRunner().invoke(app, command.removeprefix("$ wsss ").split())
    assert result.exit_code == 0
    assert result.output == output


def test_a_parameter_of_the_guides_reaches_the_generator(folder):
    guides = (
        ("add-a-method.md", "scaled_ellipse.py", {"scale": 0.7}),
        ("more-components.md", "equivariant.py", {"scale": 0.7, "weight": 2.0}),
    )
    for page, file, values in guides:
        (source,) = [text for _, name, text in blocks(ROOT / "docs" / page) if name == file]
        (folder / file).write_text(source, encoding="utf-8")
        record = manager(plugin_files=[file]).get("method", file.removesuffix(".py"))
        (only,) = record.rounds(record.params(**values))
        assert values.items() <= dict(only.generator.params).items()


COMPONENTS = {
    "equivariant.py": "equivariant",
    "largest_region.py": "cam_largest",
    "tags_alone.py": "tags_alone",
    "ce_and_dice.py": "boxes_dice",
}


def test_each_component_of_the_guide_runs_from_its_file(folder):
    sources = {name: text for _, name, text in blocks(ROOT / "docs/more-components.md") if name in COMPONENTS}
    assert sources.keys() == COMPONENTS.keys()
    for file, source in sources.items():
        assert len([line for line in source.splitlines() if line.strip()]) <= 60
        (folder / file).write_text(source, encoding="utf-8")
    small = ("train=6", "val=2", "size=48")
    options = [*(f"dataset.params.{field}" for field in small), "protocol.segmenter.optim.iterations=2"]
    options += ["protocol.classifier.optim.iterations=4", "protocol.cam.scales=[1.0]"]
    command = ["run", "demo", "--methods", ",".join(COMPONENTS.values()), "--jobs", "1"]
    command += [word for file in COMPONENTS for word in ("--plugin", file)]
    result = CliRunner().invoke(app, [*command, *(word for option in options for word in ("-o", option))])
    assert result.exit_code == 0, result.output
    assert all(row in result.output for row in COMPONENTS.values())


@pytest.mark.slow
@pytest.mark.parametrize("file", COMPONENTS)
def test_each_component_of_the_guide_passes_the_kit(file, folder):
    (source,) = [text for _, name, text in blocks(ROOT / "docs/more-components.md") if name == file]
    (folder / file).write_text(source, encoding="utf-8")
    result = CliRunner().invoke(app, ["plugins", "check", COMPONENTS[file], "--plugin", file])
    assert result.exit_code == 0, result.output
    assert "all checks passed" in result.output
