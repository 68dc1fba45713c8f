"""The page docs/labels-from-elsewhere.md, run as it stands: files of three other people beside our own rows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from harness.engine.plan.config import load_benchmark
from harness.engine.plan.layout import build_plan
from harness.engine.plan.rows import build_data
from harness.engine.progress import ProgressDisplay
from harness.engine.scheduler import run_plan
from harness.leaderboard import build_board, load_runs
from harness.leaderboard.render import to_markdown
from harness.registry import PluginSpec, manager_from_spec
from tests.engine.toy import Inline, records

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "labels-from-elsewhere.md"
TINY = [
    "dataset.params.train=6",
    "dataset.params.val=3",
    "dataset.params.size=48",
    *(
        f"protocol.{network}.optim.{field}=2"
        for network in ("classifier", "segmenter")
        for field in ("iterations", "batch_size")
    ),
    *(f"protocol.{network}.optim.warmup=0" for network in ("classifier", "segmenter")),
    *(f"protocol.{network}.augment.crop=32" for network in ("classifier", "segmenter")),
    "protocol.cam.scales=[1.0]",
]


def cams_of_irn(image: npt.NDArray[np.uint8], valid_cat: list[int], path: Path) -> None:
    """What step/make_cam.py of IRN leaves of an image, from its description and without a line of the harness.

    ``keys`` are the classes of the image counted from 0 without the background, as a tensor; ``cam`` are the maps at
    ((H - 1) // 4 + 1, (W - 1) // 4 + 1), a tensor; ``high_res`` the same at (H, W), an array; each divided by its
    maximum + 1e-5. The activations are blurred distances of colours, since no network is at hand.
    """
    height, width = image.shape[:2]
    pixels = torch.from_numpy(image.astype(np.float32))
    far = (pixels - pixels.mean((0, 1))).norm(dim=2)[None, None]
    sides = [2 * (number % 3) + 3 for number in valid_cat]
    maps = torch.cat([torch.nn.functional.avg_pool2d(far, side, 1, side // 2) for side in sides], 1)
    size = ((height - 1) // 4 + 1, (width - 1) // 4 + 1)
    strided = torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)[0]
    high_res = torch.nn.functional.interpolate(strided[None], (height, width), mode="bilinear", align_corners=False)[0]
    strided /= strided.amax((1, 2), keepdim=True) + 1e-5
    high_res /= high_res.amax((1, 2), keepdim=True) + 1e-5
    cams = {"keys": torch.tensor(valid_cat), "cam": strided.cpu(), "high_res": high_res.cpu().numpy()}
    np.save(path, cams, allow_pickle=True)  # type: ignore[arg-type]


def cams_of_psa(image: npt.NDArray[np.uint8], valid_cat: list[int], path: Path) -> None:
    """What infer_cls.py of PSA leaves: {class counted from 0: (H, W) float32 map divided by its maximum}."""
    bright = image.astype(np.float32).mean(2)
    maps = {number: np.abs(bright - 40 * (number % 4)) for number in valid_cat}
    cams = {number: one / max(float(one.max()), 1e-5) for number, one in maps.items()}
    np.save(path, cams, allow_pickle=True)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The table of the page's benchmark, cut down, and its records."""
    folder = tmp_path_factory.mktemp("my") / "benchmarks"
    for name in ("irn_cam", "psa_cam", "masks", "predictions"):
        (folder / "others" / name).mkdir(parents=True)
    for name in ("datasets", "segmenters"):
        (folder.parent / name).symlink_to(ROOT / "configs" / name)
    (text,) = re.findall(r"^```yaml file=elsewhere\.yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (folder / "elsewhere.yaml").write_text(text)
    manager = manager_from_spec(PluginSpec(env=""))
    benchmark = load_benchmark(folder / "elsewhere.yaml", TINY)
    data = build_data(benchmark, manager)
    for image_id in data.ids("train"):
        tags = data.tags(image_id)
        counted_from_0 = [tag - 1 for tag in tags]
        cams_of_irn(data.image(image_id), counted_from_0, folder / "others" / "irn_cam" / f"{image_id}.npy")
        cams_of_psa(data.image(image_id), counted_from_0, folder / "others" / "psa_cam" / f"{image_id}.npy")
        mask = np.full(data.size(image_id), tags[0], np.uint8)
        Image.fromarray(mask).save(folder / "others" / "masks" / f"{image_id}.png")
    for image_id in data.ids("val"):
        Image.fromarray(data.mask(image_id)).save(folder / "others" / "predictions" / f"{image_id}.png")
    plan, runs = build_plan(benchmark, manager), folder.parent / "runs"
    run_plan(plan, runs=runs, manager=manager, make_executor=Inline, progress=ProgressDisplay(plan, runs), device="cpu")
    return to_markdown(build_board(load_runs(runs))), records(runs)


def test_other_peoples_files_and_our_methods_stand_in_one_table(table: tuple[str, dict[str, Any]]) -> None:
    markdown, found = table
    assert {name: record["status"] for name, record in found.items() if record["status"] != "ok"} == {}
    assert {record["label"] for record in found.values()} == {
        *("irn", "irn_crf", "irn_walk", "psa", "psa_cvs_pmg", "masks", "their_model", "box_fill", "cam")
    }
    assert "I (stated)" in markdown
    assert "2.50 (stated)" in markdown
    assert "irn: from CAMs of IRN." in markdown
    assert found["their_model--tiny--s0"]["scores"]["val"]["images"] == 3


def test_cams_of_psa_are_smoothed_and_masked_proportionally(table: tuple[str, dict[str, Any]]) -> None:
    _, found = table
    scores = {found[f"{name}--tiny--s0"]["scores"]["pseudo"]["sha256"] for name in ("psa", "psa_cvs_pmg")}
    assert len(scores) == 2


def test_cams_of_irn_are_refined_by_crf_and_walk(table: tuple[str, dict[str, Any]]) -> None:
    _, found = table
    scores = {name: found[f"{name}--tiny--s0"]["scores"]["pseudo"]["sha256"] for name in ("irn", "irn_crf", "irn_walk")}
    assert len(set(scores.values())) == 3
    generated = {
        stage["key"]
        for name in scores
        for stage in found[f"{name}--tiny--s0"]["stages"]
        if stage["name"] == "r1/generate labels_from"
    }
    assert len(generated) == 1
