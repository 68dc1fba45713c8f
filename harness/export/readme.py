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
    from collections.abc import Mapping, Sequence
    from typing import Any

    from harness.contract.protocol import TestSettings
    from harness.export.labels import ClassTable, Form
    from harness.export.model import Comparison
    from harness.export.onnx import Graph
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
        f"* supervision: {record.all_supervision}",
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


def model_page(
    row: Row,
    settings: TestSettings,
    comparison: Comparison | None,
    *,
    own_parts: Sequence[str],
    graph: Graph | str,
    rule: Mapping[str, Any],
) -> str:
    """README of an exported network; ``graph`` is what was written as ONNX, or why nothing was."""
    classes = row.record.dataset.classes
    lines = [
        f"# Network of the row {printable(row.record.label)}",
        "",
        *origin(row, VAL),
        f"* classes: {printable(', '.join(classes))}; the checkpoint holds names and colours (PASCAL VOC, by index)",
        f"* input: RGB 0-255, mean {list(rule['mean'])}, deviation {list(rule['std'])}",
        f"* licence of the initial weights: {weights_licence(row)}; parts of wsss: Apache-2.0",
        "",
        "## Load it",
        "",
        *_LOADING,
    ]
    lines += [
        "",
        f"mmseg does not have {', '.join(own_parts)}. The folder `wsss_model_...` holds the source, and `config.py` "
        "imports it; move the three together. They use torch, mmseg and, for a backbone of timm, timm. mmseg's own "
        "`SegDataPreProcessor` can stand in for `ProtocolPreprocessor` where that has no `base`; it rounds otherwise, "
        "which now and then changes a pixel on the border of two classes.",
    ]
    lines += ["", "## How it predicts", "", *_prediction(settings, comparison), "", *_graph_text(graph)]
    lines += ["", "## Protocol", "", *protocol_block(row), ""]
    return "\n".join(lines)


_LOADING = [
    "```python",
    "from mmseg.apis import inference_model, init_model",
    "",
    'model = init_model("config.py", "model.pth", device="cpu")  # or "cuda:0"',
    'labels = inference_model(model, "photograph.jpg").pred_sem_seg.data[0]  # (H, W) class indices',
    "```",
]


def _prediction(settings: TestSettings, comparison: Comparison | None) -> list[str]:
    size = f"with a long side of {settings.base} pixels" if settings.base else "at its own size"
    scales = ", ".join(f"{scale:g}" for scale in settings.scales)
    extras = [f"scales {scales}", "mirrored too" if settings.flip else "not mirrored"]
    extras.append("with a dense CRF behind" if settings.crf else "without a CRF")
    lines = [
        f"The exported network sees an image {size}, once, and answers at the size of the image.",
        f"The protocol of the score: {size}, {', '.join(extras)}.",
    ]
    if comparison is not None:
        equal = "equal pixel for pixel" if not comparison.different else f"{comparison.different:,} of them differ"
        lines.append(
            f"Compared with the stored predictions of {comparison.images} validation images, {comparison.pixels:,} "
            f"pixels, through mmseg on a CPU: {equal}."
        )
    elif len(settings.scales) > 1 or settings.scales[0] != 1.0 or settings.flip or settings.crf:
        lines.append("So its labels are not those of the score, which `wsss predict` gives for new images.")
    else:
        lines.append("It was not compared with the stored predictions, since they or their images were not there.")
    return lines


def _graph_text(graph: Graph | str) -> list[str]:
    if isinstance(graph, str):
        return [f"There is no ONNX file: {printable(graph)}."]
    size = "any size" if graph.size is None else f"{graph.size[0]} x {graph.size[1]} pixels alone"
    return [
        f"`model.onnx` takes `image` (1, H, W, 3) uint8 RGB of {size} and gives `labels` (1, H, W) uint8 class "
        "indices; mean, deviation and resize are inside. Of a tried image onnxruntime labelled "
        f"{100 * graph.equal:.2f} % of the pixels as torch did. Classes, colours, mean and deviation are metadata of "
        "the file.",
        "",
        "```python",
        "import numpy as np",
        "import onnxruntime",
        "from PIL import Image",
        "",
        'session = onnxruntime.InferenceSession("model.onnx")',
        'image = np.asarray(Image.open("photograph.jpg").convert("RGB"))[None]',
        '(labels,) = session.run(None, {"image": image})',
        "```",
    ]


def weights_licence(row: Row) -> str:
    """Licence of the initial weights of the row's backbone, as far as the catalogue of weights knows the file."""
    from harness.engine.plan.catalogue import catalogue

    record = row.record
    if record.init == "random":
        return "none, they are random"
    digits = record.init_sha256 or ""
    for entry in catalogue():
        known = entry.sha256
        if known and digits and (known.startswith(digits) or digits.startswith(known)):
            return f"{entry.licence}; trained on {printable(record.init)}"
    return f"not known to wsss, ask whoever made them (SHA-256 {digits or 'not recorded'})"


def protocol_block(row: Row) -> list[str]:
    """The protocol of the row as a block of JSON."""
    return ["```json", json.dumps(row.record.protocol, indent=1, sort_keys=True), "```"]
