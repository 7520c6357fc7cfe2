"""One layer by itself, on what its sources send: as :func:`snnmap.network.simulate_network` would run it, in less time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.build import LayerNetwork
from snnmap.core import FloatArray

__all__ = ["Counts", "LayerRun", "run_layer"]

Counts = npt.NDArray[np.integer[Any]]

_LARGEST = 4_000_000
"""Potentials (samples, steps, neurons) that are kept at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRun:
    """What some samples do to a layer.

    Attributes:
        counts: ``(n, time, size)`` spikes; none where the layer does not fire.
        potentials: ``(n, kept, size)`` of the first steps.
        rest: ``(n, size)`` potentials after the last step.
    """

    counts: Counts
    potentials: FloatArray
    rest: FloatArray


def run_layer(part: LayerNetwork, rasters: Mapping[str, Counts], *, fires: bool = True, n_kept: int = 0) -> Iterator[LayerRun]:
    """Run a layer whose sources have fired already, some samples at a time.

    Args:
        part: layer; its thresholds are 1, or it does not fire.
        rasters: ``(n, time, size)`` counts by source.
        fires: whether it sends spikes.
        n_kept: first steps whose potentials are kept.
    """
    weights = {projection.pre: projection.weights.to_scipy() for projection in part.projections}
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    batch = max(1, _LARGEST // (n_steps * part.population.size))
    for start in range(0, n_samples, batch):
        sources = {source: rasters[source][start : start + batch] for source in weights}
        yield _run_batch(part, weights, sources, fires, n_kept)


def _run_batch(
    part: LayerNetwork, weights: Mapping[str, Any], sources: Mapping[str, Counts], fires: bool, n_kept: int
) -> LayerRun:
    population = part.population
    n_samples, n_steps = next(iter(sources.values())).shape[:2]
    active = {source: np.asarray(counts.any(axis=(0, 2))) for source, counts in sources.items()}
    current, v, sent = np.zeros((3, n_samples, population.size))
    counts = np.zeros((n_samples, n_steps if fires else 0, population.size), np.int8)
    potentials = np.zeros((n_samples, n_kept, population.size))
    for step in range(n_steps):
        arriving = _sum_arriving(weights, sources, active, step)
        current *= population.alpha[0]
        if arriving is not None:
            current += arriving
        v *= population.beta
        v += current
        v += population.bias
        if fires:
            np.floor(v, out=sent)
            np.clip(sent, 0.0, population.max_count, out=sent)
            v -= sent
            counts[:, step] = sent
        if step < n_kept:
            potentials[:, step] = v
    return LayerRun(counts=counts, potentials=potentials, rest=v)


def _sum_arriving(
    weights: Mapping[str, Any], sources: Mapping[str, Counts], active: Mapping[str, npt.NDArray[np.bool_]], step: int
) -> FloatArray | None:
    total: FloatArray | None = None
    for source, matrix in weights.items():
        if active[source][step]:
            arriving = sources[source][:, step].astype(np.float64) @ matrix
            total = arriving if total is None else total + arriving
    return total
