"""What training does differently on GPUs and with several of them; none is needed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.contract import ConfigError
from harness.contract.protocol import OptimSettings
from harness.modelling import distributed, mm, training, training_state
from harness.modelling.sampler import StreamLoader
from harness.modelling.segmenter import build_config, initial_model
from tests.modelling.test_training import dataset, equal, run

OPTIM = OptimSettings(iterations=2, batch_size=4, lr=0.01)


def test_mixed_precision_is_for_gpus_unless_it_is_named(view: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    plain, _ = run(view, settings, tmp_path / "plain", OPTIM)
    asked, _ = run(view, settings, tmp_path / "asked", OPTIM.model_copy(update={"amp": True}))
    assert equal(plain, asked)
    named, _ = run(view, settings, tmp_path / "named", OPTIM.model_copy(update={"amp": "bf16"}))
    assert not equal(plain, named)
    assert all(value.dtype != torch.bfloat16 and value.isfinite().all() for value in named.values())
    with pytest.raises(ConfigError, match=r"optim\.amp: fp16 needs a GPU"):
        run(view, settings, tmp_path / "half", OPTIM.model_copy(update={"amp": "fp16"}))


@pytest.mark.parametrize(
    ("amp", "capability", "precision"),
    [
        (True, (9, 0), "bfloat16"),
        (True, (7, 5), "float16"),
        ("fp16", (9, 0), "float16"),
        ("bf16", (7, 5), "bfloat16"),
        (False, (9, 0), None),
    ],
)
def test_a_gpu_computes_in_the_type_that_it_has_or_that_is_named(
    monkeypatch: pytest.MonkeyPatch, amp: Any, capability: tuple[int, int], precision: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert training._precision(OptimSettings(iterations=1, amp=amp), "cuda:0") == precision


def test_loader_threads_follow_the_share_of_the_cores_and_gpus_get_pinned_batches(
    view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loader(device: str, threads: int) -> StreamLoader:
        return training._loader(dataset(view), None, 4, seed=0, device=device, threads=threads)

    assert [loader("cuda:0", threads)._threads for threads in (1, 3, 64)] == [1, 3, training.MOST_LOADERS]
    assert loader("cpu", 16)._threads == 0
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    batch = next(iter(loader("cuda:0", 2)))
    assert {id(value) for value in batch.values() if isinstance(value, torch.Tensor)} == {id(value) for value in pinned}
    next(iter(loader("cpu", 2)))
    assert len(pinned) == 2


@pytest.mark.parametrize(("backend", "synchronised"), [("nccl", True), ("gloo", False)])
def test_norms_of_several_gpus_see_the_whole_batch(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, backend: str, synchronised: bool
) -> None:
    cfg = build_config(settings["segmenter"], settings["backbone"], 3)
    model = initial_model(cfg, cfg, seed=1, weights=None)
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    monkeypatch.setattr(mm, "distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: backend)
    distributed.synchronise_norms(model)
    norms = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(norm, nn.SyncBatchNorm) == synchronised for norm in norms)
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before


def test_losses_go_to_tensorboard_where_it_is_installed(
    view: Any, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmengine.registry import VISBACKENDS
    from mmengine.visualization import LocalVisBackend

    told: list[tuple[str, float, int]] = []

    @VISBACKENDS.register_module(name="Told", force=True)
    class Told(LocalVisBackend):  # type: ignore[misc]
        def add_scalars(self, scalar_dict: dict[str, float], step: int, *_: Any) -> None:
            told.extend((name, value, step) for name, value in scalar_dict.items())

        def close(self) -> None:
            told.append(("closed", 0.0, 0))

    monkeypatch.setattr(training_state, "find_spec", lambda name: name)
    monkeypatch.setattr(training_state, "TENSORBOARD", "Told")
    _, curve = run(view, settings, tmp_path / "w", OPTIM)
    assert told[-1][0] == "closed"
    assert {name: value for name, value, _ in told[:-1]} == {k: v for k, v in curve[0].items() if k != "iteration"}
    assert {step for _, _, step in told[:-1]} == {2}
