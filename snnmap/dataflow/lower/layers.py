"""Layers as a pipeline computes them: streams of places, loops over weights, and which place needs which."""

from dataclasses import dataclass, replace
from math import prod
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.core.record import IntArray, record
from snnmap.graph import LayerGraph, Node
from snnmap.graph.operation import Shape

__all__ = ["Flow", "Kind", "Layer", "Loops", "Matrix", "Stream", "StreamGraph"]

Kind: TypeAlias = Literal["convolution", "depthwise", "pointwise", "dense", "pool", "reduce", "pair", "table", "move", "resize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A value between layers, sent place by place, row by row; a word holds all channels of a place, a byte each.

    Attributes:
        name: of the layer graph's value.
        channels: of a word.
        height: rows.
        width: places of a row.
    """

    name: str
    channels: int
    height: int
    width: int

    @property
    def n_words(self) -> int:
        """Words of a sample."""
        return self.height * self.width

    @classmethod
    def from_shape(cls, name: str, shape: Shape) -> "Stream":
        """Return the stream of a value: the last two sides are places, all before them channels."""
        *lead, height, width = shape if len(shape) > 2 else (*shape[:1], 1, *(shape[1:] or (1,)))
        return cls(name=name, channels=prod(lead), height=height, width=width)


@record
class Flow:
    """What a layer takes and gives, firing by firing, in words counted from the start of a sample.

    Attributes:
        needs: of each input ``(n_firings,)``: words that must have come before a firing starts.
        frees: of each input ``(n_firings,)``: words that no later firing needs.
        gives: ``(n_firings,)``: words that have been given when a firing ends.
    """

    needs: tuple[IntArray, ...]
    frees: tuple[IntArray, ...]
    gives: IntArray

    @property
    def n_firings(self) -> int:
        """Firings of a sample."""
        return len(self.gives)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """Lengths of the loops of a firing, which parallelism unrolls.

    Attributes:
        outputs: channels that are given.
        channels: that each of them is summed over.
        kernel: places that each of them is summed over.
    """

    outputs: int
    channels: int = 1
    kernel: int = 1


@record
class Matrix:
    """Weights and what makes levels of their sums: ``clip(rint(float32(acc) * factor) + zero)``.

    ``acc`` is the sum of levels times weights, where windows see pads with the input's zero, and the bias.

    Attributes:
        weights: ``(n_sets, outputs, channels, kernel)`` int8; a firing takes the set of its number, where there are several.
        bias: ``(outputs,)`` int64, in which the input's zero is counted.
        factor: ``(outputs,)`` float32.
        zero: level of the output that stands for 0.
        source_zero: of the input.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int64]
    factor: npt.NDArray[np.float32]
    zero: int
    source_zero: int


@record
class Layer:
    """A stage of the pipeline, before it has a template.

    Attributes:
        node: of the graph of integers.
        kind: what templates are chosen by.
        sources: names of the streams that are read.
        target: that is written.
        loops: of a firing.
        flow: at one place a firing.
        matrix: weights; None of layers that multiply by none.
        line_words: words from the first to the last one that a window sees; 1 without windows.
    """

    node: Node
    kind: Kind
    sources: tuple[str, ...]
    target: Stream
    loops: Loops
    flow: Flow
    matrix: Matrix | None = None
    line_words: int = 1

    @property
    def name(self) -> str:
        """Name of the layer and of its stream."""
        return self.target.name

    @property
    def n_macs(self) -> int:
        """Multiply-accumulates of a sample, those with pads too."""
        steps = self.loops.outputs * self.loops.channels * self.loops.kernel
        return self.flow.n_firings * steps if self.matrix is not None else 0

    @property
    def n_weights(self) -> int:
        """Weights."""
        return 0 if self.matrix is None else self.matrix.weights.size


@record
class StreamGraph:
    """A network as streams and layers.

    Attributes:
        name: of the model.
        inputs: streams that the host sends.
        layers: in an order in which they can be computed.
        outputs: names of the streams that the host reads.
        graph: of operations on integers, from which it was made: its reference run.
        views: of the graph's values that are another's in other shape, the stream that they lie in.
    """

    name: str
    inputs: tuple[Stream, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    graph: LayerGraph
    views: dict[str, str]

    @property
    def streams(self) -> dict[str, Stream]:
        """All streams by name."""
        return {stream.name: stream for stream in (*self.inputs, *(layer.target for layer in self.layers))}

    def take_first(self, n_layers: int) -> "StreamGraph":
        """Return the network of the first layers; its outputs are what the others, or the host, read of them."""
        given, behind = self.layers[:n_layers], self.layers[n_layers:]
        read = {*self.outputs, *(name for layer in behind for name in layer.sources)}
        return replace(self, layers=given, outputs=tuple(layer.name for layer in given if layer.name in read))

    @property
    def n_macs(self) -> int:
        """Multiply-accumulates of a sample."""
        return sum(layer.n_macs for layer in self.layers)
