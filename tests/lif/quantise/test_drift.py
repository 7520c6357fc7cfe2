"""The drift of integer decays, against the chip's own arithmetic."""

import numpy as np
import pytest

from snnmap.chip.arithmetic import bit_shift as arithmetic
from snnmap.chip.arithmetic.bit_shift import expected_drift


@pytest.mark.parametrize("dash", range(8))
@pytest.mark.parametrize(("low", "high"), [(1, 255), (-256, -1), (1, 3), (-3, -1), (-256, 255), (512, 1023)])
def test_expected_drift_is_the_mean_over_states(dash: int, low: int, high: int) -> None:
    states = np.arange(low, high + 1)
    kept = np.array([state - arithmetic.decay(int(state), dash) for state in states])
    exact = states * (1.0 - 2.0**-dash)
    expected = expected_drift(states[:, np.newaxis].astype(np.float64), np.array([dash]))[0]
    assert expected == pytest.approx((kept - exact).mean(), abs=0.02)
