"""Lowering: spike sums become repeated projections, parallel projections become one."""

from collections import defaultdict
from dataclasses import replace

from snnmap.core import CsrMatrix
from snnmap.lif.program import projection_name
from snnmap.network import Network, Projection, expand_terms, require_structure

__all__ = ["lower_network", "stretch_network"]


def lower_network(network: Network) -> Network:
    """Return the same network without spike sums, one projection for each source, target, synapse and delay.

    Exact: ``W (a + b) = W a + W b``, and projections between the same pair add. Projections come out sorted, under
    canonical names; entries that cancel to 0 are gone.

    Raises:
        DesignRuleError: the network's structure has no meaning.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> [projection.name for projection in lower_network(network).projections]
        ['h->out[0]@0', 'in->h[0]@0']
    """
    require_structure(network)
    groups: defaultdict[tuple[str, str, int, int], list[Projection]] = defaultdict(list)
    for projection in network.projections:
        for leaf in expand_terms(network, projection.pre):
            groups[leaf, projection.post, projection.synapse, projection.delay_steps].append(projection)
    merged = tuple(_merge(*key, parallel) for key, parallel in sorted(groups.items()))
    return replace(network, sums=(), projections=tuple(projection for projection in merged if projection.weights.nnz))


def _merge(pre: str, post: str, synapse: int, delay_steps: int, parallel: list[Projection]) -> Projection:
    weights = CsrMatrix.sum_of([projection.weights for projection in parallel])
    name = projection_name(pre, post, synapse, delay_steps)
    return Projection(name=name, pre=pre, post=post, synapse=synapse, delay_steps=delay_steps, weights=weights)


def stretch_network(lowered: Network, stretched: dict[str, int]) -> Network:
    """Give some projections of a lowered network a longer delay, by name, in steps."""

    def stretch(projection: Projection) -> Projection:
        delay = projection.delay_steps + stretched.get(projection.name, 0)
        name = projection_name(projection.pre, projection.post, projection.synapse, delay)
        return replace(projection, name=name, delay_steps=delay)

    return lower_network(replace(lowered, projections=tuple(stretch(projection) for projection in lowered.projections)))
