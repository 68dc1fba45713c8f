"""Data sets, what methods see of them, and how configuration files become data sets.

Importing the package loads nothing; each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.data.boxes import mask_boxes, mask_tags
    from harness.data.check import CheckReport, check
    from harness.data.cityscapes import CityscapesDataset
    from harness.data.coco import CocoDataset
    from harness.data.digests import set_cache
    from harness.data.load import apply_overrides, build_dataset, expand_env, load_yaml, validate
    from harness.data.params import CityscapesParams, CocoLayout, CocoParams, SyntheticParams, VocLayout, VocParams
    from harness.data.synthetic import SyntheticDataset
    from harness.data.views import DatasetView, Meter, choose_fraction, dev_split
    from harness.data.voc import VocDataset

_HOME = {
    "mask_boxes": "boxes",
    "mask_tags": "boxes",
    "CheckReport": "check",
    "check": "check",
    "CityscapesDataset": "cityscapes",
    "CocoDataset": "coco",
    "set_cache": "digests",
    "apply_overrides": "load",
    "build_dataset": "load",
    "expand_env": "load",
    "load_yaml": "load",
    "validate": "load",
    "CityscapesParams": "params",
    "CocoLayout": "params",
    "CocoParams": "params",
    "SyntheticParams": "params",
    "VocLayout": "params",
    "VocParams": "params",
    "SyntheticDataset": "synthetic",
    "DatasetView": "views",
    "Meter": "views",
    "choose_fraction": "views",
    "dev_split": "views",
    "VocDataset": "voc",
}

__all__ = [
    "CheckReport",
    "CityscapesDataset",
    "CityscapesParams",
    "CocoDataset",
    "CocoLayout",
    "CocoParams",
    "DatasetView",
    "Meter",
    "SyntheticDataset",
    "SyntheticParams",
    "VocDataset",
    "VocLayout",
    "VocParams",
    "apply_overrides",
    "build_dataset",
    "check",
    "choose_fraction",
    "dev_split",
    "expand_env",
    "load_yaml",
    "mask_boxes",
    "mask_tags",
    "set_cache",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
