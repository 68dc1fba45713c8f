"""The same labels in every form that other people's programs write train the same network, to the byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.data.digests import set_cache
from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.engine.store.store import Store
from harness.maps import voc_palette
from tests.engine.toy import Inline
from tests.test_three_folders import MANAGER, PROTOCOL, SIDE, SPLITS, seven_classes


def palette(path: Path, mask: Any, cls: int) -> None:
    image = Image.fromarray(mask)
    image.putpalette(voc_palette())
    image.save(path.with_suffix(".png"))


def npy(path: Path, mask: Any, cls: int) -> None:
    np.save(path.with_suffix(".npy"), mask.astype(np.int64))


def npz(path: Path, mask: Any, cls: int) -> None:
    np.savez_compressed(path.with_suffix(".npz"), labels=mask)


def psa(path: Path, mask: Any, cls: int) -> None:
    np.save(path.with_suffix(".npy"), {cls - 1: (mask == cls).astype(np.float32)})  # type: ignore[arg-type]


FORMS: dict[str, tuple[Callable[[Path, Any, int], None], dict[str, Any]]] = {
    "palette": (palette, {}),
    "npy": (npy, {}),
    "npz": (npz, {}),
    "psa": (psa, {"base": 0}),
}


def row(form: str) -> dict[str, Any]:
    generator = {"name": "labels_from", "params": {"supervision": "I", "folder": form, **FORMS[form][1]}}
    return {"name": form, "rounds": [{"generator": generator, "segmenter": "plain"}]}


def test_the_same_labels_in_every_form_train_the_same_network(tmp_path: Path) -> None:
    set_cache(None)
    params = {"name": "seven", "root": str(tmp_path / "mine"), **seven_classes(tmp_path / "mine")}
    for form, (write, _) in FORMS.items():
        (tmp_path / form).mkdir()
        for number in range(SPLITS["train"]):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[5 : 20 + number, 8:30] = cls = 1 + number % 6
            write(tmp_path / form / f"train_{number}", mask, cls)
    content = {"name": "forms", "dataset": {"name": "folder", "params": params}, "backbones": ["tiny"]}
    benchmark = tmp_path / "forms.yaml"
    benchmark.write_text(json.dumps({**content, "methods": [row(form) for form in FORMS], "protocol": PROTOCOL}))
    plan, runs = build_plan(load_benchmark(benchmark), MANAGER), tmp_path / "runs"
    progress = ProgressDisplay(plan, runs)
    run_plan(plan, runs=runs, manager=MANAGER, make_executor=Inline, progress=progress, device="cpu")
    keys = [dict(cell.stages)["r1/segmenter plain"] for cell in plan.cells]
    assert len(set(keys)) == len(FORMS), "each form is computed for itself"
    artifacts = [Store(runs).open(key) for key in keys]
    assert len({artifact.files["segmenter.pth"]["sha256"] for artifact in artifacts if artifact is not None}) == 1
    assert None not in artifacts
