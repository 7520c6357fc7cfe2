"""Torch modules as layer graphs: every call as torch computes it, and equal to what ONNX's reader makes of the export."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from layer_graphs import run_every_tensor
from layer_networks import NETWORKS, export_network, make_network
from torch import Tensor, fx, nn

from snnmap.core.errors import FrontendError
from snnmap.frontends.onnx import read_layer_graph as read_onnx
from snnmap.frontends.torch import read_layer_graph
from snnmap.graph import (
    LayerGraph,
    canonicalise,
    fold_affine,
    format_graph,
    fuse_steps,
    measure_difference,
    parse_graph,
    require_same,
    run_graph,
)
from snnmap.nn import QuantisedReLU
from snnmap.nn.delta import MaskedConv1d, StepQuantiser

LIMIT = 1e-5
"""Greatest relative difference of a tensor, in float64 here and in float32 there."""


class Recorder(fx.Interpreter):
    """Runs a traced module and keeps what each node gives."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(fx.symbolic_trace(module))
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        found = super().run_node(n)
        self.values[n.name] = found.clone() if isinstance(found, Tensor) else found  # before relu_ changes it
        return found


def draw(shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(np.random.default_rng(1).normal(size=(3, *shape)), dtype=torch.float32)


def assert_read(module: nn.Module, shape: tuple[int, ...]) -> LayerGraph:
    """Compare every value that a call of the module gives."""
    module.eval()
    graph, inputs = read_layer_graph(module, shape), draw(shape)
    recorder = Recorder(module)
    with torch.no_grad():
        outputs = recorder.run(inputs)
    found = run_graph(graph, inputs.numpy())
    last = {node.tensor: node for node in graph.nodes}
    for tensor, node in last.items():
        if isinstance(recorder.values.get(tensor), Tensor):
            assert measure_difference(found[node.name], recorder.values[tensor]) <= LIMIT, node.where
    for name, wanted in zip(graph.outputs, outputs if isinstance(outputs, tuple) else (outputs,), strict=True):
        assert measure_difference(found[name], wanted) <= LIMIT
    return graph


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_equal_torch_layer_by_layer(name: str) -> None:
    assert_read(make_network(name), NETWORKS[name].shape)  # type: ignore[attr-defined]


@cache
def read_both(name: str, optimise: bool) -> tuple[LayerGraph, LayerGraph, Any, np.ndarray]:
    """Give the graphs of both readers, what was exported, and inputs."""
    module, shape = make_network(name), NETWORKS[name].shape  # type: ignore[attr-defined]
    exported = export_network(module, shape, optimize=optimise)
    return read_layer_graph(module, shape), read_onnx(exported), exported, draw(shape).numpy()


EXPORTS = [("LeNet", True), ("ResNet", True), ("MobileNet", False), ("Branches", True)]
"""Optimised, torch's exporter folds BatchNormalization into the convolutions."""


@pytest.mark.parametrize(("name", "optimise"), EXPORTS)
def test_exports_equal_onnxruntime_layer_by_layer(name: str, optimise: bool) -> None:
    _, graph, exported, inputs = read_both(name, optimise)
    wanted, found = run_every_tensor(exported, inputs), run_graph(graph, inputs)
    compared = [node for node in graph.nodes if node.tensor in wanted]
    assert len(compared) == len(graph.nodes)
    for node in compared:
        assert measure_difference(found[node.name], wanted[node.tensor]) <= LIMIT, node.where


@pytest.mark.parametrize(("name", "optimise"), EXPORTS)
def test_the_two_readers_agree(name: str, optimise: bool) -> None:
    """Structure, names of operations, shapes and every weight; where the exporter has folded, after the fold of ours."""
    from_torch, from_onnx, _, inputs = read_both(name, optimise)
    if (name, optimise) == ("ResNet", True):
        one, other = canonicalise(fold_affine(from_torch)), canonicalise(fold_affine(from_onnx))
        assert format_graph(one) == format_graph(other)  # whose weights were rounded in another order
    else:
        one, other = canonicalise(from_torch), canonicalise(from_onnx)
        assert format_graph(one, digests=True) == format_graph(other, digests=True)
    require_same(one, other, inputs, tolerance=LIMIT)


@pytest.mark.parametrize("name", NETWORKS)
def test_passes_keep_the_networks(name: str) -> None:
    module, shape = make_network(name), NETWORKS[name].shape  # type: ignore[attr-defined]
    graph, inputs = read_layer_graph(module, shape), draw(shape).numpy()
    fused, folded = fuse_steps(graph), fold_affine(graph)
    assert require_same(graph, fused, inputs) == 0.0
    require_same(graph, folded, inputs, tolerance=LIMIT)
    require_same(graph, fuse_steps(folded), inputs, tolerance=LIMIT)
    n_norms = {"LeNet": 0, "ResNet": 20, "MobileNet": 27, "Branches": 1}[name]
    assert len(list(graph.select_kinds("BatchNormalization"))) == n_norms
    assert len(list(folded.select_kinds("BatchNormalization"))) == (1 if name == "Branches" else 0)


def test_a_residual_sum_is_fused_with_the_branch_before_it() -> None:
    graph = read_layer_graph(make_network("ResNet"), NETWORKS["ResNet"].shape)  # type: ignore[attr-defined]
    fused = fuse_steps(graph)
    kinds = {node.name: [step.kind for step in node.operation.steps] for node in fused.select_kinds("Fused")}  # type: ignore[attr-defined]
    assert kinds["relu"] == ["Conv", "BatchNormalization", "Relu"]
    assert kinds["layer1.0.relu#2"] == ["Conv", "BatchNormalization", "Add", "Relu"]
    assert fused["layer1.0.relu#2"].source == "layer1.0.conv2"
    assert fused["layer2.0.relu#2"].source == "layer2.0.downsample.0"  # which comes after conv2
    assert kinds["layer2.0.bn2"] == ["Conv", "BatchNormalization"]


def test_names_and_shared_weights() -> None:
    graph = read_layer_graph(make_network("Branches"), NETWORKS["Branches"].shape)  # type: ignore[attr-defined]
    assert [node.name for node in graph.select_kinds("Conv")] == ["one", "shared", "other", "shared#2"]
    assert [graph[name].inputs[1] for name in ("shared", "shared#2")] == ["shared.weight"] * 2
    assert graph["shared#2"].source == "shared"
    assert graph["one"].operation.group == 2  # type: ignore[attr-defined]
    assert graph["other"].operation.dilations == (2, 2)  # type: ignore[attr-defined]
    assert graph.outputs == ("last", "getitem_6")


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "AdaptiveAvgPool, divided": (lambda: nn.AdaptiveAvgPool2d((2, None)), (3, 4, 6)),
    "AdaptiveMaxPool": (lambda: nn.AdaptiveMaxPool2d(1), (3, 4, 6)),
    "AvgPool, padding not counted": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (3, 6, 7)),
    "AvgPool, hanging over": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), (3, 6, 8)),
    "BatchNorm, not affine": (lambda: nn.BatchNorm1d(4, affine=False), (4,)),
    "Conv1d, same": (lambda: nn.Conv1d(2, 4, 4, padding="same"), (2, 9)),
    "Conv2d, reflected": (lambda: nn.Conv2d(2, 4, 3, padding=(1, 2), padding_mode="reflect"), (2, 6, 7)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (4, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, (3, 2), stride=(1, 2), dilation=(2, 1), bias=False), (2, 4, 5)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3, alpha=0.1, k=2.0), (5, 4, 3)),
    "Conv3d": (lambda: nn.Conv3d(2, 4, (1, 2, 3), groups=2), (2, 4, 5, 6)),
    "Linear of matrices": (lambda: nn.Linear(4, 3), (5, 4)),
    "activations": (
        lambda: nn.Sequential(
            nn.ELU(0.5), nn.Hardsigmoid(), nn.Hardtanh(-0.2, 0.6), nn.PReLU(3), nn.SiLU(), nn.ReLU6(), nn.Tanh(), nn.Softmax(1)
        ),
        (3, 4),
    ),
    "pads": (
        lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1)), nn.ReplicationPad2d(2), nn.ReflectionPad2d((1, 0, 2, 1))),
        (2, 4, 5),
    ),
    "part flattened": (lambda: nn.Sequential(nn.Flatten(1, 2), nn.ReLU()), (2, 3, 4)),
    "one layer": (lambda: nn.Linear(4, 3, bias=False), (4,)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even")
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    assert_read(nn.Sequential(make()), shape)


class Calls(nn.Module):
    """A forward of functions, with a constant weight."""

    def __init__(self, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("w", torch.linspace(-1.0, 1.0, 12).view(3, 4))

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


FUNCTIONS: dict[str, tuple[Callable[[Any, Tensor], Any], tuple[int, ...]]] = {
    "interpolation": (lambda _, x: nn.functional.interpolate(x, scale_factor=2, mode="linear"), (2, 5)),
    "moved": (lambda _, x: torch.stack([x.flip(1), x.roll(1, 2)], 1).repeat(1, 1, 2, 1), (3, 4)),
    "picked": (lambda _, x: nn.functional.pixel_shuffle(x[:, [3, 0, 1, 1]], 2), (4, 2, 3)),
    "arithmetic": (lambda _, x: (2.0 - x) / (x * x + 1.5) - (-x), (4,)),
    "batch_norm": (lambda m, x: nn.functional.batch_norm(x, m.w[0], m.w[1].exp(), eps=0.1), (4, 3)),
    "exponentials": (lambda _, x: torch.sqrt(torch.exp(-x) + 1.0), (4,)),
    "bounds": (lambda m, x: torch.maximum(x.clamp(min=-0.5), torch.minimum(x.abs(), m.w[0])), (4,)),
    "conv": (lambda m, x: nn.functional.conv1d(x, m.w.view(3, 2, 2), stride=2, padding=1), (2, 6)),
    "index": (lambda _, x: x[:, 1, ..., -2:], (3, 4, 5)),
    "linear": (lambda m, x: nn.functional.linear(x, m.w, m.w[:, 0]), (4,)),
    "matmul": (lambda m, x: x @ m.w.t(), (2, 4)),
    "movement": (lambda _, x: x.permute(0, 3, 1, 2).unsqueeze(1).squeeze(1).transpose(1, 2).reshape(x.shape[0], -1), (2, 3, 4)),
    "pad": (lambda _, x: nn.functional.pad(nn.functional.pad(x, (1, 2)), (0, 0, 1, 0), value=2.0), (3, 4)),
    "softmax": (lambda _, x: torch.softmax(x, -1) + nn.functional.log_softmax(x, dim=1), (3, 4)),
    "windows": (lambda _, x: nn.functional.unfold(x, (2, 3), padding=1, stride=2).transpose(1, 2).unfold(1, 2, 1), (2, 4, 5)),
    "windows added": (lambda _, x: nn.functional.fold(x, (4, 5), (2, 3), padding=1), (12, 25)),
    "split": (lambda _, x: torch.cat(torch.split(x, [1, 3], 1)[::-1], 1), (4, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    function, shape = FUNCTIONS[name]
    assert_read(Calls(function), shape)


def with_steps(quantiser: StepQuantiser) -> StepQuantiser:
    quantiser.step.data = torch.tensor([0.1, 0.3, 0.5])
    return quantiser


OWN_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "QuantisedReLU": lambda: QuantisedReLU(3, step=0.3, rounding="floor"),
    "StepQuantiser": lambda: StepQuantiser(4, step=0.25, signed=True),
    "StepQuantiser, by channel": lambda: with_steps(StepQuantiser(4, step=0.1, n_channels=3)),
    "MaskedConv1d": lambda: MaskedConv1d(3, 2, 2),
    "resized and shuffled": lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Unflatten(1, (1, 3)), nn.PixelUnshuffle(1)),
    "windows": lambda: nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Unfold((2, 3), padding=1), nn.Fold((5, 10), (2, 3))),
    "divisor": lambda: nn.Sequential(nn.Unflatten(2, (2, 4)), nn.AvgPool2d(2, divisor_override=3)),
}


@pytest.mark.parametrize("name", OWN_LAYERS)
def test_layers_that_only_we_know(name: str) -> None:
    torch.manual_seed(0)
    module, inputs = nn.Sequential(OWN_LAYERS[name]()).double().eval(), draw((3, 8)).double()
    graph = read_layer_graph(module, (3, 8))
    assert measure_difference(run_graph(graph, inputs.numpy())[graph.outputs[0]], module(inputs).detach()) <= 1e-12
    assert parse_graph(format_graph(graph), graph.constants) == graph


def test_numbers_are_kept_as_written() -> None:
    graph = read_layer_graph(Calls(lambda m, x: 0.1 * x + m.w[0] / 3 + 0.5), (4,))
    single = {array.item(): str(array.dtype) for array in graph.constants.values() if array.size == 1}
    assert single == {0.1: "float64", 0.5: "float32"}


class Unreadable(nn.Module):
    """A layer, a function and a shape that no operation has, one behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.fine = nn.LSTMCell(4, 4), nn.GroupNorm(2, 4), nn.Conv1d(3, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.second(x))
        return torch.fft.fft(y).view(-1) + self.fine(x).flatten(0)


def test_what_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(FrontendError) as caught:
        read_layer_graph(Unreadable(), (4, 5))
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 parts of the model have no operation in a layer graph"
    assert lines[1].startswith("  - 'second' (GroupNorm): no operation of a layer graph does this; train with Batch")
    assert lines[2].startswith("  - 'fft_fft' (fft_fft): no operation")
    assert lines[3] == (
        "  - 'fine' (Conv1d): the input has other channels than the weights (measured 4, limit 3); "
        "check the shape of the input and the layer before"
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda _, x: x.flatten(0), "samples would mix"),
        (lambda _, x: x.reshape(-1), "keep the batch as the first dimension"),
        (lambda _, x: x.transpose(0, 1), "(?s)the batch is not the first axis.*output 0"),
        (lambda _, x: x.transpose(0, 1).reshape(-1, 3), "the batch is not the first axis"),
        (lambda _, x: x.transpose(0, 1)[:, 0], "the batch is not the first axis"),
        (lambda _, x: x.transpose(0, 1) + torch.ones(3), "the batch is not the first axis"),
        (lambda _, x: torch.stack([x, x]).mean(1), "the batch is not the first axis"),
        (lambda _, x: torch.cat([x, x]), "axes that are the batch's"),
        (lambda _, x: x.mean(0), "mixes samples"),
        (lambda _, x: x[0], "an index 0"),
        (lambda _, x: x.half(), "no operation"),
        (lambda _, x: torch.add(x, x, alpha=x.sum(1)), "alpha that is no number"),
        (lambda _, x: x + torch.ones(3, 4), "differs from sample to sample"),
        (lambda _, __: torch.ones(3), "depends on no input"),
        (lambda _, x: x.view(x.shape[0], 7), "does not run on one sample's shape"),
        (lambda _, x: nn.functional.dropout(x), "drops values in evaluation too"),
    ],
)
def test_refusals(function: Any, message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        read_layer_graph(Calls(function), (4,))


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1), nn.AdaptiveAvgPool2d(1)])
def test_a_pool_of_samples_that_torch_takes_for_channels_is_refused(pool: nn.Module) -> None:
    with pytest.raises(FrontendError, match=r"other dimensions than the pool's \(measured \(4, 6\), limit 3 dimensions\)"):
        read_layer_graph(pool, (4, 6))


SHAPED: dict[str, Callable[[Any, Tensor], Any]] = {
    "a check": lambda m, x: m.w[0] + x if x.shape[1] == 4 and x.ndim == 2 else x,
    "a loop": lambda _, x: sum(x[:, place : place + 1] * place for place in range(x.size(1))),
    "parts": lambda _, x: torch.cat([-part for part in x.split(2, 1)], 1),
    "a number": lambda _, x: x * float(x.shape[-1]) + int(x.shape[1] / 2) + len(x.shape),
}


@pytest.mark.parametrize("name", SHAPED)
def test_shapes_decide_branches_loops_and_numbers(name: str) -> None:
    module = Calls(SHAPED[name])
    graph, inputs = read_layer_graph(module, (4,)), draw((4,))
    assert measure_difference(run_graph(graph, inputs.numpy())[graph.outputs[0]], module(inputs)) <= LIMIT


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda _, x: x if x.shape[0] > 1 else -x, "depends on values or on the size of the batch"),
        (lambda _, x: x if x.sum() > 0 else -x, "depends on values or on the size of the batch"),
        (lambda _, x: x * int(x.max()), "depends on values or on the size of the batch"),
        (lambda _, x: x * len(x), r"len\(\) of a batch: x\.shape\[0\] is its size"),
        (lambda _, x: torch.stack(list(x)), "a loop over samples"),
    ],
)
def test_values_and_the_batch_decide_nothing(function: Any, said: str) -> None:
    with pytest.raises(FrontendError, match=said):
        read_layer_graph(Calls(function), (4,))


def test_reading_leaves_hooked_weights_as_they_are() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Flatten())
    nn.utils.prune.l1_unstructured(module[0], "weight", 0.5)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    graph = read_layer_graph(Checked(module), (4,))
    inputs = draw((4,))
    assert measure_difference(run_graph(graph, inputs.numpy())[graph.outputs[0]], module(inputs).detach()) <= LIMIT
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module[0].weight.device.type == "cpu"


class Checked(nn.Module):
    """A module whose shapes are asked for."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        assert y.shape[1] == 3
        return y


def test_several_inputs() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, other: Tensor) -> Tensor:
            return x + 2.0 * other

    graph = read_layer_graph(Two(), (3,), (3,))
    assert list(graph.inputs) == ["input", "other"]
    found = run_graph(graph, {"input": np.ones((1, 3)), "other": np.ones((1, 3))})
    assert found[graph.outputs[0]].tolist() == [[3.0, 3.0, 3.0]]
    with pytest.raises(FrontendError, match="more inputs than shapes"):
        read_layer_graph(Two(), (3,))
