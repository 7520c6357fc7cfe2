"""Activations, normalisation and quantisers as the three steps that the kernels know, applied in one go after a layer."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from snnmap.delta.kernels import LANE_BYTES
from snnmap.delta.signal import Array, allocate
from snnmap.graph import LayerGraph
from snnmap.graph.graph import Node
from snnmap.graph.operations.activations import Clip, Relu
from snnmap.graph.operations.normalization import BatchNormalization
from snnmap.graph.operations.quantisation import Levels

__all__ = ["ACTIVATIONS", "Activation"]

ACTIVATIONS = (Relu, Clip, BatchNormalization, Levels)


@dataclass(slots=True)
class Activation:
    """What follows a layer: a factor and a shift a channel, then bounds, then rounding to steps; each or none.

    Attributes:
        n_channels: of the signal's memory.
        keeps_channels: whether they are the channels that modules see; otherwise nothing a channel can be taken up.
        dtype: of the signal.
    """

    n_channels: int
    keeps_channels: bool
    dtype: npt.DTypeLike
    rounds: bool = False
    is_empty: bool = True
    tables: Array = field(init=False)
    limits: Array = field(init=False)

    def __post_init__(self) -> None:
        n_lanes = LANE_BYTES // np.dtype(self.dtype).itemsize
        width = math.ceil(self.n_channels / n_lanes) * n_lanes
        self.tables = allocate(3 * width, self.dtype).reshape(3, width)
        self.tables[0] = self.tables[2] = 1.0
        self.limits = np.array([-math.inf, 0.0, -math.inf, math.inf, math.inf], self.dtype)

    @property
    def constants(self) -> tuple[int, int, Array, Array]:
        """The four arguments, in the order in which the kernels take them."""
        return int(self.rounds), self.n_channels, self.tables, self.limits

    def take(self, node: Node, graph: LayerGraph) -> bool:
        """Take up the node that comes next; give False, unchanged, where it cannot be."""
        constants = [graph.constants[name] for name in node.inputs[1:] if name in graph.constants]
        match node.operation:
            case Relu():
                return self._clip(0.0, math.inf)
            case Clip(min=lowest, max=highest):
                return self._clip(lowest, highest)
            case BatchNormalization(epsilon=epsilon):
                return self._normalise(epsilon, *constants)
            case Levels():
                return self._round(node.operation, *constants)
        return False

    def _clip(self, lowest: float, highest: float) -> bool:
        bounds = [2, 3] if self.rounds else [0, 4]
        if self.rounds and (lowest, highest) != (0.0, math.inf):
            return False  # which may be no levels
        self.limits[bounds] = np.clip(self.limits[bounds], lowest, highest)
        self.is_empty = False
        return True

    def _normalise(self, epsilon: float, scale: Array, bias: Array, mean: Array, variance: Array) -> bool:
        if not self.is_empty or not self.keeps_channels:
            return False
        factor = scale * (1 / np.sqrt(variance + variance.dtype.type(epsilon)))
        self.tables[0, : self.n_channels] = factor
        self.tables[1, : self.n_channels] = bias - mean * factor
        self.is_empty = False
        return True

    def _round(self, levels: Levels, steps: Array) -> bool:
        if self.rounds or (steps.size > 1 and not (self.keeps_channels and levels.axis == 1)):
            return False
        self.tables[2, : self.n_channels] = steps
        self.limits[1:4] = 0.0 if levels.rounding == "floor" else 0.5, levels.bottom, levels.top
        self.rounds, self.is_empty = True, False
        return True
