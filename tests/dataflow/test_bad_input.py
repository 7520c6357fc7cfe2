"""What cannot be built is refused, where and with what to do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from pipeline_cases import SMALL, build, make_device
from quantised_networks import Quantised, make_mobilenet, make_resnet, make_small
from random_quantised import make_random
from random_wide import Wide

from snnmap.core.errors import ChipError, FrontendError, InputError, NetworkError
from snnmap.dataflow import NoTemplateError, PipelineOptions, build_pipeline, format_pipeline, list_devices, load_device
from snnmap.dataflow.device import Prices, read_device_text
from snnmap.frontends.onnx import read_layer_graph
from snnmap.graph import LayerGraph, Node, TensorType
from snnmap.graph.operations.activations import Relu


def test_the_least_multipliers_that_would_do_are_told_and_do() -> None:
    with pytest.raises(NetworkError, match="measured: 5 multipliers   limit: 4 multipliers"):
        build(make_small(), multipliers=4)
    assert build(make_small(), multipliers=5).multipliers == 5


def list_least(refused: NetworkError) -> dict[str, int]:
    """What a refusal says would do, by the words for it."""
    pairs = [part.split(" ", 1) for part in refused.measured.split(" or ")]
    return {name: int(count) for count, name in pairs}


SHORT: dict[str, Any] = {
    "small": (make_small(), {"memory_blocks": 10}),
    "mobilenet": (make_mobilenet(32, 8, 10), {"memory_blocks": 20, "multipliers": 100}),
    "resnet": (make_resnet(18, 32, 8, 10), {"memory_blocks": 80}),
    "target": (make_small(), {"fps": 150_000.0, "multipliers": 30}),
    "cut": (make_resnet(18, 32, 8, 10), {"memory_blocks": 20, "cut": "auto"}),
    "random": (make_random(3), {"multipliers": 30, "memory_blocks": 30}),
}


@pytest.mark.parametrize("name", SHORT)
def test_the_least_that_would_do_is_told_and_does(name: str) -> None:
    """Buffers included; of each resource that alone would do, one less does not."""
    model, budgets = SHORT[name]
    device = make_device(30)
    with pytest.raises(NetworkError, match="meets the budgets") as refused:
        build(model, device, **budgets)
    least = list_least(refused.value)
    assert least
    for words, option in (("multipliers", "multipliers"), ("memory blocks", "memory_blocks")):
        if words in least:
            build(model, device, **{**budgets, option: least[words]})
            with pytest.raises(NetworkError):
                build(model, device, **{**budgets, option: least[words] - 1})


def test_a_target_that_nothing_reaches() -> None:
    with pytest.raises(NetworkError, match="as fast as the target") as refused:
        build(make_small(), fps=1e9)
    fps = float(refused.value.fix.split("fps=")[1].split()[0])
    assert build(make_small(), fps=fps, multipliers=100_000).interval == int(refused.value.limit.split()[0])


def make_refused() -> Any:
    """Two operators without a template, and one behind them."""
    net = Wide((3, 8, 8), 0)
    x = net.between("LRN", ["q"], (3, 8, 8), (0.02, 100), size=3)
    y = net.between("Softmax", ["q"], (3, 8, 8), (0.02, 100), axis=1)
    return net.model(net.conv(net.add(x, y), 2))


def test_all_operators_without_a_template_are_told_at_once() -> None:
    with pytest.raises(NoTemplateError) as refused:
        build(make_refused())
    told = str(refused.value)
    assert len(refused.value.refusals) == 2
    assert "lrn1" in told
    assert "softmax2" in told
    assert "conv" not in told


def test_a_model_of_floats() -> None:
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, 4, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], "floats", [given], [found])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(NoTemplateError, match="quantise the model first"):
        build(model)


def test_dynamic_shapes() -> None:
    model = make_small()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    with pytest.raises(FrontendError, match="shape"):
        build(model)
    graph = read_layer_graph(model, (3, 12, 12))
    assert build_pipeline(graph, SMALL).interval == build(make_small()).interval


def test_a_graph_with_a_cycle() -> None:
    nodes = (
        Node(name="a", operation=Relu(), inputs=("b",)),
        Node(name="b", operation=Relu(), inputs=("a",)),
    )
    with pytest.raises(NetworkError, match="not known before it"):
        LayerGraph(name="loop", inputs={"x": TensorType(shape=(3,))}, nodes=nodes, outputs=("b",), constants={})


def test_three_sides_weights_and_sums_beyond_the_device() -> None:
    net = Quantised((2, 4, 4, 4))
    with pytest.raises(NoTemplateError, match="3 sides"):
        build(net.model(net.conv("q", 2, (2, 2, 2))))
    with pytest.raises(NoTemplateError, match="too wide"):
        build(make_small(), replace(SMALL, bits=replace(SMALL.bits, weights=4)))
    with pytest.raises(NoTemplateError, match="may overflow"):
        build(make_small(), replace(SMALL, bits=replace(SMALL.bits, accumulator=16)))


def test_a_device_without_prices_says_what_is_missing() -> None:
    pipeline = build(make_small(), replace(SMALL, prices=Prices(), sources=type(SMALL.sources)()))
    assert "energy unknown; the device's record does not tell prices.multiply_pj" in format_pipeline(pipeline)
    known = build(make_small(), replace(SMALL, prices=Prices(multiply_pj=1.0), sources=type(SMALL.sources)()))
    assert "energy at least 0.04 uJ a sample" in format_pipeline(known)


def test_records_that_contradict_themselves(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for wrong, said in (
        ("multipliers = 0", "multipliers = 0 is not positive"),
        ("clock_mhz = -1.0", "clock_mhz = -1.0 is not positive"),
        ("clock = 3", "unknown field clock"),
    ):
        key = wrong.split(" = ")[0]
        lines = [line for line in read_device_text("dsp-256").splitlines() if not line.startswith(f"{key} ")]
        path.write_text("\n".join([wrong, *lines]))
        with pytest.raises(ChipError, match=said):
            load_device(str(path))
    with pytest.raises(ChipError, match="did you mean 'dsp-256'"):
        load_device("dsp256")


def test_a_device_of_ones_own_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(read_device_text("dsp-256").replace("multipliers = 256", "multipliers = 99"))
    assert build(make_small(), str(path)).device.multipliers == 99
    assert len(list_devices()) == 2


@pytest.mark.parametrize(
    "choice",
    [
        {"multipliers": 0},
        {"multipliers": 2.5},
        {"memory_blocks": -1},
        {"fps": 0.0},
        {"fps": float("nan")},
        {"search": "best"},
        {"parallelism": "divisor"},
    ],
)
def test_options_out_of_range(choice: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="out of range"):
        PipelineOptions(**choice)
