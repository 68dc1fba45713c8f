"""Guided filter: a map takes over the structure of an image (He, Sun and Tang, ECCV 2010 and TPAMI 2013).

In every window of radius r the output is an affine function of the guide, fitted to the map by ridge regression; a
pixel gets the mean of the functions of all windows that hold it.

* Box means are two one-dimensional poolings in channels-last layout: exact, and every vector lane works on a channel.
* Statistics of the guide and of all maps go through one pooling together.
* The guide's mean is taken off first. The filter does not see the difference, but float32 does: variances are
  differences of large numbers on a bright, flat patch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

POOLED_RADIUS = 32
"""Largest radius of pooled means; the cost of pooling grows with the radius, that of running sums does not."""


def apply_guided_filter(guide: Tensor, maps: Tensor, *, radius: int, eps: float, subsample: int = 1) -> Tensor:
    """Filter maps under a guide.

    Args:
        guide: (B, 3, H, W) or (B, 1, H, W) float, in [0, 1] for the usual meaning of ``eps``.
        maps: (B, K, H, W) float, any range; all of an image share its guide.
        radius: r; a window has 2 r + 1 pixels on each side and is clipped at the border. 0 returns the maps.
        eps: Ridge: structure whose variance in the guide is below it is smoothed away. Scaling the guide by k needs
            k^2 eps; a grey guide with eps equals three equal channels with 3 eps.
        subsample: Fit the affine functions on guide and maps this many times smaller.

    Returns:
        (B, K, H, W) float; neither the range nor the sum over the maps is kept.
    """
    if radius == 0:
        return maps
    with torch.autocast(maps.device.type, enabled=False):
        guide = guide.to(maps.dtype)
        guide = guide - guide.mean((-2, -1), keepdim=True)
        small_radius = max(round(radius / subsample), 1)
        slopes, offsets = guided_coefficients(
            _smaller(guide, subsample), _smaller(maps, subsample), radius=small_radius, eps=eps
        )
        count = maps.shape[1]
        means = box_mean(torch.cat([*slopes, offsets], 1), small_radius)
        if subsample > 1:
            means = functional.interpolate(means, guide.shape[-2:], mode="bilinear", align_corners=False)
        out = means[:, -count:]
        for channel in range(guide.shape[1]):
            slope = means[:, channel * count : (channel + 1) * count]
            out = torch.addcmul(out, slope, guide[:, channel : channel + 1])
        return out.contiguous()


def guided_coefficients(guide: Tensor, maps: Tensor, *, radius: int, eps: float) -> tuple[list[Tensor], Tensor]:
    """The affine function of every window: slope ``(Sigma + eps)^-1 cov(guide, map)`` and offset.

    Args:
        guide: (B, 3, H, W) or (B, 1, H, W) float.
        maps: (B, K, H, W) float.
        radius: Radius of a window.
        eps: Added to the diagonal of the guide's covariance Sigma.

    Returns:
        One slope (B, K, H, W) for each channel of the guide, and the offset (B, K, H, W).
    """
    channels = [guide[:, i : i + 1] for i in range(guide.shape[1])]
    pairs = [(i, j) for i in range(len(channels)) for j in range(i, len(channels))]
    stack = [*channels, maps, *(channels[i] * channels[j] for i, j in pairs), *(channel * maps for channel in channels)]
    means = torch.split(box_mean(torch.cat(stack, 1), radius), [part.shape[1] for part in stack], 1)
    count = len(channels)
    mean, mean_map = means[:count], means[count]
    second, cross = means[count + 1 : count + 1 + len(pairs)], means[count + 1 + len(pairs) :]
    covariance = {(i, j): torch.addcmul(m, mean[i], mean[j], value=-1) for (i, j), m in zip(pairs, second, strict=True)}
    with_map = [torch.addcmul(c, m, mean_map, value=-1) for c, m in zip(cross, mean, strict=True)]
    slopes = _solve(covariance, with_map, eps)
    offset = mean_map
    for slope, m in zip(slopes, mean, strict=True):
        offset = torch.addcmul(offset, slope, m, value=-1)
    return slopes, offset


def box_mean(x: Tensor, radius: int) -> Tensor:
    """Mean over the window of ``radius`` around every pixel, clipped at the border.

    Args:
        x: (B, K, H, W) float.
        radius: r; up to ``POOLED_RADIUS`` by pooling, beyond it by running sums in float64.

    Returns:
        (B, K, H, W) float, channels last in memory.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if radius > min(POOLED_RADIUS, *x.shape[-2:]):
        return _running_mean(_running_mean(x, -1, radius), -2, radius)
    for kernel, padding in (((1, 2 * radius + 1), (0, radius)), ((2 * radius + 1, 1), (radius, 0))):
        x = functional.avg_pool2d(x, kernel, 1, padding, count_include_pad=False)
    return x


def _running_mean(x: Tensor, dim: int, radius: int) -> Tensor:
    """Clipped window means along one dimension from one running sum."""
    size = x.shape[dim]
    position = torch.arange(size, device=x.device)
    stop, start = (position + radius + 1).clamp(max=size), (position - radius).clamp(min=0)
    sums = functional.pad(x.double().cumsum(dim).movedim(dim, -1), (1, 0))
    mean = (sums[..., stop] - sums[..., start]) / (stop - start)
    return mean.movedim(-1, dim).to(x.dtype)


def _solve(covariance: dict[tuple[int, int], Tensor], right: list[Tensor], eps: float) -> list[Tensor]:
    """(Sigma + eps)^-1 times ``right``, channel by channel; the 3x3 inverse in closed form."""
    if len(right) == 1:
        return [right[0] / (covariance[0, 0] + eps)]
    a, b, c = covariance[0, 0] + eps, covariance[0, 1], covariance[0, 2]
    d, e, f = covariance[1, 1] + eps, covariance[1, 2], covariance[2, 2] + eps
    first = (d * f - e * e, c * e - b * f, b * e - c * d)
    second = (first[1], a * f - c * c, b * c - a * e)
    third = (first[2], second[2], a * d - b * b)
    scale = 1 / (a * first[0] + b * first[1] + c * first[2])
    slopes = []
    for row in (first, second, third):
        slope = (row[0] * scale) * right[0]
        slope = torch.addcmul(slope, row[1] * scale, right[1])
        slopes.append(torch.addcmul(slope, row[2] * scale, right[2]))
    return slopes


def _smaller(x: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return x
    size = [max(side // factor, 1) for side in x.shape[-2:]]
    return functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=False)
