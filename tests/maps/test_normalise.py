from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.maps import max_normalise, minmax_normalise


@settings(deadline=None)
@given(st.sampled_from([max_normalise, minmax_normalise]), st.integers(0, 99), st.floats(0.1, 100))
def test_every_map_lies_between_zero_and_one(rule, seed, spread):
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed)) * spread
    out = rule(maps)
    assert out.min() >= 0
    assert out.max() <= 1
    torch.testing.assert_close(out.amax((2, 3)), torch.ones(2, 3), atol=1e-3, rtol=0)


def test_max_normalisation_cuts_negatives_and_divides_by_the_maximum():
    out = max_normalise(torch.tensor([[[[-4.0, 1.0, 2.0]]]]))
    torch.testing.assert_close(out, torch.tensor([[[[0.0, 1.0, 2.0]]]]) / (2 + 1e-5))


def test_minmax_normalisation_shifts_and_divides_by_the_range():
    out = minmax_normalise(torch.tensor([[[[-4.0, 1.0, 6.0]]]]))
    torch.testing.assert_close(out, torch.tensor([[[[0.0, 5.0, 10.0]]]]) / (10 + 1e-5))


@pytest.mark.parametrize("rule", [max_normalise, minmax_normalise])
def test_absent_classes_and_flat_maps_become_zero(rule):
    maps = torch.rand(2, 2, 3, 3) + 1
    present = torch.tensor([[True, False], [False, True]])
    out = rule(maps, present)
    assert not out[0, 1].any()
    assert not out[1, 0].any()
    assert out[0, 0].any()
    assert not rule(torch.zeros(1, 1, 2, 2)).any()
