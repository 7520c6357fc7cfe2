"""One synapse for several of the same decay."""

from dataclasses import replace

import numpy as np

from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.network import Network, separate_sources

__all__: list[str] = []


@fix("merge-synapses", "SNN207", exact=True)
def merge_synapses(case: Case) -> Change | None:
    """Merge synapses of the same decay, with their weights, and drop those that have no weights.

    Currents of the same decay add up to one.
    """
    network, told = case.network, []
    for name in dict.fromkeys(finding.location.population for finding in case.findings):
        kept, places = _place_synapses(network, name)
        if len(kept) < len(places):
            network = _renumber(network, name, kept, places)
            told.append(f"{len(places)} of '{name}' are {len(kept)}")
    return Change(network=network, done=f"synapses of the same decay are one: {', '.join(told)}") if told else None


def _place_synapses(network: Network, name: str) -> tuple[list[int], dict[int, int]]:
    """Return the synapses of a population that stay, and the new number of each; one without weights goes with the first."""
    population = network.population(name)
    used = {part.synapse for part in network.projections if part.post == name and part.weights.nnz}
    kept: list[int] = []
    places = dict.fromkeys(range(population.n_synapses), 0)
    for synapse in sorted(used):
        same = [k for k, other in enumerate(kept) if np.array_equal(population.alpha[other], population.alpha[synapse])]
        places[synapse] = same[0] if same else len(kept)
        kept += [] if same else [synapse]
    return kept or [0], places


def _renumber(network: Network, name: str, kept: list[int], places: dict[int, int]) -> Network:
    """Return the network with other numbers for a population's synapses, and one projection for those that are now parallel."""
    population = network.population(name)
    merged = replace(population, alpha=population.alpha[kept])
    populations = tuple(merged if part.name == name else part for part in network.populations)
    projections = (replace(part, synapse=places[part.synapse]) if part.post == name else part for part in network.projections)
    return separate_sources(replace(network, populations=populations, projections=tuple(projections)), {name})
