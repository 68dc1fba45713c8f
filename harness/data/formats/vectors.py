"""``cls_labels.npy`` as PSA and IRN write it: a pickled dictionary ``{image: 0/1 for each foreground class}``."""

from __future__ import annotations

import numpy as np

from harness.common.array_files import read_npy
from harness.common.text import printable
from harness.contract import DataError
from harness.data.formats.names import numbered_names
from harness.data.formats.source import Entries, FileSource


class Vectors(FileSource):
    """One dictionary of vectors; nothing that the pickle holds is run."""

    def _parse(self, entries: Entries) -> None:
        value = read_npy(self.path, error=DataError)
        if not isinstance(value, dict):
            raise DataError(f"{printable(self.path)}: a dictionary {{image: 0/1 for each class}} is needed")
        names = numbered_names(self.asked)
        for name, vector in value.items():
            place = f"image {printable(name)!r}"
            image_id = entries.image(_name(name), place)
            if image_id is None:
                continue
            flags = np.asarray(vector)
            if flags.shape != (len(names),) or flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
                text = f"{len(names)} numbers 0 or 1 are needed, for {', '.join(map(printable, names[:8]))}"
                entries.fault(place, f"{text}{', ...' if len(names) > 8 else ''}; got {_described(flags)}", image_id)
                continue
            entries.add(image_id, place, tags=[names[number] for number in np.flatnonzero(flags)])


def _name(name: object) -> str:
    """IRN writes the names of VOC 2012 as numbers: 2007000032 is 2007_000032."""
    text = str(name)
    return text if isinstance(name, str) or len(text) != 10 else f"{text[:4]}_{text[4:]}"


def _described(flags: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    return f"an array of shape {flags.shape}" if flags.ndim else printable(repr(flags.item()))[:60]
