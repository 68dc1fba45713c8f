"""Predictions of new images: any photographs, of any size, in any number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from harness.common.atomic import replacing
from harness.common.files import read_text
from harness.common.folders import nested
from harness.common.text import printable
from harness.contract.arrays import IGNORE
from harness.contract.errors import ConfigError, DataError, PluginError
from harness.data.images import IMAGE_SUFFIXES, read_image
from harness.maps.labels import voc_palette

if TYPE_CHECKING:
    from harness.contract.arrays import Image as Photograph
    from harness.contract.arrays import Mask
    from harness.export.labels import ClassTable
    from harness.export.rows import Row
    from harness.modelling.photographs import Predictor

_OVERLAY = 0.5
"""How much of an overlay is colour."""


@dataclass(frozen=True)
class Found:
    """An image to predict.

    Attributes:
        path: Its file.
        name: Name of its label map, without suffix; below a folder with the folders in between.
    """

    path: Path
    name: str


def find_images(source: Path, out: Path | None = None) -> list[Found]:
    """The images that a path means: a file, all those below a folder, or those that a text file lists.

    Paths in a list are relative to the folder of the list.

    Args:
        source: The path.
        out: Where label maps shall go. What lies there is none of the images of a folder around it.

    Raises:
        ConfigError: There is no such file or folder, or no image in it; or a label map would replace an image.
        DataError: Two images would have one label map.
    """
    if source.is_dir():
        if out is not None and os.path.realpath(source) == os.path.realpath(out):
            raise ConfigError(f"--out: {printable(out)} is the folder of the images; name another one")
        below = sorted(
            path for path in source.rglob("*") if _is_image(path) and not (out and nested(out, path, either=False))
        )
        found = [Found(path, str(path.relative_to(source).with_suffix(""))) for path in below]
        nothing = f"holds no image ({', '.join(IMAGE_SUFFIXES)})"
    elif _is_image(source):
        found, nothing = [Found(source, source.stem)], ""
    else:
        lines = [line.strip() for line in read_text(source).splitlines()]
        found = [Found(source.parent / line, _listed_name(source, line)) for line in lines if line]
        nothing = "lists no image; a list has one path per line"
    if not found:
        raise ConfigError(f"{printable(source)}: {nothing}")
    first: dict[str, Path] = {}
    for item in found:
        other = first.setdefault(item.name, item.path)
        if other != item.path:
            raise DataError(
                f"{printable(item.path)}: would have the same label map as {printable(other)}; rename one of them"
            )
    if out is not None:
        _refuse_replacing(first, out)
    return [Found(path, name) for name, path in first.items()]


def _refuse_replacing(images: Mapping[str, Path], out: Path) -> None:
    """Refuse a folder in which a label map or an overlay would take the place of one of the images."""
    files = {os.path.realpath(path): path for path in images.values()}
    for name in images:
        for written in (_map_of(out, name), _overlay_of(out, name)):
            if (image := files.get(os.path.realpath(written))) is not None:
                raise ConfigError(f"--out: a label map would replace the image {printable(image)}; name another folder")


def _map_of(out: Path, name: str) -> Path:
    return out / f"{name}.png"


def _overlay_of(out: Path, name: str) -> Path:
    return out / f"{name}.overlay.jpg"


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def _listed_name(source: Path, line: str) -> str:
    """Of a relative path its folders stay; one that leaves the folder of the list gives its file name alone."""
    path = PurePosixPath(line)
    if path.name in ("", ".."):
        raise ConfigError(f"{printable(source)}: {printable(line)!r} names no image; a list has one path per line")
    inside = not path.is_absolute() and ".." not in path.parts
    return str(path.with_suffix("")) if inside else path.stem


def chosen_device(wanted: str) -> str:
    """``cpu`` or ``cuda:0``: the device that ``auto``, ``cpu`` or ``cuda`` means on this machine.

    Raises:
        ConfigError: It is none of these.
        PluginError: There is no CUDA device.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device: {wanted!r} is none of auto, cpu, cuda")
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    if wanted == "cuda":
        raise PluginError("--device cuda: no CUDA device is available")
    return "cpu"


def load_model(row: Row, *, device: str = "cpu", crf: bool | None = None) -> Predictor:
    """The segmenter of a row, as its protocol predicts with it.

    Args:
        row: The row.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        crf: Whether a dense CRF refines the scores, ``None`` = as the protocol says.

    Raises:
        StoreError: The store does not hold the segmenter, or the row ends with its labels.
    """
    from harness.modelling.photographs import Predictor

    settings = row.settings if crf is None else row.settings.model_copy(update={"crf": crf})
    return Predictor(row.segmenter, settings, len(row.record.dataset.classes), device=device)


def predict_images(
    model: Predictor,
    images: Sequence[Found],
    out: Path,
    table: ClassTable,
    *,
    overlay: bool = False,
    left_out: Callable[[str], None],
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the label map of each image into a folder, each file whole or not at all.

    Args:
        model: A loaded segmenter.
        images: What to predict.
        out: Folder of the label maps, ``NAME.png``.
        table: The number that each class has in a file.
        overlay: Also write ``NAME.overlay.jpg``, the image under the colours of its labels.
        left_out: Told of each image that cannot be read; the others are done.
        progress: Told how far it is.

    Returns:
        How many images were done.

    Raises:
        StoreError: Nothing can be written.
    """
    done = 0
    for number, found in enumerate(images, start=1):
        try:
            image = read_image(found.path)
        except DataError as error:
            left_out(str(error))
        else:
            mask = table.mapped(model.label(image), found.name)
            _write(_map_of(out, found.name), _palette_image(mask), "PNG")
            if overlay:
                _write(_overlay_of(out, found.name), Image.fromarray(overlaid(image, mask)), "JPEG")
            done += 1
        if progress is not None:
            progress(number, len(images))
    return done


def overlaid(image: Photograph, mask: Mask) -> Photograph:
    """(H, W, 3) uint8: the image under the colours of (H, W) ids; 0 and 255 are left as they are."""
    colours = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
    shown = image.copy()
    for rows in _strips(len(image)):
        painted = (mask[rows] != 0) & (mask[rows] != IGNORE)
        part = shown[rows]
        part[painted] = (
            ((1 - _OVERLAY) * part[painted] + _OVERLAY * colours[mask[rows][painted]]).round().astype(np.uint8)
        )
    return shown


def _strips(rows: int, step: int = 256) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, rows, step))


def _palette_image(mask: Mask) -> Image.Image:
    image = Image.fromarray(mask)
    image.putpalette(voc_palette())
    return image


def _write(path: Path, image: Image.Image, form: str) -> None:
    with replacing(path, durable=False) as file:
        image.save(file, form)
