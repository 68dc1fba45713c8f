"""``wsss datasets list``, ``check``, ``prepare`` and ``init``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import init, prepare
from harness.cli.console import console, print_json, print_table, progress_bars
from harness.cli.plugins import Json, PluginFiles, load_plugins
from harness.common.shipped import configs_folder
from harness.common.text import printable
from harness.contract import ConfigError

if TYPE_CHECKING:
    from harness.contract import Dataset
    from harness.data.check_report import CheckReport
    from harness.data.files import Defect
    from harness.registry import PluginManager

app = typer.Typer(help="List, describe, check and prepare data sets.", no_args_is_help=True)

CONFIGS = configs_folder() / "datasets"
"""Where the shipped data set configurations lie."""

_SHOWN, _NAMES = 20, 3
"""Causes that are printed, and further images that are named for each: a screen, whatever the size of the data set."""

prepare.register(app)
init.register(app)


@app.command("list")
def list_datasets(plugin: PluginFiles = None, json: Json = False) -> None:
    """List the registered data set readers and the shipped configurations."""
    manager = load_plugins(plugin)
    readers = [
        {"name": name, "summary": record.summary, "plugin": manager.provider("dataset", name).name}
        for name, record in manager.records("dataset").items()
    ]
    configs = []
    for path in sorted(CONFIGS.glob("*.yaml")):
        try:
            reader = _read_config(path)["name"]
        except ConfigError as error:  # one broken file does not hide the others
            reader = str(error)
        configs.append({"name": path.stem, "reader": reader, "file": str(path)})
    if json:
        print_json({"readers": readers, "configs": configs})
        return
    print_table(("reader", "summary", "plugin"), [(r["name"], r["summary"], r["plugin"]) for r in readers])
    if configs:
        print_table(("configuration", "reader", "file"), [(c["name"], c["reader"], c["file"]) for c in configs])


@app.command("check")
def check_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_YAML", help="A YAML file, its name, or a reader's name.")],
    override: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--override",
            metavar="dataset.params.KEY=VALUE",
            help="Change a parameter, as `wsss run` spells it. Repeatable.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="OUT.html", help="Write a page with counts, images and defects. It holds small pictures."),
    ] = None,
    plugin: PluginFiles = None,
    json: Json = False,
) -> None:
    """Read every image and label of a data set; exit 2 when anything is defective."""
    from harness.data.checking import check
    from harness.data.configuration import build_dataset

    manager = load_plugins(plugin)
    reader, params, where = _configuration(name, manager, override or ())
    dataset = build_dataset(reader, params, where=where, plugins=manager, lenient=True)
    with progress_bars() as tell:
        report = check(dataset, progress=partial(tell, "reading"))
        if html is not None:
            _write_page(html, report, dataset, partial(tell, "drawing"))
    if json:
        print_json(report.as_dict())
    else:
        _print_report(report)
        if html is not None:
            console().print(f"wrote {printable(html)}", soft_wrap=True)
    if not report.clean:
        raise typer.Exit(2)


def _write_page(path: Path, report: CheckReport, dataset: Dataset, tell: Callable[[int, int], None]) -> None:
    """Write the page whole or not at all; a name that is not writable is one sentence."""
    from harness.cli.data_page.page import to_html
    from harness.common.atomic import write_atomically, writing

    with writing(path):
        write_atomically(path, to_html(report, dataset, progress=tell))


def _configuration(name: str, manager: PluginManager, overrides: Sequence[str]) -> tuple[str, dict[str, Any], str]:
    """Reader, parameters, and where they come from."""
    from harness.data.configuration import apply_overrides, expand_env, validate

    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / f"{name}.yaml"
    if path == Path(name) or path.is_file():
        config = _read_config(path)
        reader, params, where = config["name"], config["params"], str(path)
    else:
        manager.get("dataset", name)
        reader, params, where = name, {}, f"data set {name}"
    changed = apply_overrides(params, [text.removeprefix("dataset.params.") for text in overrides])
    return reader, validate(dict[str, Any], expand_env(changed, where=where, field="params"), where=where), where


def _read_config(path: Path) -> dict[str, Any]:
    from harness.data.configuration import load_yaml

    config = {"params": {}, **load_yaml(path)}
    if (
        set(config) != {"name", "params"}
        or not isinstance(config["name"], str)
        or not isinstance(config["params"], dict)
    ):
        raise ConfigError(f"{path}: a data set has the fields name (of a reader) and params (a mapping), nothing else")
    return config


def _print_report(report: CheckReport) -> None:
    for split in report.splits:
        if not split.images:
            continue
        pixels = max(sum(count.pixels or 0 for count in split.classes) + (split.ignored_pixels or 0), 1)
        ignored = "no masks" if split.ignored_pixels is None else f"{split.ignored_pixels / pixels:.1%} ignored"
        console().print(f"{report.name} {split.split}: {split.images} images, {ignored}")
        shares = ["—" if count.pixels is None else f"{count.pixels / pixels:.2%}" for count in split.classes]
        rows = [
            (c.name, _number(c.images), str(c.tagged), str(c.boxes), share, *map(str, c.marks.values()))
            for c, share in zip(split.classes, shares, strict=True)
        ]
        print_table(("class", "in masks of", "tagged", "boxes", "pixels", *split.classes[0].marks), rows)
    if report.made_from_masks:
        kinds = " and ".join(report.made_from_masks)
        text = f"{report.name}: a rule makes {kinds} of training images from masks: nobody drew them, as tables say"
        console().print(printable(text), soft_wrap=True)
    _print_list("notice", report.notices)
    found = _print_list("defect", report.defects)
    number = len(report.defects)
    total = f"{number} defect{'s' if number != 1 else ''}" + (f" of {found} kinds" if found < number else "")
    console().print("no defects" if report.clean else total)


def _number(count: int | None) -> str:
    return "—" if count is None else str(count)


def _print_list(word: str, items: Sequence[Defect]) -> int:
    """Print a line for each cause, with the first image in full and the names of some others.

    Returns:
        The number of causes.
    """
    from harness.data.check_report import causes

    found = causes(items)
    for alike in found[:_SHOWN]:
        names = [printable(item.image_id or "a line") for item in alike[1:]]
        shown = ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES} others" if len(names) > _NAMES else "")
        more = f" ({len(alike)} like this: also {shown})" if names else ""
        console().print(f"{word}: {alike[0].split}: {printable(alike[0].message)}{more}", soft_wrap=True)
    if len(found) > _SHOWN:
        console().print(f"{word}: and {len(found) - _SHOWN} other causes, see --json or --html")
    return len(found)
