"""Input rasters to try a network with: drawn at several scales, and made to drive populations that those leave silent."""

from collections import defaultdict
from collections.abc import Collection

import numpy as np

from snnmap.core import FloatArray, IntArray
from snnmap.network import Network, Population, expand_terms

__all__ = ["draw_rasters", "drive_populations"]

_MOST = 15
_CHANCES = np.array([0.0, 2.0**-7, 2.0**-5, 2.0**-4, 2.0**-3, 2.0**-2, 2.0**-1, 1.0])
"""Chance of each of a channel's possible spikes in a step; constants, so that every machine draws alike."""
_CALMEST = 3
_SEGMENT_STEPS = 12
_DRIVEN_NEURONS = 3


def draw_rasters(
    network: Network, *, n_samples: int = 6, n_steps: int = 48, seed: int = 0, max_count: int = _MOST
) -> dict[str, IntArray]:
    """Draw random input counts at several scales, from a spike now and then to bursts.

    Each channel keeps a rate of its own for some steps, then gets another, so that weights of both signs do not cancel
    over the channels. Later samples are busier than earlier ones.

    Args:
        network: whose input ports are drawn for.
        n_samples: samples.
        n_steps: steps a sample.
        seed: of the generator; the same rasters on every machine.
        max_count: the most spikes of a channel in a step.

    Returns:
        ``(n_samples, n_steps, size) int64`` by input port.
    """
    generator = np.random.default_rng(seed)
    busiest = np.linspace(_CALMEST, _CHANCES.size, n_samples)[:, np.newaxis, np.newaxis]
    n_segments = -(-n_steps // _SEGMENT_STEPS)
    rasters = {}
    for port in network.inputs:
        levels = np.floor(generator.random((n_samples, n_segments, port.size)) * busiest).astype(np.int64)
        chances = np.repeat(_CHANCES[levels], _SEGMENT_STEPS, axis=1)[:, :n_steps]
        counts = np.zeros(chances.shape, np.int64)
        for _ in range(max_count):
            counts += generator.random(chances.shape) < chances
        rasters[port.name] = counts
    return rasters


def drive_populations(
    network: Network, names: Collection[str], *, n_steps: int = 48, max_count: int = _MOST
) -> dict[str, IntArray]:
    """Make rasters that drive some neurons of populations as hard as the inputs allow, for those that drawn ones leave silent.

    Channels that lead to a neuron by paths whose weights multiply to something positive send their most spikes for two
    thirds of the steps, then nothing; the others are silent. What a population does not answer here, it is unlikely ever to.

    Args:
        network: well-formed.
        names: of the populations.
        n_steps: steps a sample.
        max_count: the most spikes of a channel in a step.

    Returns:
        ``(n_samples, n_steps, size) int64`` by input port, up to three samples a population.
    """
    rasters: defaultdict[str, list[IntArray]] = defaultdict(list)
    active = (np.arange(n_steps) < n_steps - n_steps // 3)[:, np.newaxis]
    for name in names:
        reach = _trace_back(network, network.population(name))
        for port in network.inputs:
            on = reach[port.name].T > 0
            rasters[port.name] += [np.where(active & channels, max_count, 0) for channels in on]
    return {port.name: np.array(rasters[port.name], np.int64).reshape(-1, n_steps, port.size) for port in network.inputs}


def _trace_back(network: Network, population: Population) -> dict[str, FloatArray]:
    """Return, as if all were linear, by how much channels drive the neurons that take most: ``(size, n_chosen)`` by port."""
    chosen = _choose_neurons(network, population)
    reach = {port.name: np.zeros((port.size, chosen.size)) for port in network.inputs}
    thresholds = {part.name: np.where(np.isfinite(part.threshold), part.threshold, 1.0) for part in network.populations}
    front = {population.name: (np.arange(population.size)[:, np.newaxis] == chosen).astype(np.float64)}
    for _ in network.populations:
        behind: defaultdict[str, FloatArray | float] = defaultdict(float)
        for projection in network.projections:
            if projection.post in front:
                pull = projection.weights.to_scipy() @ (front[projection.post] / thresholds[projection.post][:, np.newaxis])
                for leaf in expand_terms(network, projection.pre):
                    behind[leaf] = behind[leaf] + pull
        for name in reach.keys() & behind.keys():
            reach[name] = reach[name] + behind[name]
        front = {name: _normalise(np.asarray(pull)) for name, pull in behind.items() if name not in reach}
    return reach


def _choose_neurons(network: Network, population: Population) -> IntArray:
    """Choose the neurons whose positive weights come to most, in thresholds."""
    drive = np.zeros(population.size)
    for projection in network.projections:
        if projection.post == population.name:
            weights = projection.weights
            drive += np.bincount(weights.indices, np.maximum(weights.data, 0.0), minlength=population.size)
    order = np.argsort(-drive / np.where(np.isfinite(population.threshold), population.threshold, 1.0), kind="stable")
    return np.asarray(order[:_DRIVEN_NEURONS], np.int64)


def _normalise(pull: FloatArray) -> FloatArray:
    """Scale each column to a largest of 1, so that no product of weights overflows on the way."""
    largest = np.abs(pull).max(axis=0, initial=0.0)
    return np.asarray(pull / np.where(largest > 0, largest, 1.0), np.float64)
