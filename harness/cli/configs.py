"""``wsss configs``: the benchmark, data set and segmenter files that come with the package."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import console, print_json, print_table
from harness.common.files import read_text
from harness.common.shipped import configs_folder, shipped_file, shipped_files, with_needed
from harness.contract.errors import ConfigError

app = typer.Typer(help="List, show and copy the shipped configuration files.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of a shipped file, for example demo or datasets/voc2012.")]


def register(parent: typer.Typer) -> None:
    """Add the commands to ``parent``."""
    parent.add_typer(app, name="configs")


@app.command("list")
def list_configs(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the shipped files by name; `wsss run NAME` runs a benchmark of that name."""
    rows = [{"name": name, "about": _about(path)} for name, path in shipped_files().items()]
    if json:
        print_json(rows)
        return
    print_table(("name", "about"), [(row["name"], row["about"]) for row in rows])


@app.command("show")
def show_config(name: Name) -> None:
    """Print a shipped file."""
    path = shipped_file(name)
    console(stderr=True).print(f"# {path}", soft_wrap=True)
    typer.echo(read_text(path), nl=False)


@app.command("copy")
def copy_config(
    name: Name,
    to: Annotated[Path, typer.Option("--to", help="Folder to copy into; it gets the layout of the shipped files.")] = (
        Path("configs")
    ),
) -> None:
    """Copy a shipped file and every shipped file that it names, to change them."""
    root = configs_folder().resolve()
    copies = {path: to / path.relative_to(root) for path in with_needed(shipped_file(name))}
    taken = [target for target in copies.values() if target.exists()]
    if taken:
        raise ConfigError(f"{taken[0]}: exists already, nothing was copied; choose another folder with --to")
    for source, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        typer.echo(str(target))


def _about(path: Path) -> str:
    """The first sentence of the comment or docstring that a file begins with."""
    text = read_text(path).lstrip()
    if text.startswith('"""'):
        opening = text.split('"""')[1]
    else:
        opening = " ".join(line[1:].strip() for line in takewhile(lambda line: line.startswith("#"), text.splitlines()))
    return re.split(r"(?<=[\w)%])[.;:](?:\s|$)", " ".join(opening.split()), maxsplit=1)[0]
