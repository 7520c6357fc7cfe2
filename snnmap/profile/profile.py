"""From a layer graph to what its layers cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnmap.core.brief import brief_repr
from snnmap.graph import LayerGraph
from snnmap.graph.operation import Shape
from snnmap.graph.operations.conv import Convolution
from snnmap.graph.operations.pooling import AveragePool, MaxPool
from snnmap.profile.count import count_macs, count_other_ops
from snnmap.profile.layer import Bandwidth, LayerProfile, Sparsity, Volume
from snnmap.profile.live import measure_live
from snnmap.profile.marks import find_reductions, find_taps, measure_reduction
from snnmap.profile.options import ProfileOptions
from snnmap.profile.rows import Row, Rows, list_rows
from snnmap.profile.sparsity import Samples, measure_sparsity

__all__ = ["GraphProfile", "profile_graph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphProfile:
    """What a network's layers cost, in their order.

    Attributes:
        name: of the model.
        framework: what it was read from.
        options: bits and rate that were assumed.
        inputs: shapes of one sample, by name.
        input: volume of all inputs.
        layers: in order.
        n_weights: of all layers, shared ones once.
        n_biases: likewise, as the author wrote them.
        n_norms: likewise, of normalisations.
        n_folded_parameters: when normalisations are folded into weights and biases.
        n_samples: of the data that sparsity was measured on.
    """

    name: str
    framework: str
    options: ProfileOptions
    inputs: Mapping[str, Shape]
    input: Volume
    layers: tuple[LayerProfile, ...]
    n_weights: int
    n_biases: int
    n_norms: int
    n_folded_parameters: int
    n_samples: int = 0

    __repr__ = brief_repr

    def __str__(self) -> str:
        from snnmap.profile.table import format_table

        return format_table(self)

    def _repr_html_(self) -> str:
        from snnmap.core.html import to_html
        from snnmap.profile.page import list_elements

        return to_html(*list_elements(self))

    def __getitem__(self, number: int) -> LayerProfile:
        """Return a layer by its number, from 1."""
        for layer in self.layers:
            if layer.number == number:
                return layer
        raise KeyError(number)

    @property
    def numbered(self) -> tuple[LayerProfile, ...]:
        """The layers that multiply and accumulate."""
        return tuple(layer for layer in self.layers if layer.number is not None)

    @property
    def n_parameters(self) -> int:
        """Weights, biases and normalisations, as the author wrote them."""
        return self.n_weights + self.n_biases + self.n_norms

    @property
    def macs(self) -> int:
        """Multiply-accumulates a sample."""
        return sum(layer.macs for layer in self.layers)

    @property
    def other_ops(self) -> int:
        """Operations a sample beside them."""
        return sum(layer.other_ops for layer in self.layers)

    @property
    def peak(self) -> LayerProfile | None:
        """The layer at which most activations are in memory; None of a network without layers."""
        return max(self.layers, key=lambda layer: layer.live.bits, default=None)

    @property
    def opaque(self) -> tuple[LayerProfile, ...]:
        """Layers with operations that are known by their shapes only, whose multiply-accumulates are not counted."""
        return tuple(layer for layer in self.layers if layer.is_opaque)


def profile_graph(graph: LayerGraph, options: ProfileOptions | None = None, *, data: Samples | None = None) -> GraphProfile:
    """Measure what the layers of a graph cost.

    Args:
        graph: of any framework.
        options: bits and rate.
        data: as of :func:`snnmap.profile.measure_sparsity`.

    Raises:
        InputError: data that do not suit the graph.
        NetworkError: an operation cannot be run on the data.
    """
    chosen = options or ProfileOptions()
    sparsity = {} if data is None else measure_sparsity(graph, data, chosen)
    n_samples = 0 if data is None else len(np.asarray(next(iter(data.values())) if isinstance(data, Mapping) else data))
    return replace(_Profiler(list_rows(graph), chosen, sparsity).profile(), n_samples=n_samples)


class _Profiler:
    """Measures the rows of a graph one by one.

    Args:
        rows: of the graph.
        options: bits and rate.
        sparsity: by the name of a row's first node.
    """

    def __init__(self, rows: Rows, options: ProfileOptions, sparsity: Mapping[str, Sparsity]) -> None:
        self.rows, self.options, self.sparsity = rows, options, sparsity
        self.input_elements = sum(map(rows.count_elements, rows.graph.inputs))
        self.live, self.reductions = measure_live(rows, self._count_bits), find_reductions(rows)
        self.taps = find_taps(rows, self.reductions)
        self.known: dict[str, str] = {}
        """Names of the first layers with each weight."""
        self.n_numbered = 0

    def profile(self) -> GraphProfile:
        """Measure all rows, and add them up."""
        graph, layers = self.rows.graph, tuple(map(self._profile_row, self.rows.rows))
        found = [self.rows.list_parameters(row) for row in self.rows.rows]
        weights, biases, norms = (
            sum({name: size for one in found for name, size in getattr(one, kind).items()}.values())
            for kind in ("weights", "biases", "norms")
        )
        shared = sum(layer.n_weights for layer in layers) - weights
        return GraphProfile(
            name=graph.name,
            framework=graph.framework,
            options=self.options,
            inputs={name: kind.shape for name, kind in graph.inputs.items()},
            input=self._measure_values(list(graph.inputs)),
            layers=layers,
            n_weights=weights,
            n_biases=biases,
            n_norms=norms,
            n_folded_parameters=sum(one.folded for one in found) - shared,
        )

    def _profile_row(self, row: Row) -> LayerProfile:
        rows, types, main = self.rows, self.rows.graph.types, row.main
        parameters = rows.list_parameters(row)
        macs = sum(count_macs(step, types) for step in row.steps)
        kernel, pixels = getattr(main.operation, "kernel_shape", ()), _count_line_buffer(rows, row)
        return LayerProfile(
            number=self._take_number(macs),
            name=main.name,
            source=main.source,
            kinds=tuple(getattr(step.operation, "call", step.kind) for step in row.steps),
            input_shape=rows.shape_of(row.taken),
            output_shape=rows.shape_of(row.name),
            kernel=kernel,
            strides=getattr(main.operation, "strides", ()) or (1,) * len(kernel),
            n_weights=sum(parameters.weights.values()),
            n_biases=sum(parameters.biases.values()),
            n_norms=sum(parameters.norms.values()),
            n_folded_parameters=parameters.folded,
            shares_with=self._find_sharing(row, parameters.weights),
            macs=macs,
            other_ops=sum(count_other_ops(step, types) for step in row.steps),
            is_opaque=any(step.operation.role == "Opaque" for step in row.steps),
            **self._measure_traffic(row, sum(parameters.weights.values()), macs),
            live=self._measure(*self.live[row.name]),
            line_buffer_pixels=pixels,
            line_buffer_bits=pixels * rows.shape_of(row.taken)[0] * self._bits_of(row.taken) if pixels else 0,
            reduction=measure_reduction(rows, row.name),
            is_reduction=row.name in self.reductions,
            is_tap=row.name in self.taps,
            sparsity=self.sparsity.get(main.name),
        )

    def _take_number(self, macs: int) -> int | None:
        """Return the next number, of a row that multiplies and accumulates."""
        self.n_numbered += bool(macs)
        return self.n_numbered if macs else None

    def _measure_traffic(self, row: Row, n_weights: int, macs: int) -> dict[str, Any]:
        """Return what a row moves, how fast, and how much it computes with that."""
        read, written = self._measure_input(row), self._measure_values([row.name])
        weight = self._measure(n_weights, n_weights * self.options.weight_bits)
        per_second, moved = self.options.rate / 8, (read.bits + written.bits + weight.bits) / 8
        rates = {"read": read.bits * per_second, "written": written.bits * per_second, "weights": weight.bits * per_second}
        return {
            "input": read,
            "output": written,
            "weight": weight,
            "bandwidth": Bandwidth(**rates),
            "intensity": macs / moved if moved else 0.0,
        }

    def _find_sharing(self, row: Row, weights: Mapping[str, int]) -> str:
        first = [self.known.setdefault(name, row.main.name) for name in weights]
        return first[0] if first and row.main.name not in first else ""

    def _measure_input(self, row: Row) -> Volume:
        """Measure what a row reads; of a value from which places are picked, these."""
        if row.main.kind in ("Slice", "Gather"):
            count = min(self.rows.count_elements(row.inputs[0]), self.rows.count_elements(row.main.name))
            return self._measure(count, count * self._bits_of(row.inputs[0]))
        return self._measure_values(list(row.inputs))

    def _measure_values(self, names: list[str]) -> Volume:
        return self._measure(sum(map(self.rows.count_elements, names)), sum(map(self._count_bits, names)))

    def _measure(self, elements: int, bits: int) -> Volume:
        count = max(self.input_elements, 1)
        return Volume(
            elements=elements,
            bits=bits,
            per_input_elements=elements / count,
            per_input_bits=bits / (count * self.options.input_bits),
        )

    def _count_bits(self, name: str) -> int:
        return self.rows.count_elements(name) * self._bits_of(name)

    def _bits_of(self, name: str) -> int:
        is_input = self.rows.origins.get(name, name) in self.rows.graph.inputs
        return self.options.input_bits if is_input else self.options.activation_bits


def _count_line_buffer(rows: Rows, row: Row) -> int:
    """Count the places of a row's input that lie from the first to the last one that a window sees; 0 without windows."""
    operation = row.main.operation
    if not isinstance(operation, Convolution | MaxPool | AveragePool):
        return 0
    return operation.windows().count_line(rows.shape_of(row.taken)[1:])
