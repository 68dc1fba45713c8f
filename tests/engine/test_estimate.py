"""Pixels behind an estimate of GPU hours."""

from harness.contract import protocol
from harness.engine.estimate import view_pixels

SCALES = tuple(0.75 + 0.25 * k for k in range(10))


def test_views_are_counted_with_their_mirror_images():
    assert view_pixels(protocol.TestSettings(scales=(0.5, 1.0), flip=True)) == 2 * 1.25 * 500 * 375
    assert view_pixels(protocol.TestSettings(base=2048)) == 2048 * 1536


def test_tiles_of_pseudo_mask_matters_are_as_many_as_it_says():
    settings = protocol.CamSettings(scales=SCALES, tiles=protocol.TileSettings())
    assert view_pixels(settings) == 174 * 448**2, "an image of 500 x 375: 87 tiles, each twice"
