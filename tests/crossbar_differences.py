"""Bytes against onnxruntime's int8."""

from typing import Any

import numpy as np
from quantised_networks import run_onnxruntime

from snnmap.crossbar import Architecture, compile_graph
from snnmap.frontends.onnx import read_layer_graph
from snnmap.graph import leave_to_host


def count_differences(model: Any, architecture: str | Architecture, n_samples: int = 2, seed: int = 0) -> dict[str, int]:
    """Compile, run the bytes, and count values that differ from onnxruntime's, by tensor."""
    graph = read_layer_graph(model)
    built = compile_graph(graph, architecture)
    shape = next(iter(graph.inputs.values())).shape
    inputs = np.random.default_rng(seed).normal(0, 1, (n_samples, *shape)).astype(np.float32)
    integers = {node.tensor for node in leave_to_host(graph)[0].nodes if graph.types[node.name].dtype == "uint8"}
    found, wanted = built.run(inputs, keep="all"), run_onnxruntime(model, inputs, names=sorted(integers))
    program = built.program.graph
    tensors = {node.tensor: node.name for node in program.nodes if node.name in found and node.tensor}
    assert integers <= tensors.keys()
    return {one: int((found[name].reshape(wanted[one].shape) != wanted[one]).sum()) for one, name in tensors.items()}
