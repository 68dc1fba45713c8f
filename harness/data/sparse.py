"""Points and scribbles that a rule makes from a mask, in place of people who would click and draw.

The rule knows no chance: equal masks give equal labels. Ignored pixels and what lies outside the image count as outside
of every region.

* A point is the innermost pixel of a region: the one that is farthest from what lies outside of it.
* A scribble is a stroke of 3 pixels through a region, between the two ends of it that are farthest apart. It follows
  the path that is quickest where speed is the distance from the border, so it keeps to the middle, as a skeleton does.
  It goes only where the region is a quarter as wide as at its widest, and its pixels all belong to the region.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from harness.contract import BACKGROUND, IGNORE, Point

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.contract.arrays import Mask

    Region = npt.NDArray[np.bool_]
    Pixels = npt.NDArray[np.int64]

RULE = 1
"""Part of every digest: raise it with any change of what the rule makes."""

_CELLS = 48
"""A path is sought among about as many cells along the longer side of a region, however large it is."""
_NARROW = 0.25
"""A stroke goes where a region is at least this wide, of its greatest width."""
_LARGE = 0.05
"""Share of an image from which a part of the background gets a stroke of its own."""
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def mask_points(mask: Mask, min_pixels: int = 1) -> tuple[Point, ...]:
    """One point in each component of each foreground class, by class, and one in the background, which comes last.

    Args:
        mask: (H, W) uint8 class indices, 0 = background, 255 = ignore.
        min_pixels: Smaller components get none.
    """
    points = []
    for cls, region in components(mask, min_pixels):
        points.append(_point(cls, region))
    background = mask == BACKGROUND
    return (*points, _point(BACKGROUND, background)) if background.any() else tuple(points)


def mask_scribbles(mask: Mask, min_pixels: int = 1) -> Mask:
    """(H, W) uint8, 255 = no scribble: a stroke through each component of each foreground class, and background.

    Args:
        mask: (H, W) uint8 class indices, 0 = background, 255 = ignore.
        min_pixels: Smaller components get none.
    """
    return scribbled(mask.shape, components(mask, min_pixels), mask == BACKGROUND)


def scribbled(shape: tuple[int, ...], regions: Iterable[tuple[int, Region]], background: Region) -> Mask:
    """(H, W) uint8, 255 = no scribble: a stroke through each region, and through large parts of the background.

    Args:
        shape: (H, W).
        regions: Class index and (H, W) bool of each region with a stroke.
        background: (H, W) bool; the largest of its components gets a stroke, and so does what is large besides.
    """
    scribbles: Mask = np.full(shape, IGNORE, np.uint8)
    for region in _large_parts(background):
        scribbles[stroke(region)] = BACKGROUND
    for cls, region in regions:
        scribbles[stroke(region)] = cls
    return scribbles


def components(mask: Mask, min_pixels: int = 1) -> Iterator[tuple[int, Region]]:
    """Class and (H, W) bool of each 8-connected component of each foreground class, by class, then from the top down.

    Args:
        mask: (H, W) uint8 class indices, 0 = background, 255 = ignore.
        min_pixels: Smaller components are specks and are left out.
    """
    for cls in np.unique(mask[(mask != BACKGROUND) & (mask != IGNORE)]):
        labels, count = ndimage.label(mask == cls, structure=_EIGHT_NEIGHBOURS)
        pixels = np.bincount(labels.ravel(), minlength=count + 1)
        for number in range(1, count + 1):
            if pixels[number] >= min_pixels:
                yield int(cls), labels == number


def _large_parts(background: Region) -> list[Region]:
    labels, count = ndimage.label(background, structure=_EIGHT_NEIGHBOURS)
    pixels = np.bincount(labels.ravel(), minlength=count + 1)
    pixels[0] = 0
    least = min(_LARGE * background.size, pixels.max())
    return [labels == number for number in range(1, count + 1) if pixels[number] >= least]


def _point(cls: int, region: Region) -> Point:
    row, column = divmod(int(_depth(region).argmax()), region.shape[1])
    return Point(cls, column, row)


def _depth(region: Region) -> npt.NDArray[np.float64]:
    """(H, W) float64, how far each pixel of a region lies from the next one outside of it or of the image."""
    depth: npt.NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    return depth


def stroke(region: Region) -> Region:
    """(H, W) bool, the stroke through a region that is not empty."""
    rows, columns = ndimage.find_objects(region.astype(np.uint8))[0]
    drawn = np.zeros_like(region)
    part = region[rows, columns]
    drawn[rows, columns] = drawn_line(part.shape, _middle(_depth(part))) & part
    return drawn


def drawn_line(shape: tuple[int, ...], pixels: Pixels) -> Region:
    """(H, W) bool, a line of 3 pixels through ``pixels`` (n, 2) int64 of rows and columns; what is outside is cut off.

    Args:
        shape: (H, W).
        pixels: n of 1 or more.
    """
    line = [pixels[:1]]
    for start, end in pairwise(pixels):
        count = int(np.abs(end - start).max()) + 1
        line.append(np.rint(np.linspace(start, end, count)).astype(np.int64))
    placed = np.concatenate(line)
    inside = ((placed >= -1) & (placed <= np.array(shape))).all(axis=1)
    canvas = np.zeros((shape[0] + 2, shape[1] + 2), dtype=bool)
    canvas[tuple(placed[inside].T + 1)] = True
    thick: Region = ndimage.binary_dilation(canvas, _EIGHT_NEIGHBOURS)[1:-1, 1:-1]
    return thick


def _middle(depth: npt.NDArray[np.float64]) -> Pixels:
    """(n, 2) int64, pixels of the path through the middle of a region, which ``depth`` (H, W) describes."""
    nodes, cell_of = _nodes(depth)
    depths = depth[tuple(nodes.T)]
    start, end, lengths = _ways(cell_of, nodes)
    shape = len(nodes), len(nodes)
    long = coo_array((lengths, (start, end)), shape=shape)
    slow = coo_array((lengths * 2 / (depths[start] + depths[end]), (start, end)), shape=shape)
    first = _farthest(dijkstra(long, directed=False, indices=int(depths.argmax())))
    last = _farthest(dijkstra(long, directed=False, indices=first))
    _, before = dijkstra(slow, directed=False, indices=first, return_predecessors=True)
    path = [last]
    while path[-1] != first:
        path.append(int(before[path[-1]]))
    return nodes[path]


def _nodes(depth: npt.NDArray[np.float64]) -> tuple[Pixels, Pixels]:
    """The innermost pixel of each cell (n, 2), and the number of each cell's, -1 where a cell is too narrow."""
    side = -(-max(depth.shape) // _CELLS)
    height, width = (-(-length // side) for length in depth.shape)
    filled = np.zeros((height * side, width * side))
    filled[: depth.shape[0], : depth.shape[1]] = depth
    cells = filled.reshape(height, side, width, side).swapaxes(1, 2).reshape(height, width, side * side)
    place = cells.argmax(axis=2)
    wide = cells.max(axis=2) >= _NARROW * depth.max()
    rows, columns = np.nonzero(wide)
    inside = place[wide]
    cell_of = np.full((height, width), -1, np.int64)
    cell_of[wide] = np.arange(len(rows))
    return np.stack([rows * side + inside // side, columns * side + inside % side], axis=1), cell_of


def _ways(cell_of: Pixels, nodes: Pixels) -> tuple[Pixels, Pixels, npt.NDArray[np.float64]]:
    """The nodes of neighbouring cells, as the two ends of each way, and how far apart they are."""
    pairs = [_shifted(cell_of, down, right) for down, right in _STEPS]
    both = [(here >= 0) & (there >= 0) for here, there in pairs]
    start, end = (np.concatenate([pair[n][held] for pair, held in zip(pairs, both, strict=True)]) for n in (0, 1))
    return start, end, np.hypot(*(nodes[start] - nodes[end]).T)


def _shifted(cells: Pixels, down: int, right: int) -> tuple[Pixels, Pixels]:
    """Each cell, and the one that lies ``down`` below it and ``right`` beside it, where there is one."""
    height, width = cells.shape
    here = cells[: height - down, max(-right, 0) : width - max(right, 0)]
    return here, cells[down:, max(right, 0) : width + min(right, 0)]


def _farthest(distances: npt.NDArray[np.float64]) -> int:
    """The node that is farthest away, of those that can be reached."""
    reached = np.where(np.isfinite(distances), distances, -1.0)
    return int(reached.argmax())
