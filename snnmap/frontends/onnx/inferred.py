"""Shapes that onnx infers for what nodes give that no operation of a layer graph describes."""

from collections.abc import Mapping
from typing import Any

from snnmap.graph import TensorType
from snnmap.graph.operation import Array, Shape

__all__ = ["InferredTypes", "is_weight"]

_RESIZING = ("Resize", "Upsample")


class InferredTypes:
    """Types of a model's tensors, inferred when the first is asked for.

    Args:
        model: ``onnx.ModelProto``.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.entries: dict[str, Any] | None = None

    def find_type(self, tensor: str, inputs: Mapping[str, Shape]) -> TensorType | None:
        """Return the type of a tensor's sample, or None where onnx infers none or one without the batch first.

        Args:
            tensor: name.
            inputs: shapes of samples of the model's inputs.
        """
        from onnx import helper

        if self.entries is None:
            self.entries = _infer(self.model, inputs)
        entry = self.entries.get(tensor)
        sides = [side.dim_value for side in entry.type.tensor_type.shape.dim] if entry is not None else []
        if not all(sides) or sides[:1] != [1]:
            return None
        dtype = helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)  # type: ignore[union-attr]
        return TensorType(shape=tuple(sides[1:]), dtype="float32" if dtype.kind == "f" else str(dtype))


def is_weight(kind: str, array: Array) -> bool:
    """Say whether a constant of an operator is one that it weighs values with, and not a choice such as an axis or a size."""
    return kind not in _RESIZING and array.ndim > 0 and (array.dtype.kind == "f" or array.dtype in ("int8", "uint8"))


def _infer(model: Any, inputs: Mapping[str, Shape]) -> dict[str, Any]:
    """Infer all types of one sample, whichever shapes the model tells."""
    from onnx import shape_inference

    single = type(model)()
    single.CopyFrom(model)
    del single.graph.value_info[:]
    for entry in single.graph.input:
        if entry.name in inputs:
            del entry.type.tensor_type.shape.dim[:]
            for side in (1, *inputs[entry.name]):
                entry.type.tensor_type.shape.dim.add().dim_value = side
    for entry in single.graph.output:
        entry.type.tensor_type.ClearField("shape")
    graph = shape_inference.infer_shapes(single, data_prop=True).graph
    return {entry.name: entry for entry in (*graph.value_info, *graph.output)}
