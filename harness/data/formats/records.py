"""JSON of tags and boxes: ``{"images": [records]}``, a list of records, or ``{image: what it shows}``.

A record names its image (``id``, ``image``, ``file_name``...) and may hold ``tags`` (or ``classes``, ``labels``): a
name or a list of names, and ``boxes``: ``{"cls": name, "bbox_xyxy": [x0, y0, x1, y1]}``, 0-based and half-open, where
``class``, ``label`` and ``name`` may stand for ``cls``. In ``{image: ...}`` stands a name, a list of names or a record.
"""

from __future__ import annotations

import math
from typing import Any

from harness.common.files import read_json
from harness.common.text import printable
from harness.contract import DataError
from harness.data.annotations import NamedBox
from harness.data.formats.columns import CORNERS, IMAGE, NAMES, column, columns
from harness.data.formats.source import Entries, FileSource


class JsonRecords(FileSource):
    """One JSON file."""

    def _parse(self, entries: Entries) -> None:
        value = read_json(self.path, error=DataError)
        if isinstance(value, dict) and isinstance(value.get("images"), list):
            value = value["images"]
        if isinstance(value, list):
            for number, record in enumerate(value):
                self._take_record(record, f"entry {number}", entries)
        elif isinstance(value, dict):
            for name, labels in value.items():
                record = labels if isinstance(labels, dict) else {"tags": labels}
                self._take(name, record, f"image {printable(name)!r}", entries)
        else:
            raise DataError(f"{self.path}: a list of records or {{image: names}} is needed, got {_shown(value)}")

    def _take_record(self, record: Any, place: str, entries: Entries) -> None:
        key = column(record, IMAGE) if isinstance(record, dict) else None
        name = record[key] if key is not None else None
        if type(name) not in (str, int):
            entries.fault(place, f"a record with id, image or file_name is needed, got {_shown(record)}")
            return
        self._take(str(name), {k: v for k, v in record.items() if k != key}, place, entries)

    def _take(self, name: str, record: dict[str, Any], place: str, entries: Entries) -> None:
        image_id = entries.image(name, place)
        if image_id is None:
            return
        try:
            key = column(record, NAMES)
            tags = _names(record[key], key) if key is not None else []
            listed = record.get("boxes", [])
            if not isinstance(listed, list):
                raise ValueError(f"boxes: a list is needed, got {_shown(listed)}")
            boxes = [_box(box, f"boxes.{number}") for number, box in enumerate(listed)]
        except ValueError as error:
            entries.fault(place, str(error), image_id)
            return
        entries.add(image_id, place, tags=tags, boxes=boxes)


def _names(value: Any, field: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{field}: a name or a list of names is needed, got {_shown(value)}")
    return names


def _box(box: Any, field: str) -> NamedBox:
    key = column(box, NAMES) if isinstance(box, dict) else None
    name = box[key] if key is not None else None
    if not isinstance(name, str):
        raise ValueError(f"{field}: a box needs cls, the name of its class, got {_shown(box)}")
    corners = columns(box, CORNERS)
    values = [box[corner] for corner in corners] if corners else box.get("bbox_xyxy")
    if not isinstance(values, list) or len(values) != 4 or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{field}: bbox_xyxy needs four numbers, got {_shown(values)}")
    x0, y0, x1, y1 = map(float, values)
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise ValueError(f"{field}: bbox_xyxy needs four finite numbers, got {_shown(values)}")
    return NamedBox(name, x0, y0, x1, y1)


def _shown(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
