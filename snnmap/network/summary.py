"""What a network is made of, a line a part: input ports, sums, populations, and under each what projects onto it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from snnmap.core.html import heading, make_table, paragraph, to_html
from snnmap.core.nouns import count_nouns
from snnmap.network.network import Network, Population, Projection

__all__ = ["COLUMNS", "Part", "count_parts", "list_parts", "show_network"]


class Part(NamedTuple):
    """A line of the summary; 0 and empty where something does not apply.

    Attributes:
        name: of the part; of a projection, its ends, set in.
        kind: what it is.
        shape: channels or neurons, or ``n_pre x n_post``.
        fan_in: most weights onto one neuron.
        synapses: stored weights.
        delay_steps: of a projection.
        projection: that it is; None for any other part.
    """

    name: str
    kind: str
    shape: str
    fan_in: int | str = ""
    synapses: int | str = ""
    delay_steps: int | str = ""
    projection: Projection | None = None

    @property
    def cells(self) -> tuple[object, ...]:
        """What is shown, in the order of the columns."""
        return tuple(self[:-1])


COLUMNS = ("part", "kind", "size#", "fan-in#", "synapses#", "delay (steps)#")


def list_parts(network: Network) -> Iterator[Part]:
    """List ports and sums, then each population with its projections behind it."""
    sizes = network.source_sizes
    for port in network.inputs:
        yield Part(port.name, "input port", str(port.size))
    for addition in network.sums:
        yield Part(addition.name, f"sum of {', '.join(addition.terms)}", str(sizes.get(addition.name, "")))
    for population in network.populations:
        incoming = [projection for projection in network.projections if projection.post == population.name]
        yield _describe_population(network, population, incoming)
        yield from map(_describe_projection, incoming)


def _describe_population(network: Network, population: Population, incoming: list[Projection]) -> Part:
    kind = "output population" if population.name in network.output_populations else "population"
    fan_in = np.zeros(population.size, np.int64)
    for projection in incoming:
        if projection.weights.shape[1] == population.size:
            fan_in = fan_in + projection.weights.column_lengths
    n_synapses = sum(projection.weights.nnz for projection in incoming)
    return Part(population.name, kind, str(population.size), int(fan_in.max(initial=0)), n_synapses)


def _describe_projection(projection: Projection) -> Part:
    weights = projection.weights
    kind = f"projection, synapse {projection.synapse}" if projection.synapse else "projection"
    shape, fan_in = " x ".join(map(str, weights.shape)), int(weights.column_lengths.max(initial=0))
    name = f"  {projection.pre} -> {projection.post}"
    return Part(name, kind, shape, fan_in, weights.nnz, projection.delay_steps, projection)


def count_parts(network: Network) -> str:
    """Return the totals of a network, as a line of text."""
    channels = sum(port.size for port in network.inputs)
    neurons = sum(population.size for population in network.populations)
    synapses = sum(projection.weights.nnz for projection in network.projections)
    kinds = ((channels, "input channel"), (neurons, "neuron"), (synapses, "synapse"))
    return ", ".join(count_nouns(n, noun) for n, noun in kinds)


def show_network(network: Network) -> str:
    """Show a network in a notebook, as HTML."""
    made = ", ".join(f"{key} {value}" for key, value in network.provenance.items())
    return to_html(
        heading(f"network '{network.name}': {count_parts(network)}"),
        make_table(COLUMNS, [part.cells for part in list_parts(network)]),
        *([paragraph(made)] if made else []),
    )
