"""What data leave to be computed: values that are 0, weights that are 0, values that are what they were."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.graph import LayerGraph, Node, run_graph
from snnmap.graph.operation import Array
from snnmap.graph.operations.quantisation import spread_axis
from snnmap.profile.layer import Sparsity
from snnmap.profile.options import ProfileOptions
from snnmap.profile.products import count_products, prepare_factor
from snnmap.profile.rows import Rows, list_rows

__all__ = ["Samples", "measure_sparsity"]

Samples = npt.ArrayLike | Mapping[str, npt.ArrayLike]
"""``(n_samples, *shape)``, by the input's name where there are several."""

Known = Mapping[str, Array]


def measure_sparsity(graph: LayerGraph, data: Samples, options: ProfileOptions | None = None) -> dict[str, Sparsity]:
    """Run a graph on samples and measure, of each layer, what of its work they need.

    Values are computed in float32. They are told as 0, or as what they were, exactly or, with :attr:`ProfileOptions.rounded`,
    when rounded to the levels of their bits, of which the last is the largest value of all samples.

    Args:
        graph: to run.
        data: ``(n_samples, *shape)`` in the order of time, by the input's name where there are several.
        options: bits, and whether values are rounded to them.

    Returns:
        By the name of the first node of each layer.

    Raises:
        InputError: there are no samples, they are not finite, or have another shape than the input.
        NetworkError: an operation cannot be run.
    """
    chosen, samples, rows = options or ProfileOptions(), _read_samples(graph, data), list_rows(graph)
    steps = _find_steps(rows, samples, chosen) if chosen.rounded else {}
    meters = [_Meter(rows, row.main, steps) for row in rows.rows if row.inputs]
    for known in _run_each(rows, samples):
        for meter in meters:
            meter.add(known)
    return {meter.node.name: meter.read() for meter in meters}


class _Meter:
    """Counts what one operation takes, sample by sample.

    Args:
        rows: of the graph.
        node: that takes it.
        steps: between two levels of values and constants, by name; without one they are not rounded.
    """

    def __init__(self, rows: Rows, node: Node, steps: Mapping[str, float]) -> None:
        self.node, self.steps = node, steps
        self.operands = _list_operands(node, rows.graph.types)
        self.moving = [place for place, (name, *_) in enumerate(self.operands) if not rows.graph.types[name].is_constant]
        self.before: list[Array] = []
        self.fixed: dict[int, Array] = {}
        """Factors that are constants, by their place."""
        self.zero_weights: float | None = None
        self.taken: list[tuple[float, float]] = []
        """Share of values that are not 0, and multiply-accumulates, of each sample."""
        self.changes: list[tuple[float, float]] = []
        """Share of values that changed, and multiply-accumulates, from each sample to the next."""

    def add(self, known: Known) -> None:
        """Count one sample, given the values of the whole graph."""
        if not self.taken:
            self._read_weights(known)
        levels = [self._read_levels(known, *self.operands[place]) for place in self.moving]
        self.taken.append(self._measure([level != 0 for level in levels]))
        if self.before:
            changed = [level != old for level, old in zip(levels, self.before, strict=True)]
            self.changes.append(self._measure(changed) if len(changed) == 1 else self._measure_either(changed))
        self.before = levels

    def read(self) -> Sparsity:
        """Return what was found in all samples."""
        active, active_macs = np.mean(self.taken, axis=0).tolist()
        changed, changed_macs = np.mean(self.changes, axis=0).tolist() if self.changes else (None, None)
        return Sparsity(
            zero_activations=1 - active,
            zero_weights=self.zero_weights,
            unchanged=None if changed is None else 1 - changed,
            active_macs=active_macs,
            changed_macs=changed_macs,
        )

    def _read_weights(self, known: Known) -> None:
        for place, operand in enumerate(self.operands):
            if place not in self.moving:
                mark = self._read_levels(known, *operand) != 0
                self.fixed[place] = prepare_factor(self.node, place, mark, known)
                self.zero_weights = float(1 - mark.mean())

    def _read_levels(self, known: Known, name: str, zero: str, axis: int) -> Array:
        """Return an operand in whole steps above its zero, or as it is."""
        values = known[name]
        if zero:
            return values.astype(np.int64) - spread_axis(known[zero], axis, values.ndim).astype(np.int64)
        return np.rint(values / self.steps[name]) if self.steps.get(name) else values

    def _measure(self, marks: list[Array]) -> tuple[float, float]:
        """Return the share of marked values, and the products of marked values and weights that are not 0."""
        share = float(marks[0].mean())
        if len(self.operands) == 1:
            return share, 0.0
        moving = {place: prepare_factor(self.node, place, mark) for place, mark in zip(self.moving, marks, strict=True)}
        factors = {**self.fixed, **moving}
        return share, count_products(self.node, factors[0], factors[1])

    def _measure_either(self, changed: list[Array]) -> tuple[float, float]:
        """Return the share of changed values, and the products of two values of which one changed."""
        _, every = self._measure([np.ones_like(mark) for mark in changed])
        _, same = self._measure([~mark for mark in changed])
        return float(changed[0].mean()), every - same


def _list_operands(node: Node, types: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Return name, zero point and its axis of the two factors of a product, or of the value that another operation takes."""
    if node.kind in ("QLinearConv", "QGemm", "QLinearMatMul"):
        axis = {"QLinearConv": 0, "QLinearMatMul": -1}.get(node.kind, 0 if getattr(node.operation, "trans_b", 0) else 1)
        return [(node.inputs[0], node.inputs[2], 0), (node.inputs[3], node.inputs[5], axis)]
    if node.operation.role in ("Conv", "MatMul"):
        return [(name, "", 0) for name in node.inputs[:2]]
    return [(next(name for name in node.inputs if not types[name].is_constant), "", 0)]


def _run_each(rows: Rows, samples: Mapping[str, Array]) -> Iterator[Known]:
    """Yield constants and values of the graph for each sample."""
    n_samples = min(map(len, samples.values()))
    for place in range(n_samples):
        part = {name: array[place : place + 1] for name, array in samples.items()}
        yield {**rows.graph.constants, **run_graph(rows.graph, part, dtype=np.float32)}


def _find_steps(rows: Rows, samples: Mapping[str, Array], options: ProfileOptions) -> dict[str, float]:
    """Return the distance of two levels of every value and constant of floats, by name."""
    bounds: dict[str, tuple[float, float]] = {}
    for known in _run_each(rows, samples):
        for name, array in known.items():
            if array.dtype.kind == "f" and array.size:
                low, high = bounds.get(name, (0.0, 0.0))
                bounds[name] = min(low, float(array.min())), max(high, float(array.max()))
    return {name: _find_step(*bound, _bits_of(rows, name, options)) for name, bound in bounds.items()}


def _find_step(low: float, high: float, bits: int) -> float:
    """Return the distance of two levels of values that are positive, or that lie around 0."""
    n_steps = 2**bits - 1 if low >= 0 else max(2 ** (bits - 1) - 1, 1)
    return float(max(high, -low) / n_steps)


def _bits_of(rows: Rows, name: str, options: ProfileOptions) -> int:
    if rows.graph.types[name].is_constant:
        return options.weight_bits
    return options.input_bits if rows.origins.get(name, name) in rows.graph.inputs else options.activation_bits


def _read_samples(graph: LayerGraph, data: Any) -> dict[str, Array]:
    """Return samples by the input's name, of one number of samples."""
    given = data if isinstance(data, Mapping) else {next(iter(graph.inputs)): data}
    unknown = sorted(set(given) - set(graph.inputs))
    if unknown or set(graph.inputs) - set(given):
        raise InputError(
            "the data are of other inputs than the network's",
            measured=", ".join(map(str, given)) or "none",
            limit=", ".join(graph.inputs),
            fix="give an array of (n_samples, *shape) for each input, by its name",
        )
    samples = {name: np.asarray(array) for name, array in given.items()}
    for name, array in samples.items():
        _check_samples(name, array, graph.inputs[name].shape)
    counts = {name: len(array) for name, array in samples.items()}
    if len(set(counts.values())) > 1:
        raise InputError(
            "inputs have different numbers of samples", measured=str(counts), limit="one number", fix="give as many of each"
        )
    return samples


def _check_samples(name: str, array: Array, shape: tuple[int, ...]) -> None:
    where = f"input '{name}'"
    if array.ndim == 0 or array.shape[1:] != shape or not len(array):
        sides = ", ".join(map(str, shape))
        fix = f"give (n_samples, {sides}), or profile the network at the shape of the data (input_shape, --input-shape)"
        if array.shape == shape:
            fix = "put one sample in an array of its own: data[numpy.newaxis]"
        raise InputError(
            "the data have another shape than the input",
            where=where,
            measured=str(array.shape),
            limit=f"(n_samples, {sides})",
            fix=fix,
        )
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        count = int(np.count_nonzero(~np.isfinite(array))) if array.dtype.kind == "f" else prod(array.shape)
        raise InputError(
            "the data are not finite numbers", where=where, measured=f"{count} values", limit="0", fix="mend these samples"
        )
