"""The topologies that the onnx wheel ships without weights: filled with seeded ones, of a current operator set, at any size."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference, version_converter

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = {
    "AlexNet": "bvlc_alexnet", "DenseNet-121": "densenet121", "Inception v1": "inception_v1", "Inception v2": "inception_v2",
    "ResNet-50": "resnet50", "ShuffleNet": "shufflenet", "SqueezeNet": "squeezenet", "VGG-19": "vgg19", "ZFNet": "zfnet512",
}  # fmt: skip


def make_light(name: str, side: int, *, with_norms: bool = True) -> Any:
    """A topology on inputs of side x side; a last pool and a first linear layer take what is left of it.

    LRN nodes, which no core computes, are left out where asked.
    """
    model = version_converter.convert_version(onnx.load(str(FOLDER / f"light_{NAMES[name]}.onnx")), 17)
    graph = model.graph
    shapes = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    weights = {node.output[0]: shapes[node.input[0]].tolist() for node in graph.node if node.op_type == "ConstantOfShape"}
    data = next(entry for entry in graph.input if entry.name not in shapes)
    for place, value in zip(data.type.tensor_type.shape.dim, ("n", 3, side, side), strict=True):
        place.Clear()
        setattr(place, "dim_param" if value == "n" else "dim_value", value)
    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    del graph.node[:]
    graph.node.extend(kept)
    del graph.value_info[:]
    del graph.input[:]
    graph.input.extend([data])
    graph.output[0].type.tensor_type.shape.dim[0].dim_param = "n"
    if not with_norms:
        _skip_norms(graph)
    _fit(model, shapes, weights, side)
    rng = np.random.default_rng(0)
    given = {one: _draw(graph, one, shape, rng) for one, shape in weights.items()}
    del graph.initializer[:]
    used = {one for node in graph.node for one in node.input}
    graph.initializer.extend(numpy_helper.from_array(array, one) for one, array in shapes.items() if one in used)
    graph.initializer.extend(numpy_helper.from_array(array.astype(np.float32), one) for one, array in given.items())
    return model


def _skip_norms(graph: Any) -> None:
    stands_for = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "LRN"}
    kept = [node for node in graph.node if node.op_type != "LRN"]
    for node in kept:
        node.input[:] = [stands_for.get(one, one) for one in node.input]
    del graph.node[:]
    graph.node.extend(kept)


def _fit(model: Any, shapes: dict[str, Any], weights: dict[str, list[int]], side: int) -> None:
    """Let the last pool see all places, and linear layers all values of a sample."""
    for name, numbers in list(shapes.items()):
        if numbers.dtype == np.int64 and numbers.size > 3 and numbers[0] == 1:
            shapes[name] = np.array([0, *numbers[1:-2], *(numbers[-2:] * side // 224)])
        if numbers.dtype == np.int64 and numbers.size == 2 and numbers[0] == 1:
            shapes[name] = np.array([0, -1])
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in shapes.items())
    for node in model.graph.node:
        for one in node.attribute:
            if node.op_type == "AveragePool" and one.name == "kernel_shape" and list(one.ints) == [7, 7]:
                one.ints[:] = [side // 32] * 2
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    typed.graph.input.extend(helper.make_tensor_value_info(one, TensorProto.FLOAT, shape) for one, shape in weights.items())
    known = {entry.name: entry for entry in shape_inference.infer_shapes(typed).graph.value_info}
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.input[0] in known:
            sides = known[node.input[0]].type.tensor_type.shape.dim
            held = weights.get(node.input[1], [0, 0])
            held[1] = sides[1].dim_value or held[1]


def _draw(graph: Any, name: str, shape: list[int], rng: Any) -> Any:
    """Weights that keep the spread of what they multiply; scales and variances near 1, shifts near 0."""
    node, place = next((node, list(node.input).index(name)) for node in graph.node if name in node.input)
    if len(shape) > 1:
        return rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
    if (node.op_type == "BatchNormalization" and place in (1, 4)) or node.op_type == "Unsqueeze":
        return rng.uniform(0.7, 1.3, shape)
    return rng.normal(0, 0.1, shape)
