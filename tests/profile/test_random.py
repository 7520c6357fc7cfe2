"""Random networks against counts that know nothing of the profiler: torch's hooks, a scan of the whole order, loops."""

from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from layer_counts import count_by_hooks
from torch import Tensor, nn

from snnmap.frontends.torch import read_layer_graph
from snnmap.graph import LayerGraph, Node, TensorType
from snnmap.graph.operations.activations import Relu
from snnmap.graph.operations.arithmetic import Add
from snnmap.graph.operations.movement import Concat, Flatten, Reshape, Transpose
from snnmap.profile import ProfileOptions, measure_sparsity, profile_graph
from snnmap.profile.rows import list_rows


class Step(nn.Module):
    """A layer of weights, a normalisation where drawn, an activation where drawn, and what was before where shapes allow."""

    def __init__(self, rng: np.random.Generator, channels: int) -> None:
        super().__init__()
        pick = rng.integers
        kernel, stride, spread = int(pick(1, 4)), int(pick(1, 3)), int(pick(1, 3))
        group = int(rng.choice([side for side in (1, 2, channels) if channels % side == 0]))
        self.n_out = group * int(pick(1, 5))
        options: Any = {"bias": bool(pick(2)), "groups": group}
        if rng.random() < 0.2:
            self.layer: nn.Module = nn.ConvTranspose2d(channels, self.n_out, kernel, stride, kernel // 2, **options)
        else:
            self.layer = nn.Conv2d(channels, self.n_out, kernel, stride, spread * (kernel // 2), spread, **options)
        self.adds = self.n_out == channels and stride == 1 and kernel % 2 == 1
        self.norm = nn.BatchNorm2d(self.n_out) if pick(2) else nn.Identity()
        self.act = nn.ReLU() if pick(2) else nn.Identity()
        self.pool = nn.MaxPool2d(3, 1, 1) if pick(2) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.act(self.norm(self.layer(x))))
        return y + x if self.adds else y


class Random(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        channels = int(rng.integers(1, 5))
        self.shape = (channels, int(rng.integers(17, 24)), int(rng.integers(17, 24)))
        self.steps = nn.ModuleList()
        for _ in range(int(rng.integers(2, 6))):
            self.steps.append(Step(rng, channels))
            channels = self.steps[-1].n_out  # type: ignore[assignment]
        self.head = nn.Linear(channels, int(rng.integers(1, 6)), bias=bool(rng.integers(2)))

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return self.head(x.mean(dim=(2, 3)))


@pytest.mark.parametrize("seed", range(40))
def test_layers_of_random_torch_networks_are_as_hooks_count_them(seed: int) -> None:
    torch.manual_seed(seed)
    module = Random(seed)
    found = profile_graph(read_layer_graph(module, module.shape, opaque=True))
    wanted = count_by_hooks(module, module.shape)
    assert [(one.source, one.macs, one.n_weights, prod(one.input_shape)) for one in found.numbered] == [
        (one.name, one.macs, one.weights, one.taken) for one in wanted
    ]
    assert found.macs == sum(one.macs for one in wanted)
    assert [one.n_biases for one in found.numbered] == [one.biases for one in wanted]
    assert found.n_parameters == sum(tensor.numel() for tensor in (*module.parameters(), *_statistics(module)))
    assert not found.opaque


def _statistics(module: nn.Module) -> list[Tensor]:
    return [tensor for name, tensor in module.named_buffers() if "running" in name]


@pytest.mark.parametrize("seed", range(40))
def test_folded_parameters_are_those_of_a_network_that_torch_fuses(seed: int) -> None:
    torch.manual_seed(seed)
    module = Random(seed).eval()
    found = profile_graph(read_layer_graph(module, module.shape)).n_folded_parameters
    for step in module.steps:
        if isinstance(step.norm, nn.BatchNorm2d):
            turned, step.norm, norm = isinstance(step.layer, nn.ConvTranspose2d), nn.Identity(), step.norm
            if turned and step.layer.groups > 1:  # which torch cannot fuse
                step.layer.bias = nn.Parameter(torch.zeros(step.n_out))
            else:
                step.layer = nn.utils.fuse_conv_bn_eval(step.layer, norm, transpose=turned)
    assert found == sum(tensor.numel() for tensor in module.parameters())


def make_random_graph(seed: int) -> LayerGraph:
    """Give a graph of activations only, whose values are used again any time later."""
    rng = np.random.default_rng(seed)
    names, nodes = ["input", "other"], []
    for number in range(int(rng.integers(3, 25))):
        one, other = (str(name) for name in rng.choice(names, 2))
        name = f"v{number}"
        nodes += [
            [Node(name=name, operation=Relu(), inputs=(one,))],
            [Node(name=name, operation=Add(), inputs=(one, other))],
            [Node(name=name, operation=Transpose(perm=(0, 2, 1)), inputs=(one,))],
            [
                Node(name=f"{name}.flat", operation=Flatten(), inputs=(one,)),
                Node(name=name, operation=Reshape(shape=(4, 4)), inputs=(f"{name}.flat",)),
            ],
        ][int(rng.integers(4))]
        names.append(name)
    used = {name for node in nodes for name in node.inputs}
    ends = [node.name for node in nodes if node.name not in used]
    inputs = {name: TensorType(shape=(4, 4)) for name in ("input", "other")}
    return LayerGraph(name="random", inputs=inputs, nodes=tuple(nodes), outputs=tuple(ends), constants={})


@pytest.mark.parametrize("seed", range(60))
def test_live_activations_are_those_that_a_scan_of_the_whole_order_finds(seed: int) -> None:
    graph = make_random_graph(seed)
    rows = list_rows(graph)
    found = profile_graph(graph, ProfileOptions(input_bits=8, activation_bits=4))
    holds = {**{name: {name} for name in graph.inputs}, **{row.name: {row.name} for row in rows.rows}}
    for name, origin in rows.origins.items():
        holds[origin].add(name)
    for place, (row, layer) in enumerate(zip(rows.rows, found.layers, strict=True)):
        bits = 0
        for value, names in holds.items():
            made = next((at for at, one in enumerate(rows.rows) if one.name == value), -1)
            later = [at for at, one in enumerate(rows.rows) if any(names & set(step.inputs) for step in one.steps)]
            is_needed = any(at >= place for at in later) or names & set(rows.graph.outputs) or value == row.name
            bits += 16 * (8 if value in graph.inputs else 4) if made <= place and is_needed else 0
        assert layer.live.bits == bits, layer.name


@pytest.mark.parametrize("seed", range(30))
def test_every_node_is_in_one_row_and_each_row_reads_what_was_given_before(seed: int) -> None:
    rows = list_rows(make_random_graph(seed))
    known = set(rows.graph.inputs)
    inside = [step.name for row in rows.rows for step in row.steps] + list(rows.origins)
    assert sorted(inside) == sorted(node.name for node in rows.graph.nodes)
    for row in rows.rows:
        assert set(row.inputs) <= known
        known.add(row.name)


def test_parts_that_are_joined_live_together() -> None:
    nodes = [Node(name=name, operation=Relu(), inputs=("input",)) for name in ("a", "b")]
    nodes.append(Node(name="c", operation=Concat(axis=1), inputs=("a", "b")))
    inputs = {"input": TensorType(shape=(2, 3))}
    graph = LayerGraph(name="joined", inputs=inputs, nodes=tuple(nodes), outputs=("c",), constants={})
    found = profile_graph(graph, ProfileOptions(activation_bits=4, input_bits=8))
    assert [layer.live.bits for layer in found.layers] == [6 * 8 + 6 * 4, 6 * 8 + 12 * 4, 12 * 4 + 12 * 4]


@pytest.mark.parametrize("seed", range(12))
def test_sparsity_is_what_loops_over_windows_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stride, pad, spread, group = (int(number) for number in rng.integers(1, 3, 4))
    conv = nn.Conv2d(4, 6, (3, 2), stride, pad, spread, groups=group, bias=False)
    weight = conv.weight.detach().numpy()
    weight *= rng.random(weight.shape) < 0.6
    data = (rng.random((3, 4, 7, 8)) < 0.5) * rng.normal(size=(3, 4, 7, 8)).astype(np.float32)
    data[2, :2] = data[1, :2]
    found = measure_sparsity(read_layer_graph(conv, (4, 7, 8)), data)
    (layer,) = found.values()
    changed = [(data[at] != data[at - 1]) for at in (1, 2)]
    assert layer.zero_activations == pytest.approx((data == 0).mean())
    assert layer.zero_weights == pytest.approx((weight == 0).mean())
    assert layer.unchanged == pytest.approx(1 - np.mean(changed))
    assert layer.active_macs == pytest.approx(np.mean([_loop(conv, sample != 0, weight != 0) for sample in data]))
    assert layer.changed_macs == pytest.approx(np.mean([_loop(conv, mark, weight != 0) for mark in changed]))


def _loop(conv: nn.Conv2d, mark: Any, weight: Any) -> int:
    """Count products of marked values and weights, one by one."""
    (step, _), (pad, _), (spread, _) = conv.stride, conv.padding, conv.dilation  # type: ignore[misc]
    padded = np.pad(mark, ((0, 0), (pad, pad), (pad, pad)))
    n_out, per_group, height, width = weight.shape
    high = (padded.shape[1] - spread * (height - 1) - 1) // step + 1
    wide = (padded.shape[2] - spread * (width - 1) - 1) // step + 1
    total = 0
    for out, channel, row, column in np.argwhere(weight):
        source = channel + out // (n_out // conv.groups) * per_group
        for y in range(high):
            for x in range(wide):
                total += bool(padded[source, y * step + row * spread, x * step + column * spread])
    return total
