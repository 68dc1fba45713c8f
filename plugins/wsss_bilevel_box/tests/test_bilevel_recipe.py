"""The paper's class split, label maps, segmenters and learning-rate groups, as the released code has them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from harness.common.shipped import configs_folder
from harness.contract.protocol import AugmentSettings, BackboneSettings, OptimSettings, SegmenterSettings
from harness.modelling.mm import build
from harness.modelling.segmenter import build_config
from harness.scoring import score
from harness.scoring.metrics import miou, pixel_accuracy
from wsss_bilevel_box.recipe import (
    VOC_IDS,
    auxiliary_labels,
    box_map,
    grid_rows,
    multi_scale,
    rate_groups,
    segmentation_map,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "official.json").read_text())
BUILD = VECTORS["aux_label_build"]


CONFIGS = configs_folder() / "segmenters"


def segmenter(backbone, head, num_classes):
    """The harness's network on the meta device: shapes without memory."""
    settings = SegmenterSettings(
        config=str(CONFIGS / f"{head}.py"),
        optim=OptimSettings(iterations=1),
        augment=AugmentSettings(crop=65),
        output_stride=8,
    )
    with torch.device("meta"):
        return build(build_config(settings, BackboneSettings(name=backbone), num_classes).model).eval()


@pytest.fixture(scope="module")
def vgg():
    return segmenter("vgg16_largefov", "deeplabv1", 21)


@pytest.fixture(scope="module")
def r101():
    return segmenter("resnet101_v1", "deeplabv2", 21)


def shape(network, side):
    with torch.device("meta"):
        return list(network._forward(torch.zeros(1, 3, side, side)).shape)


def size(tensors):
    return [len(tensors), sum(t.numel() for t in tensors)]


def test_the_sixty_classes_that_voc_does_not_have():
    labels = auxiliary_labels()
    assert list(labels) == VECTORS["aux_classes"]["coco_ids_kept_in_order"]
    assert labels == {int(k): v for k, v in VECTORS["aux_classes"]["label_of_coco_id"].items()}
    assert not VOC_IDS & set(labels)


def test_the_published_segmentation_map():
    """A person is background; of the two zebras and the elephant over them the elephant comes later."""
    rectangles = [(24, 3, 2, 4, 4), (1, 0, 0, 5, 5), (22, 6, 4, 8, 6), (24, 12, 6, 5, 4)]
    objects = []
    for coco, x, y, width, height in rectangles:
        mask = np.zeros((12, 20), bool)
        mask[y : y + height, x : x + width] = True
        objects.append((coco, mask))
    assert segmentation_map((12, 20), objects).tolist() == BUILD["seg60_img1"]
    assert not segmentation_map((12, 20), objects[1:2]).any()


def test_the_published_box_map():
    assert box_map((12, 20), BUILD["bbox_json"]["1"]).tolist() == BUILD["bbox60_img1"]


def test_large_fov_has_the_published_size_and_shapes(vgg):
    assert size(list(vgg.parameters()))[1] == VECTORS["segmenters"]["vgg21_params"]
    wide = segmenter("vgg16_largefov", "deeplabv1", 61)
    assert size(list(wide.parameters()))[1] == VECTORS["segmenters"]["vgg61_params"]
    for side, expected in VECTORS["segmenters"]["vgg_shapes"].items():
        assert shape(wide, int(side)) == expected


def test_deeplab_has_the_published_size_at_twice_the_stride(r101):
    """The released code drops the stem's max-pool: output stride 4, at four times the cost."""
    assert size(list(r101.parameters()))[1] == VECTORS["segmenters"]["r101_params"]
    batch, channels, *sides = shape(r101, 321)
    assert [channels, *(2 * side - 1 for side in sides)] == VECTORS["segmenters"]["r101_output_at_321"][1:]
    assert (batch, sides) == (1, [41, 41])


def test_the_learning_rate_groups(vgg, r101):
    published = VECTORS["optimizer_groups"]
    for preset, key in (("intended", "vgg_bare"), ("official", "vgg_as_called_in_trainVGG16")):
        groups = rate_groups(vgg.named_parameters(), "vgg16", preset)
        assert {f"{k}x": size(v) for k, v in groups.items()} == published[key]
    official = rate_groups(r101.named_parameters(), "resnet101", "official")
    assert {f"{k}x": size(official[k]) for k in (1, 10, 20)} == published["r101"]
    learned = {id(p) for group in official.values() for p in group}
    left_out = [name for name, p in r101.named_parameters() if id(p) not in learned]
    assert len(left_out) == published["r101_not_in_optimizer"]["n"]
    in_head = [name for name in left_out if name.startswith("decode_head.")]
    assert len(in_head) == len(published["r101_not_in_optimizer"]["aspp"])
    assert all(name.endswith("weight") for name in in_head)
    intended = rate_groups(r101.named_parameters(), "resnet101")
    assert size([p for group in intended.values() for p in group]) == size(list(r101.parameters()))


def test_the_published_multi_scale_forward():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    image = ((16 * y + x) / 255).expand(1, 3, 16, 16)
    found = multi_scale(lambda x: torch.cat([x[:, :1], -x[:, 1:2]], 1)[:, :, ::8, ::8], image)
    torch.testing.assert_close(found[-1], torch.tensor(VECTORS["msc"]["eval"]), rtol=0, atol=1e-6)
    assert [list(f.shape) for f in found] == VECTORS["msc"]["train_shapes"]


def test_labels_are_resized_at_the_published_rows():
    assert grid_rows(321, 41) == VECTORS["label_resize"]["pil_nearest_321_to_41_rows"]
    plane = torch.arange(321.0)[None, None, :, None].expand(1, 1, 321, 4)
    assert functional.interpolate(plane, (41, 4), mode="nearest-exact")[0, 0, :, 0].int().tolist() == grid_rows(321, 41)


def test_the_harness_scores_as_the_released_code():
    case = VECTORS["metric"]
    truth, found = (np.array(case[key], np.uint8) for key in ("gt", "pred"))
    confusion = score([("x", truth, found)], case["n_class"]).total()
    assert miou(confusion) == pytest.approx(case["result"]["Mean IoU"], abs=1e-9)
    assert pixel_accuracy(confusion) == pytest.approx(case["result"]["Pixel Accuracy"], abs=1e-9)
