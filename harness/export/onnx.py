"""A network as one ONNX file: from an image as it is stored to its label map.

A graph takes images of any size where its network allows it. Attention and pools over a grid do not; their graph takes
images of one size.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.contract.errors import PluginError
from harness.modelling.exported import OnnxLabels

_OPSET = 17
_TRACED, _OTHER = (97, 130), (160, 101)
"""Heights and widths of the image that draws the graph, and of the one that tries it."""
_FIXED = 576
"""Side of the images of a graph that takes one size, where the protocol names none: its cells fit grids of 6 x 6."""
_EQUAL = 0.999
"""Share of pixels that onnxruntime must label as torch does."""


@dataclass(frozen=True)
class Graph:
    """A written graph.

    Attributes:
        size: (H, W) of the images that it takes, ``None`` = any.
        equal: Share of the pixels of a tried image that onnxruntime labels as torch does.
    """

    size: tuple[int, int] | None
    equal: float


_MISSING = "ONNX needs the packages onnx and onnxruntime: pip install 'wsss-harness[export]'"


def check_installed() -> None:
    """Raise ``PluginError`` where the packages for ONNX are not installed."""
    if not all(find_spec(name) is not None for name in ("onnx", "onnxruntime")):
        raise PluginError(_MISSING)


def write_onnx(
    path: Path,
    model: torch.nn.Module,
    rule: Mapping[str, Any],
    *,
    base: int | None,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
) -> Graph:
    """Write the graph, and try it with onnxruntime.

    Args:
        path: File to write.
        model: An mmseg encoder-decoder on the CPU, in evaluation mode.
        rule: ``mean`` and ``std`` of its input.
        base: Long side at which it sees the image.
        classes: Names by class index, written into the file.
        palette: R, G, B by class index, likewise.

    Raises:
        PluginError: The packages are not installed, the network cannot be drawn as a graph, or onnxruntime labels
            otherwise than torch.
    """
    check_installed()
    network = OnnxLabels(model, mean=rule["mean"], std=rule["std"], base=base).eval()
    side = base or _FIXED
    reasons = []
    for drawn, tried, fixed in ((_TRACED, _OTHER, None), ((side, side), (side, side), (side, side))):
        try:
            _draw(path, network, drawn, any_size=fixed is None)
            equal = _agreement(path, network, tried)
        except Exception as error:  # the exporter and onnxruntime raise what they like of a network that does not fit
            reasons.append(f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1][:200]}")
            continue
        if equal >= _EQUAL:
            graph = Graph(fixed, equal)
            _write_facts(path, rule, graph, classes=classes, palette=palette)
            return graph
        reasons.append(f"onnxruntime labels {equal:.2%} of the pixels as torch does")
    path.unlink(missing_ok=True)
    raise PluginError(f"the network cannot be written as ONNX ({'; '.join(reasons)}); --no-onnx leaves it out")


def _draw(path: Path, network: OnnxLabels, size: tuple[int, int], *, any_size: bool) -> None:
    axes = {1: "height", 2: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (_image(size),),
            str(path),
            input_names=["image"],
            output_names=["labels"],
            dynamic_axes={"image": axes, "labels": axes} if any_size else None,
            opset_version=_OPSET,
            dynamo=False,
        )


def _image(size: tuple[int, int]) -> torch.Tensor:
    """(1, H, W, 3) uint8 of soft colours."""
    colours = np.random.default_rng(0).integers(0, 256, (1, 3, 9, 9)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(colours), size, mode="bilinear", align_corners=False)
    return smooth.permute(0, 2, 3, 1).round().to(torch.uint8).contiguous()


def _agreement(path: Path, network: OnnxLabels, size: tuple[int, int]) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = _image(size)
    with torch.inference_mode():
        expected = network(image).numpy()
    return float((session.run(None, {"image": image.numpy()})[0] == expected).mean())


def _write_facts(
    path: Path, rule: Mapping[str, Any], graph: Graph, *, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> None:
    import onnx

    model = onnx.load(str(path))
    facts = {"classes": list(classes), "palette": palette, "mean": rule["mean"], "std": rule["std"], "size": graph.size}
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in facts.items()})
    onnx.save(model, str(path))
