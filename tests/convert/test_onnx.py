"""ONNX graphs: read as onnxruntime computes them, layer by layer, and refused where a chip has no counterpart."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from snnmap.convert import ConvertOptions, convert_ann, read_onnx, run_ann
from snnmap.core.errors import FrontendError

RNG = np.random.default_rng(0)


def make_graph(nodes: list[Any], shape: tuple[int, ...], opset: int = 17, **constants: Any) -> onnx.ModelProto:
    """Give a model from ``x`` of one sample's shape to ``y``."""
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    initializers = [
        numpy_helper.from_array(array.astype(np.float32) if array.dtype == np.float64 else array, name)
        for name, array in arrays.items()
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    return model


def run_onnx(model: onnx.ModelProto, inputs: np.ndarray, extra: tuple[str, ...] = ()) -> list[np.ndarray]:
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in extra)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: inputs.astype(np.float32)})


def assert_read(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Compare the output, and every Relu's output by the name of its node."""
    inputs = np.random.default_rng(1).normal(size=(5, *shape)).astype(np.float32)
    relus = {node.name: node.output[0] for node in model.graph.node if node.op_type == "Relu"}
    wanted, *layers = run_onnx(model, inputs, tuple(relus.values()))
    found = run_ann(read_onnx(model, shape), inputs)
    np.testing.assert_allclose(found["output"], wanted.reshape(5, -1), rtol=1e-4, atol=1e-4)
    for name, values in zip(relus, layers, strict=True):
        if name in found:
            np.testing.assert_allclose(found[name], values.reshape(5, -1), rtol=1e-4, atol=1e-4)


def one(kind: str, *inputs: str, **attributes: Any) -> list[Any]:
    return [helper.make_node(kind, ["x", *inputs], ["y"], name="node", **attributes)]


W = RNG.normal(size=(6, 4))
K = RNG.normal(size=(4, 2, 3, 3))
OPERATORS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[int, ...]]] = {
    "Gemm": (lambda: make_graph(one("Gemm", "w", "b", alpha=0.5, beta=2.0), (6,), w=W, b=np.ones(4)), (6,)),
    "Gemm, transposed": (lambda: make_graph(one("Gemm", "w", transB=1), (6,), w=W.T), (6,)),
    "MatMul": (lambda: make_graph(one("MatMul", "w"), (6,), w=W), (6,)),
    "Conv": (
        lambda: make_graph(
            one("Conv", "w", "b", pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]), (2, 9, 8), w=K, b=np.ones(4)
        ),
        (2, 9, 8),
    ),
    "Conv, groups": (lambda: make_graph(one("Conv", "w", group=2), (4, 5, 6), w=K), (4, 5, 6)),
    "Conv, same": (lambda: make_graph(one("Conv", "w", auto_pad="SAME_UPPER", strides=[2, 2]), (2, 7, 6), w=K), (2, 7, 6)),
    "Conv, same lower": (lambda: make_graph(one("Conv", "w", auto_pad="SAME_LOWER"), (2, 7, 6), w=K[..., :2]), (2, 7, 6)),
    "Conv 1d": (lambda: make_graph(one("Conv", "w", pads=[2, 1]), (2, 9), w=K[..., 0]), (2, 9)),
    "Add": (lambda: make_graph(one("Add", "c"), (3, 4), c=np.ones((3, 1))), (3, 4)),
    "Sub": (lambda: make_graph([helper.make_node("Sub", ["c", "x"], ["y"])], (3, 4), c=np.ones(4)), (3, 4)),
    "Mul": (lambda: make_graph(one("Mul", "c"), (3, 4), c=np.array([[[2.0], [3.0], [4.0]]])), (3, 4)),
    "Div": (lambda: make_graph(one("Div", "c"), (3, 4), c=np.array(4.0)), (3, 4)),
    "BatchNormalization": (
        lambda: make_graph(
            one("BatchNormalization", "g", "b", "m", "v", epsilon=0.01), (3, 2, 2),
            g=np.array([1.0, 2, 3]), b=np.ones(3), m=np.array([0.5, 0, 1]), v=np.array([1.0, 4, 9]),
        ),
        (3, 2, 2),
    ),
    "Relu": (lambda: make_graph(one("Relu"), (5,)), (5,)),
    "Clip": (lambda: make_graph(one("Clip", "low", "high"), (5,), low=np.float32(0), high=np.float32(0.7)), (5,)),
    "Clip, of both signs": (lambda: make_graph(one("Clip", "low"), (5,), low=np.float32(-1)), (5,)),
    "Clip, open": (lambda: make_graph(one("Clip", "low"), (5,), low=np.float32(0)), (5,)),
    "AveragePool": (
        lambda: make_graph(one("AveragePool", kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 1, 1]), (2, 6, 5)), (2, 6, 5),
    ),
    "AveragePool, padding counted": (
        lambda: make_graph(one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), (2, 6, 5)), (2, 6, 5),
    ),
    "GlobalAveragePool": (lambda: make_graph(one("GlobalAveragePool"), (3, 4, 5)), (3, 4, 5)),
    "MaxPool": (lambda: make_graph(one("MaxPool", kernel_shape=[2, 2], strides=[1, 2]), (2, 5, 6)), (2, 5, 6)),
    "MaxPool, padded": (
        lambda: make_graph(one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), (2, 6, 6)), (2, 6, 6),
    ),
    "MaxPool, hanging over": (lambda: make_graph(one("MaxPool", kernel_shape=[2, 2], ceil_mode=1), (1, 5, 5)), (1, 5, 5)),
    "MaxPool, 3d": (lambda: make_graph(one("MaxPool", kernel_shape=[2, 1, 2], strides=[2, 1, 1]), (2, 4, 2, 3)), (2, 4, 2, 3)),
    "Slice, quantised": (
        lambda: make_graph(
            [
                helper.make_node("Relu", ["x"], ["r"], name="r"),
                helper.make_node("Slice", ["r", "from", "to", "axis"], ["t"]),
                helper.make_node("QuantizeLinear", ["t", "s", "z"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
            ],
            (6,), **{"from": np.array([2]), "to": np.array([5]), "axis": np.array([1]), "s": np.float32(0.25), "z": np.uint8(0)},
        ),
        (6,),
    ),
    "Einsum": (lambda: make_graph(one("Einsum", "w", equation="bct,toc->bot"), (6, 3), w=np.ones((3, 4, 6))), (6, 3)),
    "Expand": (lambda: make_graph(one("Expand", "s"), (3, 1), s=np.array([1, 3, 4])), (3, 1)),
    "MatMul, weights first": (
        lambda: make_graph([helper.make_node("MatMul", ["w", "x"], ["y"])], (2, 4, 3), w=W), (2, 4, 3),
    ),
    "ReduceMax": (lambda: make_graph(one("ReduceMax", axes=[3, 1], keepdims=0), (3, 2, 4)), (3, 2, 4)),
    "ReduceMin": (lambda: make_graph(one("ReduceMin", axes=[-2]), (3, 2, 4)), (3, 2, 4)),
    "ReduceSum": (lambda: make_graph(one("ReduceSum", "a"), (3, 2, 4), a=np.array([1])), (3, 2, 4)),
    "Resize": (
        lambda: make_graph(one("Resize", "", "s", mode="linear"), (2, 4, 3), s=np.array([1.0, 1, 1.5, 2])), (2, 4, 3),
    ),
    "operator set 7": (lambda: make_graph(one("Relu"), (6,), opset=7), (6,)),
    "quantised weights, transposed": (
        lambda: make_graph(
            [
                helper.make_node("DequantizeLinear", ["w", "s", "z"], ["f"], axis=0),
                helper.make_node("Transpose", ["f"], ["t"], perm=[1, 0]),
                helper.make_node("MatMul", ["x", "t"], ["y"]),
            ],
            (6,), w=np.arange(24).reshape(4, 6).astype(np.int8), s=np.arange(1, 5).astype(np.float32), z=np.zeros(4, np.int8),
        ),
        (6,),
    ),
    "Flatten": (lambda: make_graph(one("Flatten"), (2, 3, 4)), (2, 3, 4)),
    "Reshape": (lambda: make_graph(one("Reshape", "s"), (2, 6), s=np.array([0, 3, -1])), (2, 6)),
    "Reshape, batch open": (lambda: make_graph(one("Reshape", "s"), (2, 6), s=np.array([-1, 12])), (2, 6)),
    "Squeeze": (lambda: make_graph(one("Squeeze", "a"), (2, 1, 3), a=np.array([-2])), (2, 1, 3)),
    "Unsqueeze": (lambda: make_graph(one("Unsqueeze", "a"), (2, 3), a=np.array([1, -1])), (2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    make, shape = OPERATORS[name]
    assert_read(make(), shape)


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU6())
        self.last = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.second(x) + x
        return self.last(torch.relu(x / 2.0 - 0.1).flatten(1))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(ConvNet().eval(), (torch.rand(5, 1, 8, 8),), str(path), verbose=False)
    return path


def test_what_torch_exports(exported: Path) -> None:
    assert_read(onnx.load(str(exported)), (1, 8, 8))
    assert read_onnx(exported).framework.startswith("ONNX")


def test_an_onnx_file_is_converted(exported: Path) -> None:
    data = np.random.default_rng(0).uniform(0, 1, (40, 1, 8, 8))
    conversion = convert_ann(str(exported), data, options=ConvertOptions(n_steps=16))
    assert max(error.relative_error for error in conversion.errors) < 0.15


def quantised_graph() -> onnx.ModelProto:
    """Give weights of 8 bits, a step a column, and an activation of unsigned levels, as static quantisation writes them."""
    words = RNG.integers(-100, 100, (6, 4)).astype(np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["words", "steps", "zeros"], ["w"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Relu", ["z"], ["a"], name="relu"),
        helper.make_node("QuantizeLinear", ["a", "s", "zero"], ["q"], name="quantise"),
        helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["y"]),
    ]
    steps = np.array([0.01, 0.02, 0.01, 0.03], np.float32)
    return make_graph(nodes, (6,), words=words, steps=steps, zeros=np.zeros(4, np.int8), s=np.float32(0.25), zero=np.uint8(0))


def test_a_quantised_activation_is_a_relu_with_a_step() -> None:
    model = quantised_graph()
    ann = read_onnx(model)
    assert [(layer.name, layer.step) for layer in ann.layers if layer.kind == "relu"] == [("relu", 0.25)]
    inputs = RNG.normal(size=(50, 6)).astype(np.float32)
    (wanted,) = run_onnx(model, inputs)
    assert np.mean(np.abs(run_ann(ann, inputs)["output"] - wanted) < 1e-5) > 0.99  # ties round to even there


def chain(*nodes: Any, **constants: Any) -> onnx.ModelProto:
    return make_graph(list(nodes), (6,), **constants)


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "operator": (
        lambda: chain(helper.make_node("Sigmoid", ["x"], ["s"], name="gate"), helper.make_node("Relu", ["s"], ["y"])),
        r"node 'gate' \(Sigmoid\)",
    ),
    "opset": (lambda: make_graph(one("Mine"), (6,), opset=9), "(?s)cannot bring the model to operator set 13.*newer"),
    "product": (lambda: chain(helper.make_node("Mul", ["x", "x"], ["y"])), "product or quotient"),
    "weights": (lambda: make_graph(one("MatMul", "w"), (5,), w=W), "do not fit"),
    "kernel": (lambda: make_graph(one("Conv", "w"), (2, 2, 2), w=K), "smaller than the kernel"),
    "channels": (lambda: make_graph(one("Conv", "w"), (3, 5, 5), w=K), "other channels than the weights"),
    "batch": (lambda: make_graph(one("Reshape", "s"), (2, 6), s=np.array([2, 6])), "batch is reshaped"),
    "squeezed batch": (lambda: make_graph(one("Squeeze", "a"), (1, 3), a=np.array([0])), "batch is reshaped"),
    "unknown": (lambda: chain(helper.make_node("Add", ["x", "nothing"], ["y"])), "not known"),
    "signed": (
        lambda: chain(
            helper.make_node("Sub", ["x", "o"], ["a"]),
            helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            helper.make_node("Relu", ["d"], ["y"]),
            s=np.float32(0.1), z=np.int8(0), o=np.float32(0.5),
        ),
        "negative levels",
    ),
    "not finite": (lambda: make_graph(one("MatMul", "w"), (6,), w=np.full((6, 4), np.nan)), "not finite"),
    "zero": (lambda: make_graph(one("Div", "c"), (3,), c=np.zeros(3)), "division by 0"),
    "domain": (lambda: chain(helper.make_node("Relu", ["x"], ["y"], domain="my.dom")), "none of ONNX's own"),
    "training": (
        lambda: make_graph(
            one("BatchNormalization", "g", "b", "m", "v", training_mode=1), (3,),
            g=np.ones(3), b=np.ones(3), m=np.ones(3), v=np.ones(3),
        ),
        "training mode",
    ),
    "blocks": (
        lambda: chain(
            helper.make_node("DequantizeLinear", ["w", "s"], ["f"], axis=0, block_size=2),
            helper.make_node("MatMul", ["x", "f"], ["y"]),
            w=np.ones((6, 2), np.int8), s=np.ones((3, 2), np.float32),
        ),
        "by blocks",
    ),
    "another scale": (
        lambda: chain(
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "t", "z"], ["y"]),
            s=np.float32(0.01), t=np.float32(0.02), z=np.uint8(0),
        ),
        "another scale",
    ),
    "axis": (
        lambda: chain(
            helper.make_node("DequantizeLinear", ["w", "s"], ["f"], axis=1), helper.make_node("MatMul", ["x", "f"], ["y"]),
            w=np.ones((6, 2), np.int8), s=np.ones(3, np.float32),
        ),
        "do not fit the axis",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_named(name: str) -> None:
    make, said = REFUSED[name]
    model = make()
    shape = tuple(dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim)[1:]
    with pytest.raises(FrontendError, match=said):
        read_onnx(model, shape)


@pytest.mark.parametrize(("zero", "lowest"), [(np.int8(-128), 0.0), (np.int8(0), 0.0), (np.uint8(0), 0.0), (np.int8(-100), 0.0)])
def test_levels_behind_a_relu_have_any_zero_point(zero: Any, lowest: float) -> None:
    """The least integer stands for 0, or no value is below 0, so that no level below it is ever taken."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["g"]),
        helper.make_node("Relu", ["g"], ["a"]),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Gemm", ["d", "v"], ["y"]),
    ]
    model = make_graph(nodes, (6,), w=W, v=RNG.normal(size=(4, 3)), s=np.float32(0.013), z=zero)
    inputs = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    found, (wanted,) = run_ann(read_onnx(model, (6,)), inputs)["output"], run_onnx(model, inputs)
    assert np.mean(np.abs(found - wanted).max(axis=1) < 1e-5) > 0.95
    assert found.min() < lowest
    conversion = convert_ann(model, np.abs(inputs) / 4)
    assert conversion.expected.shape == (40, 3)


def test_another_zero_point_is_another_value() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "other"], ["y"]),
    ]
    with pytest.raises(FrontendError, match="another zero point"):
        read_onnx(make_graph(nodes, (6,), s=np.float32(0.1), z=np.int8(-128), other=np.int8(-120)), (6,))


def make_padded(fill: int) -> onnx.ModelProto:
    """Give quantised values of zero point 128 with others beside them."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        helper.make_node("Pad", ["q", "pads", "fill"], ["p"], name="pad"),
        helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    pads = np.array([0, 1, 0, 2])
    return make_graph(nodes, (6,), s=np.float32(0.1), z=np.uint8(128), pads=pads, fill=np.uint8(fill))


def test_integers_are_padded_by_their_zero_point() -> None:
    inputs = RNG.normal(size=(5, 6)).astype(np.float32)
    model = make_padded(128)
    assert np.allclose(run_ann(read_onnx(model, (6,)), inputs)["output"], run_onnx(model, inputs)[0], atol=1e-6)
    with pytest.raises(FrontendError, match=r"(?s)padding by other values.*node 'pad'.*measured: 0 .*limit: 128"):
        read_onnx(make_padded(0), (6,))


def test_a_relu_used_twice_keeps_its_values_beside_its_levels() -> None:
    """Of which one is quantised behind a reshape."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Flatten", ["a"], ["f"]),
        helper.make_node("QuantizeLinear", ["f", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Reshape", ["a", "sides"], ["g"]),
        helper.make_node("Sub", ["g", "d"], ["y"]),
    ]
    model = make_graph(nodes, (2, 3), s=np.float32(0.25), z=np.uint8(0), sides=np.array([0, -1]))
    inputs = RNG.uniform(0, 2, (9, 2, 3)).astype(np.float32)
    assert np.abs(run_ann(read_onnx(model, (2, 3)), inputs)["output"] - run_onnx(model, inputs)[0]).max() < 1e-6


def test_what_onnxruntime_computes_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the file has the last word, whatever a reader makes of an operator."""
    model = make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["g"]), helper.make_node("Relu", ["g"], ["y"], name="relu")], (6,), w=W
    )
    data = np.random.default_rng(1).uniform(0, 1, (20, 6))
    convert_ann(model, data, options=ConvertOptions(error_limit=9.0))
    from snnmap.convert import lower

    monkeypatch.setitem(lower._LOWERINGS, "Relu", lambda lowering, node: lowering.value(node))
    with pytest.raises(FrontendError, match="not what the model computes"):
        convert_ann(model, data, options=ConvertOptions(error_limit=9.0))


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\xff\xff\xff no model")
    with pytest.raises(FrontendError, match="cannot be read"):
        read_onnx(tmp_path / "net.onnx")


def test_a_missing_shape() -> None:
    model = make_graph(one("Relu"), (6,))
    model.graph.input[0].type.tensor_type.shape.dim[1].Clear()
    with pytest.raises(FrontendError, match="input 'x'"):
        read_onnx(model)
    assert read_onnx(model, (6,)).n_inputs == 6


class Batches:
    """Calibration data as onnxruntime's quantiser asks for them."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.rest = iter([{name: RNG.uniform(0, 1, (1, *shape)).astype(np.float32)} for _ in range(30)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rest, None)


def small_conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)
    )


QUANTISED = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)), (6,), 2),
    "conv": (small_conv, (1, 8, 8), 2),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("name", QUANTISED)
def test_what_onnxruntime_quantises_keeps_its_relus(name: str, per_channel: bool, tmp_path: Path) -> None:
    """Its tool takes a ReLU away in front of unsigned levels from 0, which rectify by themselves."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    make, shape, n_relus = QUANTISED[name]
    torch.manual_seed(0)
    torch.onnx.export(make().eval(), (torch.rand(1, *shape),), str(tmp_path / "net.onnx"), dynamo=False, verbose=False)
    graph = onnx.load(str(tmp_path / "net.onnx")).graph
    quantize_static(
        str(tmp_path / "net.onnx"), str(tmp_path / "q.onnx"), Batches(graph.input[0].name, shape), quant_format=QuantFormat.QDQ,
        per_channel=per_channel, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    ann = read_onnx(tmp_path / "q.onnx", shape)
    assert len([layer for layer in ann.layers if layer.kind == "relu"]) == n_relus
    inputs = RNG.uniform(0, 1, (20, *shape)).astype(np.float32)
    wanted = np.concatenate([run_onnx(onnx.load(str(tmp_path / "q.onnx")), sample[np.newaxis])[0] for sample in inputs])
    found = run_ann(ann, inputs)["output"]
    assert np.abs(found - wanted).max() < 0.05 * np.ptp(wanted)


def test_a_mean_over_all_places_is_a_global_pool() -> None:
    nodes = [helper.make_node("ReduceMean", ["x", "a"], ["y"], keepdims=0)]
    assert_read(make_graph(nodes, (3, 4, 5), opset=18, a=np.array([-1, 2])), (3, 4, 5))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FrontendError, match="no such ONNX file"):
        read_onnx(tmp_path / "nothing.onnx")
