"""Heart beats of four kinds, simulated: no labelled recordings install as a package.

A beat is a sum of Gaussian waves P, Q, R, S, T on the circle of the cardiac cycle, as in ECGSYN (McSharry et al. 2003, table 1),
with other waves for each kind; heights, widths, places and rate vary from beat to beat, and baseline wander and noise are added.
The signal is sent as a level-crossing converter sends it: a spike up or down for each step of ``LEVEL`` that it has moved.
"""

import numpy as np

from snnmap.core import FloatArray, IntArray

KINDS = ("normal", "premature ventricular", "premature atrial", "left bundle branch block")
N_STEPS, LEVEL = 64, 0.12
"""Steps of 12 ms, and millivolts."""

# place in radians from the R peak, height in mV, width in radians
_WAVES: tuple[tuple[tuple[float, float, float], ...], ...] = (
    ((-1.2, 0.15, 0.25), (-0.26, -0.1, 0.1), (0.0, 1.1, 0.1), (0.26, -0.2, 0.1), (1.75, 0.3, 0.4)),
    ((-0.35, 0.3, 0.3), (0.05, 1.3, 0.33), (0.75, -0.5, 0.35), (1.9, -0.35, 0.45)),
    ((-0.8, -0.15, 0.2), (-0.26, -0.1, 0.1), (0.0, 0.9, 0.1), (0.26, -0.25, 0.1), (1.75, 0.25, 0.4)),
    ((-1.3, 0.15, 0.25), (-0.12, 0.7, 0.2), (0.3, 0.75, 0.22), (1.8, -0.35, 0.45)),
)


def simulate_beats(n: int, seed: int) -> tuple[IntArray, IntArray]:
    """Give up and down events of beats, ``(n, N_STEPS, 2)``, and their kinds ``(n,)``."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(len(KINDS), size=n)
    return np.stack([encode_changes(_draw_beat(int(kind), rng)) for kind in kinds]), kinds


def encode_changes(signal: FloatArray) -> IntArray:
    """Give spikes up and down, ``(n_steps, 2)``, where the signal has left the last sent level by so many steps."""
    sent, spikes = signal[0], np.zeros((len(signal), 2), np.int64)
    for step, value in enumerate(signal):
        moved = int(np.trunc((value - sent) / LEVEL))
        spikes[step, 0 if moved > 0 else 1] = min(abs(moved), 15)
        sent += moved * LEVEL
    return spikes


def _draw_beat(kind: int, rng: np.random.Generator) -> FloatArray:
    time = np.arange(N_STEPS) * 12e-3
    rate_hz = rng.normal(1.25, 0.12) * (1.2 if kind == 2 else 1.0)
    phase = 2 * np.pi * rate_hz * (time - rng.normal(0.32, 0.02))
    signal = 0.05 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.4) * time + rng.random())) + rng.normal(0.0, 0.015, N_STEPS)
    for place, height, width in _WAVES[kind]:
        there = phase - place * (1.0 + rng.normal(0.0, 0.06))
        signal += height * rng.normal(1.0, 0.15) * np.exp(-0.5 * (there / (width * rng.normal(1.0, 0.1))) ** 2)
    return np.asarray(signal * rng.normal(1.0, 0.12), np.float64)
