"""Mixed architectures: the first layers have hardware of their own, the rest take turns on one unit."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from snnmap.core.record import IntArray, record
from snnmap.dataflow.allocate.choices import Choices, Stage
from snnmap.dataflow.allocate.exact import fit_interval
from snnmap.dataflow.device import Device
from snnmap.dataflow.lower import StreamGraph
from snnmap.profile import ProfileOptions, profile_graph

__all__ = ["Unit", "choose_cut", "divide"]


@record
class Unit:
    """Hardware that computes layer after layer of a sample, while the weights of the next layer come over the link.

    Attributes:
        stages: of the layers, each with as much parallelism as the unit has multipliers.
        multipliers: of the unit.
        link_bytes: of the link a cycle, for weights.
        memory_bytes: of two samples of what comes from other stages, of values between layers, and of two layers' weights.
    """

    stages: tuple[Stage, ...]
    multipliers: int
    link_bytes: float
    memory_bytes: int

    @property
    def cycles(self) -> int:
        """Of a sample: each layer takes as long as its steps, or as the next layer's weights need to come."""
        loads = [int(np.ceil(stage.layer.n_weights / self.link_bytes)) for stage in self.stages]
        return sum(max(stage.cycles, load) for stage, load in zip(self.stages, [*loads[1:], loads[0]], strict=True))

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that come over the link for a sample."""
        return sum(stage.layer.n_weights for stage in self.stages)


def choose_cut(network: StreamGraph) -> int:
    """Return the number of the first layer from which on, taken together, weights need more bandwidth than activations do.

    Layers before it move many values by few weights, and have hardware of their own, between which no value leaves the device;
    the first has in any case. Without such a layer it is the number of layers.
    """
    profile = profile_graph(network.graph, ProfileOptions(activation_bits=8))
    known = {layer.name: (layer.bandwidth.weights, layer.bandwidth.activations) for layer in profile.layers}
    weights, values = np.array([known.get(layer.name, (0.0, 0.0)) for layer in network.layers]).T
    behind = [np.cumsum(column[::-1])[::-1] for column in (weights, values)]
    heavy = np.flatnonzero(behind[0] > behind[1])
    return max(int(heavy[0]), 1) if len(heavy) else len(network.layers)


def divide(
    network: StreamGraph, choices: Sequence[Choices], cut: int, device: Device, budget: IntArray, floor: int
) -> tuple[list[int], Unit] | None:
    """Divide the multipliers between the layers before a cut and a unit for the others, with the least interval.

    Args:
        network: whose layers they are.
        choices: of all layers.
        cut: number of the first layer of the unit.
        device: whose link brings the unit's weights.
        budget: ``(3,)`` of each resource, for all.
        floor: the least interval.

    Returns:
        The number of each choice before the cut, and the unit; None where nothing fits.
    """
    low, high = floor, sum(int(choice.cycles.max()) for choice in choices) + floor
    units = _list_units(choices[cut:], budget, _count_memory(network, cut))
    best = _fit(choices[:cut], units, device, budget, high)
    while low < high and best is not None:
        middle = (low + high) // 2
        found = _fit(choices[:cut], units, device, budget, middle)
        low, high, best = (low, middle, found) if found is not None else (middle + 1, high, best)
    return best


def _fit(
    choices: Sequence[Choices], units: Sequence[tuple[int, Unit]], device: Device, budget: IntArray, interval: int
) -> tuple[list[int], Unit] | None:
    """Return the smallest unit that keeps an interval, and what fits beside it."""
    unit = next((one for cycles, one in units if cycles <= interval), None)
    if unit is None:
        return None
    rest = budget - np.array([unit.multipliers, device.count_blocks(unit.memory_bytes), 0])
    numbers = fit_interval(choices, rest, interval) if (rest >= 0).all() else None
    return None if numbers is None else (numbers, unit)


def _list_units(choices: Sequence[Choices], budget: IntArray, memory: int) -> list[tuple[int, Unit]]:
    """Return units of every size that helps, with their cycles; of each layer the choice with the fewest that has room."""
    sizes = np.unique(np.concatenate([choice.costs[:, 0] for choice in choices]))
    sizes = sizes[(sizes > 0) & (sizes <= budget[0])]
    numbers = [_find_fastest(choice, sizes) for choice in choices]
    units = []
    for place, size in enumerate(sizes):
        stages = tuple(choice.stages[one[place]] for choice, one in zip(choices, numbers, strict=True) if one[place] >= 0)
        if len(stages) == len(choices):
            unit = Unit(stages=stages, multipliers=int(size), link_bytes=float(budget[2]), memory_bytes=memory)
            units.append((unit.cycles, unit))
    return units


def _find_fastest(choice: Choices, sizes: IntArray) -> IntArray:
    """Return the number of the choice with the fewest cycles that each size has room for, -1 where none has."""
    order = np.argsort(choice.costs[:, 0], kind="stable")
    best = np.minimum.accumulate(order)  # choices are sorted by cycles
    fitting = np.searchsorted(choice.costs[order, 0], sizes, side="right")
    return np.where(fitting > 0, best[fitting - 1], -1)


def _count_memory(network: StreamGraph, cut: int) -> int:
    """Count the bytes that the unit needs at once, all parts at their most."""
    streams, layers = network.streams, network.layers[cut:]
    sizes = {name: stream.n_words * stream.channels for name, stream in streams.items()}
    inside = {layer.name for layer in layers}
    read = dict.fromkeys(name for layer in layers for name in layer.sources if name not in inside)
    last = {name: number for number, layer in enumerate(layers) for name in layer.sources}
    live = [
        sum(sizes[one.name] for other, one in enumerate(layers) if other <= number <= last.get(one.name, other))
        for number in range(len(layers))
    ]
    weights = [layer.n_weights for layer in layers]
    pairs = [sum(pair) for pair in pairwise([*weights, weights[0]])]
    return 2 * sum(sizes[name] for name in read) + max(live) + max(pairs)
