"""``wsss weights list``, ``show`` and ``fetch``: initial weights, their origin, licence and checksum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import console, print_json, print_table, progress_bars
from harness.contract import ConfigError

if TYPE_CHECKING:
    from harness.engine.plan.catalogue import Weights

app = typer.Typer(help="List, show and fetch initial weights.", no_args_is_help=True)

PluginFiles = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Plugin file to load as well. Repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_weights(plugin: PluginFiles = None, json: Json = False) -> None:
    """List the weights that backbones and shipped benchmarks name, and which of them are there."""
    from harness.engine.plan.catalogue import catalogue
    from harness.modelling.weight_sources import VARIABLE, folders

    entries = catalogue(_backbones(plugin))
    if json:
        print_json({"folders": [str(folder) for folder in folders()], "weights": [_facts(entry) for entry in entries]})
        return
    columns = ("weights", "backbone", "trained on", "state", "licence")
    print_table(columns, [(e.name, e.backbone, e.trained_on, _state(e), e.licence) for e in entries])
    console().print(f"looked for in {' and '.join(map(str, folders()))}; {VARIABLE} names the first", soft_wrap=True)


@app.command("show")
def show_weights(
    name: Annotated[str, typer.Argument(help="A name of the list, a file name, an address or a backbone.")],
    plugin: PluginFiles = None,
    json: Json = False,
) -> None:
    """Say where weights come from, under what licence, what their file is called, and its checksum."""
    from harness.engine.plan.catalogue import find_weights_named

    entry = find_weights_named(name, _backbones(plugin))
    if json:
        print_json(_facts(entry))
        return
    console().print(entry.name, style="bold")
    for key, value in {**_facts(entry), "state": _state(entry)}.items():
        if value and key != "name":
            console().print(f"  {key.replace('_', ' '):<11} {value}", soft_wrap=True)


@app.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(help="As for show; or any URL or scheme.")],
    sha256: Annotated[str, typer.Option("--sha256", help="Of the file; or its first digits, at least 8.")] = "",
    plugin: PluginFiles = None,
) -> None:
    """Download weights into the folder of weights and compare their checksum; what is there already is only compared.

    An address that nothing pins is downloaded all the same: what is printed is what to write into the benchmark file.
    """
    from harness.common.files import file_sha256
    from harness.engine.plan.catalogue import find_weights_named
    from harness.modelling.weight_sources import check_format, check_sha256, fetch, find_download, is_address

    if sha256 and not (8 <= len(sha256) <= 64 and set(sha256) <= set("0123456789abcdef")):
        raise ConfigError(f"--sha256: {sha256!r} is not 8 to 64 hexadecimal digits")
    with progress_bars() as tell:
        tick = partial(tell, "downloading")
        if name.startswith(("http://", "https://")) and not sha256:
            path = _fetch_unpinned(name, tick)
        elif is_address(name):
            path = fetch(find_download(name, sha256 or None), tick)
        else:
            entry = find_weights_named(name, _backbones(plugin))
            if entry.source is not None:
                path = fetch(find_download(entry.source, sha256 or entry.sha256), tick)
            elif entry.path is not None:
                path = entry.path
                check_sha256(path, sha256 or entry.sha256)
            else:
                instead = f"; the backbone {entry.instead} has weights that are fetched" if entry.instead else ""
                raise ConfigError(f"{entry.file} cannot be downloaded as it is: {entry.origin}{instead}")
    check_format(path)
    console().print(f"file:   {path}", soft_wrap=True)
    console().print(f"sha256: {file_sha256(path)}", soft_wrap=True)


def _fetch_unpinned(url: str, tick: Callable[[int, int], None]) -> Path:
    """Download an address whose file name may carry no checksum; the file gets one in its name."""
    import tempfile
    from http.client import HTTPException

    from harness.modelling.weight_sources import (
        Download,
        check_format,
        fetch,
        find_download,
        folders,
        is_pinned,
        receive,
    )

    if is_pinned(url):
        return fetch(find_download(url), tick)
    folder = folders()[0]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        part = Path(scratch) / "download"
        try:
            digest = receive(url, part, tick=tick)
            check_format(part)
        except ConfigError as error:
            raise ConfigError(f"{url}: {str(error).removeprefix(f'{part}: ')}; nothing was kept") from None
        except (OSError, HTTPException, ValueError) as error:
            raise ConfigError(f"{url}: cannot be downloaded ({error})") from None
        return part.replace(folder / Download(url, digest).name)


def _backbones(plugin: list[Path] | None) -> list[Any]:
    from harness.cli.plugins import load_plugins

    manager = load_plugins(plugin)
    manager.require_files()
    return list(manager.records("backbone").values())


def _state(entry: Weights) -> str:
    if entry.path is not None:
        return "there"
    return "not here; a run fetches it" if entry.source else "not here; to be brought"


def _facts(entry: Weights) -> dict[str, Any]:
    path = entry.path
    return {**asdict(entry), "path": str(path) if path else None}
