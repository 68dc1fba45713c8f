from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.contract import IGNORE, Segmenter, StoreError
from harness.contract.protocol import (
    AugmentSettings,
    BackboneSettings,
    ClassifierSettings,
    FreezeSettings,
    OptimSettings,
    SegmenterSettings,
)
from harness.contract.protocol import TestSettings as TimeOfTest
from harness.modelling import feature_stage, frozen, mm, training
from harness.modelling.classification import train_classifier
from harness.modelling.classifier import build_classifier, load_classifier
from harness.modelling.dataset import TrainingSet, Views, tagged_images
from harness.modelling.feature_stage import FeatureWriter, compute_features, compute_predicted
from harness.modelling.features import ABOUT, FeatureReader, Levels
from harness.modelling.frozen import FrozenBackbone, digest, freeze
from harness.modelling.inference import load_segmenter, predict
from harness.modelling.preprocess import Uint8Preprocessor
from harness.modelling.tasks import train_segmenter
from harness.testing import FakeContext, fake_context
from tests.modelling.conftest import CONFIGS, Labels, photographs
from tests.modelling.pretrained import backbone, write_weights

Make = Callable[..., Any]
AUGMENT = AugmentSettings(crop=32, scale=(0.7, 1.6), colour=0.4)
TOLERANCE = 0.02
"""Difference of each tensor of a head, as a share of how far the training moved it: float16 keeps 11 binary digits."""


def frozen_settings(weights: Path, config: str = "mlp_stride8.py") -> dict[str, Any]:
    """Settings for seconds, the backbone frozen."""
    optim = OptimSettings(iterations=6, batch_size=4, lr=0.02, head_lr_mult=1.0)
    return {
        "backbone": BackboneSettings(name="tiny", weights=str(weights)),
        "freeze": FreezeSettings(views=3, augment=AUGMENT),
        "classifier": ClassifierSettings(optim=optim, augment=AUGMENT),
        "segmenter": SegmenterSettings(config=str(CONFIGS / config), optim=optim, augment=AUGMENT),
    }


def frozen_context(folder: Path, name: str, test: Any = None, **fields: Any) -> FakeContext:
    """The stage ``name``; the weights and the stored features lie beside it."""
    settings = frozen_settings(folder / "tiny.pth", **fields) | ({} if test is None else {"test": test})
    return fake_context(folder / name, settings=settings, inputs={"features": folder / "features" / "out"})


@pytest.fixture
def context(tmp_path: Path) -> Make:
    write_weights(tmp_path / "tiny.pth")
    return partial(frozen_context, tmp_path)


@pytest.fixture
def features(view: Any, context: Make) -> Path:
    """The stored features of the photographs."""
    ctx = context("features")
    compute_features({}, view, ctx)
    found: Path = ctx.out
    return found


class Plain(Segmenter):
    pass


@contextlib.contextmanager
def not_supplied(model: Any, batch: Any, images: Any) -> Iterator[None]:
    yield


def rounded(self: FrozenBackbone, x: Tensor) -> Any:
    return tuple(level.half().float() for level in compute(self, x))


compute = FrozenBackbone._compute


def heads(weights: Path) -> dict[str, Tensor]:
    state = torch.load(weights, weights_only=True)
    return {name: value for name, value in state.items() if not name.startswith("backbone.")}


def trained(view: Any, ctx: Any, what: str) -> dict[str, Tensor]:
    if what == "classifier":
        train_classifier({}, view, ctx)
    else:
        train_segmenter(Plain(), Labels(view), view, ctx)
    return heads(ctx.out / f"{what}.pth")


@pytest.mark.parametrize("what", ["segmenter", "classifier"])
def test_a_head_learns_the_same_from_stored_features_as_from_computed_ones(
    what: str, view: Any, context: Make, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(FrozenBackbone, "_compute", lambda self, x: calls.append(len(x)) or compute(self, x))
    stored = trained(view, context("stored"), what)
    assert not calls, "every level that is read is stored"
    monkeypatch.setattr(training, "supplying", not_supplied)
    computed = trained(view, context("computed"), what)
    assert len(calls) == 6
    monkeypatch.setattr(FrozenBackbone, "_compute", rounded)
    alike = trained(view, context("rounded"), what)
    start = initial(context, what)
    for name, value in stored.items():
        assert torch.equal(value, alike[name]), f"{name}: rounding to float16 is the only difference"
        moved = (computed[name].float() - start[name]).norm()
        assert (value.float() - computed[name]).norm() <= TOLERANCE * moved, name
    assert any(not torch.equal(value, start[name]) for name, value in stored.items())


def initial(context: Make, what: str) -> dict[str, Tensor]:
    ctx = context("initial")
    section = ctx.settings[what]
    optim = section.optim.model_copy(update={"iterations": 0})
    ctx.settings = {**ctx.settings, what: section.model_copy(update={"optim": optim})}
    return trained(photographs(), ctx, what)


def test_a_frozen_backbone_keeps_its_weights_names_and_statistics(
    view: Any, context: Make, features: Path, tmp_path: Path
) -> None:
    train_segmenter(Plain(), Labels(view), view, context("segmenter"))
    train_classifier({}, view, context("classifier"))
    expected = torch.load(tmp_path / "tiny.pth", weights_only=True)
    networks = load_segmenter(context("segmenter").out), load_classifier(context("classifier").out, fold=False)
    for network in networks:
        assert not any(isinstance(part, FrozenBackbone) for part in network.modules())
        state = network.get_submodule("backbone").state_dict()
        assert all(torch.equal(state[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    "test", [TimeOfTest(), TimeOfTest(flip=True, base=48), TimeOfTest(scales=(0.75, 1.5), flip=True, base=41)]
)
def test_predictions_from_stored_features_are_those_of_the_network_to_the_bit(
    test: Any, view: Any, context: Make, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(view, context("segmenter"), "segmenter")
    ctx = context("predicted", test=test)
    images = [(image_id, view.image(image_id)) for image_id in view.ids]
    compute_predicted(iter(images), ctx, total=len(images))
    folder = context("segmenter").out
    alone = list(predict(folder, images, settings=test))
    passed: list[int] = []
    monkeypatch.setattr(FrozenBackbone, "_compute", lambda self, x: passed.append(len(x)) or compute(self, x))
    stored = list(predict(folder, images, settings=test, features=ctx.out))
    assert not passed, "the backbone computes nothing"
    for (one_id, one), (other_id, other) in zip(alone, stored, strict=True):
        assert one_id == other_id
        np.testing.assert_array_equal(one, other)


def test_predictions_of_a_network_with_other_weights_take_no_stored_features(
    view: Any, context: Make, features: Path, tmp_path: Path
) -> None:
    trained(view, context("segmenter"), "segmenter")
    ctx, folder = context("predicted", test=TimeOfTest()), context("segmenter").out
    images = [(image_id, view.image(image_id)) for image_id in view.ids]
    compute_predicted(iter(images), ctx, total=len(images))
    about = json.loads((ctx.out / ABOUT).read_text())
    (ctx.out / ABOUT).write_text(json.dumps(about | {"weights": "of another"}))
    (ctx.out / "levels.bin").write_bytes(b"")
    alone = dict(predict(folder, images, settings=TimeOfTest()))
    assert all((mask == alone[i]).all() for i, mask in predict(folder, images, settings=TimeOfTest(), features=ctx.out))
    (ctx.out / ABOUT).write_text(json.dumps(about))
    with pytest.raises(StoreError, match=r"levels\.bin: ends before its last image"):
        dict(predict(folder, images, settings=TimeOfTest(), features=ctx.out))


def test_freezing_lets_a_network_compute_as_in_evaluation_and_learn_nothing() -> None:
    network, x = backbone(), torch.randn(2, 3, 33, 33)
    network.eval()
    with torch.no_grad():
        expected = network(x)
    frozen_one = backbone()
    freeze(frozen_one)
    frozen_one.train()
    assert isinstance(frozen_one, FrozenBackbone)
    assert not any(part.training for part in frozen_one.modules())
    assert not any(parameter.requires_grad for parameter in frozen_one.parameters())
    assert type(frozen_one).__module__ == type(network).__module__
    assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(frozen_one(x), expected, strict=True))
    assert digest(frozen_one) == digest(network) != digest(backbone(seed=6))


class Changed(torch.nn.Module):
    """A model that looks at its images in some way."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = backbone()
        freeze(self.backbone)


def zero(x: Tensor) -> Tensor:
    x[:, :, :8] = 0
    return x


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "flipped": lambda x: x.flip(-1),
    "a copy": lambda x: x.clone(),
    "rescaled": lambda x: torch.nn.functional.interpolate(x, scale_factor=0.5),
    "a part": lambda x: x[:2],
    "erased in place": zero,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_method_that_changes_its_images_gets_the_true_features(
    change: str, view: Any, context: Make, features: Path
) -> None:
    model, ctx = Changed(), context("x")
    batch, images = batch_of(view, ctx, range(4))
    true = compute(model.backbone, images)
    with frozen.supplying(model, batch, images):
        stored = model.backbone(images)
        assert torch.equal(stored[1], true[1].half().float())
        x = CHANGES[change](images)
        seen = model.backbone(x)
    for level in range(4):
        assert torch.equal(seen[level], compute(model.backbone, x)[level])
    assert torch.equal(model.backbone(images)[1], compute(model.backbone, images)[1]), "after the step nothing is left"


def test_a_level_that_is_not_stored_is_computed_when_it_is_read(view: Any, context: Make, features: Path) -> None:
    model, ctx = Changed(), context("x")
    batch, images = batch_of(view, ctx, range(4))
    true = compute(model.backbone, images)
    with frozen.supplying(model, batch, images):
        levels = model.backbone(images)
        assert len(levels) == 4
        assert all(torch.equal(one, two.half().float()) for one, two in zip(levels[1:], true[1:], strict=True))
        assert torch.equal(levels[0], true[0])
        assert torch.equal(levels[-4], true[0])
        with pytest.raises(IndexError):
            levels[4]


def test_features_of_other_weights_are_not_used(view: Any, context: Make, features: Path) -> None:
    model = Changed()
    model.backbone = backbone(seed=6)
    freeze(model.backbone)
    batch, images = batch_of(view, context("x"), range(4))
    with frozen.supplying(model, batch, images):
        assert torch.equal(model.backbone(images)[1], compute(model.backbone, images)[1])


def test_a_batch_of_a_methods_own_kind_has_no_features(view: Any, context: Make, features: Path) -> None:
    model = Changed()
    batch, images = batch_of(view, context("x"), range(2))
    for own, given in (([images], images), ({"inputs": images}, images), (batch, None), (batch, {"x": images})):
        with frozen.supplying(model, own, given):
            assert model.backbone.supplied is None


def batch_of(view: Any, ctx: Any, positions: range) -> tuple[dict[str, Any], Tensor]:
    data = tagged_images(view, ctx)
    batch = data.collate([data.sample(position, position % len(data)) for position in positions])
    return batch, Uint8Preprocessor().normalise(batch["inputs"])


@pytest.mark.parametrize("views", [1, 2])
def test_labels_images_and_features_of_a_sample_are_of_one_view(
    views: int, view: Any, context: Make, features: Path
) -> None:
    """Colour gives the label of each pixel away; every other image is left out, as one without a label is."""
    ids = view.ids[1::2]
    data: Any = TrainingSet(
        ids,
        view.image,
        settings=AUGMENT,
        seed=4,
        maps=lambda image_id: [view.mask(image_id)],
        features=FeatureReader(features),
    )
    source = data if views == 1 else Views(data, views)
    samples = [source.sample(position, position % len(ids)) for position in range(18)]
    batch = source.collate(samples)
    network = backbone()
    freeze(network)
    levels = Levels.of(batch)
    assert levels is not None
    assert levels.values.keys() == {1, 2, 3}
    true = network(Uint8Preprocessor().normalise(batch["inputs"]))
    for level, stored in levels.values.items():
        torch.testing.assert_close(stored.float(), true[level], rtol=1e-3, atol=1e-3)
    image, label = batch["inputs"].float(), batch["labels"][:, 0]
    for cls, channel in ((1, 0), (2, 2)):
        inside = torch.nn.functional.max_pool2d((label != cls).float()[:, None], 3, 1, 1)[:, 0] == 0
        others = image[..., [c for c in range(3) if c != channel]].amax(-1)
        assert inside.any()
        assert (image[..., channel] > others + 20)[inside].all()
    assert (label == IGNORE).any()
    seen = {tuple(stored.flatten().tolist()[:50]) for stored in levels.values[3]}
    assert len(seen) > len(ids), "more than one view of an image"


def test_images_without_a_label_are_left_out_and_the_others_keep_their_features(
    view: Any, context: Make, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = Labels(view)
    for image_id in view.ids[:5]:
        labels.masks[image_id] = np.full_like(labels.masks[image_id], IGNORE)

    largest: list[float] = []

    @contextlib.contextmanager
    def compared(model: Any, batch: Any, images: Any) -> Iterator[None]:
        levels = Levels.of(batch)
        assert levels is not None
        true = compute(model.backbone, images)
        largest.extend(float((levels.values[k].float() - true[k]).abs().max()) for k in levels.values)
        yield

    monkeypatch.setattr(training, "supplying", compared)
    train_segmenter(Plain(), labels, view, context("segmenter"))
    assert len(largest) == 18
    assert max(largest) < 0.01


def test_a_network_that_trains_its_backbone_sees_new_views_and_learns(
    view: Any, context: Make, features: Path, tmp_path: Path
) -> None:
    ctx = context("own")
    model = build_classifier(ctx, train_backbone=True)
    data = tagged_images(view, ctx, train_backbone=True)
    assert Levels.of(data.collate([data.sample(0, 0)])) is None
    before = digest(model.get_submodule("backbone"))
    training.fit(model, data, ctx.settings["classifier"].optim, ctx)
    assert digest(model.get_submodule("backbone")) != before
    assert digest(build_classifier(ctx).get_submodule("backbone")) == before == digest(backbone())


def test_features_are_read_row_by_row_and_a_file_that_is_cut_short_is_told(view: Any, features: Path) -> None:
    reader = FeatureReader(features)
    whole = [np.load(features / f"level{level}.npy") for level in (1, 2, 3)]
    for row in (0, 17, 35):
        for found, expected in zip(reader.levels(row), whole, strict=True):
            np.testing.assert_array_equal(found, expected[row])
    assert {reader.row(view.ids[3], 1, position) for position in range(40)} == {9, 10, 11}
    with (features / "level2.npy").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(StoreError, match=r"level2\.npy: ends before row 35"):
        reader.levels(35)
    (features / "features.json").write_text("{}")
    with pytest.raises(StoreError, match="no readable features"):
        FeatureReader(features)


CHILD = """
import os, signal, sys
from pathlib import Path
from harness.modelling import feature_stage
from tests.modelling.conftest import photographs
from tests.modelling.test_frozen import frozen_context
feature_stage.CHECKPOINT_SECONDS = 0.0
feature_stage._CPU_PIXELS = 2 * 32 * 32
ctx = frozen_context(Path(sys.argv[1]), "killed")
write = feature_stage.FeatureWriter.write
def killed(self, levels):
    write(self, levels)
    if (ctx.work / "rows").exists() and int((ctx.work / "rows").read_text()) >= 12:
        for file in self._files.values():
            file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
feature_stage.FeatureWriter.write = killed
feature_stage.compute_features({}, photographs(), ctx)
"""


def test_features_of_a_stage_that_was_killed_have_the_same_bytes(
    view: Any, context: Make, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_stage, "_CPU_PIXELS", 2 * 32 * 32)
    whole, ctx = context("whole"), context("killed")
    compute_features({}, view, whole)
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr
    assert (ctx.work / "rows").read_text() == "12\n"
    seen: list[str] = []
    image = view.image
    monkeypatch.setattr(view, "image", lambda image_id: seen.append(image_id) or image(image_id))
    compute_features({}, view, ctx)
    assert seen == list(view.ids[4:]), "what was safe on disk is not computed again"
    for path in sorted(whole.out.iterdir()):
        assert path.read_bytes() == (ctx.out / path.name).read_bytes(), path.name
    for path in sorted(whole.out.glob("*.npy")):
        np.testing.assert_allclose(np.load(path), np.load(features / path.name), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("left", [0, 100, 140])
def test_rows_that_were_noted_and_are_not_there_are_computed_again(tmp_path: Path, left: int) -> None:
    rows = {level: np.ones((4, 2, 2, 1), np.float16) for level in (1, 2)}
    with FeatureWriter(tmp_path, 8, rows) as writer:
        writer.write(rows)
        writer._save(4)
    assert FeatureWriter(tmp_path, 8, rows).done == 4
    file = tmp_path / "level2.npy"
    file.write_bytes(file.read_bytes()[:left])
    assert FeatureWriter(tmp_path, 8, rows).done == 0


def test_the_stage_says_how_far_it_is_and_keeps_nothing_of_the_size_of_the_cache(
    view: Any, context: Make, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest: list[int] = []
    write = feature_stage.FeatureWriter.write
    monkeypatch.setattr(feature_stage, "_CPU_PIXELS", 4 * 32 * 32)
    monkeypatch.setattr(
        feature_stage.FeatureWriter,
        "write",
        lambda self, levels: largest.append(sum(v.nbytes for v in levels.values())) or write(self, levels),
    )
    ctx = context("again")
    compute_features({}, view, ctx)
    assert ctx.told == [(done, 12) for done in range(1, 13)]
    size = sum(path.stat().st_size for path in ctx.out.glob("*.npy"))
    assert max(largest) < size / 10


WORKER = """
import os, sys
from pathlib import Path
import torch
from harness.modelling import training
from harness.modelling.frozen import FrozenBackbone
from harness.modelling.tasks import train_segmenter
from tests.modelling.conftest import Labels, photographs
from tests.modelling.test_frozen import Plain, frozen_context, not_supplied, rounded
def train(name):
    view = photographs()
    ctx = frozen_context(Path(sys.argv[1]), name + os.environ["RANK"], config="fcn.py")
    train_segmenter(Plain(), Labels(view), view, ctx)
calls = []
FrozenBackbone._compute = lambda self, x: calls.append(len(x)) or rounded(self, x)
train("stored")
assert calls == [], calls
training.supplying = not_supplied
train("computed")
assert calls == [2] * 6, calls
torch.distributed.destroy_process_group()
"""


def test_two_processes_under_torchrun_learn_from_stored_features_what_they_do_from_computed_ones(
    features: Path, tmp_path: Path
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    group = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *group, str(script), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        outs = (tmp_path / f"{name}{rank}" / "out" for name in ("stored", "computed"))
        stored, computed = (heads(out / "segmenter.pth") for out in outs)
        assert all(torch.equal(value, computed[name]) for name, value in stored.items())


def test_views_of_a_frozen_backbone_follow_the_seed_of_the_run(view: Any, context: Make, features: Path) -> None:
    def rows(seed: int) -> list[int]:
        reader = FeatureReader(features)
        return [reader.row(view.ids[position % 12], seed, position) for position in range(60)]

    assert rows(1) == rows(1) != rows(2)
    assert set(rows(1)) <= set(range(36))


@mm.MODELS.register_module()
class TaggedHead(mm.MODELS.get("EncoderDecoder")):  # type: ignore[misc]
    seen: list[tuple[str, list[float]]] = []

    def loss(self, inputs: Tensor, data_samples: list[Any]) -> Any:
        self.seen.extend((sample.metainfo["img_id"], sample.tags.tolist()) for sample in data_samples)
        return super().loss(inputs, data_samples)


def test_a_head_that_learns_from_stored_features_gets_tags_too(
    view: Any, context: Make, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FromTags(Plain):
        tags = True

        def configure(self, cfg: Any, view: Any, ctx: Any) -> Any:
            cfg.model.type = "TaggedHead"
            return cfg

    calls: list[int] = []
    monkeypatch.setattr(FrozenBackbone, "_compute", lambda self, x: calls.append(len(x)) or compute(self, x))
    train_segmenter(FromTags(), Labels(view), view, context("tagged"))
    assert not calls, "every level that is read is stored"
    assert TaggedHead.seen
    assert all(tags == [float(cls in view.tags(image_id)) for cls in (1, 2)] for image_id, tags in TaggedHead.seen)
