"""Fields of a benchmark file and its protocol: said by their models, shown by the command, written in the docs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.fields import FieldRow, sections
from harness.cli.main import app

ROOT = Path(__file__).parents[2]


def show(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["plugins", "show", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ["protocol", "benchmark"])
def test_the_page_of_the_docs_is_what_the_command_writes(name: str) -> None:
    assert (ROOT / "docs" / f"{name}-fields.md").read_text(encoding="utf-8") == show(name, "--format", "md")


@pytest.mark.parametrize("name", ["protocol", "benchmark"])
def test_every_field_has_a_meaning_and_every_section_a_text(name: str) -> None:
    for section in sections(name):
        assert section.text
        assert [row.name for row in section.fields if not row.description] == []


def test_a_section_is_shown_with_those_below_it_and_nothing_else() -> None:
    text = show("protocol.segmenter")
    assert "protocol.segmenter.optim" in text
    assert "images per step" in text
    assert "protocol.cam" not in text


def test_json_holds_type_default_and_meaning() -> None:
    (section,) = json.loads(show("protocol.cam.tiles", "--json"))["sections"]
    assert section["addresses"] == ["protocol.cam.tiles"]
    assert section["fields"][0] == {
        "name": "crop",
        "type": "whole number, at least 32",
        "default": "448",
        "description": "side of a tile, in pixels of the scaled image",
    }


def test_types_read_as_words() -> None:
    found = {
        (s.addresses[0], row.name): row.type
        for name in ("protocol", "benchmark")
        for s in sections(name)
        for row in s.fields
    }
    assert found["protocol.classifier.augment", "scale"] == "2 numbers, each above 0"
    assert found["protocol.cam", "scales"] == "list of numbers, each above 0"
    assert found["protocol.classifier.optim", "momentum"] == "number, at least 0 and below 1"
    assert found["protocol.classifier.optim", "optimizer"] == "sgd or adamw"
    assert found["benchmark.backbones", "weights"] == "text or null"


def test_the_fields_of_every_shipped_protocol_are_documented() -> None:
    known: dict[str, set[str]] = {}
    for section in sections("protocol"):
        for address in section.addresses:
            known[address] = {row.name for row in section.fields}

    def compare(value: object, address: str) -> None:
        if isinstance(value, dict):
            assert set(value) <= known[address]
            for key, item in value.items():
                compare(item, f"{address}.{key}")

    for path in (ROOT / "configs" / "benchmarks").rglob("*.yaml"):
        compare(yaml.safe_load(path.read_text())["protocol"], "protocol")


@pytest.mark.parametrize("name", ["protocol.nothing", "protocol.cam.scales", "benchmark.seeds"])
def test_an_unknown_section_is_answered_with_those_that_there_are(name: str) -> None:
    result = CliRunner().invoke(app, ["plugins", "show", name])
    assert result.exit_code == 2
    assert "has no section" in result.output
    assert "sections: " in result.output


def test_rows_of_one_field() -> None:
    row = FieldRow("crop", "whole number, at least 16", "required", "side of the square training crop in pixels")
    assert row in next(s for s in sections("protocol") if s.addresses[0] == "protocol.classifier.augment").fields
