"""The segmenter of a row as an mmseg configuration and checkpoint, which mmseg loads without wsss.

What is unusual here:

* Parts that mmseg does not have travel as source: a package beside the configuration (``harness.export.bundle``),
  which the configuration itself imports.
* Losses of methods stay behind, for they have no part in predicting.
* What was written is loaded by mmseg and compared with the stored predictions before it takes its place.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.common.files import read_json
from harness.common.folders import replacing_folder
from harness.common.text import printable
from harness.contract.errors import PluginError, StoreError, WsssError
from harness.export.bundle import Bundle
from harness.export.onnx import Graph, check_installed, write_onnx
from harness.export.readme import model_page
from harness.maps.labels import voc_palette
from harness.modelling import mm
from harness.modelling.exported import ProtocolPreprocessor, mmseg_labels, mmseg_model
from harness.modelling.inference import load_segmenter
from harness.modelling.networks import CONFIG

if TYPE_CHECKING:
    from harness.contract.interfaces import Dataset
    from harness.contract.protocol import TestSettings
    from harness.export.rows import Row

CONFIG_FILE, CHECKPOINT, ONNX, README = "config.py", "model.pth", "model.onnx", "README.md"

_OTHERS = frozenset({"torch", "torchvision", "mmseg", "mmcv", "mmengine", "timm"})
"""Packages that whoever loads the model has."""

_PACKAGE = "wsss_model_"
"""How the name of a package of parts begins; the end tells networks apart that one program loads."""

_COMPARED = 8
"""Validation images whose predictions are compared."""

_TOLERATED = 0.01
"""Share of differing pixels up to which rounding on another device explains them."""


@dataclass(frozen=True)
class Comparison:
    """What mmseg predicts with the exported files beside what the store holds.

    Attributes:
        images: How many images were compared.
        pixels: Of these images.
        different: Pixels of another class.
    """

    images: int
    pixels: int
    different: int


def export_model(
    row: Row,
    out: Path,
    *,
    onnx: bool | None = None,
    dataset: Dataset | None = None,
    force: bool = False,
) -> Comparison | None:
    """Write the segmenter of a row for mmseg, and for ONNX.

    Args:
        row: The row.
        out: A folder that does not exist or is empty.
        onnx: Whether to write ONNX too; ``None`` does so where packages and network allow it.
        dataset: The data set, for the comparison; ``None`` = nothing is compared.
        force: Replace what ``out`` holds.

    Returns:
        The comparison with the stored predictions; ``None`` where they have several scales, flips or the dense CRF, or
        images or predictions are not there.

    Raises:
        ConfigError: ``out`` is not empty.
        PluginError: The network is none of mmseg, or a part of it cannot be exported; or ``onnx`` is asked for and its
            packages are missing or the network cannot be drawn.
        StoreError: The store does not hold the segmenter any more, nothing can be written, or the exported network does
            not predict what the store holds.
    """
    if onnx:
        check_installed()
    settings, source = row.settings, row.segmenter
    model = load_segmenter(source)
    if not hasattr(model, "decode_head"):
        raise PluginError(f"row {row.name} predicts without a network of mmseg: there is no model to export")
    stored = read_json(source / CONFIG, error=StoreError)
    with replacing_folder(out, force=force, keep=row.folder) as folder:
        own = _write_config(row, folder, stored["model"], settings, model)
        _write_checkpoint(row, folder, model)
        comparison = _compared(row, folder, settings, dataset)
        rule = stored["model"]["data_preprocessor"]
        graph = "it was not asked for" if onnx is False else _graph(row, folder, model, rule, insist=bool(onnx))
        page = model_page(row, settings, comparison, own_parts=own, graph=graph, rule=rule)
        (folder / README).write_text(page, encoding="utf-8")
    return comparison


def _graph(row: Row, folder: Path, model: torch.nn.Module, rule: Mapping[str, Any], *, insist: bool) -> Graph | str:
    """What was written as ONNX, or why nothing was."""
    base, classes = row.settings.base, row.record.dataset.classes
    try:
        return write_onnx(folder / ONNX, model, rule, base=base, classes=classes, palette=palette(row))
    except PluginError as error:
        if insist:
            raise
        return str(error)


def palette(row: Row) -> list[list[int]]:
    """R, G, B of each class in the colours of PASCAL VOC, by class index."""
    colours = np.frombuffer(voc_palette(), np.uint8).reshape(256, 3)
    return [[int(part) for part in colour] for colour in colours[: len(row.record.dataset.classes)]]


def _write_config(
    row: Row, folder: Path, stored: Mapping[str, Any], settings: TestSettings, model: torch.nn.Module
) -> list[str]:
    """Write the configuration and the parts that mmseg does not have; returns the names of these parts."""
    tops = {type(part).__module__.partition(".")[0] for part in model.modules()} | {"harness"}
    network_and_code = json.dumps([stored, settings.base, row.record.code], sort_keys=True).encode()
    name = f"{_PACKAGE}{hashlib.sha256(network_and_code).hexdigest()[:8]}"
    parts = _Parts(Bundle(name, frozenset(tops - _OTHERS)))
    network = parts.rewritten({key: value for key, value in mm.plain(stored).items() if key != "data_preprocessor"})
    rule = stored["data_preprocessor"]
    network["data_preprocessor"] = {
        "type": parts.add(ProtocolPreprocessor.__module__, ProtocolPreprocessor.__name__),
        "base": settings.base,
        "mean": list(rule["mean"]),
        "std": list(rule["std"]),
        "bgr_to_rgb": True,
        "pad_val": 0,
        "seg_pad_val": 255,
    }
    (folder / name).mkdir()
    for file, text in parts.bundle.files().items():
        (folder / name / file).write_text(text, encoding="utf-8")
    (folder / CONFIG_FILE).write_text(_config_text(row, network, name), encoding="utf-8")
    return sorted(parts.names)


class _Parts:
    """Rewrites a model configuration so that it names no part of ours.

    Attributes:
        names: Parts that were taken along.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.names: set[str] = set()

    def add(self, module: str, name: str) -> str:
        self.names.add(name)
        return self.bundle.add(module, name)

    def rewritten(self, cfg: Any, *, loss: bool = False) -> Any:
        """``cfg`` with parts of ours by their place in the bundle, and losses of ours replaced."""
        if isinstance(cfg, list | tuple):
            return [self.rewritten(item, loss=loss) for item in cfg]
        if not isinstance(cfg, Mapping):
            return cfg
        found = _found(cfg.get("type"))
        ours = found is not None and self.bundle.internal(found.__module__)
        if ours and loss:
            return {"type": "CrossEntropyLoss"}
        changed = {key: self.rewritten(value, loss=loss or key.startswith("loss")) for key, value in cfg.items()}
        if found is not None and ours:
            changed["type"] = self.add(found.__module__, found.__name__)
        return changed


def _found(kind: Any) -> Any:
    """What a ``type`` of a configuration names, by its place or in mmseg's registry; ``None`` where it is neither."""
    if not isinstance(kind, str):
        return kind
    module, _, name = kind.rpartition(".")
    if module:
        return getattr(import_module(module), name)
    return mm.MODELS.get(kind)


def _config_text(row: Row, network: Mapping[str, Any], package: str) -> str:
    about = f"Row {printable(row.record.label)} of {row.record.benchmark}, exported by wsss; see README.md."
    pipeline = [
        {"type": "LoadImageFromFile", "imdecode_backend": "pillow", "color_type": "color_ignore_orientation"},
        {"type": "PackSegInputs"},
    ]
    meta = {"classes": row.record.dataset.classes, "palette": palette(row)}
    lines = [json.dumps(about), ""]
    lines += [
        "import sys",
        "",
        'sys.path.insert(0, r"""{{ fileDirname }}""")  # the package beside this file',
        "",
        f'custom_imports = dict(imports=["{package}"], allow_failed_imports=False)',
        'default_scope = "mmseg"',
    ]
    for name, value in (("model", network), ("metainfo", meta), ("test_pipeline", pipeline)):
        lines.append(f"{name} = {pformat(value, width=110, sort_dicts=False)}")
    return "\n".join(lines) + "\n"


def _write_checkpoint(row: Row, folder: Path, model: torch.nn.Module) -> None:
    """Write the weights that the exported network has; those of losses that stay behind are left out.

    Raises:
        PluginError: It has weights that the trained one does not have.
    """
    trained = model.state_dict()
    with _mmseg_model(folder, None) as exported:
        names = list(exported.state_dict())
    lacking = [name for name in names if name not in trained]
    if lacking:
        raise PluginError(f"row {row.name}: the exported network has {lacking[0]}, which the trained one does not have")
    state = {name: trained[name].contiguous().cpu() for name in names}
    meta = {"dataset_meta": {"classes": list(row.record.dataset.classes), "palette": palette(row)}}
    torch.save({"meta": meta, "state_dict": state}, folder / CHECKPOINT)


def _compared(row: Row, folder: Path, settings: TestSettings, dataset: Dataset | None) -> Comparison | None:
    """Predict some validation images with the written files, by mmseg alone.

    Raises:
        StoreError: The predictions are not those of the store.
    """
    several = len(settings.scales) > 1 or settings.scales[0] != 1.0 or settings.flip or settings.crf
    if dataset is None or several:
        return None
    try:
        predictions = row.predictions()
    except StoreError:
        return None
    ids = predictions.ids[:: max(len(predictions.ids) // _COMPARED, 1)][:_COMPARED]
    try:
        pairs = [(dataset.image(image_id), predictions.mask(image_id)) for image_id in ids]
    except WsssError:  # images that have moved away
        return None
    with _mmseg_model(folder, folder / CHECKPOINT) as model:
        found = [mmseg_labels(model, image) for image, _ in pairs]
    different = sum(int((mask != label).sum()) for mask, (_, label) in zip(found, pairs, strict=True))
    comparison = Comparison(len(pairs), sum(label.size for _, label in pairs), different)
    if different > _TOLERATED * comparison.pixels:
        raise StoreError(
            f"row {row.name}: the exported network differs from the stored predictions in {different:,} of "
            f"{comparison.pixels:,} pixels; nothing was written"
        )
    return comparison


@contextmanager
def _mmseg_model(folder: Path, checkpoint: Path | None) -> Iterator[Any]:
    """What mmseg makes of an exported folder; the package in it is forgotten afterwards."""
    paths = list(sys.path)
    try:
        yield mmseg_model(folder / CONFIG_FILE, checkpoint)
    finally:
        sys.path[:] = paths
        for name in [name for name in sys.modules if name.startswith(_PACKAGE)]:
            del sys.modules[name]
