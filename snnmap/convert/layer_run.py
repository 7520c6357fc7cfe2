"""One layer by itself, on what its sources send: as :func:`snnmap.network.simulate_network` would run it, in less time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.build import LayerNetwork
from snnmap.core import FloatArray
from snnmap.core.threads import count_cores, deal_out, run_side_by_side

__all__ = ["Counts", "LayerRun", "run_layer"]

Counts = npt.NDArray[np.integer[Any]]

_LARGEST = 2_000_000
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
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    batch = max(count_cores(), _LARGEST // (n_steps * part.population.size))
    for start in range(0, n_samples, batch):
        sources = {projection.pre: rasters[projection.pre][start : start + batch] for projection in part.projections}
        yield _run_batch(part, sources, fires, n_kept)


def _run_batch(part: LayerNetwork, sources: Mapping[str, Counts], fires: bool, n_kept: int) -> LayerRun:
    from snnmap.convert.kernel import advance_layer

    p = part.population
    n_samples, n_steps = next(iter(sources.values())).shape[:2]
    run = LayerRun(
        counts=np.zeros((n_samples, n_steps if fires else 0, p.size), np.int8),
        potentials=np.zeros((n_samples, n_kept, p.size)),
        rest=np.zeros((n_samples, p.size)),
    )
    parameters = (p.alpha[0], p.beta, p.bias, p.max_count.astype(np.float64))

    def run_share(samples: range) -> None:
        for sample in samples:
            arriving = _sum_arriving(part, {source: counts[sample] for source, counts in sources.items()})
            advance_layer(parameters, arriving, run.counts[sample], run.potentials[sample], run.rest[sample])

    n_threads = min(n_samples, count_cores())
    run_side_by_side(run_share, deal_out(n_samples, n_threads), n_threads=n_threads)
    return run


def _sum_arriving(part: LayerNetwork, counts: Mapping[str, Counts]) -> FloatArray:
    """Return what ``(time, n_pre)`` counts by source bring, ``(time, size)``."""
    total = np.zeros((len(next(iter(counts.values()))), part.population.size))
    for projection in part.projections:
        sent = counts[projection.pre]
        steps = np.flatnonzero(sent.any(axis=1))
        total[steps] += projection.weights.build_product(steps.size)(sent[steps].astype(np.float64))
    return total
