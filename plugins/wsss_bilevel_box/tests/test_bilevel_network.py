"""The hourglass has the published size, shapes and values."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.contract import InputRule
from wsss_bilevel_box.auxiliary import ready
from wsss_bilevel_box.encoder import EncoderGenerator, GuidedStem
from wsss_bilevel_box.method import at_cells, margins
from wsss_bilevel_box.network import HOURGLASS, SMALL, MaskGenerator, assemble, with_probability

VECTORS = json.loads((Path(__file__).parent / "vectors" / "official.json").read_text())["generator"]


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def constant(channels):
    """Convolution weights 1 / (cin kh kw), biases 0, identity norms."""
    network = MaskGenerator(channels).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1.0 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


@pytest.mark.parametrize("channels", [4, 5])
def test_the_published_number_of_parameters(channels):
    assert parameters(MaskGenerator(channels)) == VECTORS[f"params_in{channels}"]


def test_every_part_has_the_published_size():
    network = MaskGenerator(5)
    parts = {"pre": network.pre, "hourglass": network.hourglass, "cnv": network.cnv, "head": network.head}
    assert {name: parameters(part) for name, part in parts.items()} == VECTORS["parts_in5"]
    assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == VECTORS["n_conv"]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == VECTORS["n_bn"]
    assert sum(b.numel() for b in network.buffers() if b.ndim) == VECTORS["bn_buffers"] - VECTORS["n_bn"]


@pytest.mark.parametrize("channels", [4, 5])
@torch.inference_mode()
def test_the_published_values_with_constant_weights(channels):
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    pattern = ((y + 2 * x) % 7) / 7
    image = torch.stack([(k + 1) * pattern for k in range(channels)])[None]
    found = constant(channels).double()(image.double())
    expected = VECTORS["constant_weight_vector"][f"in{channels}_128"]
    assert list(found.shape) == expected["shape"]
    plane = found[0, 0]
    values = [plane[0, 0], plane[16, 16], plane[31, 5], plane.mean()]
    wanted = [expected[key] for key in ("at_0_0", "at_16_16", "at_31_5", "mean")]
    torch.testing.assert_close(torch.stack(values), torch.tensor(wanted).double(), rtol=1e-5, atol=0)


def test_sides_are_multiples_of_128_or_refused():
    assert HOURGLASS.multiple == 128
    network = MaskGenerator(4, SMALL)
    for side in map(int, VECTORS["fails_for"]):
        assert side % HOURGLASS.multiple
    with pytest.raises(ValueError, match="multiples of 32"):
        network(torch.zeros(1, 4, 48, 64))


def test_the_small_network_has_the_same_stride():
    assert MaskGenerator(5, SMALL).eval()(torch.zeros(1, 5, 64, 32)).shape == (1, 2, 16, 8)


def test_the_input_is_probability_boxes_blue_green_red():
    image = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)
    x = assemble(image, torch.ones(1, 1, 1, dtype=torch.uint8), torch.full((1, 1, 1), 0.25), unit=False)
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([0.25, 1.0, 30 - 104.008, 20 - 116.669, 10 - 122.675]))
    assert assemble(image, torch.ones(1, 1, 1), None, unit=True).shape == (1, 4, 1, 1)


def test_a_generator_grown_by_the_probability_begins_as_what_it_was():
    torch.manual_seed(0)
    old, new = MaskGenerator(4, SMALL).eval(), MaskGenerator(5, SMALL).eval()
    new.load_state_dict(with_probability(old.state_dict()))
    x = torch.randn(1, 4, 32, 32)
    torch.testing.assert_close(new(torch.cat([torch.rand(1, 1, 32, 32), x], 1)), old(x))


def on_backbone(channels):
    from wsss_bilevel_box.auxiliary import make_generator

    torch.manual_seed(0)
    return make_generator("backbone", channels, backbone="tiny").eval()


def test_a_generator_on_the_backbone_grows_alike():
    from wsss_bilevel_box.encoder import grown

    old, new = on_backbone(4), on_backbone(5)
    new.load_state_dict(grown(old.state_dict()))
    x = torch.randn(1, 4, 65, 65)
    found = new(torch.cat([torch.rand(1, 1, 65, 65), x], 1))
    assert found.shape == (1, 2, 17, 17)
    torch.testing.assert_close(found, old(x), rtol=1e-4, atol=1e-5)


def test_norms_of_a_pretrained_encoder_stay_as_they_came():
    network = on_backbone(4)
    network.pretrained = True
    before = {name: value.clone() for name, value in network.encoder.named_buffers()}
    network.train()(torch.randn(2, 4, 65, 65))
    assert all(torch.equal(value, before[name]) for name, value in network.encoder.named_buffers())


@torch.no_grad()
def test_the_first_layer_sees_the_boxes_and_begins_as_the_backbone_without_them():
    network = on_backbone(4)
    (stem,) = (module for module in network.encoder.modules() if isinstance(module, GuidedStem))
    pixels, boxes = torch.randn(1, 3, 65, 65), torch.ones(1, 1, 65, 65)
    without = network.encoder(torch.cat([pixels, 0 * boxes], 1))
    assert all(torch.equal(*pair) for pair in zip(without, network.encoder(torch.cat([pixels, boxes], 1)), strict=True))
    nn.init.ones_(stem.guides.weight)
    with_boxes = network.encoder(torch.cat([pixels, boxes], 1))
    assert not any(torch.equal(*pair) for pair in zip(without, with_boxes, strict=True))


@torch.no_grad()
def test_the_backbone_sees_pixels_under_its_own_mean_and_deviation():
    images = torch.randint(0, 256, (1, 65, 65, 3), dtype=torch.uint8)
    seen = []
    rule = InputRule(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
    encoder = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1))
    encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder.forward = lambda x: [encoder[0](x)]
    network = EncoderGenerator(encoder, (8,), 4, inputs=rule, stride=4, pretrained=False)
    network(assemble(images, torch.ones(1, 65, 65), None, unit=True))
    torch.testing.assert_close(seen[0][:, :3], (images.permute(0, 3, 1, 2).float() - 127) / 128)
    assert (seen[0][:, 3] == 1).all()


def test_guides_of_a_pretrained_stem_learn_at_the_full_rate():
    network = on_backbone(5)
    assert network.pretrained_parameters() == []
    network.pretrained = True
    slow = {id(p) for p in network.pretrained_parameters()}
    names = {name for name, p in network.encoder.named_parameters() if id(p) not in slow}
    assert len(names) == 1
    assert names.pop().endswith(".guides.weight")


def test_a_folded_generator_is_the_same_function():
    network = on_backbone(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
        if isinstance(module, GuidedStem):
            nn.init.normal_(module.guides.weight)
    x = torch.rand(1, 5, 65, 65)
    with torch.no_grad():
        before = network(x)
        torch.testing.assert_close(ready(network, "cpu")(x), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cells", [(17, 17), (9, 9), (5, 5)])
def test_guides_meet_features_where_these_lie(cells):
    ramp = torch.arange(65.0).expand(1, 1, 65, 65)
    row = at_cells(ramp, cells, corners=True)[0, 0, 0]
    stride = 64 // (cells[1] - 1)
    assert row[1:-1].tolist() == [float(stride * index) for index in range(1, cells[1] - 1)]
    assert (row[0], row[-1]) == (stride / 4, 64 - stride / 4), "at the border the mean is over what is there"


def test_a_target_cell_is_the_pixel_on_which_the_logit_lies():
    """A boundary at pixel 32 of 65: on the corners' grid, cells up to 32 / 4 lie on its side; up-sampling keeps it."""
    logits = torch.where(torch.arange(17) <= 8, -1.0, 1.0).expand(1, 1, 17, 17)
    plane = margins(torch.cat([-logits, logits], 1), (65, 65), align=True)[0, 0]
    assert plane[32] < 0 < plane[36]
    assert plane[34] == 0


def test_a_backbone_without_a_name_is_refused():
    from harness.contract import ConfigError
    from wsss_bilevel_box.auxiliary import make_generator

    with pytest.raises(ConfigError, match="set network to 'small'"):
        make_generator("backbone", 4, backbone="config")
