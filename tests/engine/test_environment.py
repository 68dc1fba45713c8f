"""What a cell was computed with, when its stages were computed in different environments."""

import mmap
import sys
from types import SimpleNamespace

from harness.engine.environment import environment, merged
from harness.engine.peak import PeakMemory


def test_equal_fields_stay_single_and_different_ones_are_listed():
    assert merged([{"torch": "2", "python": "3.11"}, {"torch": "3", "python": "3.11"}, {"torch": "2"}]) == {
        "torch": ["2", "3"],
        "python": "3.11",
    }


def test_the_environment_names_versions_and_nothing_that_changes_from_run_to_run():
    assert {"python", "platform", "commit", "torch", "numpy", "harness"} <= environment().keys()
    assert environment() is environment()


def test_peak_memory_sees_what_was_freed_again():
    """Pages of their own: what other tests have left free in the heap would hide a smaller block."""
    with PeakMemory() as small:
        pass
    with PeakMemory() as large, mmap.mmap(-1, 64 * 2**20) as block:
        block[::4096] = b"x" * len(block[::4096])
    assert large.mib > small.mib + 32


def test_peak_memory_is_sampled_where_the_system_keeps_no_mark(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.engine.peak._CLEAR", tmp_path / "none" / "clear_refs")
    with PeakMemory() as peak:
        pass
    assert peak.mib > 0


def test_gpu_memory_is_counted_from_when_the_work_begins_and_null_without_cuda(monkeypatch):
    peaks = {0: 900.0, 1: 900.0}
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: len(peaks),
        reset_peak_memory_stats=lambda index: peaks.update({index: 0.0}),
        max_memory_allocated=lambda index: peaks[index],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    with PeakMemory() as peak:
        peaks[1] = 3 * 2**20
    assert peak.gpu_mib == 3.0
    monkeypatch.setattr(cuda, "is_initialized", lambda: False)
    with PeakMemory() as peak:
        pass
    assert peak.gpu_mib is None
