"""MobileNet V1, layer by layer, against the published totals and a plan that is written out here."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from layer_networks import MobileNet
from quantised_networks import make_mobilenet
from torch import nn

import snnmap
from snnmap.frontends.torch import read_layer_graph
from snnmap.profile import GraphProfile, ProfileOptions, profile_graph

PLAN = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
PLAN += [(512, 512, 1)] * 5 + [(512, 1024, 2), (1024, 1024, 1)]
SIDES = {"small": (224, 224), "wide": (720, 1280)}


@cache
def make_module() -> nn.Module:
    torch.manual_seed(0)
    return MobileNet(32, 1000)


@cache
def make_profile(size: str, reader: str) -> GraphProfile:
    shape = (3, *SIDES[size])
    if reader == "torch":
        return profile_graph(read_layer_graph(make_module(), shape))
    return snnmap.profile_model(make_mobilenet(), shape)


def list_wanted(height: int, width: int) -> list[dict[str, Any]]:
    """Give weights, multiply-accumulates, read and written values of the 28 layers, at 'same' padding."""
    found = []

    def add(n_in: int, n_out: int, per_value: int, stride: int) -> None:
        nonlocal height, width
        read = n_in * height * width
        height, width = -(-height // stride), -(-width // stride)
        written = n_out * height * width
        found.append({"weights": n_out * per_value, "macs": written * per_value, "read": read, "written": written})

    add(3, 32, 27, 2)
    for before, after, stride in PLAN:
        add(before, before, 9, stride)
        add(before, after, before, 1)
    found.append({"weights": 1024 * 1000, "macs": 1024 * 1000, "read": 1024, "written": 1000})
    return found


@pytest.mark.parametrize("reader", ["torch", "onnx"])
@pytest.mark.parametrize("size", SIDES)
def test_every_layer_is_as_the_plan_says(size: str, reader: str) -> None:
    profile, wanted = make_profile(size, reader), list_wanted(*SIDES[size])
    assert [layer.number for layer in profile.numbered] == list(range(1, 29))
    for layer, one in zip(profile.numbered, wanted, strict=True):
        found = {"weights": layer.n_weights, "macs": layer.macs, "read": layer.input.elements, "written": layer.output.elements}
        assert found == one
        read_bits = one["read"] * (8 if layer.number == 1 else 4)
        assert (layer.input.bits, layer.output.bits, layer.weight.bits) == (read_bits, one["written"] * 4, one["weights"] * 8)
        assert layer.bandwidth.read == read_bits * 30 / 8
        assert layer.bandwidth.written == one["written"] * 4 * 30 / 8
        assert layer.bandwidth.weights == one["weights"] * 30
        moved = (read_bits + one["written"] * 4 + one["weights"] * 8) / 8
        assert layer.intensity == pytest.approx(one["macs"] / moved)
        n_input = 3 * SIDES[size][0] * SIDES[size][1]
        assert layer.output.per_input_elements == pytest.approx(one["written"] / n_input)
        assert layer.output.per_input_bits == pytest.approx(one["written"] * 4 / (n_input * 8))


@pytest.mark.parametrize("reader", ["torch", "onnx"])
def test_totals_are_those_published(reader: str) -> None:
    profile = make_profile("small", reader)
    assert profile.macs == 568_740_352
    assert profile.n_weights == 4_209_088


def test_parameters_are_those_of_torch_with_and_without_normalisations() -> None:
    profile, module = make_profile("small", "torch"), make_module()
    statistics = sum(tensor.numel() for name, tensor in module.named_buffers() if "running" in name)
    assert profile.n_biases == 1000
    assert profile.n_norms - statistics == sum(
        tensor.numel() for part in module.modules() if isinstance(part, nn.BatchNorm2d) for tensor in part.parameters()
    )
    assert profile.n_parameters - statistics == sum(tensor.numel() for tensor in module.parameters())
    assert profile.n_folded_parameters == 4_209_088 + 10_944 + 1000 == make_profile("small", "onnx").n_folded_parameters


@pytest.mark.parametrize("size", SIDES)
def test_the_first_layers_have_the_highest_bandwidth_and_few_parameters(size: str) -> None:
    profile = make_profile(size, "torch")
    rate = {layer.number: layer.bandwidth.activations for layer in profile.numbered}
    assert max(rate, key=lambda number: rate[number]) == 3
    assert min(rate[number] for number in range(1, 8)) > max(rate[number] for number in range(9, 29))
    assert sum(profile[number].n_weights for number in range(1, 13)) < 0.04 * profile.n_weights
    assert max(profile.numbered, key=lambda layer: layer.n_weights).number == 27
    for number in (4, 8, 12, 24):  # a stride leaves a quarter of what it reads
        assert profile[number].output.elements * 4 == pytest.approx(profile[number].input.elements, rel=0.03)


@pytest.mark.parametrize("reader", ["torch", "onnx"])
@pytest.mark.parametrize("size", SIDES)
def test_strides_and_taps(size: str, reader: str) -> None:
    layers = make_profile(size, reader).numbered
    assert [layer.number for layer in layers if layer.strides == (2, 2)] == [1, 4, 8, 12, 24]
    assert [layer.number for layer in layers if layer.is_tap] == [7, 11, 23, 27]
    assert layers[6].marks == "tap"
    assert layers[7].marks == "/2"


def test_line_buffers_hold_two_lines_and_three_pixels_of_all_channels() -> None:
    profile = make_profile("wide", "torch")
    assert (profile[1].line_buffer_pixels, profile[1].line_buffer_bits) == (2 * 1280 + 3, (2 * 1280 + 3) * 3 * 8)
    assert profile[2].line_buffer_bits == (2 * 640 + 3) * 32 * 4
    assert profile[3].line_buffer_pixels == 1
    assert profile[28].line_buffer_pixels == 0


def test_no_more_than_two_values_are_live_without_skips() -> None:
    profile = make_profile("wide", "torch")
    for layer in profile.layers:
        assert layer.live.bits == layer.input.bits + layer.output.bits
    assert profile.peak is not None
    assert profile.peak.number == 3


def test_other_bits_and_rates_scale_the_volumes() -> None:
    options = ProfileOptions(input_bits=16, activation_bits=2, weight_bits=5, fps=7.5)
    one, other = make_profile("small", "torch"), profile_graph(read_layer_graph(make_module(), (3, 224, 224)), options)
    assert other[1].input.bits == 2 * one[1].input.bits
    assert other[9].output.bits * 2 == one[9].output.bits
    assert other[9].weight.bits == 5 * one[9].n_weights
    assert other[9].bandwidth.read * 8 == one[9].bandwidth.read


def test_sparsity_of_a_still_picture_leaves_nothing_to_compute() -> None:
    torch.manual_seed(0)
    frames = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).repeat(2, axis=0)
    profile = snnmap.profile_model(MobileNet(), (3, 64, 64), data=frames)
    for layer in profile.numbered:
        assert layer.sparsity is not None
        assert layer.sparsity.unchanged == 1.0
        assert layer.sparsity.changed_macs == 0.0
        assert 0 < layer.sparsity.active_macs <= layer.macs
