"""The pretrained network at a smaller output stride ("a trous", DeepLab v2, arXiv 1606.00915, section 3.1).

Where a stride is taken away, the cells of the maps behind it lie closer together, and a filter finds the same pixels
only if it skips the cells in between: its dilation grows by as much. The network that is left computes at every second
(or fourth) cell exactly what the strided one computes there.

What is unusual here: no table of stages says which layer gets which dilation. One small image goes through the strided
network, and the size of each layer's input says how many pixels apart its cells lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.modelling.mm import MODELS, MixVisionTransformer, nlc_to_nchw

_SIDE = 129
"""Side of the measured image: 2^7 + 1 suits networks that pad and networks that do not."""


class Undilatable(ValueError):
    """A layer whose taps cannot be moved apart."""


_Layer = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


class _Measured(NamedTuple):
    """Pixels between neighbouring cells, before and behind a layer."""

    before: int
    behind: int


def atrous(network: dict[str, Any], output_stride: int) -> nn.Module:
    """The type of an mmseg backbone: that of ``network`` at ``output_stride``, with the same parameters.

    Args:
        network: Configuration of a convolutional backbone at its own output stride.
        output_stride: A power of two, at most its own.
    """
    built = MODELS.build(network)
    assert isinstance(built, nn.Module)
    dilate(built, output_stride)
    return built


def dilate(network: nn.Module, output_stride: int) -> None:
    """Take away the strides beyond ``output_stride``, and dilate what lies behind them.

    Exact where filters and local pools are all that looks at more than one cell. What pools the whole map (squeeze and
    excitation) then averages more cells of it.

    Args:
        network: Takes (N, 3, h, w); in the strided state, in training mode as it was built.
        output_stride: A power of two.

    Raises:
        Undilatable: A layer has no dilation.
    """
    for name, layer, measured in list(_measure(network)):
        skipped = measured.before // min(measured.before, output_stride)
        stride = min(measured.behind, output_stride) // min(measured.before, output_stride)
        if (stride, skipped) != (measured.behind // measured.before, 1):
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, _changed(layer, stride, skipped))


def _measure(network: nn.Module) -> Iterator[tuple[str, _Layer, _Measured]]:
    """The layers that look at more than one cell or stride, in the order in which the image reaches them."""
    found: dict[str, tuple[_Layer, _Measured]] = {}
    names = {layer: name for name, layer in network.named_modules()}

    def see(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, _Layer)
        found[names[layer]] = layer, _Measured(_stride(inputs[0]), _stride(output))

    watched = [
        layer
        for layer in names
        if isinstance(layer, _Layer) and not (_pair(layer.kernel_size) == _pair(layer.stride) == (1, 1))
    ]
    handles = [layer.register_forward_hook(see) for layer in watched]
    try:
        _run(network)
    finally:
        for handle in handles:
            handle.remove()
    return ((name, layer, measured) for name, (layer, measured) in found.items())


def _run(network: nn.Module) -> Any:
    """The levels of an image without content; neither random numbers nor running statistics move."""
    network.eval()  # of an mmseg backbone it returns nothing
    device = next(network.parameters()).device
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        levels = network(torch.zeros(1, 3, _SIDE, _SIDE, device=device))
    network.train()
    return levels


def _stride(maps: Tensor) -> int:
    """Pixels between neighbouring cells of maps (N, C, h, w), a power of two."""
    return int(2 ** round(math.log2(_SIDE / maps.shape[-1])))


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return int(first), int(second)


def _changed(layer: _Layer, stride: int, skipped: int) -> nn.Module:
    """The layer, or one in its place, with that stride, its taps ``skipped`` times as far apart."""
    if isinstance(layer, nn.AvgPool2d):
        if type(layer) is not nn.AvgPool2d:
            raise Undilatable(f"no dilation is known for {type(layer).__name__}")
        return DilatedAvgPool(_pair(layer.kernel_size), stride, _pair(layer.padding), skipped, layer.count_include_pad)
    layer.stride = (stride, stride)
    if _pair(layer.kernel_size) == (1, 1):
        return layer
    rows, columns = _pair(layer.dilation)
    layer.dilation = (rows * skipped, columns * skipped)
    if not isinstance(layer.padding, str):
        rows, columns = _pair(layer.padding)
        layer.padding = (rows * skipped, columns * skipped)
    if stride == 1 and _pair(layer.kernel_size)[0] % 2 == 0 and _pair(layer.padding) == (0, 0):
        layer.register_forward_pre_hook(_PadEnd(layer))
    return layer


class _PadEnd:
    """An even filter without padding, which met whole cells while it strode, keeps the size of the map."""

    def __init__(self, layer: nn.Conv2d | nn.MaxPool2d) -> None:
        rows, columns = (
            (taps - 1) * skipped for taps, skipped in zip(_pair(layer.kernel_size), _pair(layer.dilation), strict=True)
        )
        self.pad = (0, columns, 0, rows)
        self.value = -math.inf if isinstance(layer, nn.MaxPool2d) else 0.0

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        return functional.pad(inputs[0], self.pad, value=self.value)


class DilatedAvgPool(nn.Module):
    """An average pool whose taps lie ``dilation`` cells apart, which torch's do not.

    Args:
        kernel_size: Rows and columns of taps.
        stride: Of both axes.
        padding: Rows and columns of zeros of the pool without dilation. An even kernel gets as many zeros behind the
            map as keep its size.
        dilation: Cells between taps.
        count_include_pad: Whether zeros around the map count.
    """

    def __init__(
        self,
        kernel_size: tuple[int, int],
        stride: int,
        padding: tuple[int, int],
        dilation: int,
        count_include_pad: bool,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.count_include_pad = count_include_pad
        self.before = tuple(side * dilation for side in padding)
        self.behind = tuple(
            (taps - 1) * dilation - before for taps, before in zip(kernel_size, self.before, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h / stride, w / stride), rounded up."""
        sums = self._sums(x)
        taps = self.kernel_size[0] * self.kernel_size[1]
        return sums / (taps if self.count_include_pad else self._sums(torch.ones_like(x[:1, :1])))

    def _sums(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        x = functional.pad(x, (self.before[1], self.behind[1], self.before[0], self.behind[0]))
        taps = torch.ones(channels, 1, *self.kernel_size, dtype=x.dtype, device=x.device)
        return functional.conv2d(x, taps, stride=self.stride, dilation=self.dilation, groups=channels)


class AtrousMixVisionTransformer(MixVisionTransformer):
    """Mix Transformer whose last stage keeps the resolution of the one before: output stride 16.

    Attention sees every cell, so no dilation of filters gives the pretrained stage. It runs apart on the four
    interleaved maps of every second row and column; each is to it what the map of output stride 32 is.
    """

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, h, w) -> four levels, shallow to deep, of strides 4, 8, 16 and 16."""
        levels = []
        for stage, (embed, blocks, norm) in enumerate(self.layers):
            tokens, size = embed(x)
            x = nlc_to_nchw(tokens, size)
            x = _interleaved(x, blocks, norm) if stage == len(self.layers) - 1 else _attended(x, blocks, norm)
            levels.append(x)
        return levels


def _attended(x: Tensor, blocks: nn.ModuleList, norm: nn.Module) -> Tensor:
    """(N, C, h, w) -> the same shape."""
    size = (x.shape[2], x.shape[3])
    tokens = x.flatten(2).transpose(1, 2)
    for block in blocks:
        tokens = block(tokens, size)
    maps: Tensor = nlc_to_nchw(norm(tokens), size)
    return maps


def _interleaved(x: Tensor, blocks: nn.ModuleList, norm: nn.Module) -> Tensor:
    """(N, C, h, w) -> the same shape, each of the four interleaved maps for itself."""
    attended = torch.empty_like(x)
    for row in range(min(2, x.shape[2])):
        for column in range(min(2, x.shape[3])):
            attended[:, :, row::2, column::2] = _attended(x[:, :, row::2, column::2], blocks, norm)
    return attended
