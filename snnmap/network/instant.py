"""Neurons without a synapse, as a chip whose neurons always have one can hold them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from snnmap.core.csr import CsrMatrix
from snnmap.core.record import BoolArray
from snnmap.network.network import Network, Projection

__all__ = ["carry_instant_synapses"]

_ALPHA = 0.5
"""The fastest synapse that the chips code; a power of two, so that what it leaves is taken back exactly."""


def carry_instant_synapses(network: Network) -> Network:
    """Return the same network without synapses of no memory, such as those of snnTorch's ``Leaky`` and other plain LIF neurons.

    A synapse of ``alpha = 0`` gets ``alpha = 1/2``, and each of its sources sends ``-w / 2`` a step later, which takes away
    what the synapse kept: ``i[t] = i[t-1] / 2 + x[t] - x[t-1] / 2 = x[t]``. Exact in float64, spike for spike; rounded to a
    chip's words what one half of each weight is rounded by stays. It doubles the weights onto these neurons and takes a relay
    for each of their sources.

    Args:
        network: well-formed; it is not changed. Decays above 0 stay as they are.

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
        if (row == 0.0).any() and _receives(network, population.name, synapse)
    }
    if not instant:
        return network
    populations = tuple(
        replace(
            population, alpha=np.stack([_lend(row, instant.get((population.name, k))) for k, row in enumerate(population.alpha)])
        )
        for population in network.populations
    )
    tails = tuple(_list_tails(network, instant))
    return replace(network, populations=populations, projections=(*network.projections, *tails))


def _receives(network: Network, name: str, synapse: int) -> bool:
    return any(projection.post == name and projection.synapse == synapse for projection in network.projections)


def _lend(row: np.ndarray, instant: BoolArray | None) -> np.ndarray:
    return row if instant is None else np.where(instant, _ALPHA, row)


def _list_tails(network: Network, instant: dict[tuple[str, int], BoolArray]) -> Iterator[Projection]:
    """Yield what takes back, a step later, what the lent synapses kept."""
    taken = {projection.name for projection in network.projections}
    for projection in network.projections:
        targets = instant.get((projection.post, projection.synapse))
        if targets is None:
            continue
        weights = projection.weights
        chosen = targets[weights.indices]
        name = f"{projection.name} tail"
        while name in taken:
            name += "'"
        taken.add(name)
        tail = CsrMatrix.from_triplets(
            weights.rows[chosen], weights.indices[chosen], -_ALPHA * weights.data[chosen], weights.shape
        )
        yield replace(projection, name=name, weights=tail, delay_steps=projection.delay_steps + 1)
