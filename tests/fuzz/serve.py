"""Works through cases in forked children of one warm process; prints a JSON line for each.

    python -m tests.fuzz.serve FOLDER [FAMILY:NUMBER ...]
    python -m tests.fuzz.serve --list

Without cases it reads them from standard input, one a line; the folder keeps the last one as it was left.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from harness import registry
from harness.engine.code import roots
from tests.engine.toy import MODELLING
from tests.fuzz import families, forked, verdicts, worlds


class Server:
    """Sound worlds below ``folder``, each made once, and cases one after another in ``folder/case``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "above" / "case"
        self.log = folder / "log"
        self.log.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "worlds", ignore_errors=True)
        self.worlds: dict[Any, int] = {}
        self.families = {family.name: family for family in families.FAMILIES}

    def case(self, name: str, number: int) -> dict[str, Any]:
        """Run one case: what was changed, the exit code of each command, and all that is wrong."""
        began = time.monotonic()
        family = self.families[name]
        self._restore(family)
        told, commands = family.mutate(number, self.root)
        codes, wrong = [], []
        for command in commands:
            before = verdicts.snapshot(self.root.parent)
            ending = self._run(*command)
            codes.append(ending.code)
            allowed = tuple(f"case/{place}" for place in family.writes)
            found = [
                *verdicts.faults(ending),
                *verdicts.leftovers(before, verdicts.snapshot(self.root.parent), allowed, self.root.parent),
            ]
            wrong += [
                {"command": " ".join(command[:2]), "fault": fault, "said": (ending.err or ending.out)[-700:]}
                for fault in found
            ]
        seconds = round(time.monotonic() - began, 3)
        return {"family": name, "number": number, "changed": told, "codes": codes, "wrong": wrong, "seconds": seconds}

    def _restore(self, family: families.Family) -> None:
        """Put the sound world of a family where the case runs."""
        made = self.worlds.setdefault((family.world, family.commands), len(self.worlds))
        template = self.folder / "worlds" / str(made)
        shutil.rmtree(self.root.parent, ignore_errors=True)
        if template.exists():
            shutil.copytree(template, self.root, symlinks=True)
        else:
            self._make(family)
            shutil.copytree(self.root, template, symlinks=True)

    def _make(self, family: families.Family) -> None:
        """A sound world; every command of the family ends well there, or the cases would show nothing."""
        for name in ("tmp", "cwd", "home"):
            (self.root / name).mkdir(parents=True)
        if family.world in (worlds.runs, worlds.planned):
            family.world(self.root, self._sound)
        else:
            family.world(self.root)
        if lacking := [pattern for pattern in family.files if not list(self.root.glob(pattern))]:
            raise SystemExit(f"{family.name}: no file fits {', '.join(lacking)}")
        whole = self.folder / "whole"
        shutil.copytree(self.root, whole, symlinks=True)
        for command in family.commands:
            self._sound(*(part.format(root=self.root) for part in command))
        shutil.rmtree(self.root)
        whole.rename(self.root)

    def _sound(self, *command: str) -> None:
        ending = self._run(*command)
        if ending.code != 0 or list(verdicts.faults(ending)):
            raise SystemExit(f"sound input: {' '.join(command)}: {ending}")

    def _run(self, *command: str) -> forked.Ending:
        names = {"TMPDIR": "tmp", "HOME": "home", "WSSS_DATA": "data"}
        environment = {key: str(self.root / name) for key, name in names.items()} | {"WSSS_PLUGINS": ""}
        before = partial(_small_releases, self.root / "data") if "prepare" in command else _nothing
        return forked.run(command, cwd=self.root / "cwd", environment=environment, log=self.log, before=before)


def _nothing() -> None: ...


def _small_releases(data: Path) -> None:
    """The published data sets are as small as the archives here, and have the checksums that these have now."""
    from harness.data.prepare import cityscapes, coco, voc2012

    def here(archive: Any) -> Any:
        path = data / archive.name
        known = path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 24
        return (
            replace(archive, checksum=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}") if known else archive
        )

    release = coco.COCO_2017
    release = replace(
        release, archives=tuple(map(here, release.archives)), train=coco.Counts(3, 2), val=coco.Counts(2, 1)
    )
    lists = voc2012.Lists({"train": 2, "train_aug": 4, "val": 1})
    coco.steps_2017 = partial(coco.steps, release=release)
    cityscapes.steps = partial(cityscapes.steps, counts={"train": 2, "val": 1})
    voc2012.steps = partial(voc2012.steps, archives=(here(voc2012.VOC), here(voc2012.SBD)), lists=lists)


MODULES = (
    "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.TiffImagePlugin",
    "pandas", "pycocotools.mask", "pydantic.dataclasses", "rich.progress", "rich.table", "scipy.io", "tabulate",
    MODELLING, "harness.cli.gallery", "harness.common.literal", "harness.cli.main", "harness.api.runs",
    "harness.data.checking", "harness.data.coco", "harness.data.cityscapes", "harness.data.voc",
    "harness.data.prepare.cityscapes", "harness.data.prepare.coco", "harness.data.prepare.voc2012",
    "harness.engine.estimate", "harness.engine.forecast", "harness.engine.store.gc", "harness.engine.plan.layout",
    "harness.engine.scheduler", "harness.engine.verify", "harness.leaderboard.page.page", "harness.records.pairing",
    "harness.leaderboard.selection", "harness.leaderboard.terminal", "harness.maps.labels", "harness.maps.scores",
    "harness.scoring.changes", "harness.scoring.oracle", "harness.scoring.paired", "harness.testing.checks",
)  # fmt: skip
"""What the commands import, except for torch and what starts threads: imported once, before the first child."""


def _warm(folder: Path) -> None:
    """Import, and plan once, so that each child finds the code of every stage already read."""
    for name in MODULES:
        import_module(name)
    registry.manager()
    roots.MODELLING = MODELLING
    os.environ.update(WSSS_PLUGINS="", WSSS_DATA=str(folder / "data"))
    shutil.rmtree(folder, ignore_errors=True)
    worlds.voc(folder)
    command = [part.format(root=folder) for part in families.PLAN]
    with redirect_stdout(io.StringIO()):
        forked.COMMAND(command, prog_name="wsss", standalone_mode=False)


def main() -> None:
    """Entry point."""
    if sys.argv[1] == "--list":
        sys.stdout.write(json.dumps({family.name: family.cases for family in families.FAMILIES}))
        return
    folder = Path(sys.argv[1]).resolve()
    _warm(folder / "warm")
    server = Server(folder)
    cases: Iterable[str] = sys.argv[2:] or sys.stdin
    for line in cases:
        family, _, number = line.strip().rpartition(":")
        sys.stdout.write(json.dumps(server.case(family, int(number))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    main()
