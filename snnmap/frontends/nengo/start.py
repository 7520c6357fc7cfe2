"""The input port that brings initial voltages."""

import numpy as np

from snnmap.core.record import IntArray

__all__ = ["START", "make_start"]

START = "start"
"""Name of the input port whose one channel spikes once, in step 0, and brings the initial voltages."""


def make_start(n_samples: int, n_steps: int) -> IntArray:
    """Return the counts of that port, ``(n_samples, n_steps, 1)``."""
    counts = np.zeros((n_samples, n_steps, 1), np.int64)
    counts[:, :1] = 1
    return counts
