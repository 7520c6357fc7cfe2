"""What a column of cells gives: exact sums, or what converters make of them."""

from typing import Any

import numpy as np

from snnmap.crossbar.record import Architecture

__all__ = ["Analog", "Ideal", "Numerics"]

_FLOAT32_EXACT = 2**24
_INT32 = np.iinfo(np.int32)


class Numerics:
    """How levels and cells are multiplied."""

    def multiply(self, driven: Any, cells: Any, scales: Any, architecture: Architecture) -> Any:
        """Return sums ``(n_samples, blocks, windows, filters)`` in int32.

        Args:
            driven: ``(n_samples, blocks, rows, windows)`` uint8.
            cells: ``(blocks, rows, filters * cells of a weight)`` int16.
            scales: what each of a weight's cells counts.
            architecture: with converters.
        """
        raise NotImplementedError


class Ideal(Numerics):
    """Exact integers: products in float32 or float64, wide enough that no sum is rounded."""

    def multiply(self, driven: Any, cells: Any, scales: Any, architecture: Architecture) -> Any:
        """As the class says; columns of one weight count together."""
        weights = cells if scales.size == 1 else cells.reshape(*cells.shape[:2], -1, scales.size) @ scales
        largest = int(np.abs(weights).sum(axis=1, dtype=np.int64).max(initial=0)) * 255
        kind = np.float32 if largest < _FLOAT32_EXACT else np.float64
        return _product(driven.astype(kind), weights.astype(kind)).astype(np.int32)


class Analog(Numerics):
    """Columns are read by ADCs: rounded to steps of a power of two that let the longest chain in, clipped, and with noise.

    What a weight's columns count together ends at the greatest and least that an accumulator holds.

    Args:
        noise_lsb: standard deviation of what is added before rounding, in steps of the ADC.
        seed: of the noise.
    """

    def __init__(self, *, noise_lsb: float = 0.0, seed: int = 0) -> None:
        self.noise_lsb = noise_lsb
        self._rng = np.random.default_rng(seed)

    def multiply(self, driven: Any, cells: Any, scales: Any, architecture: Architecture) -> Any:
        """As the class says; each column is read by itself."""
        columns = _product(driven.astype(np.float64), cells.astype(np.float64))
        most = 1 << (architecture.converters.adc_bits - 1)
        step = 2.0 ** max(0, int(np.ceil(np.log2(architecture.largest_sum / most))))
        noise = self._rng.normal(0, self.noise_lsb, columns.shape) if self.noise_lsb else 0.0
        read = np.clip(np.rint(columns / step + noise), -most, most - 1) * step
        sums = read.reshape(*read.shape[:-1], -1, scales.size) @ scales
        return np.clip(sums, _INT32.min, _INT32.max).astype(np.int32)


def _product(driven: Any, weights: Any) -> Any:
    """Return ``(n_samples, blocks, windows, columns)``."""
    return np.matmul(driven.transpose(0, 1, 3, 2), weights)
