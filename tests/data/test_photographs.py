"""A photograph is read as stored and as 8-bit RGB, or refused in one sentence, at check and when digests are taken."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.contract import DataError
from harness.data.checking import check
from harness.data.images import IMAGE_SUFFIXES, Header, read_header, read_image, read_size, turned_problem
from harness.data.voc import VocDataset

RAMP = np.linspace(0, 255, 16, dtype=np.uint8)[None].repeat(12, axis=0)


def refusal(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".JPG", ".Tiff", ".WEBP"])
def test_every_suffix_is_found_and_read_in_any_case(voc: Any, suffix: str) -> None:
    folder = voc.root / "JPEGImages"
    (folder / "a.jpg").unlink()
    Image.fromarray(RAMP).convert("RGB").save(folder / f"a{suffix}")
    assert np.abs(VocDataset(voc.params()).image("a")[..., 0].astype(int) - RAMP).max() <= 12


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_pictures_of_8_bits_without_transparency_become_what_they_show(tmp_path: Path, mode: str) -> None:
    shown = np.where(RAMP > 127, 255, 0).astype(np.uint8)
    path = tmp_path / "a.tif"
    Image.fromarray(shown).convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path), shown[..., None].repeat(3, axis=2))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "palette transparency", "grey transparency"])
def test_transparent_pixels_are_laid_over_white(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    pixels = Image.fromarray(np.where(RAMP > 127, 40, 0).astype(np.uint8))
    if "transparency" in mode:
        pixels.convert("P" if mode[0] == "p" else "L").save(path, transparency=0)
        hidden = RAMP <= 127
    else:
        pixels.putalpha(Image.fromarray(RAMP))
        pixels.convert(mode if mode != "P" else "RGBA").save(path)
        hidden = RAMP == 0
    image = read_image(path)
    assert (image[hidden] == 255).all()
    assert (image[:, -1] == 40).all()


def _deep(path: Path, pixels: np.ndarray, **tags: Any) -> None:
    Image.fromarray(pixels).save(path, **tags)


def _sixteen_bit_rgb(path: Path) -> None:
    """A 16-bit RGB PNG, which Pillow reads but cannot write."""
    rows = b"".join(b"\0" + struct.pack(">6H", *([4000] * 6)) for _ in range(2))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


DEEP: dict[str, tuple[str, Callable[[Path], object]]] = {
    "16-bit grey PNG": ("a.png", lambda path: _deep(path, np.full((4, 4), 60000, np.uint16))),
    "16-bit grey TIFF": ("a.tif", lambda path: _deep(path, np.full((4, 4), 4095, np.uint16))),
    "16-bit RGB PNG": ("a.png", _sixteen_bit_rgb),
    "32-bit TIFF": ("a.tif", lambda path: _deep(path, np.full((4, 4), 70000, np.int32))),
    "float TIFF": ("a.tif", lambda path: _deep(path, np.full((4, 4), 0.5, np.float32))),
    "LAB TIFF": ("a.tif", lambda path: Image.new("LAB", (4, 4)).save(path)),
}


@pytest.mark.parametrize("read", [read_header, read_image], ids=["header", "image"])
@pytest.mark.parametrize("kind", DEEP)
def test_more_than_8_bits_a_channel_are_refused_not_clipped(tmp_path: Path, kind: str, read: Any) -> None:
    name, make = DEEP[kind]
    make(tmp_path / name)
    message = refusal(read, tmp_path / name)
    assert "a photograph has 8 bits per channel" in message
    assert "save it as 8-bit grey or RGB" in message


@pytest.mark.parametrize("suffix", [".tif", ".png", ".webp"])
def test_several_pages_or_frames_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    pages = [Image.fromarray(np.full((8, 8, 3), 80 * number, np.uint8)) for number in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert "holds 3 pages or frames, one is needed" in refusal(read_header, path)


def test_the_first_picture_of_a_camera_file_with_previews_is_the_photograph(tmp_path: Path) -> None:
    first, preview = (Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (200, 10))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    assert (read_image(tmp_path / "a.jpg") == 200).all()


def turned(path: Path, orientation: int, size: tuple[int, int] = (12, 16)) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path, exif=exif)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_from_the_header(tmp_path: Path, suffix: str, orientation: int) -> None:
    turned(tmp_path / f"a{suffix}", orientation)
    assert read_header(tmp_path / f"a{suffix}") == Header(12, 16, orientation)


def test_orientation_behind_the_pixels_of_a_png_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RAMP).save(path)
    exif = Image.Exif()
    exif[0x0112] = 3
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = path.read_bytes()
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert read_header(path).orientation == 1
    assert "EXIF behind its pixels says that it is shown turned by 180 degrees" in refusal(read_image, path)


def test_orientation_matters_unless_turned_labels_would_have_other_sides() -> None:
    path = Path("a.jpg")
    assert turned_problem(path, Header(12, 16, 1), (12, 16)) is None
    assert (
        turned_problem(path, Header(12, 16, 6), (12, 16)) is None
    )  # drawn on the stored pixels, or sides would differ
    for header in (Header(12, 16, 3), Header(12, 16, 2), Header(12, 12, 6)):
        assert "EXIF orientation" in str(turned_problem(path, header, header.size))


@pytest.mark.parametrize(("orientation", "size"), [(3, (12, 16)), (2, (12, 16)), (6, (12, 12)), (8, (16, 12))])
def test_a_turned_photograph_is_found_by_check_and_stops_a_plan(voc: Any, orientation: int, size: Any) -> None:
    turned(voc.root / "JPEGImages" / "a.jpg", orientation, size)
    if size == (12, 12):
        voc.mask("a", voc.plane(0)[:, :12])
    (message,) = {defect.message for defect in check(VocDataset.lenient(voc.params())).defects}
    assert f"EXIF orientation {orientation}" in message
    assert "magick mogrify -auto-orient a.jpg" in message
    with pytest.raises(DataError) as caught:
        VocDataset(voc.params()).digests("train")
    assert "EXIF orientation" in str(caught.value)


def test_labels_drawn_on_stored_pixels_are_declared(voc: Any) -> None:
    turned(voc.root / "JPEGImages" / "a.jpg", 3)
    with pytest.raises(DataError, match="say exif: stored"):
        VocDataset(voc.params()).image("a")
    dataset = VocDataset(voc.params(exif="stored"))
    assert dataset.image("a").shape == (12, 16, 3)
    assert check(dataset).clean


def test_a_turned_tiff_is_refused(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.tif", tiffinfo={0x0112: 6})
    assert "orientation tag" in refusal(read_header, tmp_path / "a.tif")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_takes_nothing_from_the_pixels(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_header(tmp_path / "a.jpg") == Header(12, 16, 1)


def test_gigantic_declared_sizes_are_refused_by_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (3, 3)).save(path)
    data = bytearray(path.read_bytes())
    for side in (20_000, 2**31 - 1):
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        path.write_bytes(data)
        assert "declares more than 178,956,970 pixels" in refusal(read_size, path)


@pytest.mark.parametrize("content", [b"", b"<html>", b"GIF89a\1\0\1\0\0\0\0;", b"%!PS-Adobe", b"II*\0\xff\xff\xff\x7f"])
def test_what_is_no_photograph_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert "damaged or no image" in refusal(read_image, tmp_path / "a.png")


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "is a folder, a file is needed"),
    "pipe": (os.mkfifo, "is a pipe, a file is needed"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device, a file is needed"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "is a link to a file that does not exist"),
    "circular link": (lambda path: path.symlink_to(path.name), "is a link that leads back to itself"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "place", ["JPEGImages/a.jpg", "SegmentationClass/a.png", "saliency/a.png", "Annotations/a.xml"]
)
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_the_same_sentence_at_check_and_at_plan(
    voc: Any, write_xml: Any, kind: str, place: str
) -> None:
    make, sentence = ODD[kind]
    (voc.root / "saliency").mkdir()
    for image_id in "abcd":
        write_xml(image_id, ("cat", 1, 1, 4, 4), ("person", 1, 1, 4, 4))
        Image.new("L", (16, 12)).save(voc.root / "saliency" / f"{image_id}.png")
    (voc.root / place).unlink()
    make(voc.root / place)
    params = voc.params(saliency="saliency", boxes="xml")
    messages = {defect.message for defect in check(VocDataset.lenient(params)).defects}
    assert messages == {f"{voc.root / place}: {sentence}"}
    with pytest.raises(DataError) as caught:
        VocDataset(params).digests("train")
    assert {str(caught.value)} == messages


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", ["train.txt", "tags.json"])
@pytest.mark.parametrize("kind", ODD)
def test_a_list_or_annotation_file_that_is_no_file_is_told_once(voc: Any, kind: str, place: str) -> None:
    (voc.root / place).unlink(missing_ok=True)
    ODD[kind][0](voc.root / place)
    (defect,) = VocDataset.lenient(voc.params(tags="tags.json") if place == "tags.json" else voc.params()).defects
    assert defect.message.startswith(f"{voc.root / place}: is a ")


@pytest.mark.parametrize("kind", ["EXIF cut short", "lying animation chunk"])
def test_what_pillow_only_warns_of_writes_no_warning(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[274] = 3
    data = exif.tobytes()
    Image.new("L", (4, 3)).save(path, exif=data[:-7] if kind == "EXIF cut short" else data)
    if kind != "EXIF cut short":
        content, piece = path.read_bytes(), b"acTL" + b"\xff" * 8
        path.write_bytes(
            content[:33] + struct.pack(">I", 8) + piece + struct.pack(">I", zlib.crc32(piece)) + content[33:]
        )
    code = f"from pathlib import Path; from harness.data.images import read_header as r; r(Path({str(path)!r}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stderr == ""
