"""The components in the harness: generator, refiners, relabeller, segmenter, method."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import wsss_pseudo_mask
from harness.contract import IMAGENET, ConfigError, DataError, PseudoLabel, SoftScores
from harness.contract.protocol import CamSettings
from harness.maps import ScoreWriter
from harness.testing import fake_context, fake_view
from wsss_pseudo_mask import method, pcm
from wsss_pseudo_mask.cyclic import Cyclic, relabel
from wsss_pseudo_mask.generator import CvsPmgGenerator, CvsPmgRefiner
from wsss_pseudo_mask.params import CvsParams, CvsPmgParams, CyclicParams, MethodParams, PmgParams, PufParams
from wsss_pseudo_mask.pcm import correlate
from wsss_pseudo_mask.segmenter import PretendedUnderFitting
from wsss_pseudo_mask.tests.pmm_vectors import VECTORS

SIZE = (24, 32)


def a_view():
    """Two images of a red and a blue rectangle, the second without tags."""
    image = np.full((*SIZE, 3), 60, np.uint8)
    image[4:20, 4:14], image[6:14, 20:28] = (200, 40, 40), (40, 40, 220)
    return fake_view({"two": image, "none": image}, tags={"two": (3, 5), "none": ()})


def scores():
    """Two blobs at stride 4, inside the two rectangles of the image; float16."""
    y, x = np.mgrid[:6, :8]
    blobs = [np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 4) for cy, cx in ((2.5, 1.8), (2, 5.5))]
    return SoftScores((3, 5), np.array(blobs, np.float16), SIZE)


@pytest.fixture
def ctx(tmp_path):
    with ScoreWriter(tmp_path) as writer:
        writer.write("two", scores())
        writer.write("none", SoftScores((), np.zeros((0, 6, 8), np.float16), SIZE))
    return fake_context(
        tmp_path,
        settings={"cam": CamSettings(threshold=0.3)},
        inputs=dict.fromkeys(("cams", "classifier"), tmp_path),
        num_classes=6,
    )


@pytest.mark.parametrize("preset", ["intended", "official"])
@pytest.mark.parametrize("switches", [{}, {"crf": False}, {"pmg": False}, {"cvs": False, "pmg": False, "crf": False}])
def test_the_generator_labels_every_image_with_its_own_classes(ctx, preset, switches):
    two, none = CvsPmgGenerator(CvsPmgParams(preset=preset, **switches)).generate(a_view(), ctx)
    assert (two.mask.shape, two.mask.dtype) == (SIZE, np.uint8)
    assert {3, 5} <= set(np.unique(two.mask)) <= {0, 3, 5}
    assert two.mask[12, 8] == 3
    assert two.mask[10, 24] == 5
    assert two.scores.classes == (3, 5)
    assert not none.mask.any()


def test_generator_and_refiner_agree_and_images_are_read_only_for_the_crf(ctx):
    for crf, read in ((False, None), (True, {"reads": 2, "images": 1})):
        view, params = a_view(), CvsPmgParams(crf=crf)
        made, _ = CvsPmgGenerator(params).generate(view, ctx)
        (refined,) = CvsPmgRefiner(params).refine([PseudoLabel("two", np.zeros(SIZE, np.uint8), scores())], view, ctx)
        np.testing.assert_array_equal(made.mask, refined.mask)
        np.testing.assert_array_equal(made.scores.values, refined.scores.values)
        assert view.meter.as_dict().get("images") == read


def test_a_stored_background_plane_is_left_out(ctx):
    given = scores()
    planes = np.concatenate([np.ones((1, 6, 8), np.float16), given.values])
    with_background = PseudoLabel("two", np.zeros(SIZE, np.uint8), SoftScores((0, 3, 5), planes, SIZE))
    without = PseudoLabel("two", np.zeros(SIZE, np.uint8), given)
    one, other = CvsPmgRefiner(CvsPmgParams(crf=False)).refine([with_background, without], a_view(), ctx)
    np.testing.assert_array_equal(one.mask, other.mask)


def test_refiners_need_soft_scores_where_there_are_objects(ctx):
    refine = CvsPmgRefiner(CvsPmgParams()).refine
    empty = PseudoLabel("none", np.zeros(SIZE, np.uint8))
    assert not next(refine([empty], a_view(), ctx)).mask.any()
    with pytest.raises(DataError, match="image 'two' carries no soft scores"):
        next(refine([PseudoLabel("two", np.ones(SIZE, np.uint8))], a_view(), ctx))


def test_without_anything_switched_on_foreground_begins_at_the_protocols_threshold(ctx):
    """The fixed background score of the protocol decides, as for the row ``cam``; an explicit alpha wins."""
    off = {"cvs": False, "pmg": False, "crf": False}
    ramp = np.linspace(0, 1, 32, dtype=np.float16).reshape(1, 1, 32)
    label = PseudoLabel("two", np.zeros((1, 32), np.uint8), SoftScores((3,), ramp, (1, 32)))
    for params, threshold in (({}, 0.3), ({"preset": "official"}, 0.1556), ({"alpha": 11.0}, 0.1556)):
        (found,) = CvsPmgRefiner(CvsPmgParams(**off, **params)).refine([label], a_view(), ctx)
        np.testing.assert_array_equal(found.mask[0] > 0, ramp[0, 0] > threshold)
    assert method.neutral_alpha(0.15560247120797702) == pytest.approx(11)


def test_with_smoothing_peaky_maps_gain_pixels_and_flat_maps_lose_some(ctx):
    """An evenly spread map stays where the protocol's threshold puts it."""
    even = np.linspace(0, 1, 400)
    for values, gains in ((even, 0), (even**3, 1), (1 - (1 - even) ** 3, -1)):
        given = SoftScores((3,), values.astype(np.float16).reshape(1, 1, -1), (1, 400))
        label = PseudoLabel("two", np.zeros((1, 400), np.uint8), given)
        (found,) = CvsPmgRefiner(CvsParams()).refine([label], a_view(), ctx)
        change = int((found.mask > 0).sum()) - int((values > 0.3).sum())
        assert np.sign(change) == gains or (gains == 0 and abs(change) < 3)


def test_short_names_switch_one_thing_on():
    assert (CvsParams().cvs, CvsParams().pmg, CvsParams().crf) == (True, False, False)
    assert (PmgParams().cvs, PmgParams().pmg, PmgParams().crf) == (False, True, True)
    names = {record.name for record in wsss_pseudo_mask.wsss_refiners()}
    assert names == {"pcm", "cvs", "pmg", "cvs_pmg"}


def test_pixel_correlation_equals_the_released_code():
    vector = VECTORS["P7_seam_losses"]["pcm"]
    found = correlate(torch.tensor(vector["cam"]), torch.tensor(vector["f"]))
    np.testing.assert_allclose(found, vector["rv"], atol=1e-5)


def test_correlated_maps_keep_their_histogram_and_follow_the_features(ctx):
    """The classifier's features know the red rectangle; half of its scores are missing and come back."""

    class Model:
        inputs = IMAGENET
        data_preprocessor = SimpleNamespace(normalise=lambda pixels: pixels.permute(0, 3, 1, 2).float())

        def features(self, x):
            red = torch.nn.functional.avg_pool2d((x[:, :1] > 130).float(), 16)
            return [torch.cat([red, 1 - red], 1)] * 2

    planes = np.zeros((1, 6, 8), np.float16)
    planes[0, 1:3, 1:3] = 1
    given = SoftScores((3,), planes, SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pcm, "load_classifier", lambda folder, device: Model())
        ctx.settings["classifier"] = SimpleNamespace(augment=SimpleNamespace(crop=240))
        empty = SoftScores((), np.zeros((0, 6, 8), np.float16), SIZE)
        found = dict(pcm.correlated([("two", given), ("none", empty), ("no", None)], a_view(), ctx))
    assert found["none"] is empty
    assert found["no"] is None
    np.testing.assert_array_equal(np.sort(found["two"].values, axis=None), np.sort(planes, axis=None))
    assert found["two"].values[0, 1:5, 1:4].sum() == 4


@pytest.mark.parametrize(("params", "sides"), [({}, 500.0), ({"crf_side": 80.0}, 80.0), ({"preset": "official"}, None)])
@pytest.mark.parametrize("pmg", [True, False])
def test_every_crf_is_told_for_which_images_its_kernels_are_meant(ctx, monkeypatch, params, sides, pmg):
    asked, true_crf = [], method.dense_crf

    def spy(image, pairwise, device="cpu", *, crf_side=None):
        asked.append(crf_side)
        return true_crf(image, pairwise, device, crf_side=crf_side)

    monkeypatch.setattr(method, "dense_crf", spy)
    monkeypatch.setattr("wsss_pseudo_mask.cyclic.dense_crf", spy)
    list(CvsPmgGenerator(CvsPmgParams(pmg=pmg, **params)).generate(a_view(), ctx))
    ctx.round_before = Previous()
    relabelling = MethodParams(**params).relabelling()
    list(Cyclic(relabelling).generate(a_view(), ctx))
    assert asked == [sides] * 3
    with pytest.raises(ConfigError, match="crf_side must be positive or null, got 0"):
        CyclicParams(crf_side=0.0)


class Previous:
    """A segmenter that sees the red rectangle fully, and class 1, of which no tag speaks, in a corner."""

    def __init__(self):
        self.calls = 0

    def predict(self, images):
        self.calls += 1
        for image in images:
            red = image[..., 0] == 200
            probabilities = np.zeros((6, *image.shape[:2]), np.float32)
            probabilities[3] = np.where(red, 0.6, 0.05)
            probabilities[1, -6:, -6:] = 0.7
            probabilities[0] = 1 - probabilities.sum(0)
            yield probabilities


@pytest.mark.parametrize(("filtered", "expected"), [(False, {0, 1, 3}), (True, {0, 3})])
def test_relabelling_follows_the_segmenter_and_may_be_held_to_the_tags(ctx, filtered, expected):
    ctx.round_before = Previous()
    labels = list(Cyclic(CyclicParams(crf=False, filter_by_tags=filtered)).generate(a_view(), ctx))
    assert [label.image_id for label in labels] == ["two", "none"]
    assert ctx.previous.calls == 1
    assert set(np.unique(labels[0].mask)) == expected
    assert labels[0].scores.classes == tuple(sorted(expected - {0}))
    assert (labels[0].mask[4:20, 4:14] == 3).all()
    assert set(np.unique(labels[1].mask)) == (expected if not filtered else {0})


@pytest.mark.parametrize(("device", "backend"), [("cpu", "numba"), ("cuda:0", "torch")])
def test_crfs_run_on_the_device_of_the_stage(ctx, monkeypatch, device, backend):
    asked = []

    class Crf:
        def __init__(self, image, *, pairwise, backend, device):
            asked.append((backend, device))

        def infer_many(self, problems, iterations):
            return problems

        def infer(self, problem, iterations):
            return problem

    monkeypatch.setattr(method, "DenseCRF", Crf)
    ctx.device = device
    for switches in ({}, {"pmg": False}):
        list(CvsPmgGenerator(CvsPmgParams(**switches)).generate(a_view(), ctx))
    ctx.round_before = SimpleNamespace(
        predict=lambda images: (np.full((4, *image.shape[:2]), 0.25, np.float32) for image in images)
    )
    list(Cyclic(CyclicParams()).generate(a_view(), ctx))
    assert set(asked) == {(backend, device)}
    assert len(asked) == 2 + len(a_view().ids)


def test_relabelling_snaps_to_the_image():
    """Half of the red rectangle is uncertain; its colour decides."""
    image = a_view().image("two")
    probabilities = np.full((6, *SIZE), 0.02, np.float32)
    probabilities[0] = 0.9
    probabilities[:, 4:20, 4:14] = np.array([0.2, 0, 0, 0.8, 0, 0])[:, None, None]
    probabilities[:, 4:20, 9:14] = np.array([0.5, 0.15, 0, 0.35, 0, 0])[:, None, None]
    plain = relabel("a", probabilities, (0, 1, 3), None).mask
    snapped = relabel("a", probabilities, (0, 1, 3), image).mask
    assert not plain[4:20, 9:14].any()
    np.testing.assert_array_equal(snapped, np.where(image[..., 0] == 200, 3, 0))


def config(**model):
    from harness.modelling.mm import Config

    return Config({"model": {"type": "EncoderDecoder", **model}})


def test_every_softmax_cross_entropy_of_every_head_is_exchanged():
    ce = {"type": "CrossEntropyLoss", "use_sigmoid": False, "avg_non_ignore": True}
    cfg = config(
        decode_head={"loss_decode": [{**ce, "loss_weight": 1.0}, {"type": "DiceLoss", "loss_name": "loss_dice"}]},
        auxiliary_head=[{"loss_decode": {**ce, "loss_weight": 0.4}}, {}],
    )
    model = PretendedUnderFitting(PufParams(beta=0.8, k=0.7)).configure(cfg, None, None).model
    decode, dice = model.decode_head.loss_decode
    first, second = (head.loss_decode for head in model.auxiliary_head)
    assert [loss.type for loss in (decode, first, second)] == ["PretendedUnderfittingLoss"] * 3
    assert [loss.loss_weight for loss in (decode, first, second)] == [1.0, 0.4, 1.0]
    assert (decode.beta, decode.k, decode.gate_pixels, decode.avg_non_ignore) == (0.8, 0.7, "valid", True)
    assert (decode.loss_name, dice.type) == ("loss_ce", "DiceLoss")
    official = PretendedUnderFitting(PufParams(preset="official")).configure(
        config(decode_head={"loss_decode": ce}), None, None
    )
    loss = official.model.decode_head.loss_decode
    assert (loss.gate_pixels, loss.avg_non_ignore) == ("all", False)


def test_a_head_without_softmax_cross_entropy_is_refused_by_name():
    cfg = config(decode_head={"loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": True}})
    with pytest.raises(ConfigError, match=r"model\.decode_head\.loss_decode has no softmax CrossEntropyLoss"):
        PretendedUnderFitting(PufParams()).configure(cfg, None, None)


def test_the_method_hands_its_parameters_on():
    (record,) = wsss_pseudo_mask.wsss_methods()
    first, second, third = record.rounds(MethodParams(tau=0.1, beta=0.8, k=0.7, cycles=2, crf=False, preset="official"))
    assert (first.generator.name, first.segmenter.name) == ("cvs_pmg", "pretended_underfitting")
    assert (first.generator.params["tau"], first.segmenter.params["beta"]) == (0.1, 0.8)
    assert (second.generator.name, second.segmenter.name) == ("cyclic", "plain")
    assert second == third
    assert second.generator.params["crf"] is first.generator.params["crf"] is False
    assert first.generator.params["preset"] == first.segmenter.params["preset"] == "official"
    assert len(record.rounds(MethodParams(cycles=0))) == 1


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        (CvsPmgParams, {"tau": 1.0}),
        (CvsPmgParams, {"smoothing": -0.1}),
        (CvsPmgParams, {"alpha": 0.0}),
        (PufParams, {"beta": 0.0}),
        (PufParams, {"k": -1.0}),
        (MethodParams, {"cycles": -1}),
    ],
)
def test_impossible_parameters_are_refused_by_name(params, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        params(**wrong)
