"""One layer by itself, on what its sources send: as :func:`snnmap.network.simulate_network` would run it, in less time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.build import LayerNetwork
from snnmap.core import FloatArray, IntArray
from snnmap.core.threads import count_cores, deal_out, run_side_by_side
from snnmap.network import Projection

__all__ = ["Counts", "LayerInput", "LayerRun", "run_layer", "run_layers"]

Counts = npt.NDArray[np.integer[Any]]

_KEPT_PER_WEIGHT = 12
"""Sums that are kept between runs for each weight that they are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRun:
    """What some samples do to a layer.

    Attributes:
        counts: ``(n, time, size) int8`` spikes; none where the layer does not fire.
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

    def __init__(self, projections: Sequence[Projection]) -> None:
        """Take the projections that the layer has in all runs, before all others."""
        self.projections = projections
        self._room = _KEPT_PER_WEIGHT * sum(projection.weights.nnz for projection in projections)
        self._kept: dict[int, tuple[IntArray, FloatArray]] = {}

    def bring(self, sample: int, rasters: Mapping[str, Counts], size: int) -> tuple[IntArray, FloatArray]:
        """Return in which steps something comes from these sources in a sample, and what, ``(n_active, size)``."""
        if sample not in self._kept:
            brought = _add_up([(projection, rasters[projection.pre][sample]) for projection in self.projections], size)
            self._room -= brought[1].size
            if self._room < 0:
                return brought
            self._kept[sample] = brought
        return self._kept[sample]


def run_layer(
    part: LayerNetwork,
    rasters: Mapping[str, Counts],
    *,
    shared: LayerInput | None = None,
    fires: bool = True,
    shares: FloatArray | None = None,
) -> LayerRun:
    """Run a layer whose sources have fired already.

    Args:
        part: layer of neurons that are all alike, charges from sources of one neuron behind its other projections; thresholds
            are 1, or it does not fire.
        rasters: ``(n, time, size)`` counts by source.
        shared: of the layer's first projections, where it is run more than once on the same counts of their sources.
        fires: whether it sends spikes.
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
    counts = np.zeros((n_samples, n_steps if fires else 0, p.size), np.int8)
    spikes, rest = np.zeros((n_samples, p.size), np.int64), np.empty((n_samples, p.size))
    parameters = tuple(_take_same(values) for values in (p.alpha, p.beta, p.bias, p.max_count))
    shares = np.zeros(0) if shares is None else shares

    def run_share(samples: range) -> FloatArray:
        beyond, row_of = np.zeros(p.size), np.empty(n_steps, np.int64)
        for sample in samples:
            steps, sums = shared.bring(sample, rasters, p.size)
            row_of[:] = -1
            row_of[steps] = np.arange(steps.size)
            charges = weights, sent[sample]
            advance_layer(parameters, (sums, row_of), charges, shares, counts[sample], spikes[sample], rest[sample], beyond)
        return beyond

    n_threads = min(n_samples, count_cores())
    beyond = run_side_by_side(run_share, deal_out(n_samples, n_threads), n_threads=n_threads)
    return LayerRun(counts=counts, spikes=spikes, rest=rest, beyond=np.max(beyond, axis=0))


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


def _add_up(brought: Sequence[tuple[Projection, Counts]], size: int) -> tuple[IntArray, FloatArray]:
    """Return the steps in which ``(time, n_pre)`` counts bring something, and what, ``(n_active, size)``, one after the other."""
    active = [np.flatnonzero(counts.max(axis=1, initial=0)) for _, counts in brought]  # none is below 0
    sums = [
        projection.weights.build_product(steps.size)(counts[steps])
        for (projection, counts), steps in zip(brought, active, strict=True)
    ]
    if len(sums) == 1:
        return active[0], sums[0]
    steps = np.unique(np.concatenate([np.zeros(0, np.int64), *active]))
    total = np.zeros((steps.size, size))
    for own, part in zip(active, sums, strict=True):
        total[np.searchsorted(steps, own)] += part
    return steps, total
