"""Data sets, what methods see of them, and how configuration files become data sets.

Importing the package loads nothing; each public name is imported from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.lazy import lazy_face

if TYPE_CHECKING:
    from harness.common.array_files import read_npz
    from harness.common.files import read_bytes
    from harness.data.boxes import mask_boxes, mask_tags
    from harness.data.check_report import CheckReport
    from harness.data.checking import check
    from harness.data.cityscapes import CityscapesDataset
    from harness.data.coco import CocoDataset
    from harness.data.configuration import apply_overrides, build_dataset, expand_env, load_yaml, validate
    from harness.data.digests import described, set_cache
    from harness.data.label_files import (
        MOST_COLOURS,
        SUFFIXES,
        LabelFile,
        as_label_file,
        read_label_file,
        read_lines,
        read_results,
    )
    from harness.data.params import CityscapesParams, CocoLayout, CocoParams, SyntheticParams, VocLayout, VocParams
    from harness.data.region_files import check_regions, find_regions, read_regions
    from harness.data.synthetic import SyntheticDataset
    from harness.data.views import DatasetView, Meter, choose_fraction, dev_split
    from harness.data.voc import VocDataset


__all__ = [
    "MOST_COLOURS",
    "SUFFIXES",
    "CheckReport",
    "CityscapesDataset",
    "CityscapesParams",
    "CocoDataset",
    "CocoLayout",
    "CocoParams",
    "DatasetView",
    "LabelFile",
    "Meter",
    "SyntheticDataset",
    "SyntheticParams",
    "VocDataset",
    "VocLayout",
    "VocParams",
    "apply_overrides",
    "as_label_file",
    "build_dataset",
    "check",
    "check_regions",
    "choose_fraction",
    "described",
    "dev_split",
    "expand_env",
    "find_regions",
    "load_yaml",
    "mask_boxes",
    "mask_tags",
    "read_bytes",
    "read_label_file",
    "read_lines",
    "read_npz",
    "read_regions",
    "read_results",
    "set_cache",
    "validate",
]

__getattr__, __dir__ = lazy_face(__name__)
