from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.contract import ConfigError
from harness.contract.protocol import AugmentSettings, OptimSettings
from harness.modelling import mm, training, training_state
from harness.modelling.dataset import TrainingSet
from harness.modelling.segmenter import build_config, initial_model
from harness.modelling.training import Recipe, fit, poly_rate, train
from harness.testing import fake_context

State = dict[str, torch.Tensor]


class Interrupted(Exception):
    pass


def dataset(view: Any, **kwargs: Any) -> TrainingSet:
    return TrainingSet(
        view.ids,
        view.image,
        settings=AugmentSettings(crop=32),
        seed=3,
        maps=lambda image_id: [view.mask(image_id)],
        **kwargs,
    )


def run(view: Any, settings: dict[str, Any], work: Path, optim: OptimSettings, **kwargs: Any) -> tuple[State, Any]:
    work.mkdir(parents=True, exist_ok=True)
    cfg = build_config(settings["segmenter"], settings["backbone"], 3)
    model = initial_model(cfg, cfg, seed=1, weights=None)
    data = kwargs.pop("data", None) or dataset(view)
    ctx = fake_context(work.parent, run_seed=7)
    ctx.work = work
    ctx.progress = kwargs.pop("progress", ctx.progress)  # type: ignore[method-assign]
    curve = fit(model, data, optim, ctx, **kwargs)
    return {key: value.clone() for key, value in model.state_dict().items()}, curve


def equal(one: State, other: State) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.fixture(params=["sgd", "adamw"])
def schedule(request: pytest.FixtureRequest) -> OptimSettings:
    lr = 0.05 if request.param == "sgd" else 1e-3
    return OptimSettings(iterations=7, batch_size=4, optimizer=request.param, lr=lr, warmup=2)


def test_the_same_seed_gives_the_same_bytes_and_a_stop_and_resume_too(
    view: Any, settings: dict[str, Any], tmp_path: Path, schedule: OptimSettings
) -> None:
    whole, curve = run(view, settings, tmp_path / "whole", schedule)
    again, _ = run(view, settings, tmp_path / "again", schedule, data=dataset(view, cache_bytes=0))
    assert equal(whole, again)

    data = dataset(view)
    original = data.sample

    def killed(position: int, index: int) -> Any:
        if position == 5 * 4:
            raise Interrupted
        return original(position, index)

    data.sample = killed  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        run(view, settings, tmp_path / "stopped", schedule, data=data, checkpoint_iterations=3)
    assert (tmp_path / "stopped" / training_state.CHECKPOINT).exists()
    resumed, resumed_curve = run(view, settings, tmp_path / "stopped", schedule)
    assert equal(whole, resumed)
    assert curve == resumed_curve
    assert [point["iteration"] for point in curve] == [7]


CHILD = """
import os, signal, sys
from itertools import repeat
from pathlib import Path
from tests.modelling import conftest, test_training
from harness.contract.protocol import BackboneSettings, OptimSettings, SegmenterSettings, AugmentSettings
from harness.modelling.training_state import Checkpoint
save = Checkpoint.save
def once(self, done):
    save(self, done)
    os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.save = once
optim = OptimSettings(iterations=7, batch_size=4, lr=0.05)
settings = {"backbone": BackboneSettings(name="tiny"), "segmenter": SegmenterSettings(
    config=str(conftest.CONFIGS / "fcn.py"), optim=optim, augment=AugmentSettings(crop=32))}
test_training.run(conftest.photographs(), settings, Path(sys.argv[1]), optim, checkpoint_iterations=4)
"""


def test_kill_9_then_the_same_command_ends_with_the_same_bytes(
    view: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    optim = OptimSettings(iterations=7, batch_size=4, lr=0.05)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "killed")]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    whole, curve = run(view, settings, tmp_path / "whole", optim)
    resumed, resumed_curve = run(view, settings, tmp_path / "killed", optim)
    assert equal(whole, resumed)
    assert curve == resumed_curve


class Fragile(torch.nn.Module):
    """One layer that raises in one of its steps."""

    def __init__(self, seed: int, fails_at: int | None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer, self.steps, self.fails_at = torch.nn.Linear(3, 1), 0, fails_at

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.steps += 1
        if self.steps == self.fails_at:
            raise Interrupted
        return {"loss": (self.layer(batch) - 1).square()}


def two_trainings(ctx: Any, fails_at: int | None = None) -> list[State]:
    """Train two networks one after the other; the second one may fail in a step."""
    networks = Fragile(1, None), Fragile(2, fails_at)
    for network in networks:
        groups = [{"params": list(network.parameters()), "lr": 0.1, "initial_lr": 0.1}]
        recipe = Recipe(torch.optim.SGD(groups), 5, rate=lambda iteration: 1.0)
        train(network, lambda start: repeat(torch.eye(3)), recipe, ctx, seed=0, checkpoint_iterations=1)
    return [network.state_dict() for network in networks]


def test_two_trainings_of_one_stage_never_resume_from_each_other(tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("plain", "often", "killed"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("harness.modelling.training_state.Checkpoint.save_when_due", lambda *_: None)
    plain = two_trainings(fake_context(tmp_path / "plain"))
    monkeypatch.undo()
    often = two_trainings(fake_context(tmp_path / "often"))
    with pytest.raises(Interrupted):
        two_trainings(fake_context(tmp_path / "killed"), fails_at=4)
    resumed = two_trainings(fake_context(tmp_path / "killed"))
    for expected, *others in zip(plain, often, resumed, strict=True):
        assert all(equal(expected, other) for other in others)


def test_dropout_and_data_follow_their_seeds(view: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    optim = OptimSettings(iterations=2, batch_size=4, lr=0.05)
    one, _ = run(view, settings, tmp_path / "one", optim)
    torch.manual_seed(99)
    same, _ = run(view, settings, tmp_path / "same", optim)
    assert equal(one, same)


def test_training_learns_and_says_how_far_it_is(view: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    optim = OptimSettings(iterations=60, batch_size=4, lr=0.05, head_lr_mult=1.0)
    _, curve = run(view, settings, tmp_path / "w", optim, progress=lambda done, total: told.append((done, total)))
    assert [point["iteration"] for point in curve] == [50, 60]
    assert curve[1]["loss"] < curve[0]["loss"] < 1.1
    assert told[-1] == (60, 60)


def test_no_iterations_leave_the_model_alone(view: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    state, curve = run(view, settings, tmp_path / "w", OptimSettings(iterations=0))
    cfg = build_config(settings["segmenter"], settings["backbone"], 3)
    assert equal(state, initial_model(cfg, cfg, seed=1, weights=None).state_dict())
    assert curve == []


def test_a_loss_that_is_not_finite_is_an_error_that_says_when(
    view: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    optim = OptimSettings(iterations=20, batch_size=4, lr=1e18)
    with pytest.raises(FloatingPointError, match=r"training diverged: loss is (nan|inf) at iteration \d+"):
        run(view, settings, tmp_path / "w", optim)


def test_frozen_norms_keep_statistics_and_affine_part(view: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    optim = OptimSettings(iterations=3, batch_size=4, lr=0.05, freeze_bn=True)
    cfg = build_config(settings["segmenter"], settings["backbone"], 3)
    before = initial_model(cfg, cfg, seed=1, weights=None).state_dict()
    after, _ = run(view, settings, tmp_path / "w", optim)
    norms = {key.rpartition(".")[0] for key in before if key.endswith("running_mean") and key.startswith("backbone.")}
    assert norms
    for key, value in before.items():
        frozen = key.rpartition(".")[0] in norms
        assert frozen == torch.equal(value, after[key]), key


def test_the_console_stays_silent_and_the_scratch_folder_empty(
    view: Any, settings: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(view, settings, tmp_path / "w", OptimSettings(iterations=1, batch_size=4))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert not list((tmp_path / "w").iterdir())


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    factors = [poly_rate(i, 100, warmup=9, power=0.9) for i in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == pytest.approx(0.91**0.9)
    assert all(a > b for a, b in pairwise(factors[9:]))
    assert factors[100] == 0.0


def test_heads_learn_faster_and_norms_of_adamw_do_not_decay(settings: dict[str, Any]) -> None:
    cfg = build_config(settings["segmenter"], settings["backbone"], 3)
    model = initial_model(cfg, cfg, seed=1, weights=None)
    optim = OptimSettings(iterations=1, optimizer="adamw", lr=0.1, head_lr_mult=10.0, weight_decay=0.01)
    groups = training.parameter_groups(model, optim, {})
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        rate = 0.1 if name.startswith("backbone.") else 1.0
        assert found[id(parameter)] == (rate, 0.0 if parameter.ndim == 1 else 0.01)


def test_prefixes_set_rates_and_a_rate_of_zero_freezes(view: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    cfg = build_config(settings["segmenter"], settings["backbone"], 3)
    model = initial_model(cfg, cfg, seed=1, weights=None)
    optim = OptimSettings(iterations=2, batch_size=4, lr=0.1, head_lr_mult=10.0)
    first = next(name for name, _ in model.named_parameters())
    rates = {"backbone.": 0.0, "decode_head.conv_seg.": 5.0}
    groups = training.parameter_groups(model, optim, rates)
    assert sorted({group["lr"] for group in groups}) == [0.5, 1.0]
    before, _ = run(view, settings, tmp_path / "a", OptimSettings(iterations=0))
    after, _ = run(view, settings, tmp_path / "b", optim, rates=rates)
    learned = {name for name in before if not torch.equal(before[name], after[name]) and "running" not in name}
    assert first.startswith("backbone.")
    assert learned
    assert not any(name.startswith("backbone.") and not name.endswith("tracked") for name in learned)
    with pytest.raises(ConfigError, match="rates: no parameter of EncoderDecoder begins with 'neck'"):
        training.parameter_groups(model, optim, {"neck": 1.0})


def test_mmengine_scope_is_mmseg_and_its_head_is_put_back(view: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    measured = mm.decode_head.accuracy
    run(view, settings, tmp_path / "w", OptimSettings(iterations=1, batch_size=4))
    mm.enter_scope()
    assert mm.DefaultScope.get_current_instance().scope_name == "mmseg"
    assert mm.decode_head.accuracy is measured


WORKER = """
import sys
from itertools import repeat
from pathlib import Path
import torch
from tests.modelling import conftest, test_training
from harness.contract.protocol import BackboneSettings, OptimSettings, SegmenterSettings, AugmentSettings
optim = OptimSettings(iterations=3, batch_size=4, lr=0.05)
settings = {"backbone": BackboneSettings(name="tiny"), "segmenter": SegmenterSettings(
    config=str(conftest.CONFIGS / "fcn.py"), optim=optim, augment=AugmentSettings(crop=32))}
state, curve = test_training.run(conftest.photographs(), settings, Path(sys.argv[1]), optim)
torch.save(state, Path(sys.argv[1]) / f"{torch.distributed.get_rank()}.pth")
torch.distributed.destroy_process_group()
"""


@pytest.fixture
def two_processes(tmp_path: Path) -> list[State]:
    (tmp_path / "ddp").mkdir()
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(script), str(tmp_path / "ddp")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [torch.load(tmp_path / "ddp" / f"{rank}.pth") for rank in (0, 1)]


def test_processes_under_torchrun_share_each_batch_and_end_equal(two_processes: list[State]) -> None:
    first, second = two_processes
    for key, value in first.items():
        if "running" not in key:
            torch.testing.assert_close(value, second[key], rtol=0, atol=0)


def test_a_batch_that_does_not_divide_is_refused(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mm, "distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    with pytest.raises(ConfigError, match=r"optim\.batch_size: 4 does not divide among 3 processes"):
        training._loader(dataset(view), None, 4, seed=0, device="cpu")
