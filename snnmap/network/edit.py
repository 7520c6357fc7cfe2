"""Networks made of others: without some neurons, or with the sums and parallel projections onto some of them written out."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from snnmap.core.csr import CsrMatrix
from snnmap.core.record import IntArray
from snnmap.network.graph import expand_terms
from snnmap.network.network import Network, Population, Projection

__all__ = ["find_fresh_name", "select_neurons", "separate_sources", "take_neurons"]


def find_fresh_name(wanted: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the wanted one, with as many primes as that needs.

    Example:
        >>> find_fresh_name("h", {"h", "h'"})
        "h''"
    """
    while wanted in taken:
        wanted += "'"
    return wanted


def separate_sources(network: Network, posts: Collection[str]) -> Network:
    """Return the same network with one projection onto some populations for each source, synapse and delay, none from a sum.

    Exact: ``W (a + b) = W a + W b``, and projections between the same pair add. A projection that stays keeps its name.

    Args:
        network: well-formed; it is not changed.
        posts: names of populations; what arrives at others stays as it is.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from dataclasses import replace
        >>> from snnmap.network import SpikeSum
        >>> onto_out = replace(network.projections[1], pre="both")
        >>> both = SpikeSum(name="both", terms=("h", "in"))
        >>> summed = replace(network, sums=(both,), projections=(network.projections[0], onto_out))
        >>> [(part.name, part.pre) for part in separate_sources(summed, ["out"]).projections]
        [('first', 'in'), ('second of h', 'h'), ('second of in', 'in')]
    """
    parallel: dict[tuple[str, str, int, int], list[Projection]] = {}
    for projection in network.projections:
        if projection.post in posts:
            for leaf in expand_terms(network, projection.pre):
                parallel.setdefault((leaf, projection.post, projection.synapse, projection.delay_steps), []).append(projection)
    taken = {projection.name for projection in network.projections}
    first: dict[str, list[Projection]] = {}
    for (leaf, *_), group in parallel.items():
        name = group[0].name
        if group[0].pre != leaf:
            name = find_fresh_name(f"{name} of {leaf}", taken)
            taken.add(name)
        merged = group[0] if len(group) == 1 else replace(group[0], weights=CsrMatrix.sum_of([part.weights for part in group]))
        first.setdefault(group[0].name, []).append(replace(merged, name=name, pre=leaf))
    kept = (first.get(part.name, []) if part.post in posts else [part] for part in network.projections)
    return replace(network, projections=tuple(part for parts in kept for part in parts))


def select_neurons(network: Network, kept: Mapping[str, IntArray]) -> Network:
    """Return the network with only some neurons of some populations, and without populations of which none are kept.

    Sums of these populations are written out (:func:`separate_sources`), so that the sizes of their summands are free.

    Args:
        network: well-formed; it is not changed.
        kept: numbers of the neurons that stay, ascending, by population.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> import numpy as np
        >>> select_neurons(network, {"h": np.array([1])}).projections[0].weights.to_dense().tolist()
        [[0.0], [1.0]]
    """
    changed = set(kept)
    separated = separate_sources(network, _list_targets_of_sums(network, changed))
    populations = (
        take_neurons(part, kept[part.name], part.name) if part.name in kept else part for part in separated.populations
    )
    gone = {name for name, neurons in kept.items() if not neurons.size}
    projections = (
        replace(part, weights=part.weights.select(kept.get(part.pre), kept.get(part.post)))
        for part in separated.projections
        if not gone & {part.pre, part.post}
    )
    return replace(
        separated,
        sums=tuple(part for part in network.sums if not changed & set(expand_terms(network, part.name))),
        populations=tuple(part for part in populations if part.name not in gone),
        projections=tuple(projections),
    )


def take_neurons(population: Population, neurons: IntArray, name: str) -> Population:
    """Return a population of some neurons of another, in the order of their numbers."""
    arrays = {key: getattr(population, key)[neurons] for key in ("beta", "threshold", "bias", "v_reset", "max_count")}
    return replace(population, name=name, size=neurons.size, alpha=population.alpha[:, neurons], **arrays)


def _list_targets_of_sums(network: Network, summands: set[str]) -> set[str]:
    sums = {part.name for part in network.sums}
    return {part.post for part in network.projections if part.pre in sums and summands & set(expand_terms(network, part.pre))}
