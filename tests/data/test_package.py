"""The package is light until a name is used, and its public names exist."""

from __future__ import annotations

import subprocess
import sys

import pytest

import harness.data
from harness.contract import DatasetRecord
from harness.data.builtin import wsss_datasets
from harness.data.configuration import build_dataset


def test_registration_imports_nothing_heavy() -> None:
    code = (
        "import sys, harness.data.builtin as r; list(r.wsss_datasets());"
        "sys.exit(bool({'numpy', 'torch', 'scipy', 'PIL', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", harness.data.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(harness.data, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = harness.data.nothing


def test_only_the_synthetic_images_may_be_shown() -> None:
    records: dict[str, DatasetRecord] = {record.name: record for record in wsss_datasets()}
    assert records["synthetic"].show_images
    assert not records["voc"].show_images


def test_a_data_set_is_built_by_its_registered_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSSS_PLUGINS", "")
    dataset = build_dataset("synthetic", {"train": 3, "val": 1, "size": [32, 48]}, where="x.yaml")
    assert dataset.size(dataset.ids("train")[0]) == (32, 48)
