"""``wsss datasets init``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.console import console, print_table, progress_bars
from harness.common.text import one_line, printable
from harness.contract import ConfigError

if TYPE_CHECKING:
    from harness.contract import Dataset
    from harness.data.check_report import CheckReport
    from harness.data.propose.proposal import Proposal

CHECKED = 2000
"""Images up to which all are read before the file is written: that finds classes that no training mask shows."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init_dataset)


def init_dataset(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with the images and their labels.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="File to write; default: NAME_OF_FOLDER.yaml, here.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take what is likeliest and say so.")] = False,
) -> None:
    """Look at a folder of images and write the YAML file that describes it as a data set."""
    from harness.data.propose.layout import propose

    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in printable(folder.resolve().name)) or "mine"
    out = out or Path(f"{name}.yaml")
    files = {split: out.with_name(f"{out.stem}.{split}.txt") for split in ("train", "val")}
    for path in (out, *files.values()):
        if path.exists() or path.is_symlink():
            raise ConfigError(f"{printable(path)}: exists already; name another file with --out, or delete it")
    named = {split: _named_from(folder, path) for split, path in files.items()}
    proposal = propose(folder, name, str(folder), named.__getitem__, _default if yes else _ask)
    report = _try_out(proposal, named)
    written = _write(proposal, out, files)
    _tell(proposal, report, written)


def _named_from(folder: Path, path: Path) -> str:
    """A path as the data set file names it: absolute like the folder, or from the folder on."""
    return str(path.absolute()) if folder.is_absolute() else os.path.relpath(path, folder)


def _ask(question: str, default: str) -> str:
    answer: str = typer.prompt(one_line(question), default=default, err=True)
    return answer


def _default(question: str, default: str) -> str:
    return default


def _try_out(proposal: Proposal, named: Mapping[str, str]) -> CheckReport | None:
    """Open the data set as proposed, and read all of it where it is small; notes what that shows.

    Raises:
        WsssError: The reader refuses the proposal.
    """
    from harness.data.checking import check

    with tempfile.TemporaryDirectory() as folder:
        dataset = _opened(proposal, named, Path(folder))
        if sum(len(dataset.ids(split)) for split in ("train", "val")) > CHECKED:
            return None
        with progress_bars() as tell:
            report = check(dataset, progress=partial(tell, "reading"))
        absent = _absent(report)
        if absent and proposal.reader in ("voc", "folder"):
            proposal.params["absent"] = absent
            proposal.note("absent", "no training mask shows these classes")
            report = check(_opened(proposal, named, Path(folder)))
    return report


def _opened(proposal: Proposal, named: Mapping[str, str], folder: Path) -> Dataset:
    """The data set as proposed, with its lists in ``folder``."""
    from harness.data.configuration import build_dataset
    from harness.data.propose.proposal import replaced

    for split, ids in proposal.lists.items():
        (folder / split).write_text(_lines(ids), encoding="utf-8")
    texts = {named[split]: str(folder / split) for split in proposal.lists}
    return build_dataset(proposal.reader, replaced(proposal.params, texts), where="proposal", lenient=True)


def _absent(report: CheckReport) -> list[str]:
    """Classes that no training mask shows, where all training images have one."""
    train = report.splits[0]
    masked = any(count.images for count in train.classes)
    return [count.name for count in train.classes[1:] if masked and not count.images]


def _lines(ids: tuple[str, ...]) -> str:
    return "".join(f"{image_id}\n" for image_id in ids)


def _write(proposal: Proposal, out: Path, files: Mapping[str, Path]) -> list[Path]:
    from harness.common.atomic import write_atomically, writing
    from harness.data.propose.proposal import to_yaml

    text = to_yaml(proposal)
    lists = {files[split]: _lines(ids) for split, ids in proposal.lists.items()}
    for path, content in {**lists, out: text}.items():
        with writing(path):
            write_atomically(path, content)
    return [out, *lists]


def _tell(proposal: Proposal, report: CheckReport | None, written: list[Path]) -> None:
    """What was recognised and could not be told, how much there is, which files were written, and what comes next."""
    console().print(proposal.layout, soft_wrap=True)
    for field, texts in proposal.notes.items():
        for text in texts:
            console().print(f"note: {field + ': ' if field else ''}{one_line(text)}", soft_wrap=True)
    if report is not None:
        _print_counts(report)
    for path in written:
        console().print(f"wrote {printable(path)}", soft_wrap=True)
    out = printable(written[0])
    console().print(
        f"next: wsss datasets check {out} --html {printable(written[0].with_suffix('.html'))}", soft_wrap=True
    )


def _print_counts(report: CheckReport) -> None:
    train, val = report.splits[:2]
    rows = [
        (
            one.name,
            *("-" if count is None else str(count) for count in (one.images, one.tagged, one.boxes, other.images)),
        )
        for one, other in zip(train.classes, val.classes, strict=True)
    ]
    console().print(f"{train.images} training and {val.images} validation images")
    print_table(("class", "in train masks of", "tagged", "boxes", "in val masks of"), rows)
    if report.defects:
        number = len(report.defects)
        console().print(f"{number} defect{'s' if number > 1 else ''}, which the check names")
