"""The families of mutations: a sound world, the files that are changed, the ways to change them, the commands.

A case is a family and a number; what it does follows from the two alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import mutate_plugins, mutate_runs, mutate_texts, mutate_trees, worlds
from tests.fuzz.mutate_archives import ARCHIVES
from tests.fuzz.mutate_bytes import CONTENT, KIND, Mutation
from tests.fuzz.mutate_pictures import PICTURES

Command = tuple[str, ...]
"""Arguments; ``{root}`` is the folder of the case."""

OWN_PART = 0.7
"""Share of the cases that use the mutations of the family's own; the others change bytes or the kind of file."""


@dataclass(frozen=True)
class Family:
    """Inputs of one kind.

    Attributes:
        name: Kind, for the counts.
        cases: How many of the whole run.
        world: Makes the sound input.
        files: Patterns below the case's folder; one match of one pattern is changed.
        own: Mutations of this kind of file, beside those of any file.
        commands: What reads it.
        writes: Folders below the case's that the commands may write to.
        signed: Whether checksums of runs are made to fit in half of the cases.
    """

    name: str
    cases: int
    world: Callable[..., None]
    files: Sequence[str]
    own: Mapping[str, Mutation]
    commands: Sequence[Command]
    writes: tuple[str, ...] = ("runs", "out")
    signed: bool = False

    def mutate(self, number: int, root: Path) -> tuple[str, list[Command]]:
        """Change one file of the case; what was changed how, and the commands that read it, or half of many."""
        rng = Random(f"{self.name}/{number}")
        pattern = rng.choice(self.files)
        path = rng.choice(sorted(root.glob(pattern)))
        way = rng.random()
        chosen = self.own if way < OWN_PART and self.own else CONTENT if way < 0.85 and path.is_file() else KIND
        name = rng.choice(sorted(chosen))
        chosen[name](path, rng)
        told = f"{path.relative_to(root)}: {name}"
        if self.signed and rng.random() < 0.5:
            mutate_runs.sign(root / "runs")
            told += ", signed"
        half = len(self.commands) // 2
        commands = self.commands if half < 3 else self.commands[:half] if number % 2 else self.commands[half:]
        return told, [tuple(part.format(root=root) for part in command) for command in commands]


PLUGINS = tuple(text for path in worlds.PLUGINS for text in ("--plugin", str(path)))
BENCH, RUNS, OUT = "{root}/bench/bench.yaml", ("--runs", "{root}/runs"), ("--out", "{root}/out")
CHECK: Command = ("datasets", "check", "{root}/bench/data.yaml")
PLAN: Command = ("plan", BENCH, *PLUGINS, *RUNS)
RUN: Command = ("run", BENCH, *PLUGINS, *RUNS, "--executor", "inline", "--device", "cpu")
DATA = (CHECK, PLAN, RUN)
READERS: tuple[Command, ...] = (
    ("leaderboard", "{root}/runs", *OUT),
    ("leaderboard", BENCH, *PLUGINS, *RUNS, "--allow-mixed", "--claims", "--format", "html,tex", *OUT),
    ("compare", "fill", "learnt", *RUNS, *OUT, *PLUGINS),
    ("verify", "{root}/runs", *PLUGINS),
    ("status", *RUNS),
    ("store", "list", *RUNS),
    PLAN,
    ("store", "gc", *RUNS, "--dry-run"),
    RUN,
    ("store", "gc", *RUNS, "--keep", BENCH, *PLUGINS),
)
"""For what lies below ``runs/``; the last ones write there."""
TREE = {
    "nodes": mutate_trees.json_tree,
    "nodes again": mutate_trees.json_tree,
    "a key twice": mutate_trees.json_repeated_key,
}
YAML = {"nodes": mutate_trees.yaml_tree, "text": mutate_trees.yaml_text}
ARRAYS = {"arrays": mutate_runs.arrays}
XML = {"elements": mutate_trees.xml_tree, "declaration": mutate_trees.xml_head}
LISTS = {"lines": mutate_texts.lines, "every line": mutate_texts.whole_list}
PYTHON = {"statements": mutate_texts.statements}
PLUGIN: dict[str, Mutation] = {
    "what it does": mutate_plugins.acts,
    "its hooks": mutate_plugins.functions,
    "its generator": mutate_plugins.bodies,
    "its lines": mutate_plugins.statements,
}
MINE = ("--plugin", "{root}/bench/mine.py")
LIST: Command = ("plugins", "list", *MINE)
KIT: Command = ("plugins", "check", "mine", *MINE)
"""Imports torch where the plugin is sound, so it takes seconds."""

_read_json = partial(worlds.voc, sources=("boxes.json", "tags.json"))
_read_xml = partial(worlds.voc, sources=("xml", "xml"))
_with_saliency = partial(worlds.voc, methods=("look_at_saliency",))


def _prepare(name: str) -> Command:
    return ("datasets", "prepare", name, "--root", "{root}/data", "--no-download")


def _runs(name: str, cases: int, files: Sequence[str], own: Mapping[str, Any]) -> Family:
    return Family(name, cases, worlds.runs, [f"runs/{file}" for file in files], own, READERS, signed=True)


FAMILIES = (
    Family("image", 150, worlds.voc, ["data/voc/JPEGImages/*"], PICTURES, DATA),
    Family("mask", 150, worlds.voc, ["data/voc/SegmentationClass/*"], PICTURES, DATA),
    Family("saliency", 40, _with_saliency, ["data/voc/Saliency/*"], PICTURES, DATA),
    Family("list", 100, worlds.voc, ["data/voc/*.txt"], LISTS, DATA),
    Family("VOC XML", 100, _read_xml, ["data/voc/Annotations/*"], XML, DATA),
    Family("boxes and tags", 100, _read_json, ["data/voc/*.json"], TREE, DATA),
    Family("COCO JSON", 160, worlds.coco, ["data/coco/annotations/instances*"], TREE, DATA),
    Family(
        "Cityscapes",
        80,
        worlds.cityscapes,
        ["data/city/gtFine/*/*/*_*Ids.png", "data/city/leftImg8bit/*/*/*"],
        PICTURES,
        DATA,
    ),
    Family("Cityscapes list", 20, worlds.cityscapes, ["data/city/train.txt"], LISTS, DATA),
    Family("archive of VOC", 40, worlds.archives, ["data/*.t*"], ARCHIVES, (_prepare("voc2012"),), ("data",)),
    Family("archive of COCO", 40, worlds.archives, ["data/*2017.zip"], ARCHIVES, (_prepare("coco2017"),), ("data",)),
    Family(
        "archive of Cityscapes", 40, worlds.archives, ["data/*test.zip"], ARCHIVES, (_prepare("cityscapes"),), ("data",)
    ),
    Family("benchmark YAML", 160, worlds.configs, ["bench/bench.yaml"], YAML, (PLAN, RUN, READERS[1])),
    Family("data set YAML", 100, worlds.voc, ["bench/data.yaml"], YAML, DATA),
    Family("segmenter file", 70, worlds.segmenter, ["bench/model.py", "bench/other.py"], PYTHON, (PLAN,)),
    Family("plugin file", 100, worlds.plugin, ["bench/mine.py"], PLUGIN, (LIST, (*PLAN, *MINE), (*RUN, *MINE))),
    Family("plugin under the kit", 15, worlds.plugin, ["bench/mine.py"], PLUGIN, (LIST, KIT)),
    _runs("record", 120, ["records/*/*.json"], TREE),
    _runs("confusions", 40, ["records/*/*.npz"], ARRAYS),
    _runs("manifest", 40, ["store/*/*/artifact.json"], TREE),
    _runs("artifact", 30, ["store/*/*/*.npz"], ARRAYS),
    Family("digests", 30, worlds.planned, ["runs/digests.json"], TREE, DATA),
    _runs("notes and leases", 50, ["locks/*.claim", "status/*.json", "datasets/*.json"], TREE),
    _runs(
        "other files of runs",
        30,
        [
            "records/*/*.verified",
            "logs/*",
            "locks/*.lock",
            "store/*/*/*",
            "store",
            "locks",
            "records/*",
            "store/*/*/masks/*",
        ],
        {},
    ),
)
"""All of them; the numbers of cases are those of a whole run."""
