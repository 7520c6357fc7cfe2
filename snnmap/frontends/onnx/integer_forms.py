"""Operators of floats that onnxruntime computes in integers under another name only."""

from collections.abc import Iterator
from typing import Any

__all__ = ["write_integer_forms"]


def write_integer_forms(model: Any) -> Any:
    """Return the model with a GlobalAveragePool for each ReduceMean over all places, as torch exports one, and Adds for a Sum.

    Args:
        model: ``onnx.ModelProto``, which stays as it is.
    """
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model)
    ranks = {
        entry.name: len(entry.type.tensor_type.shape.dim)
        for entry in (*inferred.graph.value_info, *inferred.graph.input)
        if entry.type.tensor_type.HasField("shape")
    }
    made = type(model)()
    made.CopyFrom(model)
    nodes = [one for node in model.graph.node for one in _rename(model, node, ranks.get(node.input[0] if node.input else "", 0))]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _rename(model: Any, node: Any, rank: int) -> list[Any]:
    """Return the node, or those that it is as a global pool or as additions."""
    from onnx import helper

    if node.op_type == "Sum" and len(node.input) > 1:
        return list(_add_up(node))
    axes = _read_axes(model, node) if node.op_type == "ReduceMean" and rank > 2 else []
    if sorted(axis % rank for axis in axes) != list(range(2, rank)) or not axes:
        return [node]
    keeps = next((one.i for one in node.attribute if one.name == "keepdims"), 1)
    output = node.output[0] if keeps else f"{node.output[0]}.kept"
    pool = helper.make_node("GlobalAveragePool", [node.input[0]], [output], name=node.name)
    pool.metadata_props.extend(node.metadata_props)
    flat = helper.make_node("Flatten", [output], [node.output[0]], name=f"{node.name}.flat")
    return [pool] if keeps else [pool, flat]


def _add_up(node: Any) -> Iterator[Any]:
    from onnx import helper

    total = node.input[0]
    for place, name in enumerate(node.input[1:], 1):
        is_last = place == len(node.input) - 1
        result = node.output[0] if is_last else f"{node.output[0]}.{place}"
        yield helper.make_node("Add", [total, name], [result], name=node.name if is_last else f"{node.name}.{place}")
        total = result


def _read_axes(model: Any, node: Any) -> list[int]:
    """Return the axes of a mean, an attribute or a constant; none where they are neither."""
    from onnx import numpy_helper

    given: list[int] = [axis for one in node.attribute if one.name == "axes" for axis in one.ints]
    names = list(node.input[1:])
    held = [numpy_helper.to_array(entry) for entry in model.graph.initializer if entry.name in names]
    held += [
        numpy_helper.to_array(one.attribute[0].t)
        for one in model.graph.node
        if one.op_type == "Constant" and one.output[0] in names and one.attribute[0].name == "value"
    ]
    return given or [int(axis) for array in held for axis in array.reshape(-1)]
