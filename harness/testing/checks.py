"""The single checks of the conformance kit. Each returns a sentence, or raises ``Fault`` with one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from harness.contract import IGNORE, PseudoLabel
from harness.testing.bench import Bench, Digests, StageFailed, frequent_checkpoints
from harness.testing.scenes import IMAGES, Interrupted

if TYPE_CHECKING:
    from harness.engine.plan.layout import StageSpec
    from harness.registry import PluginManager, PluginSpec

TOLERANCE = 0.005
"""Share of pixels that may differ when an image meets others in a batch, where floats are summed in another order."""

HEAVY = ("torch", "torchvision", "mmengine", "mmseg", "mmcv")
_FREE = ("/__pycache__", "/proc/", "/dev/null", "/dev/shm", "/matplotlib/", "/torchinductor_")  # noqa: S108  # compared with, never written
"""Parts of paths that interpreter and libraries may write to on their own."""


class Fault(Exception):
    """What a check found; the text is the reason."""


class NotApplicable(Exception):
    """Why a check has nothing to say about this method."""


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        check: Name of the check.
        status: ``pass``, ``fail``, or ``n/a`` where the check has nothing to say about the method.
        reason: One sentence.
    """

    check: str
    status: Literal["pass", "fail", "n/a"]
    reason: str


@cache
def light_discovery(spec: PluginSpec) -> str:
    """Registration imports no torch; equal for all rows that the same plugins give, thus told once in a process.

    Raises:
        Fault: It does, or discovery fails altogether.
    """
    code = (
        "import sys\nfrom harness.registry import PluginSpec, manager_from_spec\n"
        f"manager_from_spec(PluginSpec(files={spec.files!r}, config_dir={spec.config_dir!r}, env={spec.env!r},"
        f" builtins={spec.builtins!r}))\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Fault(f"discovery fails: {done.stderr.strip().splitlines()[-1]}")
    if done.stdout.strip():
        raise Fault(
            f"registering the plugins imports {', '.join(done.stdout.split())}; name factories as 'module:attribute'"
        )
    return "registering the plugins imports no torch"


def sound_backbone(manager: PluginManager, name: str) -> str:
    """The network of a backbone has the channels and strides of its record, at every output stride.

    Raises:
        NotApplicable: The record stands for many.
        Fault: The record offers no output stride.
        PluginError: The network cannot be built, or is another one; names the backbone and the field of its record.
    """
    from harness.modelling.probe import check_backbone

    record: Any = manager.get("backbone", name)
    if record.family:
        raise NotApplicable(f"{name}/ and a name is a backbone, {name} is none")
    if not record.output_strides:
        raise Fault(f"backbone {name!r}: output_strides: is empty")
    for stride in record.output_strides:
        check_backbone(record, stride)
    strides = ", ".join(map(str, record.output_strides))
    return f"the network has {len(record.channels)} levels of {record.channels} channels at output stride {strides}"


def sound_labels(bench: Bench) -> str:
    """Every image got one label: (H, W) uint8, known classes or 255, sound soft scores.

    Raises:
        Fault: A label breaks the contract.
    """
    from harness.maps.labels import LabelReader

    makers = [spec for spec in bench.stages if spec.kind in ("generate", "refine")]
    for spec in makers:
        reader = LabelReader(bench.store.folder(spec.key))
        if len(reader.ids) != IMAGES:
            raise Fault(f"{spec.name}: {len(reader.ids)} labels of {IMAGES} images")
        for image_id in reader.ids:
            fault = _label_fault(reader.label(image_id), spec.num_classes)
            if fault:
                raise Fault(f"{spec.name}: image {image_id!r}: {fault}")
    names = " and ".join(dict.fromkeys(spec.name for spec in makers))
    return f"{IMAGES} labels of {names}: shape, dtype, classes and scores"


def _label_fault(label: PseudoLabel, num_classes: int) -> str | None:
    mask, scores = label.mask, label.scores
    worst = int(mask[mask != IGNORE].max(initial=0))
    if worst >= num_classes:
        return f"class {worst} of {num_classes}"
    if scores is None:
        return None
    if scores.values.shape[:1] != (len(scores.classes),):
        return f"{scores.values.shape[0]} planes of soft scores for {len(scores.classes)} classes"
    if list(scores.classes) != sorted(set(scores.classes)) or any(not 0 <= c < num_classes for c in scores.classes):
        return f"soft scores of classes {scores.classes}, which must ascend within 0..{num_classes - 1}"
    if not np.isfinite(scores.values).all():
        return "soft scores that are not finite"
    low, high = float(scores.values.min(initial=0)), float(scores.values.max(initial=0))
    return None if low >= 0 and high <= 1 else f"soft scores from {low:.3g} to {high:.3g}, which belong into 0..1"


def same_again(first: Mapping[str, Digests], again: Mapping[str, Digests], bench: Bench) -> str:
    """Two runs with one seed give the same bytes.

    Raises:
        Fault: They do not; names the first stage that differs.
    """
    name = _first_difference(first, again, bench)
    if name:
        raise Fault(f"{name} gives other bytes in a second run with the same seed; draw from ctx.seed alone")
    return "a second run with the same seed gives the same bytes"


def blind_to_noise(first: Mapping[str, Digests], poisoned: Mapping[str, Digests], bench: Bench) -> str:
    """Noise in undeclared masks changes no byte.

    Raises:
        Fault: It does; names the first stage that differs.
    """
    name = _first_difference(first, poisoned, bench)
    if name:
        raise Fault(f"{name} changes when masks that were not declared become noise; add what it reads to needs")
    return "noise in every undeclared mask changes no byte of labels and weights"


def _first_difference(first: Mapping[str, Digests], second: Mapping[str, Digests], bench: Bench) -> str | None:
    return next((spec.name for spec in bench.stages if first[spec.key] != second[spec.key]), None)


def independent_images(bench: Bench) -> str:
    """The label of an image does not depend on the images that it is computed with.

    Raises:
        Fault: More than ``TOLERANCE`` of the pixels differ.
        NotApplicable: The generator draws random numbers, or learns from the images as it goes.
    """
    from harness.maps.labels import LabelReader

    spec = next(spec for spec in bench.stages if spec.kind == "generate")
    part = spec.part
    assert part is not None
    if part.random:
        raise NotApplicable("the generator draws random numbers image by image")
    reader = LabelReader(bench.store.folder(spec.key))
    worst = 0.0
    for start in (0, 1):
        for label in _generate_alone(bench, spec, slice(start, None, 2)):
            worst = max(worst, float((label.mask != reader.mask(label.image_id)).mean()))
    if worst > TOLERANCE:
        raise Fault(f"{spec.name}: {100 * worst:.1f} % of an image's label change with the images beside it")
    return "an image gets the same label in another batch"


def _generate_alone(bench: Bench, spec: StageSpec, part: slice) -> Iterator[PseudoLabel]:
    """Labels of some of the images, in a process state of its own."""
    from harness.data.views import DatasetView
    from harness.engine.stage.context import StageContext
    from harness.registry import build_params, resolve
    from harness.testing import scenes

    assert spec.part is not None
    out = bench.folder / "alone" / f"{part.start}"
    for name in ("out", "work"):
        (out / name).mkdir(parents=True, exist_ok=True)
    inputs = {name: bench.store.folder(key) for name, key in spec.inputs.items()}
    ctx = StageContext(spec, out=out / "out", work=out / "work", inputs=inputs, device="cpu")
    view = DatasetView(scenes.make(scenes.Params()), "train", spec.needs)
    view.ids = view.ids[part]
    record: Any = bench.manager.get("generator", spec.part.name)
    component = resolve(record.factory)(build_params(record, spec.part.params, where=spec.name))
    yield from component.generate(view, ctx)


def resumes(bench: Bench, first: Mapping[str, Digests]) -> str:
    """A stage that is interrupted half-way and started again ends with the bytes of an undisturbed one.

    Raises:
        Fault: It does not.
        NotApplicable: No stage of the method reads the data set.
    """
    tried = []
    with frequent_checkpoints():
        for spec in bench.stages:
            of_plugin = spec.part is not None or not str(spec.run).startswith("harness.")
            ticks = bench.ticks[spec.key]
            if not of_plugin or ticks < 2:
                continue
            bench.forget(spec)
            try:
                bench.run_stage(spec, interrupt_after=ticks // 2)
            except Interrupted:
                tried.append(spec.name)
            else:
                raise Fault(f"{spec.name}: an interruption from outside was caught; let BaseException through")
            if bench.run_stage(spec) != first[spec.key]:
                raise Fault(f"{spec.name}: interrupted and resumed it gives other bytes; resume from ctx.work exactly")
    if not tried:
        raise NotApplicable("no stage reads the data set")
    return f"{', '.join(dict.fromkeys(tried))}: interrupted half-way and resumed, the same bytes"


@contextmanager
def watched_writes(allowed: Sequence[Path]) -> Iterator[list[str]]:
    """Collect every file that Python opens for writing, moves or removes outside ``allowed``."""
    written: list[str] = []
    _WATCHES[id(written)] = (tuple(str(path.resolve()) for path in allowed), written)
    if not _installed:  # an audit hook stays for the life of a process; ours does nothing while nobody watches
        _installed.append(True)
        sys.addaudithook(_audit)
    try:
        yield written
    finally:
        del _WATCHES[id(written)]


_WATCHES: dict[int, tuple[tuple[str, ...], list[str]]] = {}
_PATHS: Mapping[str, tuple[tuple[int, int | None], ...]] = {
    "open": ((0, None),),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
}
"""Audit event -> (position of a path, position of the folder that it is relative to)."""
_installed: list[bool] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not _WATCHES or event not in _PATHS:
        return
    if event == "open":
        mode, flags = args[1], args[2]
        if isinstance(mode, str):
            writes = any(letter in mode for letter in "wax+")
        else:
            writes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        if not writes:
            return
    for position, folder in _PATHS[event]:
        path = args[position]
        if not isinstance(path, str | bytes) or (folder is not None and args[folder] != -1):  # -1: no folder is named
            continue
        absolute = str(Path(os.fsdecode(path)).resolve())
        if not any(free in absolute for free in _FREE):
            for roots, written in list(_WATCHES.values()):
                if not absolute.startswith(roots):
                    written.append(absolute)


def stays_inside(written: Sequence[str], bench: Bench) -> str:
    """Nothing was written outside ``ctx.out`` and ``ctx.work``, and no upstream artifact was changed.

    Raises:
        Fault: Something was.
    """
    if written:
        raise Fault(f"writes to {written[0]}; write below ctx.out, or ctx.work for what survives a kill")
    try:
        for spec in bench.stages:
            bench.digests(spec)
    except StageFailed as error:
        raise Fault(str(error)) from None
    return "nothing is written outside ctx.out and ctx.work"
