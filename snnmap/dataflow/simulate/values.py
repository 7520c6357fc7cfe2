"""Simulate a pipeline in values: every level of every stream, from the packed words, as the stages compute them."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.dataflow.allocate import Stage
from snnmap.dataflow.lower import Layer, Matrix
from snnmap.dataflow.pack import Packed, pack_pipeline, unpack_weights
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.simulate.sums import add_up
from snnmap.graph import run_graph
from snnmap.graph.operation import Array
from snnmap.graph.operations.conv import convolve
from snnmap.graph.operations.qlinear import requantise
from snnmap.graph.windows import spread_channels

__all__ = ["find_differences", "simulate_values"]

Order = Literal["template", "matrix"]
_EXACT_FLOAT32 = 2**24


def simulate_values(
    pipeline: Pipeline,
    inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    packed: Mapping[str, Packed] | None = None,
    order: Order = "template",
) -> dict[str, Array]:
    """Compute every value of a pipeline.

    Args:
        pipeline: to run.
        inputs: ``(n_samples, *shape)`` floats, by name where there are several, as of the model.
        packed: what the memories are loaded with, such as :func:`~snnmap.dataflow.pack.read_files` reads; the pipeline's own
            without.
        order: ``template`` adds up word by word, as stages do; ``matrix`` by products of matrices, which is the same, since
            sums of integers that cannot overflow do not depend on their order.

    Returns:
        ``(n_samples, *shape)`` uint8 by the layer graph's names.

    Raises:
        InputError: inputs or packed weights do not suit the pipeline.
    """
    graph, memories = pipeline.network.graph, pack_pipeline(pipeline)
    stages = {stage.layer.name: stage for stage in pipeline.all_stages}
    if packed is not None:
        _require_fitting(packed, memories)
        memories = dict(packed)
    known = {**graph.constants, **_quantise_inputs(pipeline, inputs)}
    for node in graph.nodes:
        if node.name in known or any(name not in known for name in node.inputs):
            continue  # an input, or what stands around constants and the host's part
        stage = stages.get(node.name)
        if stage is not None and stage.layer.matrix is not None:
            known[node.name] = _multiply(stage, memories[node.name], known[node.inputs[0]], order)
        elif stage is not None or node.name in pipeline.network.views:
            with np.errstate(all="ignore"):  # quotients by 0, which clip
                known[node.name] = node.operation.run([known[name] for name in node.inputs])
    names = {*pipeline.network.streams, *pipeline.network.views}
    return {name: values for name, values in known.items() if name in names and values.dtype == np.uint8}


def find_differences(
    pipeline: Pipeline,
    inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    packed: Mapping[str, Packed] | None = None,
    order: Order = "template",
) -> dict[str, int]:
    """Run a pipeline beside the layer graph, as :func:`simulate_values`, and count the values that differ, by tensor."""
    found = simulate_values(pipeline, inputs, packed=packed, order=order)
    wanted = run_graph(pipeline.network.graph, inputs, dtype=np.float32)
    return {name: int(np.count_nonzero(levels != wanted[name])) for name, levels in found.items()}


def _require_fitting(found: Mapping[str, Packed], wanted: Mapping[str, Packed]) -> None:
    for name, packed in wanted.items():
        shape = found[name].words.shape if name in found else ()
        if shape != packed.words.shape:
            raise InputError(
                "weights are missing, or packed for another parallelism",
                where=f"stage '{name}'",
                measured=str(shape),
                limit=str(packed.words.shape),
                fix="read the files that this pipeline wrote",
            )


def _quantise_inputs(pipeline: Pipeline, inputs: Any) -> dict[str, Array]:
    """Return the integers of the inputs, as the host computes them."""
    graph, streams = pipeline.network.graph, {stream.name for stream in pipeline.network.inputs}
    first = [node for node in graph.nodes if node.name in streams]
    quantisers = graph.with_nodes(first, outputs=sorted(streams))
    return {name: levels for name, levels in run_graph(quantisers, inputs, dtype=np.float32).items() if name in streams}


def _multiply(stage: Stage, packed: Packed, values: Array, order: Order) -> Array:
    layer, matrix = stage.layer, stage.layer.matrix
    if matrix is None:
        raise ValueError(f"{layer.name} has no weights")
    add = _add_words if order == "template" else _add_matrix
    sums = add(stage, matrix, packed, values) + spread_channels(packed.bias.astype(np.int64), values.ndim)
    factor = spread_channels(packed.factor, values.ndim)
    return requantise(sums, factor, np.asarray(matrix.zero, np.uint8))


def _add_words(stage: Stage, matrix: Matrix, packed: Packed, values: Array) -> Array:
    """Return the sums ``(n_samples, outputs, *windows)`` in the order of the words."""
    layer, factors = stage.layer, stage.parallelism
    loops = (layer.loops.outputs, layer.loops.channels, layer.loops.kernel)
    seen = _list_seen(layer, matrix, values)
    per_group = layer.loops.outputs * layer.loops.channels // seen.shape[1]
    at_once = (factors.outputs, factors.channels, factors.kernel)
    sums = add_up(seen, packed.words, loops, at_once, max(per_group, 1), len(matrix.weights))
    if layer.kind == "dense":
        return np.asarray(sums)
    operation: Any = layer.node.operation
    counts = operation.windows().sizes(values.shape[2:])
    return np.asarray(sums.reshape(len(values), -1, loops[0]).transpose(0, 2, 1).reshape(len(values), loops[0], *counts))


def _list_seen(layer: Layer, matrix: Matrix, values: Array) -> Array:
    """Return what each firing reads, ``(n_firings of all samples, channels, kernel)`` uint8."""
    if layer.kind == "dense":
        rows = values.reshape(len(values), layer.loops.channels, -1).transpose(0, 2, 1)
        return np.ascontiguousarray(rows.reshape(-1, layer.loops.channels, 1))
    operation: Any = layer.node.operation
    seen = operation.windows().view(values, matrix.source_zero)
    n_sides = len(operation.kernel_shape)
    order = (0, *range(2, 2 + n_sides), 1, *range(2 + n_sides, 2 + 2 * n_sides))
    return np.ascontiguousarray(seen.transpose(order)).reshape(-1, values.shape[1], layer.loops.kernel)


def _add_matrix(stage: Stage, matrix: Matrix, packed: Packed, values: Array) -> Array:
    """Return the same by products of matrices, in floats wide enough for every sum."""
    layer = stage.layer
    weights = unpack_weights(packed.words, layer.loops, stage.parallelism)
    largest = int(np.abs(weights.astype(np.int64)).sum(axis=(0, 2, 3)).max(initial=0)) * 255
    kind = np.float32 if largest < _EXACT_FLOAT32 else np.float64
    if layer.kind == "dense":
        whole = weights[..., 0].transpose(1, 2, 0).reshape(layer.loops.outputs, -1)
        return np.asarray(values.reshape(len(values), -1).astype(kind) @ whole.T.astype(kind)).astype(np.int64)
    operation: Any = layer.node.operation
    shaped = weights.reshape(layer.loops.outputs, layer.loops.channels, *operation.kernel_shape)
    return convolve(operation, values.astype(kind), shaped.astype(kind), float(matrix.source_zero)).astype(np.int64)
