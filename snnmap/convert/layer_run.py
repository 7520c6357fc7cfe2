"""One layer by itself, on what its sources send: as :func:`snnmap.network.simulate_network` would run it, in less time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.build import LayerNetwork
from snnmap.core import FloatArray, IntArray
from snnmap.core.threads import count_cores, deal_out, run_side_by_side
from snnmap.network import Projection

__all__ = ["Counts", "LayerInput", "LayerRun", "run_layer"]

Counts = npt.NDArray[np.integer[Any]]

_LARGEST = 2_000_000
"""Potentials (samples, steps, neurons) that are kept at a time."""
_KEPT_PER_WEIGHT = 12
"""Sums that are kept between runs for each weight that they are made of."""


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


class LayerInput:
    """What sources bring to a layer that is run several times, computed once for as many samples as there is room for."""

    def __init__(self, projections: tuple[Projection, ...]) -> None:
        """Take the projections that the layer has in all runs, before all others."""
        self.projections = projections
        self._room = _KEPT_PER_WEIGHT * sum(projection.weights.nnz for projection in projections)
        self._kept: dict[int, tuple[IntArray, FloatArray]] = {}

    def bring(self, sample: int, rasters: Mapping[str, Counts], total: FloatArray) -> None:
        """Add what arrives from these sources in a sample to ``(time, size)`` zeros."""
        if sample not in self._kept:
            for projection in self.projections:
                _add_arriving(projection, rasters[projection.pre][sample], total)
            steps = np.flatnonzero(total.any(axis=1))
            self._room -= steps.size * total.shape[1]
            if self._room >= 0:
                self._kept[sample] = steps, total[steps]
            return
        steps, sums = self._kept[sample]
        total[steps] = sums


def run_layer(
    part: LayerNetwork,
    rasters: Mapping[str, Counts],
    *,
    shared: LayerInput | None = None,
    fires: bool = True,
    n_kept: int = 0,
) -> Iterator[LayerRun]:
    """Run a layer whose sources have fired already, some samples at a time.

    Args:
        part: layer; its thresholds are 1, or it does not fire.
        rasters: ``(n, time, size)`` counts by source.
        shared: of the layer's first projections, where it is run more than once on the same counts of their sources.
        fires: whether it sends spikes.
        n_kept: first steps whose potentials are kept.
    """
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    for projection in part.projections:
        projection.weights.build_product(n_steps)  # which is the first to look at the weights, and keeps what it finds
    batch = max(count_cores(), _LARGEST // (n_steps * part.population.size))
    for start in range(0, n_samples, batch):
        samples = range(start, min(start + batch, n_samples))
        yield _run_batch(part, rasters, samples, shared or LayerInput(()), fires, n_kept)


def _run_batch(
    part: LayerNetwork, rasters: Mapping[str, Counts], samples: range, shared: LayerInput, fires: bool, n_kept: int
) -> LayerRun:
    from snnmap.convert.kernel import advance_layer

    p, n_samples = part.population, len(samples)
    n_steps = next(iter(rasters.values())).shape[1]
    run = LayerRun(
        counts=np.zeros((n_samples, n_steps if fires else 0, p.size), np.int8),
        potentials=np.zeros((n_samples, n_kept, p.size)),
        rest=np.zeros((n_samples, p.size)),
    )
    parameters = (p.alpha[0], p.beta, p.bias, p.max_count.astype(np.float64))
    others = part.projections[len(shared.projections) :]

    def run_share(places: range) -> None:
        arriving = np.empty((n_steps, p.size))
        for place in places:
            arriving[:] = 0.0
            shared.bring(samples[place], rasters, arriving)
            for projection in others:
                _add_arriving(projection, rasters[projection.pre][samples[place]], arriving)
            advance_layer(parameters, arriving, run.counts[place], run.potentials[place], run.rest[place])

    n_threads = min(n_samples, count_cores())
    run_side_by_side(run_share, deal_out(n_samples, n_threads), n_threads=n_threads)
    return run


def _add_arriving(projection: Projection, sent: Counts, total: FloatArray) -> None:
    """Add what ``(time, n_pre)`` counts bring to ``(time, size)``."""
    steps = np.flatnonzero(sent.any(axis=1))
    total[steps] += projection.weights.build_product(steps.size)(sent[steps].astype(np.float64))
