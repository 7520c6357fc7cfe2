"""What the layers of a model cost, counted without the profiler: by hooks of torch, by shapes that onnx infers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx
import torch
from onnx import numpy_helper, shape_inference
from torch import Tensor, nn


@dataclass
class Count:
    """One layer with weights, as it ran."""

    name: str
    macs: int
    weights: int
    biases: int
    taken: int
    given: int


def count_by_hooks(module: nn.Module, *shapes: tuple[int, ...]) -> list[Count]:
    """Run a module on one sample and count each convolution and linear layer, as often as it is called."""
    found: list[Count] = []

    def make(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found.append(_count_layer(name, layer, inputs[0], output))

        return hook

    handles = [
        part.register_forward_hook(make(name))
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.Linear)
    ]
    with torch.no_grad():
        module.eval()(*(torch.zeros(1, *shape) for shape in shapes))
    for handle in handles:
        handle.remove()
    return found


def _count_layer(name: str, layer: Any, taken: Tensor, given: Tensor) -> Count:
    """Count a layer, the multiply-accumulates by what each single weight is multiplied with."""
    bias = 0 if layer.bias is None else layer.bias.numel()
    if isinstance(layer, nn.Linear):
        uses = given.numel() // layer.out_features
    elif isinstance(layer, nn.ConvTranspose2d):
        uses = prod(taken.shape[2:])
    else:
        uses = prod(given.shape[2:])
    return Count(name, layer.weight.numel() * uses, layer.weight.numel(), bias, taken.numel(), given.numel())


def count_by_onnx(model: onnx.ModelProto) -> list[Count]:
    """Count each Conv and Gemm of a model of one sample by the shapes that onnx infers for its tensors."""
    graph = shape_inference.infer_shapes(model).graph
    shapes: dict[str, list[int]] = {entry.name: list(entry.dims) for entry in graph.initializer}
    for entry in (*graph.input, *graph.output, *graph.value_info):
        shapes.setdefault(entry.name, [side.dim_value for side in entry.type.tensor_type.shape.dim])
    constants = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = constants[node.input[0]].tolist()
    return [_count_node(node, shapes) for node in graph.node if node.op_type in ("Conv", "Gemm")]


def _count_node(node: Any, shapes: dict[str, list[int]]) -> Count:
    taken, weight, *bias = (shapes[name] for name in node.input)
    given = shapes[node.output[0]]
    channels_out = given[1]
    uses = prod(given) // channels_out if node.op_type == "Conv" else 1
    return Count(node.output[0], prod(weight) * uses, prod(weight), prod(bias[0]) if bias else 0, prod(taken), prod(given))
