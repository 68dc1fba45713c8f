"""COCO: one .json of images, categories and annotations; outlines are polygons or run lengths, or missing."""

from __future__ import annotations

from collections.abc import Mapping

from harness.data.annotations import NamedBox
from harness.data.formats.source import Entries, Fault, FileSource, Record, Region, objects
from harness.data.instances import Photograph, read_instances


class CocoFile(FileSource):
    """One instances file. Its boxes count as drawn, also those of outlined objects, as ``boxes_from`` says."""

    def _parse(self, entries: Entries) -> None:
        read = read_instances(self.path, "")
        entries.faults += [Fault(self._id_of(defect.image_id), defect.message) for defect in read.defects]
        for photograph in read.photographs.values():
            place = f"image {photograph.file_name!r}"
            image_id = entries.image(photograph.file_name, place)
            if image_id is not None:
                entries.records[image_id] = self._of(photograph, read.categories, place)

    def _id_of(self, name: str | None) -> str | None:
        return None if name is None else self.asked.images.find(name)

    def _of(self, photograph: Photograph, names: Mapping[int, str], place: str) -> Record:
        boxes, regions = [], {}
        for number, instance in enumerate(photograph.instances):
            name, (x, y, width, height) = names[instance.category], instance.box
            boxes.append(NamedBox(name, x, y, x + width, y + height))
            if instance.outlined:
                regions[number] = Region(name, instance.region, instance.digest())
        record = objects(f"{self.path}: {place}", boxes, regions, size=photograph.size)
        return record._replace(computed=frozenset())
