"""Nodes of ONNX graphs, their attributes as Python values."""

import ast
import re
from typing import Any

import numpy as np

__all__ = ["OnnxNode"]


class OnnxNode:
    """A node of an ONNX graph.

    Args:
        node: ``onnx.NodeProto``.
        number: of the node in its graph, for those without a name.
    """

    def __init__(self, node: Any, number: int) -> None:
        from onnx import helper

        self.proto, self.domain, self.kind = node, node.domain, node.op_type
        self.name = node.name or f"{node.op_type}{number}"
        self.inputs, self.outputs = list(node.input), list(node.output)
        while self.inputs and not self.inputs[-1]:
            self.inputs.pop()  # left out at the end
        self.attributes = {one.name: _to_python(helper.get_attribute_value(one)) for one in node.attribute}
        self.has_graphs = any(one.HasField("g") or one.graphs for one in node.attribute)
        """Whether it holds graphs of its own, as a branch or a loop does."""
        self.source = _find_module(node)

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)


def _to_python(value: Any) -> Any:
    """Return text for bytes, a tuple for a list, and for a 32-bit float the number that was meant, 0.1 and not 0.100000001."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")  # tf2onnx leaves TensorFlow's own, which are no text
    if isinstance(value, float):
        return float(str(np.float32(value)))
    return tuple(map(_to_python, value)) if isinstance(value, list) else value


def _find_module(node: Any) -> str:
    """Return the path of the torch module that a node was exported from, where the exporter noted it."""
    notes = {entry.key: entry.value for entry in node.metadata_props} if hasattr(node, "metadata_props") else {}
    if "pkg.torch.onnx.name_scopes" in notes:
        scopes = [str(scope) for scope in ast.literal_eval(notes["pkg.torch.onnx.name_scopes"])]
        return scopes[-2] if len(scopes) > 1 else ""
    parts = re.fullmatch(r"/(.+)/[A-Z]\w*", node.name)
    return parts[1].rpartition("/")[2] if parts else ""
