"""A small layer graph by hand, and what onnxruntime gives for every tensor of a model."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from snnmap.graph import LayerGraph, Node, TensorType
from snnmap.graph.operations.activations import Clip, Relu
from snnmap.graph.operations.arithmetic import Add, Mul
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.gemm import Gemm
from snnmap.graph.operations.movement import Squeeze
from snnmap.graph.operations.normalization import BatchNormalization
from snnmap.graph.operations.pooling import GlobalAveragePool


def make_graph(seed: int = 0) -> LayerGraph:
    """Give a graph of a grouped convolution that is used twice, normalised and scaled, added, pooled and weighed."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "weight": (4, 1, 3, 3), "bias": (4,), "scale": (4,), "mean": (4,), "half": (), "fc.weight": (3, 4)
    }  # fmt: skip
    constants: dict[str, Any] = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    constants["variance"] = rng.uniform(0.5, 2.0, 4).astype(np.float32)
    conv = Conv(kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2)
    nodes = [
        Node(name="conv", operation=conv, inputs=("input", "weight", "bias")),
        Node(name="norm", operation=BatchNormalization(), inputs=("conv", "scale", "bias", "mean", "variance")),
        Node(name="half#2", operation=Mul(), inputs=("norm", "half")),
        Node(name="clip", operation=Clip(min=0.0, max=6.0), inputs=("half#2",), source="act.clip", tensor="clip_1"),
        Node(name="again", operation=conv, inputs=("input", "weight")),
        Node(name="sum", operation=Add(), inputs=("clip", "again")),
        Node(name="relu", operation=Relu(), inputs=("sum",)),
        Node(name="pool", operation=GlobalAveragePool(), inputs=("relu",)),
        Node(name="flat", operation=Squeeze(axes=(2, 3)), inputs=("pool",)),
        Node(name="fc", operation=Gemm(trans_b=1), inputs=("flat", "fc.weight")),
    ]
    inputs = {"input": TensorType(shape=(2, 6, 5))}
    return LayerGraph(name="small", framework="hand", inputs=inputs, nodes=tuple(nodes), outputs=("fc",), constants=constants)


def run_every_tensor(model: onnx.ModelProto, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Give what onnxruntime computes for every tensor that depends on the input, without optimisation."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {entry.name for entry in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name and name not in known]
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [entry.name for entry in session.get_outputs()]
    return dict(
        zip(
            outputs,
            session.run(None, {session.get_inputs()[0].name: inputs if inputs.dtype.kind in "iu" else inputs.astype(np.float32)}),
            strict=True,
        )
    )
