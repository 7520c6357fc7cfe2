"""Layers as an accelerator computes them: integers, matrices, windows."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from snnmap.core.record import record
from snnmap.graph import LayerGraph

__all__ = [
    "PAIR_FUNCTIONS", "AddLayer", "AverageLayer", "Int8Array", "Layer", "LayerProgram", "MatrixLayer", "MeanLayer",
    "PairFunction", "PairLayer", "PoolLayer", "Run", "TableLayer", "Tensor", "WindowGeometry",
]  # fmt: skip

Int8Array: TypeAlias = npt.NDArray[np.int8]
PairFunction = Literal["sum", "product", "sum of floats", "difference", "quotient", "greatest", "least"]
PAIR_FUNCTIONS: tuple[PairFunction, ...] = get_args(PairFunction)
"""In the order of their numbers in an instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A value between layers, uint8 in the order of channels, rows, columns.

    Attributes:
        name: of the layer graph's value.
        channels: of one sample.
        height: likewise.
        width: likewise.
        scale: of one level.
        zero: level that stands for 0.
        storage: position of the tensor whose bytes it takes; its own where it has its own.
    """

    name: str
    channels: int
    height: int
    width: int
    scale: float
    zero: int
    storage: int

    @property
    def n_places(self) -> int:
        """Values of a channel."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Values, and bytes."""
        return self.channels * self.n_places


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowGeometry:
    """How windows slide over a tensor: sides, steps and places of a kernel, pads before, and how many windows there are."""

    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    counts: tuple[int, int] = (1, 1)

    @property
    def n_windows(self) -> int:
        """Windows of a sample."""
        return self.counts[0] * self.counts[1]

    @property
    def n_places(self) -> int:
        """Places of a window."""
        return self.kernel[0] * self.kernel[1]


@record
class MatrixLayer:
    """A product with weights: a convolution or a linear layer, in blocks that share no inputs.

    For block b, window t and filter f, in int32, with x of unsigned levels and the zero of the source where windows see pads:

        acc = sum over rows r of  x[b * n_rows + r, t] * weights[b, r, f]  +  bias[b * n_filters + f]
        y   = clip(rint(float32(acc) * factor) + zero of the target, lowest, highest)

    Rows are channels, then places of the kernel, as in ONNX's weights.

    Attributes:
        name: of the node.
        source: position of the tensor that is read.
        target: position of the tensor that is written.
        windows: over the source.
        weights: ``(n_blocks, n_rows, n_filters)`` int8.
        holds: ``(n_blocks, n_rows, n_filters)`` bool, what is a weight and not a place between groups; None where all is.
        bias: ``(n_blocks * n_filters,)`` int64, in which the source's zero is counted.
        factor: ``(n_blocks * n_filters,)`` float32.
        n_groups: of the convolution, of which a block may hold several.
        module: path in the author's model.
    """

    name: str
    source: int
    target: int
    windows: WindowGeometry
    weights: Int8Array
    bias: npt.NDArray[np.int64]
    factor: npt.NDArray[np.float32]
    holds: npt.NDArray[np.bool_] | None = None
    n_groups: int = 1
    module: str = ""

    @property
    def n_blocks(self) -> int:
        """Matrices that share no inputs."""
        return int(self.weights.shape[0])

    @property
    def n_rows(self) -> int:
        """Inputs of a block."""
        return int(self.weights.shape[1])

    @property
    def n_filters(self) -> int:
        """Outputs of a block."""
        return int(self.weights.shape[2])

    @property
    def n_weights(self) -> int:
        """Weights, zeros among them, but no places between groups."""
        return int(self.weights.size if self.holds is None else self.holds.sum())

    @property
    def sources(self) -> tuple[int, ...]:
        """Tensors that are read."""
        return (self.source,)


@record
class PoolLayer:
    """The greatest value of each window."""

    name: str
    source: int
    target: int
    windows: WindowGeometry
    module: str = ""

    @property
    def sources(self) -> tuple[int, ...]:
        """Tensors that are read."""
        return (self.source,)


@record
class MeanLayer:
    """The mean of each channel: ``clip(rint(float32(sum of x - zero) * factor) + zero of the target)``."""

    name: str
    source: int
    target: int
    factor: np.float32
    module: str = ""

    @property
    def sources(self) -> tuple[int, ...]:
        """Tensors that are read."""
        return (self.source,)


@record
class AddLayer:
    """A sum: ``clip(rint(fma(a, factors[0], fma(b, factors[1], shift))))``, in float32."""

    name: str
    source: int
    other: int
    target: int
    factors: tuple[np.float32, np.float32]
    shift: np.float32
    module: str = ""

    @property
    def sources(self) -> tuple[int, ...]:
        """Tensors that are read."""
        return (self.source, self.other)


@record
class PairLayer:
    """A function of two tensors, place by place, in float32.

    With scales s and zeros z of the tensors, zeros and levels less the offset:

        sum         y = rint(fma(a, sa / sy, fma(b, sb / sy, zy - (sa / sy za + sb / sy zb))))
        product     y = rint((a - za) (b - zb) (sa sb / sy) + zy)
        others      y = rint(f((a - za) sa, (b - zb) sb) / sy) + zy,  0 / 0 being the lowest

    Attributes:
        name: of the node.
        source: position of tensor a.
        other: position of tensor b.
        target: position of the tensor that is written.
        function: which.
        spreads: how many values in a row take one value of a, and of b; after the last comes the first again.
        offset: what levels and zeros are above the integers that are rounded: 128 where the model's are signed.
        module: path in the author's model.
    """

    name: str
    source: int
    other: int
    target: int
    function: PairFunction
    spreads: tuple[int, int] = (1, 1)
    offset: int = 0
    module: str = ""

    @property
    def sources(self) -> tuple[int, ...]:
        """Tensors that are read."""
        return (self.source, self.other)


@record
class AverageLayer:
    """The mean of each window, in float32: values ``(x - zero) scale`` are added row by row, then divided.

    ``clip(rint(sum / n / scale of the target + zero of the target))``, where n is the divisor or, where that is 0, how many
    places of the window are in the tensor. From the zero an offset is subtracted before, and added behind.
    """

    name: str
    source: int
    target: int
    windows: WindowGeometry
    divisor: int = 0
    offset: int = 0
    module: str = ""

    @property
    def sources(self) -> tuple[int, ...]:
        """Tensors that are read."""
        return (self.source,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Values in a row that a table gives: of which source, by which table, from which value on, to which on, how many."""

    source: int
    table: int
    first: int
    written: int
    count: int


@record
class TableLayer:
    """Functions of each level of tensors: copies, other scales, activations, arithmetic with constants.

    Attributes:
        name: of the node.
        sources: positions of the tensors that are read.
        target: position of the tensor that is written.
        tables: what each of the 256 levels becomes.
        runs: all values of the target, in order.
        module: path in the author's model.
    """

    name: str
    sources: tuple[int, ...]
    target: int
    tables: tuple[bytes, ...]
    runs: tuple[Run, ...]
    module: str = ""


Layer: TypeAlias = MatrixLayer | PoolLayer | AverageLayer | MeanLayer | AddLayer | PairLayer | TableLayer


@record
class LayerProgram:
    """What is to be computed: tensors, and layers in an order in which they can be.

    Attributes:
        name: of the model.
        tensors: the inputs first.
        layers: of them each writes one tensor.
        inputs: positions of the tensors that the host writes.
        outputs: positions of the tensors that the host reads.
        graph: of operations on integers, from which it was made: its reference run.
    """

    name: str
    tensors: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    graph: LayerGraph

    @property
    def matrices(self) -> tuple[tuple[int, MatrixLayer], ...]:
        """Layers that have weights, with their positions."""
        return tuple((number, layer) for number, layer in enumerate(self.layers) if isinstance(layer, MatrixLayer))
