"""A mask is read id by id as stored; what would silently be all background or all ignored is named."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from harness.contract import DataError
from harness.data.checking import check, refuse_blank
from harness.data.params import SyntheticParams
from harness.data.synthetic import SyntheticDataset
from harness.data.voc import VocDataset

IDS = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)


def binary(number: int) -> np.ndarray:
    plane = np.zeros((12, 16), np.uint8)
    plane[2:9, 2 : 6 + number] = 255
    return plane


def defects(voc: Any, **changes: Any) -> list[str]:
    return [defect.message for defect in check(VocDataset.lenient(voc.params(**changes))).defects]


def png(path: Path, plane: np.ndarray, bits: int, colour: int = 0) -> None:
    """A grey (0) or palette (3) PNG of few bits a pixel, as optimisers write it."""
    packed = np.packbits(np.unpackbits(plane[..., None], axis=2)[..., 8 - bits :].reshape(len(plane), -1), axis=1)
    height, width = plane.shape
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
    parts += [(b"PLTE", bytes(number % 256 for number in range(3 * 2**bits)))] if colour == 3 else []
    parts += [(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


@pytest.mark.parametrize("colour", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_ids_of_few_bits_are_not_stretched(voc: Any, bits: int, colour: int) -> None:
    plane = IDS % 2 ** min(bits, 3)
    png(voc.root / "SegmentationClass" / "a.png", plane, bits, colour)
    classes = {"background": 0, **{f"c{number}": number for number in range(1, 8)}}
    np.testing.assert_array_equal(VocDataset(voc.params(classes=classes)).mask("a"), plane)


def test_binary_masks_are_named_with_what_to_write(voc: Any) -> None:
    for number, image_id in enumerate("abcd"):
        voc.mask(image_id, binary(number))
    params = {"classes": {"background": 0, "thing": 1}}
    (message,) = defects(voc, **params)
    assert "no train mask shows thing" in message
    assert "are binary, 0 and 255; write classes: {background: 0, thing: 255}" in message
    with pytest.raises(DataError, match="are binary, 0 and 255"):
        refuse_blank(VocDataset(voc.params(**params)))


def test_binary_masks_work_as_the_sentence_says(voc: Any) -> None:
    for number, image_id in enumerate("abcd"):
        voc.mask(image_id, binary(number))
    dataset = VocDataset(voc.params(classes={"background": 0, "thing": 255}))
    np.testing.assert_array_equal(dataset.mask("a"), (binary(0) == 255).astype(np.uint8))
    assert check(dataset).clean
    refuse_blank(dataset)
    for changes in ({"ignore_ids": [255]}, {"ignore_ids": [0]}):
        with pytest.raises(ValidationError, match="belongs to both"):
            voc.params(classes={"background": 0, "thing": 255}, **changes)


def test_one_bit_masks_hold_the_ids_0_and_1(voc: Any) -> None:
    for number, image_id in enumerate("abcd"):
        png(voc.root / "SegmentationClass" / f"{image_id}.png", binary(number) // 255, 1)
    assert check(VocDataset(voc.params(classes={"background": 0, "thing": 1}))).clean
    (message,) = defects(voc, classes={"background": 0, "thing": 255}, other="background")
    assert "hold the ids 0, 1 (ignored: none, thing is 255)" in message


def test_a_jpeg_renamed_to_png_is_refused_by_its_content(voc: Any) -> None:
    Image.fromarray(voc.plane(0)).save(voc.root / "SegmentationClass" / "a.png", format="JPEG")
    messages = defects(voc, other="background")
    assert len(messages) == 1
    assert "a.png: is JPEG inside, whatever its name says; a mask must be PNG" in messages[0]
    with pytest.raises(DataError, match="is JPEG inside"):
        VocDataset(voc.params(other="background", boxes="masks")).digests("train")


def test_a_class_of_no_training_mask_is_a_defect_unless_it_is_declared(voc: Any) -> None:
    classes = {"background": 0, "cat": 8, "person": 15, "sheep": 17}
    (message,) = defects(voc, classes=classes)
    assert "no train mask shows sheep" in message
    assert "hold the ids 0, 8, 15, 255 (ignored: 255, sheep is 17)" in message
    assert message.endswith("or declare absent: [sheep]")
    assert defects(voc, classes=classes, absent=["sheep"]) == []
    with pytest.raises(ValidationError, match="absent: 'cow' is no class"):
        voc.params(absent=["cow"])


def test_a_class_is_not_called_absent_where_a_mask_could_not_be_read(voc: Any) -> None:
    (voc.root / "SegmentationClass" / "b.png").write_bytes(b"")
    (message,) = defects(voc)
    assert "b.png: damaged or no image" in message


def test_smoothed_masks_say_so_in_place_of_200_ids(voc: Any) -> None:
    voc.mask("a", IDS)
    message = defects(voc)[0]
    assert "mask id 1, 2, 3, 4, 5, 6, 7, 9 and 181 more is in no class" in message
    assert "so many ids come of smoothing or of JPEG" in message


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_masks_in_colour_name_the_conversion(voc: Any, mode: str) -> None:
    path = voc.root / "SegmentationClass" / "a.png"
    grey = Image.fromarray(voc.plane(0)).convert(mode)
    grey.save(path)
    (message,) = defects(voc)
    assert f"this one has mode {mode}; its channels are equal, keep one of them" in message
    with pytest.raises(DataError, match=f"has mode {mode}"):
        VocDataset(voc.params()).digests("train")
    Image.open(path).convert("L").save(path)  # what the sentence says
    assert defects(voc) == []


def test_masks_with_colours_name_the_page_that_shows_how(voc: Any) -> None:
    voc.mask("a", np.stack([voc.plane(0), voc.plane(1), voc.plane(2)], axis=2))
    (message,) = defects(voc)
    assert "turn each colour into its id, docs/datasets.md shows how (Masks in colour)" in message


def test_values_beyond_8_bits_are_no_ids(voc: Any) -> None:
    Image.fromarray(voc.plane(0).astype(np.uint16) * 1000).save(voc.root / "SegmentationClass" / "a.png")
    assert "a.png: values up to 58392, but 8 bits are the most that is understood" in defects(voc)[0]


@pytest.mark.parametrize(("image_ids", "label"), [("d", "val"), ("abc", "train")])
def test_a_split_of_ignored_pixels_is_found_by_check_and_before_planning(voc: Any, image_ids: str, label: str) -> None:
    for image_id in image_ids:
        voc.mask(image_id, np.full((12, 16), 255, np.uint8))
    (message,) = defects(voc)
    assert f"every pixel of the {label} masks is ignored (255): the masks in {voc.root}/SegmentationClass" in message
    assert "hold the ids 255 (ignored: 255)" in message
    with pytest.raises(DataError) as caught:
        refuse_blank(VocDataset(voc.params()))
    assert str(caught.value) == message


def test_looking_for_a_scored_pixel_reads_one_mask_a_split(voc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = VocDataset.mask
    monkeypatch.setattr(VocDataset, "mask", lambda self, image_id: read.append(image_id) or plain(self, image_id))
    refuse_blank(VocDataset(voc.params()))
    assert read == ["a", "d"]


def test_the_void_of_another_reader_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyntheticDataset, "mask", lambda self, image_id: np.full((32, 32), 255, np.uint8))
    dataset = SyntheticDataset(SyntheticParams(train=1, val=1, size=32))
    with pytest.raises(DataError, match=r"every pixel of the train masks is ignored \(255\)"):
        refuse_blank(dataset)


def test_saliency_of_one_bit_is_black_and_white(voc: Any) -> None:
    (voc.root / "saliency").mkdir()
    for image_id in "abcd":
        png(voc.root / "saliency" / f"{image_id}.png", binary(0) // 255, 1)
    saliency = VocDataset(voc.params(saliency="saliency")).saliency("a")
    np.testing.assert_array_equal(saliency, (binary(0) / 255).astype(np.float32))


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_saliency_in_colour_or_of_16_bits_is_refused(voc: Any, mode: str) -> None:
    (voc.root / "saliency").mkdir()
    for image_id in "abcd":
        Image.new(mode, (16, 12)).save(voc.root / "saliency" / f"{image_id}.png")
    with pytest.raises(DataError, match=r"a\.png: a (saliency map is grey|photograph has 8 bits)"):
        VocDataset(voc.params(saliency="saliency")).saliency("a")
