"""From a layer graph to what its layers cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

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


def profile_graph(
    graph: LayerGraph,
    options: ProfileOptions | None = None,
    *,
    sparsity: Mapping[str, Sparsity] | None = None,
    n_samples: int = 0,
) -> GraphProfile:
    """Measure what the layers of a graph cost.

    Args:
        graph: of any framework.
        options: bits and rate.
        sparsity: by the name of a layer's first node, of :func:`snnmap.profile.measure_sparsity`.
        n_samples: that it was measured on.
    """
    return _Profiler(list_rows(graph), options or ProfileOptions()).profile(sparsity or {}, n_samples)


class _Profiler:
    """Measures the rows of a graph one by one.

    Args:
        rows: of the graph.
        options: bits and rate.
    """

    def __init__(self, rows: Rows, options: ProfileOptions) -> None:
        self.rows, self.options = rows, options
        self.input_elements = sum(map(rows.count_elements, rows.graph.inputs))
        self.known: dict[str, str] = {}
        """Names of the first layers with each weight."""

    def profile(self, sparsity: Mapping[str, Sparsity], n_samples: int) -> GraphProfile:
        rows, graph = self.rows, self.rows.graph
        live, reductions = measure_live(rows, self._count_bits), find_reductions(rows)
        taps = find_taps(rows, reductions)
        layers, number = [], 0
        for row in rows.rows:
            layer = self._profile_row(row)
            number += bool(layer.macs)
            layer = replace(
                layer,
                number=number if layer.macs else None,
                live=self._measure(*live[row.name]),
                is_reduction=row.name in reductions,
                is_tap=row.name in taps,
                sparsity=sparsity.get(row.main.name),
            )
            layers.append(layer)
        found = [rows.list_parameters(row) for row in rows.rows]
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
            layers=tuple(layers),
            n_weights=weights,
            n_biases=biases,
            n_norms=norms,
            n_folded_parameters=sum(one.folded for one in found) - shared,
            n_samples=n_samples,
        )

    def _profile_row(self, row: Row) -> LayerProfile:
        """Measure a row, but for what depends on others."""
        rows, types, main = self.rows, self.rows.graph.types, row.main
        parameters = rows.list_parameters(row)
        n_weights = sum(parameters.weights.values())
        read, written = self._measure_input(row), self._measure_values([row.name])
        weight = self._measure(n_weights, n_weights * self.options.weight_bits)
        macs = sum(count_macs(step, types) for step in row.steps)
        per_second = self.options.rate / 8
        moved = (read.bits + written.bits + weight.bits) / 8
        pixels = _count_line_buffer(rows, row)
        first = rows.origins.get(row.taken, row.taken)
        return LayerProfile(
            number=None,
            name=main.name,
            source=main.source,
            kinds=tuple(getattr(step.operation, "call", step.kind) for step in row.steps),
            input_shape=rows.shape_of(row.taken),
            output_shape=rows.shape_of(row.name),
            kernel=getattr(main.operation, "kernel_shape", ()),
            strides=getattr(main.operation, "strides", ()) or (1,) * len(getattr(main.operation, "kernel_shape", ())),
            n_weights=n_weights,
            n_biases=sum(parameters.biases.values()),
            n_norms=sum(parameters.norms.values()),
            n_folded_parameters=parameters.folded,
            shares_with=self._find_sharing(row, parameters.weights),
            macs=macs,
            other_ops=sum(count_other_ops(step, types) for step in row.steps),
            is_opaque=any(step.operation.role == "Opaque" for step in row.steps),
            input=read,
            output=written,
            weight=weight,
            bandwidth=Bandwidth(read=read.bits * per_second, written=written.bits * per_second, weights=weight.bits * per_second),
            intensity=macs / moved if moved else 0.0,
            live=written,
            line_buffer_pixels=pixels,
            line_buffer_bits=pixels * rows.shape_of(row.taken)[0] * self._bits_of(first) if pixels else 0,
            reduction=measure_reduction(rows, row.name),
            is_reduction=False,
            is_tap=False,
        )

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
        return self.options.input_bits if name in self.rows.graph.inputs else self.options.activation_bits


def _count_line_buffer(rows: Rows, row: Row) -> int:
    """Count the places of a row's input that lie from the first to the last one that a window sees; 0 without windows."""
    operation = row.main.operation
    if not isinstance(operation, Convolution | MaxPool | AveragePool):
        return 0
    windows, sides = operation.windows(), rows.shape_of(row.taken)[1:]
    spans = [spread * (side - 1) for side, spread in zip(windows.kernel, windows.dilations, strict=True)]
    return 1 + sum(span * prod(sides[axis + 1 :]) for axis, span in enumerate(spans))
