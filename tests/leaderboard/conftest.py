"""Fabricated run records with confusions beside them."""

import pytest
from board_records import Records, fill


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "runs")


@pytest.fixture
def sweep(records):
    """Four methods over two seeds, one of them failed, on one backbone."""
    return fill(records)
