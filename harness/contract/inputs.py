"""What a pretrained network wants to see."""

from __future__ import annotations

from dataclasses import dataclass, replace

IMAGENET_MEAN = (123.675, 116.28, 103.53)
"""Mean of ImageNet's training images: R, G, B, 0-255."""
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class InputRule:
    """How images are brought to a network: (pixel - mean) / std at sides that suit it.

    Whoever uses a backbone obeys its record's rule: classifier, segmenter, class activation maps, augmentation.

    Attributes:
        multiple: Sides are ``k * multiple`` (+ 1), k >= 1, where the harness chooses them. ``None`` is the output
            stride that the network is used at: at output stride 16 the sides ``16 k + 1`` are exact.
        corners: True: sides are ``k * multiple + 1`` and feature i of a convolutional network lies on pixel
            ``i * stride``, so the outer features lie on the corners. False: sides are ``k * multiple`` and a feature
            lies at the centre of its cell, as in a transformer with non-overlapping patches.
        mean: R, G, B, 0-255.
        std: R, G, B, 0-255; a network that wants (x - 127) / 128 has mean 127 and std 128.
    """

    multiple: int | None = None
    corners: bool = True
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def at(self, output_stride: int) -> InputRule:
        """The rule of the network at ``output_stride``."""
        return self if self.multiple is not None else replace(self, multiple=output_stride)

    def side(self, side: float) -> int:
        """The allowed side nearest to ``side``; of 32 pixels where neither multiple nor output stride is known."""
        multiple, extra = self.multiple or 32, int(self.corners)
        return max(round((side - extra) / multiple), 1) * multiple + extra

    @property
    def padding(self) -> tuple[int, int, int]:
        """R, G, B uint8 of what lies outside an image: next to zero once it is normalised."""
        red, green, blue = (min(max(round(value), 0), 255) for value in self.mean)
        return red, green, blue


IMAGENET = InputRule()
"""What most convolutional networks want that were trained on ImageNet."""
