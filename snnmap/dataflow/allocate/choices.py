"""What each layer can be: every template and parallelism that no other beats in cycles, multipliers, memory and link."""

from itertools import product

import numpy as np

from snnmap.core.record import IntArray, record
from snnmap.dataflow.device import Device
from snnmap.dataflow.lower import Layer
from snnmap.dataflow.templates import Legal, Parallelism, Template, list_fitting

__all__ = ["RESOURCES", "Choices", "Stage", "list_choices"]

RESOURCES = ("multipliers", "memory blocks", "bytes of the link a cycle")
"""What is limited, in the order of costs."""
_PARAMETER_BYTES = 8
"""Of a bias and a factor, 32 bits each."""


@record
class Stage:
    """A layer with a template.

    Attributes:
        layer: that is computed.
        template: its hardware.
        parallelism: of the hardware.
        is_streamed: whether weights come over the link each time that they are used, instead of staying on the device.
        cycles: of a sample.
        costs: multipliers, memory blocks and bytes of the link a cycle.
    """

    layer: Layer
    template: Template
    parallelism: Parallelism
    is_streamed: bool
    cycles: int
    costs: tuple[int, int, int]

    @property
    def multipliers(self) -> int:
        """Of a weight by an activation."""
        return self.costs[0]

    @property
    def weight_blocks(self) -> int:
        """Blocks of memory that weights, biases and factors take."""
        return self.costs[1]

    @property
    def steps(self) -> int:
        """Cycles of a firing."""
        return self.parallelism.count_steps(self.layer.loops)


@record
class Choices:
    """What one layer can be, from the fewest cycles to the most.

    Attributes:
        stages: none of which is beaten by another.
        cycles: ``(n,)``.
        costs: ``(n, 3)``, see :data:`RESOURCES`.
    """

    stages: tuple[Stage, ...]
    cycles: IntArray
    costs: IntArray

    def select(self, interval: int) -> IntArray:
        """Return the numbers of the choices that take no more cycles."""
        return np.flatnonzero(self.cycles <= interval)


def list_choices(layer: Layer, device: Device, *, legal: Legal = "any", streams: bool = False) -> Choices:
    """Return what a layer can be on a device.

    Args:
        layer: to build.
        device: whose memory blocks hold the weights.
        legal: any parallelism, or divisors of the loops' lengths alone.
        streams: whether weights may come over the link.
    """
    found: list[tuple[Template, Parallelism, bool]] = [
        (template, parallelism, is_streamed)
        for template in list_fitting(layer)
        for parallelism in _list_parallelism(template, layer, device, legal)
        for is_streamed in ((False, True) if streams and layer.matrix is not None else (False,))
    ]
    cycles = np.array([_count_cycles(layer, parallelism) for _, parallelism, _ in found], np.int64)
    costs = np.array([_count_costs(layer, device, parallelism, is_streamed) for _, parallelism, is_streamed in found], np.int64)
    ranked = costs if layer.matrix is not None else np.array([[parallelism.lanes, 0, 0] for _, parallelism, _ in found])
    kept = _find_unbeaten(np.column_stack([cycles, ranked]))
    stages = tuple(
        Stage(
            layer=layer,
            template=found[one][0],
            parallelism=found[one][1],
            is_streamed=found[one][2],
            cycles=int(cycles[one]),
            costs=(int(costs[one, 0]), int(costs[one, 1]), int(costs[one, 2])),
        )
        for one in kept
    )
    return Choices(stages=stages, cycles=cycles[kept], costs=costs[kept])


def _list_parallelism(template: Template, layer: Layer, device: Device, legal: Legal) -> list[Parallelism]:
    loops = [template.list_factors(layer, loop, legal) for loop in ("outputs", "channels", "kernel", "places")]
    most = device.multipliers if layer.matrix is not None else max(device.multipliers, layer.loops.outputs)
    return [
        Parallelism(outputs=outputs, channels=channels, kernel=kernel, places=places)
        for outputs, channels, kernel, places in product(*loops)
        if outputs * channels * kernel * places <= most
    ]


def _count_cycles(layer: Layer, parallelism: Parallelism) -> int:
    if parallelism.places == 1:
        return layer.flow.n_firings * parallelism.count_steps(layer.loops)
    rows = layer.flow.n_firings // layer.target.width
    return rows * -(-layer.target.width // parallelism.places) * parallelism.count_steps(layer.loops)


def _count_costs(layer: Layer, device: Device, parallelism: Parallelism, is_streamed: bool) -> tuple[int, int, int]:
    if layer.matrix is None:
        return 0, 0, 0
    word = parallelism.word_weights
    n_words = 2 if is_streamed else parallelism.count_steps(layer.loops) * len(layer.matrix.weights)
    parameters = device.count_blocks(_PARAMETER_BYTES * layer.loops.outputs)
    blocks = device.count_weight_blocks(word, n_words) + parameters
    return parallelism.lanes, blocks, word if is_streamed else 0


def _find_unbeaten(points: IntArray) -> list[int]:
    """Return the numbers of the points that no other beats or equals in all columns, by the first column."""
    order = np.lexsort(points.T[::-1])
    kept = []
    while len(order):
        best = order[0]
        kept.append(int(best))
        order = order[(points[order] < points[best]).any(axis=1)]
    return kept
