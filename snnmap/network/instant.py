"""Neurons without a synapse, as a chip whose neurons always have one can hold them."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from snnmap.core.csr import CsrMatrix
from snnmap.core.record import BoolArray
from snnmap.network.edit import find_fresh_name, separate_sources
from snnmap.network.network import Network, Projection

__all__ = ["carry_instant_synapses"]

_ALPHA = 0.5
"""The fastest synapse that the chips code; a power of two, so that what it leaves is taken back exactly."""


def carry_instant_synapses(network: Network, *, names: Collection[str] | None = None, smoothed: Collection[str] = ()) -> Network:
    """Return the same network without synapses of no memory, such as those of snnTorch's ``Leaky`` and other plain LIF neurons.

    A synapse of ``alpha = 0`` gets ``alpha = 1/2``, and each of its sources sends ``-w / 2`` a step later, which takes away
    what the synapse kept: ``i[t] = i[t-1] / 2 + x[t] - x[t-1] / 2 = x[t]``. Exact in float64, spike for spike; rounded to a
    chip's words what one half of each weight is rounded by stays. It doubles the weights onto these neurons and takes a relay
    for each of their sources.

    Args:
        network: well-formed; it is not changed. Decays above 0 stay as they are.
        names: of the populations whose synapses change; all where left out.
        smoothed: input ports of which nothing is taken back, so that none of their spikes waits in a relay: they send ``w / 2``,
            which adds up to ``w`` over the next steps. Not exact.

    Returns:
        The network; itself where no neuron that receives anything is without a memory.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from dataclasses import replace
        >>> plain = replace(network.populations[0], alpha=[[0.0, 0.0]])
        >>> carried = carry_instant_synapses(replace(network, populations=(plain, network.populations[1])))
        >>> carried.population("h").alpha.tolist()
        [[0.5, 0.5]]
    """
    instant = {
        (population.name, synapse): np.asarray(row == 0.0)
        for population in network.populations
        for synapse, row in enumerate(population.alpha)
        if (names is None or population.name in names) and (row == 0.0).any() and _receives(network, population.name, synapse)
    }
    if not instant:
        return network
    if smoothed:
        network = separate_sources(network, {name for name, _ in instant})
    populations = tuple(
        replace(
            population, alpha=np.stack([_lend(row, instant.get((population.name, k))) for k, row in enumerate(population.alpha)])
        )
        for population in network.populations
    )
    projections = tuple(_smooth(part, instant) if part.pre in smoothed else part for part in network.projections)
    tails = tuple(_list_tails(network, instant, smoothed))
    return replace(network, populations=populations, projections=(*projections, *tails))


def _receives(network: Network, name: str, synapse: int) -> bool:
    return any(projection.post == name and projection.synapse == synapse for projection in network.projections)


def _lend(row: np.ndarray, instant: BoolArray | None) -> np.ndarray:
    return row if instant is None else np.where(instant, _ALPHA, row)


def _smooth(projection: Projection, instant: dict[tuple[str, int], BoolArray]) -> Projection:
    """Keep the gain of weights onto lent synapses."""
    targets, weights = instant.get((projection.post, projection.synapse)), projection.weights
    if targets is None:
        return projection
    gain = np.where(targets, 1.0 - _ALPHA, 1.0)
    return replace(projection, weights=weights.with_data(weights.data * gain[weights.indices]))


def _list_tails(network: Network, instant: dict[tuple[str, int], BoolArray], smoothed: Collection[str]) -> Iterator[Projection]:
    """Yield what takes back, a step later, what the lent synapses kept."""
    taken = {projection.name for projection in network.projections}
    for projection in network.projections:
        targets = instant.get((projection.post, projection.synapse))
        if targets is None or projection.pre in smoothed:
            continue
        weights = projection.weights
        chosen = targets[weights.indices]
        name = find_fresh_name(f"{projection.name} tail", taken)
        taken.add(name)
        tail = CsrMatrix.from_triplets(
            weights.rows[chosen], weights.indices[chosen], -_ALPHA * weights.data[chosen], weights.shape
        )
        yield replace(projection, name=name, weights=tail, delay_steps=projection.delay_steps + 1)
