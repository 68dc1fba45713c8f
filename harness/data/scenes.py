"""Drawing of synthetic scenes: creatures of several kinds before backgrounds that go with them.

What makes the scenes a fair test of weak supervision: a creature's kind shows in its head, a small patterned disc; its
body is large, plain and much alike in all kinds, so evidence for a tag covers only part of the object. Belly and legs
have the colours of the ground, so colour alone does not find the outline. Most pictures of a kind share a kind of
background, creatures hide one another, and stones, bushes and logs lie about.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Image

    Plane = npt.NDArray[np.float32]
    Region = npt.NDArray[np.bool_]
    Colour = npt.NDArray[np.float32]

VERSION = 4
"""Part of every digest: raise it with any change of what is drawn."""

_HUES = {
    "red": 0.0,
    "cyan": 0.5,
    "yellow": 0.15,
    "violet": 0.75,
    "lime": 0.27,
    "blue": 0.62,
    "pink": 0.92,
    "mint": 0.42,
}
_PATTERNS: dict[str, Callable[[Plane, Plane], Region]] = {
    "stripes": lambda x, y: np.sin(13 * x) > 0,
    "checks": lambda x, y: (np.sin(10 * x) > 0) ^ (np.sin(10 * y) > 0),
    "dots": lambda x, y: np.cos(13 * x) + np.cos(13 * y) > 0.6,
    "rings": lambda x, y: np.cos(18 * np.hypot(x, y)) > 0,
    "halves": lambda x, y: y < 0,
}
"""Where a pattern shows its bright tone; x and y run from the middle of the head, in half body lengths."""

KINDS = len(_HUES) * len(_PATTERNS)
"""How many kinds can be told apart."""

_BACKGROUND_OF_KIND = 0.5
_HIDDEN_AT_MOST = 0.3
_BELLY, _BELLY_SHADE, _CAMOUFLAGE = 0.2, 0.8, 0.8
"""Where the belly begins, in half body heights; how dark it is against the ground; how much it takes its colour."""


@dataclass(frozen=True)
class Kind:
    """What the creatures of one kind have in common; lengths in half body lengths."""

    name: str
    hue: float
    pattern: str
    body_hue: float
    girth: float
    legs: int
    leg_length: float

    @classmethod
    def number(cls, index: int) -> Kind:
        """Kind ``index`` of ``KINDS``; pattern and hue together are its own."""
        hue = list(_HUES)[index % len(_HUES)]
        pattern = list(_PATTERNS)[index % len(_PATTERNS)]
        return cls(
            name=f"{hue}_{pattern}",
            hue=_HUES[hue],
            pattern=pattern,
            body_hue=0.13 * _spread(index, 0.1),
            girth=0.42 + 0.2 * _spread(index, 0.5),
            legs=2 + index % 3,
            leg_length=0.25 + 0.25 * _spread(index, 0.9),
        )


@dataclass(frozen=True)
class Scene:
    """A drawn scene.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        instances: (H, W) uint8, 0 = background, n = the n-th visible creature, later ones in front.
        kinds: Kind of each visible creature.
        clutter: (H, W) bool, where stones, bushes and logs are to be seen.
    """

    image: Image
    instances: npt.NDArray[np.uint8]
    kinds: tuple[int, ...]
    clutter: Region

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.image.nbytes + self.instances.nbytes + self.clutter.nbytes


def draw_scene(rng: np.random.Generator, shape: tuple[int, int], kinds: range, *, first: int) -> Scene:
    """Draw one scene with one to three creatures.

    Args:
        rng: All randomness.
        shape: (H, W).
        kinds: Kinds to draw from.
        first: Kind of the first creature.
    """
    habitat = first if rng.random() < _BACKGROUND_OF_KIND else int(rng.integers(KINDS))
    canvas = _backdrop(rng, shape, habitat)
    clutter = _draw_clutter(rng, canvas)
    instances = np.zeros(shape, dtype=np.uint8)
    count = int(rng.choice(3, p=(0.45, 0.35, 0.2))) + 1
    drawn: list[int] = []
    for number in range(count):
        kind = first if number == 0 or rng.random() < 0.3 else int(rng.choice(kinds))
        if _draw_creature(rng, canvas, instances, kind=kind, crowd=count, label=len(drawn) + 1):
            drawn.append(kind)
    clutter &= instances == 0
    canvas += rng.normal(0.0, 0.02, (*shape, 1)).astype(np.float32)
    for axis in (0, 1):  # blurs edges over about a pixel, as a lens does
        canvas = ndimage.convolve1d(canvas, np.array([0.2, 0.6, 0.2], dtype=np.float32), axis=axis, mode="nearest")
    image = (np.clip(canvas, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    return Scene(image, instances, tuple(drawn), clutter)


def draw_saliency(rng: np.random.Generator, scene: Scene) -> Plane:
    """(H, W) float32 in [0, 1]: blurred, noisy, without some of the creatures and with some of the clutter."""
    shape = scene.instances.shape
    salient = np.zeros(shape, dtype=np.float32)
    for label in range(1, len(scene.kinds) + 1):
        seen = label == 1 or rng.random() < 0.75
        salient[scene.instances == label] = rng.uniform(0.7, 1.0) if seen else rng.uniform(0.0, 0.3)
    if rng.random() < 0.4:
        salient[scene.clutter] = rng.uniform(0.5, 0.9)
    noisy = ndimage.gaussian_filter(salient, sigma=0.015 * min(shape)) + 0.12 * _smooth_noise(rng, shape, 8)
    clipped: Plane = np.clip(noisy, 0.0, 1.0)
    return clipped


def _spread(index: int, offset: float) -> float:
    """Low-discrepancy sequence in [0, 1): neighbouring kinds get different values."""
    return (offset + index * 0.6180339887) % 1.0


def _colour(hue: float, saturation: float, value: float) -> Colour:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, min(saturation, 1.0), min(value, 1.0)), dtype=np.float32)


@lru_cache(maxsize=64)
def _weights(length: int, cells: int) -> Plane:
    """(length, cells + 1): linear interpolation of ``cells + 1`` knots."""
    position = np.linspace(0.0, cells, length, dtype=np.float32)[:, None]
    return np.clip(1.0 - np.abs(position - np.arange(cells + 1, dtype=np.float32)), 0.0, 1.0)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], rows: int, columns: int | None = None) -> Plane:
    """(H, W) float32, about -1 to 1, with ``rows`` x ``columns`` hills and valleys."""
    columns = rows if columns is None else columns
    knots: Plane = rng.uniform(-1.0, 1.0, (rows + 1, columns + 1)).astype(np.float32)
    return np.asarray(_weights(shape[0], rows) @ knots @ _weights(shape[1], columns).T, dtype=np.float32)


def _backdrop(rng: np.random.Generator, shape: tuple[int, int], habitat: int) -> Plane:
    """(H, W, 3): cool colours, brighter towards the top, with the habitat's texture and patches of bare soil."""
    hue = 0.25 + 0.38 * _spread(habitat, 0.3) + rng.normal(0.0, 0.015)
    value = 0.45 + 0.3 * _spread(habitat, 0.7) + rng.normal(0.0, 0.05)
    base = _colour(hue, 0.2 + 0.35 * _spread(habitat, 0.6), value)
    hills = _smooth_noise(rng, shape, 3) * 0.09
    height, width = shape
    grain = {
        0: lambda: _smooth_noise(rng, shape, max(height // 16, 2), width // 3),
        1: lambda: _smooth_noise(rng, shape, height // 3, max(width // 16, 2)),
        2: lambda: _smooth_noise(rng, shape, height // 3, width // 3),
        3: lambda: _smooth_noise(rng, shape, height // 10, width // 10),
    }[habitat % 4]()
    slope = np.linspace(0.08, -0.08, height, dtype=np.float32)[:, None]
    light = (hills + 0.08 * grain + slope)[:, :, None]
    canvas: Plane = np.tile(base, (*shape, 1))
    if rng.random() < 0.8:
        soil = _colour(rng.uniform(0.04, 0.11), rng.uniform(0.4, 0.6), rng.uniform(0.5, 0.8))
        bare: Plane = np.clip(6 * (_smooth_noise(rng, shape, 3) - 0.15), 0.0, 0.9)[:, :, None]
        canvas = np.asarray(canvas + bare * (soil - canvas), dtype=np.float32)
    return canvas + light * np.array([0.9, 1.0, 1.1], dtype=np.float32)


def _draw_clutter(rng: np.random.Generator, canvas: Plane) -> Region:
    """Paint stones, bushes and logs; returns where they are."""
    height, width = canvas.shape[:2]
    side = min(height, width)
    everywhere = np.zeros((height, width), dtype=bool)
    for _ in range(int(rng.integers(2, 6))):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        window, u, v = _local(
            canvas.shape, cy, cx, scale=side * rng.uniform(0.05, 0.11), angle=rng.uniform(0, np.pi), reach=1.0
        )
        if rng.random() < 0.2:
            colour, where = _colour(rng.uniform(0.03, 0.12), 0.5, rng.uniform(0.4, 0.6)), np.abs(v) < 0.3
        elif rng.random() < 0.5:
            colour, where = _colour(0.6, 0.06, rng.uniform(0.35, 0.7)), (v / 0.7) ** 2 + u**2 < 1
        else:
            colour, where = _colour(rng.uniform(0.28, 0.4), 0.6, rng.uniform(0.25, 0.4)), u**2 + v**2 < 0.9
        where = where & (u**2 + v**2 < 1)
        shaded = colour * (1.0 - 0.2 * v[:, :, None])
        canvas[window][where] = shaded[where]
        everywhere[window] |= where
    return everywhere


def _local(
    shape: tuple[int, ...], cy: float, cx: float, *, scale: float, angle: float, reach: float, flip: float = 1.0
) -> tuple[tuple[slice, slice], Plane, Plane]:
    """A window of the canvas around (cy, cx) and its coordinates along and across an axis, in units of ``scale``."""
    extent = int(np.ceil(scale * reach)) + 1
    rows = slice(max(int(cy) - extent, 0), min(int(cy) + extent + 1, shape[0]))
    columns = slice(max(int(cx) - extent, 0), min(int(cx) + extent + 1, shape[1]))
    dy = (np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(cy)) / np.float32(scale)
    dx = (np.arange(columns.start, columns.stop, dtype=np.float32)[None] - np.float32(cx)) * np.float32(flip / scale)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return (rows, columns), cos * dx + sin * dy, cos * dy - sin * dx


def _draw_creature(
    rng: np.random.Generator, canvas: Plane, instances: npt.NDArray[np.uint8], *, kind: int, crowd: int, label: int
) -> bool:
    """Paint one creature in front of what is there; False when no free enough place was found."""
    traits = Kind.number(kind)
    height, width = instances.shape
    largest = {1: 0.33, 2: 0.28, 3: 0.23}[crowd]
    scale = min(height, width) * rng.uniform(0.15, largest)
    hidden_before = np.bincount(instances.ravel(), minlength=label)
    for _ in range(10):
        cy, cx = height * rng.uniform(0.22, 0.78), width * rng.uniform(0.2, 0.8)
        angle = rng.normal(0.0, 0.25)
        flip = float(rng.choice((-1.0, 1.0)))
        window, u, v = _local(canvas.shape, cy, cx, scale=scale, angle=angle, reach=1.6, flip=flip)
        head, body = _anatomy(traits, u, v)
        where = head | body
        covered = np.bincount(instances[window][where], minlength=label)
        if (covered[1:] <= _HIDDEN_AT_MOST * hidden_before[1:]).all():
            break
    else:
        return False
    ground = canvas[window].mean((0, 1))
    canvas[window][body] = _body_colours(rng, traits, v, ground)[body]
    canvas[window][head] = _head_colours(rng, traits, u, v)[head]
    instances[window][where] = label
    return True


def _head_centre(traits: Kind) -> tuple[float, float]:
    return 0.88, -0.75 * traits.girth


_HEAD_RADIUS = 0.44


def _anatomy(traits: Kind, u: Plane, v: Plane) -> tuple[Region, Region]:
    """Where the head and the rest of a creature are; u runs from tail to head, v from back to feet."""
    hu, hv = _head_centre(traits)
    head = (u - hu) ** 2 + (v - hv) ** 2 < _HEAD_RADIUS**2
    body = u**2 + (v / traits.girth) ** 2 < 1.0
    below = (v > 0) & (v < traits.girth + traits.leg_length)
    for place in np.linspace(-0.62, 0.62, traits.legs):
        body |= below & (np.abs(u - np.float32(place)) < 0.13)
    body |= (np.abs(v + 0.1 - 0.5 * (u + 0.9)) < 0.09) & (u > -1.25) & (u < -0.7)
    return head, body


def _body_colours(rng: np.random.Generator, traits: Kind, v: Plane, ground: Colour) -> Plane:
    """(h, w, 3): warm and plain, belly and legs like the ground; the hue varies within a kind as much as between."""
    base = _colour(traits.body_hue + rng.normal(0.0, 0.018), rng.uniform(0.4, 0.65), rng.uniform(0.6, 0.9))
    light = 1.0 - 0.16 * v + 0.06 * _smooth_noise(rng, v.shape, 6)
    belly = _CAMOUFLAGE * np.clip(4.0 * (v / traits.girth - _BELLY), 0.0, 1.0)[:, :, None]
    colours: Plane = (base + belly * (_BELLY_SHADE * ground - base)) * light[:, :, None]
    return colours


def _head_colours(rng: np.random.Generator, traits: Kind, u: Plane, v: Plane) -> Plane:
    """(h, w, 3): two tones of the kind's hue in the kind's pattern."""
    hu, hv = _head_centre(traits)
    x, y = u - np.float32(hu), v - np.float32(hv)
    bright = _PATTERNS[traits.pattern](x, y)
    hue = traits.hue + rng.normal(0.0, 0.008)
    light = _colour(hue, 0.85, rng.uniform(0.9, 1.0))
    dark = _colour(hue, 0.95, rng.uniform(0.3, 0.45))
    return np.where(bright[:, :, None], light, dark)
