"""Training samples: what a crop shows, where its target comes from, and how often it shows nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.contract import Box, ConfigError, Need, Supervision
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.views import DatasetView
from wsss_bilevel_box.pairs import PairStream, Scene, canvas_side, on_canvas, read_scenes

VECTORS = json.loads((Path(__file__).parent / "vectors" / "official.json").read_text())
NEEDS = [Need(Supervision.MASKS, auxiliary=True), Need(Supervision.BOXES, auxiliary=True)]


TWO = (Box(1, 8, 8, 24, 24), Box(2, 40, 16, 56, 32))


def scene(height=40, width=64, boxes=TWO):
    mask = np.zeros((height, width), np.uint8)
    image = np.zeros((height, width, 3), np.uint8)
    for box in boxes:
        mask[box.y0 : box.y1, box.x0 : box.x1] = box.cls
        image[box.y0 : box.y1, box.x0 : box.x1] = 200
    return Scene("x", image, mask, tuple(boxes))


@pytest.mark.parametrize("case", VECTORS["crop_emptiness"])
def test_crops_miss_the_boxes_as_often_as_published(case):
    boxes = [Box(1, *corners) for corners in case["boxes"]]
    drawn = scene(case["H"], case["W"], boxes)
    stream = PairStream([drawn], crop=512, seed=0, pad_label=0, centred=False)
    empty = [0, 0]
    for start in range(0, 100, 10):
        batch = stream.batch(start, 10)
        empty[0] += int((batch.masks.flatten(1).sum(1) == 0).sum())
        empty[1] += int((batch.targets.flatten(1).sum(1) == 0).sum())
    assert empty[0] / 100 == pytest.approx(case["p_mask_empty"], abs=0.12)
    assert empty[1] / 100 == pytest.approx(case["p_label_empty"], abs=0.12)


def test_targets_are_the_published_rows():
    rows = np.arange(512, dtype=np.uint8) % 251
    head, tail = VECTORS["label_resize"]["cv2_nearest_512_to_128_head"], VECTORS["label_resize"]["cv2_tail"]
    assert list(range(0, 512, 4))[:6] == head
    assert list(range(0, 512, 4))[-3:] == tail
    mask = np.repeat(rows[:, None], 512, 1)
    big = Scene("x", np.zeros((512, 512, 3), np.uint8), mask, (Box(4, 0, 0, 512, 512),))
    stream = PairStream([big], crop=512, seed=next(s for s in range(99) if unscaled(s)), pad_label=0, centred=False)
    found = stream.batch(0, 1).targets[0, :, 0].tolist()
    assert found == [int(rows[row] == 4) for row in range(0, 512, 4)]


def unscaled(seed):
    from wsss_bilevel_box.pairs import draw

    return draw(seed, 0).scale == 1.0


def test_image_boxes_and_target_stay_in_register():
    stream = PairStream([scene()], crop=64, seed=3)
    batch = stream.batch(0, 32)
    inside = batch.masks[:, 2::4, 2::4] > 0
    known = batch.targets != 255
    agree = (inside == (batch.targets == 1))[known].float().mean()
    assert agree > 0.97  # boxes of this scene are filled, so box mask and target agree but for rounding at edges
    bright = (batch.images[..., 0] > 100)[:, 2::4, 2::4]
    assert (bright[inside & known]).float().mean() > 0.95


def test_padding_is_not_learned_from_unless_officially():
    small = scene(16, 16, (Box(1, 2, 2, 14, 14),))
    assert (PairStream([small], crop=64, seed=0).batch(0, 4).targets == 255).any()
    official = PairStream([small], crop=64, seed=0, pad_label=0).batch(0, 4).targets
    assert set(official.unique().tolist()) <= {0, 1}


def test_a_sample_depends_on_its_position_alone():
    one, two = (PairStream([scene(), scene()], crop=64, seed=5) for _ in range(2))
    late = two.batch(6, 2)
    both = one.batch(4, 4)
    assert (both.images[2:] == late.images).all()
    assert (both.targets[2:] == late.targets).all()


def test_an_image_batch_holds_every_class_of_each_crop():
    batch = PairStream([scene()], crop=64, seed=1).image_batch(0, 3)
    assert batch.owner.tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.classes.tolist() == [1, 2, 1, 2, 1, 2]


def test_the_canvas_holds_the_largest_image_up_to_the_limit():
    assert canvas_side([(96, 96)], 512, 32) == 96
    assert canvas_side([(375, 500)], 512, 128) == 512
    assert canvas_side([(375, 500)], 256, 128) == 256
    assert canvas_side([(96, 96)], 96, 16, corners=True) == 97, "the pixel more does not count as size"
    assert canvas_side([(97, 97)], 96, 16, corners=True) == 97
    assert canvas_side([(320, 240)], 192, 16, corners=True) == 193
    assert canvas_side([(1, 1)], 192, 16, corners=True) == 17
    with pytest.raises(ConfigError, match="canvas: 64 is below 128"):
        canvas_side([(10, 10)], 64, 128)
    canvas, factor = on_canvas(np.zeros((100, 50, 3), np.uint8), 64)
    assert canvas.shape == (64, 64, 3)
    assert factor == 0.64


def test_shared_classes_are_refused():
    dataset = SyntheticDataset(SyntheticParams(train=2, val=1, size=32, classes=2, auxiliary_classes=2))
    assert len(read_scenes(DatasetView(dataset, "train", NEEDS))) == 64
    assert dataset.auxiliary is not None
    dataset.auxiliary.classes = ("background", dataset.classes[1].upper(), "other")
    with pytest.raises(ConfigError, match="auxiliary classes must differ from those of the target"):
        read_scenes(DatasetView(dataset, "train", NEEDS))
