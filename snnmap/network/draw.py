"""Input counts for runs that nobody gave data for."""

from collections.abc import Sequence

import numpy as np

from snnmap.core.record import IntArray
from snnmap.network.network import InputPort

__all__ = ["draw_inputs"]

_RATES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5)
_BURST = 0.125
"""Share of the steps of the last sample, all channels at their most, after which nothing comes."""
_BUSY = 4
"""Spikes a step of channels that come in turns."""


def draw_inputs(ports: Sequence[InputPort], *, max_count: int, n_steps: int = 96, seed: int = 0) -> dict[str, IntArray]:
    """Draw input counts from silence to bursts: a sample for each of several rates, and two at the edge of what comes.

    In each sample every channel has a rate of its own, about the sample's, which changes half way, so that some channels
    rise while others fall. Of the last two, one is a short burst of all that channels carry, and in the other half of the
    channels are busy for half of the time, and the others after them, so that what inhibits comes alone.

    Args:
        ports: of the network.
        max_count: the most that a channel carries in a step.
        n_steps: of each sample.
        seed: of the generator.

    Returns:
        ``(10, n_steps, size) int64`` by port.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> {name: raster.shape for name, raster in draw_inputs(network.inputs, max_count=15).items()}
        {'in': (10, 96, 2)}
    """
    generator, drawn = np.random.default_rng(seed), {}
    for port in ports:
        rates = np.array(_RATES)[:, np.newaxis, np.newaxis] * generator.uniform(0.0, 2.0, (len(_RATES), 2, port.size))
        halves = np.repeat(rates, (n_steps - n_steps // 2, n_steps // 2), axis=1)
        burst = np.zeros((1, n_steps, port.size), np.int64)
        burst[:, : int(_BURST * n_steps)] = max_count
        chances = (halves / max_count)[..., np.newaxis]  # of each spike that a channel can carry: no logarithm decides
        spikes = generator.random((*halves.shape, max_count)) < chances
        turns = np.zeros((1, n_steps, port.size), np.int64)
        turns[:, : n_steps // 2, ::2] = turns[:, n_steps // 2 :, 1::2] = min(_BUSY, max_count)
        drawn[port.name] = np.concatenate([spikes.sum(axis=3), turns, burst])
    return drawn
