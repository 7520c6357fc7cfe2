"""One layer by itself, on what its sources send: as :func:`snnmap.network.simulate_network` would run it, in less time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.build import LayerNetwork
from snnmap.core import FloatArray, IntArray
from snnmap.core.threads import count_cores, deal_out, run_side_by_side
from snnmap.network import Projection

__all__ = ["Counts", "LayerInput", "LayerRun", "make_room", "run_layer", "run_layers"]

Counts = npt.NDArray[np.integer[Any]]

_KEPT_PER_WEIGHT = 12
"""Sums that are kept between runs for each weight that they are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRun:
    """What some samples do to a layer.

    Attributes:
        counts: ``(n, time, size) int8`` spikes; of no steps where the layer does not fire, or they are not wanted.
        spikes: ``(n, size) int64``, the same of all steps.
        rest: ``(n, size)`` potentials after the last step.
        beyond: ``(size,)``, the most over samples and first steps by which a potential is above the sample's last one (or 0,
            where that is below), over the share of the step; at least 0.
    """

    counts: Counts
    spikes: IntArray
    rest: FloatArray
    beyond: FloatArray


class LayerInput:
    """What sources bring to a layer that is run several times, computed once for as many samples as there is room for."""

    def __init__(self, projections: Sequence[Projection], room: FloatArray | None = None) -> None:
        """Take the projections that the layer has in all runs, before all others, and room for sums, ``(n,)``."""
        self.projections = projections
        n_weights = sum(projection.weights.nnz for projection in projections)
        self._room = np.empty(0) if room is None else room[: _KEPT_PER_WEIGHT * n_weights]
        self._lock = Lock()
        self._kept: dict[int, tuple[IntArray, FloatArray]] = {}

    def bring(self, sample: int, rasters: Mapping[str, Counts], size: int) -> tuple[IntArray, FloatArray]:
        """Return in which steps something comes from these sources in a sample, and what, ``(n_active, size)``."""
        if sample in self._kept:
            return self._kept[sample]
        brought = [(projection, rasters[projection.pre][sample]) for projection in self.projections]
        active = [np.flatnonzero(counts.max(axis=1, initial=0)) for _, counts in brought]  # none is below 0
        steps = active[0] if len(active) == 1 else np.unique(np.concatenate([np.zeros(0, np.int64), *active]))
        room = self._take_room(steps.size, size)
        sums = _add_up(brought, active, steps, np.empty((steps.size, size)) if room is None else room)
        if room is not None:
            self._kept[sample] = steps, sums
        return steps, sums

    def _take_room(self, n_steps: int, size: int) -> FloatArray | None:
        """Return where ``(n_steps, size)`` sums can be kept; None where there is no room any more."""
        with self._lock:
            taken, rest = self._room[: n_steps * size], self._room[n_steps * size :]
            if taken.size < n_steps * size:
                return None
            self._room = rest
        return taken.reshape(n_steps, size)


def run_layer(
    part: LayerNetwork,
    rasters: Mapping[str, Counts],
    *,
    shared: LayerInput | None = None,
    fires: bool = True,
    keeps: bool = True,
    shares: FloatArray | None = None,
) -> LayerRun:
    """Run a layer whose sources have fired already.

    Args:
        part: layer of neurons that are all alike, charges from sources of one neuron behind its other projections; thresholds
            are 1, or it does not fire.
        rasters: ``(n, time, size)`` counts by source.
        shared: of the layer's first projections, where it is run more than once on the same counts of their sources.
        fires: whether it sends spikes.
        keeps: whether the counts of each step are wanted.
        shares: ``(n_first,)``, of what is held back, in the first steps.
    """
    from snnmap.convert.kernel import advance_layer

    p, (n_samples, n_steps) = part.population, next(iter(rasters.values())).shape[:2]
    shared = shared or LayerInput([projection for projection in part.projections if projection.weights.shape[0] > 1])
    for projection in shared.projections:
        projection.weights.build_product(n_steps)  # which is the first to look at the weights, and keeps what it finds
    others = [projection for projection in part.projections if projection not in shared.projections]
    weights = np.concatenate([np.zeros((0, p.size)), *(projection.weights.to_dense() for projection in others)])
    sent = np.concatenate([np.zeros((n_samples, 0, n_steps)), *(rasters[one.pre].transpose(0, 2, 1) for one in others)], axis=1)
    counts = np.zeros((n_samples, n_steps if fires and keeps else 0, p.size), np.int8)
    spikes, rest = np.zeros((n_samples, p.size), np.int64), np.empty((n_samples, p.size))
    parameters = tuple(_take_same(values) for values in (p.alpha, p.beta, p.bias, p.max_count))
    shares = np.zeros(0) if shares is None else shares

    def run_share(samples: range) -> FloatArray:
        beyond, row_of = np.zeros(p.size), np.empty(n_steps, np.int64)
        for sample in samples:
            steps, sums = shared.bring(sample, rasters, p.size)
            row_of[:] = -1
            row_of[steps] = np.arange(steps.size)
            charges, own = (weights, sent[sample]), (counts[sample], spikes[sample], rest[sample])
            advance_layer(parameters, (sums, row_of), charges, fires, shares, *own, beyond)
        return beyond

    n_threads = min(n_samples, count_cores())
    beyond = run_side_by_side(run_share, deal_out(n_samples, n_threads), n_threads=n_threads)
    return LayerRun(counts=counts, spikes=spikes, rest=rest, beyond=np.max(beyond, axis=0))


def make_room(n_weights: int) -> FloatArray:
    """Return room, ``(n,)``, for the sums of layers of at most so many weights, one after the other.

    Memory that is used again costs less than new memory for each layer.
    """
    return np.empty(_KEPT_PER_WEIGHT * n_weights)


def run_layers(parts: Sequence[LayerNetwork], ports: Mapping[str, Counts]) -> FloatArray:
    """Run layers one after the other; return the potentials that the last one, which does not fire, is left with, ``(n, size)``.

    Args:
        parts: in the order in which they send to each other.
        ports: ``(n, time, size)`` counts by input port.
    """
    rasters = dict(ports)
    last_use = {projection.pre: part.population.name for part in parts for projection in part.projections}
    for part in parts[:-1]:
        name = part.population.name
        rasters[name] = run_layer(part, rasters).counts
        rasters = {source: raster for source, raster in rasters.items() if last_use.get(source) != name}
    return run_layer(parts[-1], rasters, fires=False).rest


def _take_same(values: npt.NDArray[Any]) -> float:
    """Return the value that all neurons have; 0 of none."""
    (value,) = np.unique(values) if values.size else (0.0,)
    return float(value)


def _add_up(
    brought: Sequence[tuple[Projection, Counts]], active: Sequence[IntArray], steps: IntArray, sums: FloatArray
) -> FloatArray:
    """Write what ``(time, n_pre)`` counts bring, ``(n_active, size)``, one source after the other, in active steps."""
    products = [projection.weights.build_product(own.size) for (projection, _), own in zip(brought, active, strict=True)]
    if len(products) == 1:
        return products[0](brought[0][1][steps], sums)
    sums[:] = 0.0
    for multiply, own, (_, counts) in zip(products, active, brought, strict=True):
        sums[np.searchsorted(steps, own)] += multiply(counts[own])
    return sums
