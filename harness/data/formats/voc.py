"""PASCAL VOC: one .xml for each image."""

from __future__ import annotations

from harness.data.annotations import XmlAnnotations
from harness.data.formats.source import Asked, FolderSource, Record, objects


class VocXml(FolderSource):
    """A folder of ``Annotations``."""

    suffixes = (".xml",)

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._files = XmlAnnotations(asked.path)

    def _record(self, image_id: str) -> Record:
        found = self._files.read(image_id + self.asked.params.suffix)
        return objects(found.where, found.boxes, tags=found.tags)
