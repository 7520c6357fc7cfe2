"""Quantisation told beside a model of floats: the same as quantisers in the model, or refused entry by entry."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from layer_graphs import run_every_tensor
from onnx import TensorProto, helper, numpy_helper
from quantised_networks import run_onnxruntime

from snnmap.core.errors import FrontendError
from snnmap.frontends.onnx import METADATA_KEY, apply_quantisation, quantise_model, read_layer_graph
from snnmap.graph import join_quantised, run_graph

RNG = np.random.default_rng(0)
X = RNG.normal(0, 1, (12, 3, 8, 8)).astype(np.float32)


def make_model() -> Any:
    """A convolution of floats, a ReLU, a pool, a linear layer."""
    arrays = {
        "w1": RNG.normal(0, 0.3, (6, 3, 3, 3)),
        "b1": RNG.normal(0, 0.1, 6),
        "w2": RNG.normal(0, 0.3, (4, 54)),
        "b2": RNG.normal(0, 0.1, 4),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("AveragePool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], name="fc", transB=1),
    ]  # fmt: skip
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    constants = [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "floats", [given], [found], initializer=constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def measure(model: Any) -> dict[str, Any]:
    """Scales and zero points by what values are on samples."""
    found = {"x": X, **run_every_tensor(model, X)}
    activations = {}
    for name in ("x", "r", "p", "y"):
        low, high = min(found[name].min(), 0.0), found[name].max()
        scale = float(high - low) / 255
        activations[name] = {"scale": scale, "zero_point": int(np.clip(np.rint(-low / scale), 0, 255))}
    weights = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    return {
        "version": 1,
        "activations": activations,
        "weights": {
            "w1": {"scale": (np.abs(weights["w1"]).max(axis=(1, 2, 3)) / 127).tolist()},
            "w2": {"scale": float(np.abs(weights["w2"]).max()) / 127, "zero_point": 0, "dtype": "int8"},
        },
    }


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model()


@pytest.fixture(scope="module")
def told(model: Any) -> Any:
    return measure(model)


def test_the_quantised_model_is_an_ordinary_one(model: Any, told: Any) -> None:
    before = model.SerializeToString()
    made = apply_quantisation(model, told)
    onnx.checker.check_model(made)
    assert model.SerializeToString() == before
    floats = run_every_tensor(model, X)["y"]
    assert np.abs(run_onnxruntime(made, X, names=[])["y"] - floats).max() < 0.05 * np.ptp(floats)


def test_it_is_read_as_operations_of_integers(model: Any, told: Any) -> None:
    joined = join_quantised(read_layer_graph(model, quantisation=told))
    kinds = [node.kind for node in joined.nodes]
    assert kinds == ["QuantizeLinear", "QLinearConv", "QLinearAveragePool", "Flatten", "QGemm", "DequantizeLinear"]
    found = run_graph(joined, X, dtype=np.float32)
    wanted = run_onnxruntime(apply_quantisation(model, told), X, names=["r.levels", "p.levels", "y.levels"])
    for node in joined.nodes:
        if node.tensor in wanted and node.operation.role != "Quantise":
            assert np.array_equal(found[node.name], wanted[node.tensor]), node.name


def test_a_file_and_the_models_metadata_tell_the_same(model: Any, told: Any, tmp_path: Path) -> None:
    path, noted = tmp_path / "net.json", onnx.ModelProto()
    path.write_text(json.dumps(told))
    noted.CopyFrom(model)
    helper.set_model_props(noted, {METADATA_KEY: json.dumps(told)})
    wanted = read_layer_graph(apply_quantisation(model, told))
    assert read_layer_graph(model, quantisation=path) == read_layer_graph(noted) == wanted
    assert read_layer_graph(noted) != read_layer_graph(model)
    assert METADATA_KEY not in {entry.key for entry in quantise_model(noted, X).metadata_props}


def test_all_entries_that_do_not_fit_are_told(model: Any) -> None:
    told = {
        "version": 1,
        "activations": {"rr": {"scale": 1}, "x": {"scale": -1}, "p": {"scale": [1, 2]}, "y": {"zero_point": 1}},
        "weights": {"w1": {"scale": [1, 2]}, "w2": {"scale": 1, "zero_point": 200}, "b1": {"scale": "a"}},
    }
    with pytest.raises(FrontendError) as refused:
        apply_quantisation(model, told)
    lines = str(refused.value).splitlines()
    words = [
        "has no 'rr'; did you mean 'r'?", "activations 'x': scale -1 is not positive", "activations 'y': fields zero_point",
        "weights 'w2': zero point 200", "weights 'b1': could not convert", "weights 'w1': 2 scales for axis 0 of (6, 3, 3, 3)",
        "activation 'p': more scales than one",
    ]  # fmt: skip
    assert all(any(word in line for line in lines) for word in words), refused.value
    assert len(lines) == 1 + len(words) + 2


@pytest.mark.parametrize("told", [[], {"version": 2}, {"version": 1, "weight": {}}])
def test_what_is_none_of_the_form(model: Any, told: Any) -> None:
    with pytest.raises(FrontendError, match=r'none of the form \{"version": 1'):
        apply_quantisation(model, told)


def test_files_that_cannot_be_read(model: Any, told: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(FrontendError, match=r"(?s)is no JSON.*a\.json"):
        read_layer_graph(model, quantisation=tmp_path / "a.json")
    with pytest.raises(FrontendError, match=r"(?s)cannot be read.*b\.json"):
        read_layer_graph(model, quantisation=str(tmp_path / "b.json"))
    with pytest.raises(FrontendError, match="quantisers of its own"):
        apply_quantisation(apply_quantisation(model, told), told)


def test_the_example_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "crossbar.md").read_text()
    (block,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    weight = numpy_helper.from_array(RNG.normal(0, 0.3, (3, 2, 3, 3)).astype(np.float32), "conv1.weight")
    nodes = [helper.make_node("Conv", ["x", "conv1.weight"], ["c"]), helper.make_node("Relu", ["c"], ["relu1"])]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
        for name, shape in (("x", (2, 5, 5)), ("relu1", (3, 3, 3)))
    ]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], initializer=[weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    joined = join_quantised(read_layer_graph(model, quantisation=json.loads(block)))
    assert [node.kind for node in joined.nodes] == ["QuantizeLinear", "QLinearConv", "DequantizeLinear"]
