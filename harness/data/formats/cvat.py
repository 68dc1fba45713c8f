"""CVAT for images 1.1: one .xml of all images, with tags, boxes and polygons."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from harness.common.files import read_bytes
from harness.common.text import parse_xml, printable
from harness.contract import DataError
from harness.data.annotations import NamedBox
from harness.data.formats.outlined import polygon
from harness.data.formats.source import Entries, FileSource, Region, objects


class CvatXml(FileSource):
    """One ``annotations.xml``."""

    def _parse(self, entries: Entries) -> None:
        root = parse_xml(read_bytes(self.path, error=DataError), where=printable(self.path), error=DataError)
        if root.tag != "annotations" or root.find("track") is not None:
            other = "is a video of CVAT" if root.tag == "annotations" else f"its top element is {printable(root.tag)!r}"
            raise DataError(f"{self.path}: {other}; export it from CVAT as 'CVAT for images 1.1'")
        for number, image in enumerate(root.findall("image"), start=1):
            name = image.get("name") or ""
            place = f"image {printable(name)!r}" if name else f"image number {number}"
            image_id = entries.image(name, place)
            if image_id is None:
                continue
            try:
                self._take(image, image_id, place, entries)
            except ValueError as error:
                entries.fault(place, str(error), image_id)

    def _take(self, image: Element, image_id: str, place: str, entries: Entries) -> None:
        size = _side(image, "height"), _side(image, "width")
        boxes: list[NamedBox] = []
        regions: dict[int, Region] = {}
        tags = []
        for item in sorted(image, key=_height):  # the highest is painted last
            label = (item.get("label") or "").strip()
            if not label:
                raise ValueError(f"{item.tag}: label: a name is needed")
            if item.tag == "tag":
                tags.append(label)
                continue
            region, box = _object(item, label, size)
            if region is not None:
                regions[len(boxes)] = region
            boxes.append(box)
        where = f"{printable(self.path)}: {place}"
        entries.records[image_id] = objects(where, boxes, regions, size=size, tags=tags)


def _height(item: Element) -> float:
    """Where an object lies among those that overlap it."""
    return _number(item, "z_order") if item.get("z_order") else 0


def _side(image: Element, name: str) -> int:
    side = _number(image, name)
    if not side.is_integer() or side < 1:
        raise ValueError(f"image: {name}: a whole number of pixels is needed, got {printable(image.get(name))}")
    return int(side)


def _number(item: Element, name: str) -> float:
    try:
        return float(item.get(name) or "")
    except ValueError:
        raise ValueError(f"{item.tag}: {name}: a number is needed, got {printable(item.get(name))}") from None


def _object(item: Element, label: str, size: tuple[int, int]) -> tuple[Region | None, NamedBox]:
    if item.tag == "box":
        if _number(item, "rotation") if item.get("rotation") else 0:
            raise ValueError(f"box {printable(label)!r}: is rotated, only upright boxes are read")
        return None, NamedBox(label, *(_number(item, name) for name in ("xtl", "ytl", "xbr", "ybr")))
    if item.tag != "polygon":
        raise ValueError(f"{printable(item.tag)} {printable(label)!r}: is not read, only tag, box and polygon are")
    try:
        numbers = [float(number) for point in (item.get("points") or "").split(";") for number in point.split(",")]
        return polygon(label, numbers, size)
    except ValueError as error:
        raise ValueError(f"polygon {printable(label)!r}: {error}") from None
