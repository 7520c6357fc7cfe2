"""All that cores compute beside weights, int8 and published topologies: no value differs from onnxruntime's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossbar_differences import count_differences
from crossbar_variants import GRID, ODD, change
from light_models import NAMES, make_light
from odd_quantised import ODD_NETWORKS
from onnx import helper, numpy_helper
from quantised_networks import MICROSOFT, Quantised, make_small, run_onnxruntime
from random_floats import make_floats, quantise_to_operators
from random_wide import Wide, make_wide
from signed_networks import make_signed, run_signed, to_signed

from snnmap.core.errors import DesignRuleError
from snnmap.crossbar import check_graph, compile_graph
from snnmap.frontends.onnx import apply_quantisation, quantise_model, read_layer_graph

RNG = np.random.default_rng(0)


def nightly(*values: Any) -> list[Any]:
    return [pytest.param(value, marks=pytest.mark.nightly) for value in values]


@pytest.mark.parametrize("seed", [*range(16), *nightly(*range(16, 240))])
def test_random_networks(seed: int) -> None:
    architecture = ["grid-128", "fixed-128", "example-16x4", *ODD.values()][seed % 8]
    assert not any(count_differences(make_wide(seed), architecture, seed=seed).values())


@pytest.mark.parametrize("seed", [*range(6), *nightly(*range(6, 200))])
def test_networks_of_floats_that_the_tool_quantises(seed: int) -> None:
    model = make_floats(seed)
    shape = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim][1:]
    quantised = quantise_model(model, np.random.default_rng(seed).normal(0, 1, (6, *shape)))
    assert not any(count_differences(quantised, "grid-128", seed=seed).values())


@pytest.mark.parametrize("seed", [*range(6), *nightly(*range(6, 120))])
def test_networks_of_floats_as_qlinear_operators(seed: int, tmp_path: Path) -> None:
    """Or refused where the tool leaves operations of floats, which it does in this form."""
    model = make_floats(seed)
    shape = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim][1:]
    quantised = quantise_to_operators(model, np.random.default_rng(seed).normal(0, 1, (6, *shape)), tmp_path)
    report = check_graph(read_layer_graph(quantised), "grid-128")
    assert {one.rule for one in report.errors} <= {"CIM102"}
    assert report.is_clean or seed > 1
    assert not report.is_clean or not any(count_differences(quantised, "grid-128", seed=seed).values())


@pytest.mark.parametrize("seed", [*range(8), *nightly(*range(8, 60))])
def test_operators_of_int8(seed: int) -> None:
    """Levels are 128 above onnxruntime's integers."""
    model = make_signed(seed)
    graph = read_layer_graph(model)
    built = compile_graph(graph, "grid-128")
    inputs = np.random.default_rng(seed).normal(0, 1, (3, *graph.inputs["x"].shape)).astype(np.float32)
    found = built.run(inputs, keep="all")
    wanted = run_signed(model, inputs, sorted({node.tensor for node in graph.nodes} - {"y"}))
    tensors = {node.tensor: node.name for node in built.program.graph.nodes if node.name in found}
    assert len(tensors) == len(found) > 1
    assert all(np.array_equal(found[name].reshape(wanted[one].shape) - 128.0, wanted[one]) for one, name in tensors.items())


def test_quantisers_of_int8_are_those_of_uint8() -> None:
    """onnxruntime itself shifts them before it computes in integers."""
    weight = RNG.normal(0, 0.3, (6, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("AveragePool", ["r"], ["y"], name="pool", kernel_shape=[2, 2]),
    ]
    values = [helper.make_tensor_value_info("x", 1, ["n", 3, 8, 8]), helper.make_tensor_value_info("y", 1, ["n", 6, 5, 5])]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], initializer=[numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    steps = {"x": (0.03, 120), "r": (0.02, 0), "y": (0.015, 3)}
    inputs = RNG.normal(0, 1, (9, 3, 8, 8)).astype(np.float32)
    made, outputs = [], []
    for dtype, lower in (("uint8", 0), ("int8", 128)):
        entries = {name: {"scale": scale, "zero_point": zero - lower, "dtype": dtype} for name, (scale, zero) in steps.items()}
        quantised = apply_quantisation(model, {"version": 1, "activations": entries, "weights": {"w": {"scale": 0.01}}})
        made.append(compile_graph(read_layer_graph(quantised), "grid-128"))
        outputs.append(run_onnxruntime(quantised, inputs, names=[])["y"])
    assert made[0].data == made[1].data
    assert np.array_equal(*outputs)
    ((name, levels),) = made[1].run(inputs).items()
    assert np.array_equal(made[1].image.to_units(name, levels).reshape(outputs[0].shape), outputs[0])


@pytest.mark.parametrize("is_node", [True, False])
def test_one_window_of_the_whole_input_is_a_global_mean(is_node: bool) -> None:
    """Where the sums of floats round otherwise: with one scale before and behind, and means between two levels."""
    net = Wide((16, 2, 2), 0)
    x = net.activate("q", "")
    if is_node:
        net._give("mean", (16, 1, 1), *net.steps[x])
        inputs = [x, *net._names(x), *net._names("mean")]
        net.nodes.append(helper.make_node("QLinearAveragePool", inputs, ["mean"], domain=MICROSOFT, kernel_shape=[2, 2]))
    else:
        net.between("AveragePool", [x], (16, 1, 1), net.steps[x], kernel_shape=[2, 2])
    model = net.model("mean" if is_node else "averagepool2")
    assert not any(count_differences(model, "grid-128", 200).values())


@pytest.mark.parametrize("name", ["SqueezeNet", *nightly(*(name for name in NAMES if name != "SqueezeNet"))])
def test_published_topologies(name: str) -> None:
    """Those with an LRN are refused, which is told of each; without them they are computed like the others."""
    typical = RNG.normal(0, 1, (4, 3, 64, 64)).astype(np.float32)
    roomy = change(GRID, "memories", constant_bytes=2**24)
    model = make_light(name, 64)
    norms = [node.name for node in model.graph.node if node.op_type == "LRN"]
    if norms:
        with pytest.raises(DesignRuleError) as refused:
            compile_graph(read_layer_graph(quantise_model(model, typical)), roomy)
        assert [(one.rule, one.message.split(":")[0]) for one in refused.value.diagnostics] == [("CIM101", "LRN")] * len(norms)
        model = make_light(name, 64, with_norms=False)
    assert not any(count_differences(quantise_model(model, typical), roomy, 1).values())


@pytest.mark.parametrize("name", ODD_NETWORKS)
def test_what_is_seldom_met(name: str) -> None:
    assert not any(count_differences(ODD_NETWORKS[name](), "grid-128", 3).values())


@pytest.mark.parametrize(
    ("scale", "words"), [(0.0, "its scale is not positive"), (-0.1, "measured -0.1"), (1e-45, "scales are too far apart")]
)
def test_scales_that_are_none(scale: float, words: str) -> None:
    net = Quantised((3, 6, 6), 0)
    model = net.model(net.conv("q", 2))
    entry = next(entry for entry in model.graph.initializer if entry.name == "conv1.scale")
    entry.CopyFrom(numpy_helper.from_array(np.float32(scale), entry.name))
    with pytest.raises(DesignRuleError, match=rf"(?s)CIM104.*conv1.*{words}"):
        compile_graph(read_layer_graph(model), "grid-128")


def test_an_input_that_is_given_back_is_refused() -> None:
    with pytest.raises(DesignRuleError, match=r"CIM101.*'dequantise': the output is an input"):
        compile_graph(read_layer_graph(Quantised((3, 6, 6), 0).model("q")), "grid-128")


def test_a_last_softmax_is_left_to_the_host() -> None:
    net = Wide((3, 8, 8), 0)
    scores = net.dense(net.flatten(net.mean(net.conv("q", 4))), 5)
    model = net.model(net.between("Softmax", [scores], (5,), (1 / 256, 0), axis=1))
    built = compile_graph(read_layer_graph(model), "grid-128")
    (told,) = built.report.advice
    assert (told.rule, told.location.population) == ("CIM105", "softmax5.function")
    inputs = RNG.normal(0, 1, (4, 3, 8, 8)).astype(np.float32)
    ((_, levels),) = built.run(inputs).items()
    assert np.array_equal(levels.reshape(4, 5), run_onnxruntime(model, inputs, names=[scores])[scores])


def test_a_softmax_between_layers_is_refused() -> None:
    net = Wide((3, 8, 8), 0)
    inner = net.between("Softmax", [net.conv("q", 4)], (4, 6, 6), (1 / 256, 0), axis=1)
    with pytest.raises(DesignRuleError, match=r"(?s)CIM101.*softmax2.function.*one that is the last is left out"):
        compile_graph(read_layer_graph(net.model(net.conv(inner, 2))), "grid-128")


def test_integers_that_are_read_otherwise_than_written_are_refused() -> None:
    model = make_small()
    node = next(node for node in model.graph.node if node.op_type == "QLinearAdd")
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "other"))
    node.input[1] = "other"
    with pytest.raises(DesignRuleError, match=r"(?s)CIM104.*another scale or zero point.*measured scale 0\.5, zero 0"):
        compile_graph(read_layer_graph(model), "grid-128")


def test_a_constant_that_differs_from_place_to_place_is_refused() -> None:
    net = Wide((2, 6, 6), 0)
    array = net.constant(RNG.uniform(1, 2, (2, 6, 6)), 3)
    model = net.model(net.between("Mul", ["q", array], (2, 6, 6), (0.1, 100)))
    with pytest.raises(DesignRuleError, match=r"CIM101.*constant differs from place to place(?s:.*)one a channel"):
        compile_graph(read_layer_graph(model), "grid-128")


def test_signed_and_unsigned_networks_differ_by_their_offset_alone() -> None:
    net = Quantised((3, 9, 9), 4)
    model = net.model(net.conv(net.conv("q", 5), 4, relu=False))
    signed = compile_graph(read_layer_graph(to_signed(model)), "grid-128")
    assert signed.data == compile_graph(read_layer_graph(model), "grid-128").data
