"""The README beside what was exported: where it comes from, how good it is, how to read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from harness import __version__
from harness.common.text import printable
from harness.contract.errors import DataError
from harness.contract.run_record import RunRecord
from harness.contract.scores import PSEUDO, VAL

if TYPE_CHECKING:
    from harness.export.labels import ClassTable, Form
    from harness.export.rows import Row

_WORDS = {PSEUDO: "mIoU of the pseudo labels on the training images", VAL: "mIoU on the validation images"}


def labels_page(row: Row, table: ClassTable, form: Form, split: str, *, soft: bool = False) -> str:
    """README of a folder of masks."""
    what = "Pseudo labels of the training images" if split == "train" else "Predictions of the validation images"
    lines = [f"# {what}", "", *origin(row, PSEUDO if split == "train" else VAL), "", "## Files", ""]
    kind = "palette PNG, one channel" if form == "png" else "`labels` (H, W) uint8 of an `.npz`"
    meaning = "class ids of the data set" if table.ids == "dataset" else "class indices 0, 1, 2, ..."
    lines += [
        f"* `masks/ID.{form}`: {kind}; values are {meaning}, 255 is ignored. Sizes are those of the images.",
        f"* `{split}.txt`: the ids, one per line.",
        "* `classes.csv`: index, id in the masks, name and colour of each class.",
    ]
    if soft:
        lines.append("* `scores/ID.npz`: `keys` (K,) ids as in the masks, `scores` (K, H, W) float16.")
    lines += ["", "## Use", "", *(_MMSEG if table.ids == "dense" else _SPARSE), ""]
    if table.ids == "dense" and form == "png":
        lines += ["```python", *_mmseg_dataset(table, split), "```", ""]
    return "\n".join(lines)


_MMSEG = ["Masks of class indices are what mmseg and most training code take as they are, with ignore index 255."]
_SPARSE = [
    "The masks stand beside those of the data set and can replace them. Where its ids have gaps, training code that "
    "takes ids for class indices needs `wsss export ... --ids dense`."
]


def _mmseg_dataset(table: ClassTable, split: str) -> list[str]:
    return [
        f"{split}_dataset = dict(",
        '    type="BaseSegDataset",',
        f"    metainfo=dict(classes={table.names!r}),",
        '    data_prefix=dict(img_path="PATH/TO/IMAGES", seg_map_path="PATH/TO/THIS/FOLDER/masks"),',
        f'    ann_file="PATH/TO/THIS/FOLDER/{split}.txt",',
        '    img_suffix=".jpg",',
        '    seg_map_suffix=".png",',
        '    pipeline=[dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")],',
        ")",
    ]


def origin(row: Row, score: str) -> list[str]:
    """Lines about the row: what made it, under which protocol, and what it scores."""
    record = row.record
    return [
        f"Row `{printable(record.label)}` of the benchmark `{record.benchmark}`, made by wsss {__version__}.",
        "",
        f"* method: {printable(record.method)}{_reference(record)}",
        f"* supervision: {record.supervision}",
        f"* data set: {printable(record.dataset.name)}, {record.dataset.images.get('train', 0)} training and "
        f"{record.dataset.images.get('val', 0)} validation images",
        f"* backbone: {printable(record.backbone)}, initial weights trained on: {printable(record.init)}",
        f"* seed: {record.seed}",
        f"* fingerprint of protocol and data: `{record.fingerprint}`",
        f"* {_WORDS[score]}: {score_text(row, score)}",
    ]


def _reference(record: RunRecord) -> str:
    parts = [part for part in (record.paper, str(record.year) if record.year else None) if part]
    return f" ({printable(', '.join(parts))})" if parts else ""


def score_text(row: Row, name: str) -> str:
    """The mIoU of a score in percent with its 95 % interval over images, or why there is none."""
    from harness.scoring.statistics import miou_interval

    if name not in row.record.scores:
        return "not measured"
    try:
        confusions = row.run.confusions(name)
        assert confusions is not None
        interval = miou_interval([confusions], resamples=row.record.scoring.bootstrap)
    except DataError as error:
        return f"not known ({error})"
    value, low, high = (f"{100 * number:.1f}" for number in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}] (95 % bootstrap interval over {len(confusions)} images, one seed)"


def protocol_block(row: Row) -> list[str]:
    """The protocol of the row as a block of JSON."""
    return ["```json", json.dumps(row.record.protocol, indent=1, sort_keys=True), "```"]
