"""Runs of neurons that findings name, and where they are in the network as it was read."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from snnmap.core import BoolArray, IntArray
from snnmap.core.diagnostics import Location
from snnmap.lif.program import MappedNetwork
from snnmap.network import Population

__all__ = ["Row", "find_runs", "locate_neurons", "locate_slots"]

Row = Literal["input", "hidden", "output"]
"""Whose slots: input channels, hidden or output neurons."""


def find_runs(wrong: BoolArray) -> Iterator[tuple[int, int]]:
    """Yield first and last-plus-one index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def locate_neurons(population: Population, start: int, stop: int) -> Location:
    """Return the place of a run of a population's neurons."""
    return Location(population=population.name, neurons=(start, stop), source=population.source)


def locate_slots(mapped: MappedNetwork, wrong: BoolArray, row: Row = "hidden") -> Iterator[tuple[Location, IntArray]]:
    """Yield place and slots of each run of wrong slots of one population or port (relays apart)."""
    table = mapped.table
    if row == "input":
        source, neuron, hop = table.channel_source, table.channel_neuron, np.zeros_like(table.channel_source)
    elif row == "output":
        source, neuron, hop = table.output_source, table.output_neuron, np.zeros_like(table.output_source)
    else:
        source, neuron, hop = table.hidden_source, table.hidden_neuron, table.hidden_hop
    for index, step in sorted(set(zip(source[wrong].tolist(), hop[wrong].tolist(), strict=True))):
        slots = np.flatnonzero((source == index) & (hop == step))
        slots = slots[np.argsort(neuron[slots], kind="stable")]
        place = _locate(mapped, table.sources[index], step)
        for start, stop in find_runs(wrong[slots]):
            yield replace(place, neurons=(start, stop)), slots[start:stop]


def _locate(mapped: MappedNetwork, source: str, hop: int) -> Location:
    """Return the place of a population or port, or of its relays at one hop."""
    name, module = f"{source} (relay {hop})" if hop else source, mapped.modules.get(source, "")
    if source in {port.name for port in mapped.inputs}:
        return Location(port=name, source=module)
    return Location(population=name, source=module)
