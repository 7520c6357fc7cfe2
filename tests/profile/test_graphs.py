"""Graphs with skips, gates, other ranks and quantisation."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 as its users call it
from layer_networks import export_network, make_network
from torch import Tensor, nn

import snnmap
from snnmap.frontends.onnx import quantise_model, read_layer_graph
from snnmap.graph import join_quantised
from snnmap.profile import GraphProfile, profile_graph


class Gate(nn.Module):
    """A depthwise convolution whose channels are weighed by a mean over all places."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.wide, self.last = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), nn.Conv2d(channels, channels, 1)
        self.less, self.more = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.wide(x)
        gate = torch.sigmoid(self.more(F.relu(self.less(F.adaptive_avg_pool2d(y, 1)))))
        return self.last(y * gate)


class Skips(nn.Module):
    """An encoder and a decoder that takes the encoder's values again."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3 if not place else 8, 8, 3, 1, 1) for place in range(4)])
        self.up = nn.ModuleList([nn.Conv2d(16, 8, 3, 1, 1) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for place, conv in enumerate(self.down):
            x = F.relu(conv(x))
            if place < 3:
                kept.append(x)
                x = F.max_pool2d(x, 2)
        for conv in self.up:
            x = conv(torch.cat([F.interpolate(x, scale_factor=2), kept.pop()], 1))
        return x


def list_taps(profile: GraphProfile) -> list[str]:
    return [layer.name for layer in profile.layers if layer.is_tap]


def test_means_that_weigh_channels_are_no_reductions() -> None:
    gates = [Gate(16, 1), Gate(16, 2), Gate(16, 1), Gate(16, 2)]
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), *gates, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))
    profile = snnmap.profile_model(net, (3, 64, 64))
    assert [layer.name for layer in profile.layers if layer.is_reduction] == ["0", "2.wide", "4.wide", "5"]
    assert list_taps(profile) == ["3.last", "4.last"]


def test_values_that_are_taken_again_stay_live() -> None:
    profile = snnmap.profile_model(Skips(), (3, 64, 64))
    assert list_taps(profile) == ["down.2"]
    sides = (64, 32, 16)
    live = {layer.name: layer.live.elements for layer in profile.layers}
    kept = [8 * side**2 for side in sides]
    assert live["down.3"] == sum(kept) + 2 * 8 * 8**2
    assert live["up.0"] == kept[0] + kept[1] + 16 * 16**2 + 8 * 16**2
    assert profile.peak is not None
    assert (profile.peak.name, profile.peak.live.elements) == ("cat_2", 4 * kept[0])


def test_a_residual_sum_is_read_by_the_branch_that_ends_later() -> None:
    profile = snnmap.profile_model(make_network("ResNet"), (3, 32, 32))
    (layer,) = [layer for layer in profile.layers if layer.name == "layer1.0.conv2"]
    assert layer.kinds == ("Conv", "BatchNormalization", "Add", "Relu")
    assert layer.input.elements == 2 * 4 * 8 * 8
    assert layer.live.elements == 3 * 4 * 8 * 8


def test_quantisation_changes_no_count() -> None:
    module = make_network("ResNet")
    floats = export_network(module, module.shape)
    integers = quantise_model(floats, np.random.default_rng(0).normal(size=(4, *module.shape)))
    found = [
        snnmap.profile_model(floats),
        snnmap.profile_model(integers),
        profile_graph(join_quantised(read_layer_graph(integers))),
    ]
    figures = [
        sorted((layer.macs, layer.n_weights, layer.n_biases, layer.output.bits, layer.is_tap) for layer in one.layers)
        for one in found
    ]  # in an order of their own, for onnxruntime's tool orders branches anew
    assert figures[0] == figures[1] == figures[2]
    assert len({sum(layer.input.bits for layer in one.layers) for one in found}) == 1
    assert len({one.peak and one.peak.live.bits for one in found}) == 1


def test_line_buffers_of_other_ranks() -> None:
    lines = snnmap.profile_model(nn.Sequential(nn.Conv1d(4, 8, 5), nn.Conv1d(8, 8, 3, dilation=2)), (4, 100))
    assert [layer.line_buffer_pixels for layer in lines.layers] == [5, 5]
    cubes = snnmap.profile_model(nn.Sequential(nn.Conv3d(2, 3, 3), nn.AvgPool3d(2)), (2, 8, 9, 10))
    assert [layer.line_buffer_pixels for layer in cubes.layers] == [2 * 90 + 2 * 10 + 3, 7 * 8 + 8 + 2]


def test_a_sum_with_a_constant_is_a_bias_of_functions() -> None:
    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel, self.shift = nn.Parameter(torch.ones(5, 3, 3, 3)), nn.Parameter(torch.ones(5, 1, 1))
            self.weight = nn.Parameter(torch.ones(2, 5))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear((F.conv2d(x, self.kernel, padding=1) + self.shift).mean((2, 3)), self.weight)

    profile = snnmap.profile_model(Functions(), (3, 8, 8))
    assert (profile.n_weights, profile.n_biases, profile.n_folded_parameters) == (135 + 10, 5, 150)
    assert [layer.macs for layer in profile.numbered] == [5 * 64 * 27, 10]
