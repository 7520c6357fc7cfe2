"""The topologies that the onnx wheel brings, against the shapes that onnx infers; readers against each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from layer_counts import count_by_hooks, count_by_onnx
from layer_networks import export_network, make_network
from torch import Tensor, nn

import snnmap
from snnmap.frontends.torch import read_layer_graph
from snnmap.profile import GraphProfile, profile_graph

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
TOTALS = {
    "resnet50": (4_089_184_256, 25_502_912),
    "vgg19": (19_632_062_464, 143_652_544),
    "squeezenet": (349_151_936, 1_231_552),
    "densenet121": (2_834_161_664, 7_894_208),
    "inception_v1": (1_431_556_352, 6_990_272),
    "shufflenet": (124_664_528, 1_365_464),
    "inception_v2": (2_018_851_840, 11_174_080),
    "bvlc_alexnet": (654_560_384, 60_954_656),
    "zfnet512": (1_481_727_008, 87_242_528),
}
"""Multiply-accumulates and weights."""
TAPS = {"resnet50": [(256, 56), (512, 28), (1024, 14), (2048, 7)], "vgg19": [(256, 56), (512, 28), (512, 14)]}


def read_light(name: str) -> tuple[onnx.ModelProto, GraphProfile]:
    model = onnx.load(str(LIGHT / f"light_{name}.onnx"))
    return model, snnmap.profile_model(model)


@pytest.mark.parametrize("name", TOTALS)
def test_every_layer_is_as_onnx_infers_its_shapes(name: str) -> None:
    model, profile = read_light(name)
    found = [(layer.macs, layer.n_weights, layer.output.elements) for layer in profile.numbered]
    wanted = count_by_onnx(model)
    assert found == [(one.macs, one.weights, one.given) for one in wanted]
    assert (profile.macs, profile.n_weights) == TOTALS[name] == (sum(x.macs for x in wanted), sum(x.weights for x in wanted))
    assert not profile.opaque


@pytest.mark.parametrize("name", TAPS)
def test_taps_are_the_stages_of_a_pyramid(name: str) -> None:
    _, profile = read_light(name)
    assert [(layer.output_shape[0], layer.output_shape[1]) for layer in profile.layers if layer.is_tap] == TAPS[name]


class Bottleneck(nn.Module):
    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        same = before == 4 * width
        short = (nn.Conv2d(before, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
        self.short = nn.Identity() if same else nn.Sequential(*short)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn3(self.conv3(y)) + self.short(x))


class ResNet50(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks, before = [], 64
        for stage, count in enumerate((3, 4, 6, 3)):
            for number in range(count):
                blocks.append(Bottleneck(before, 64 << stage, 2 if stage and not number else 1))
                before = 256 << stage
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


def test_resnet_50_of_torch_and_of_onnx_agree() -> None:
    module = ResNet50()
    _, other = read_light("resnet50")
    one = profile_graph(read_layer_graph(module, (3, 224, 224)))
    assert summarise(one) == summarise(other)
    assert one.n_norms == other.n_norms
    assert (one.macs, one.n_weights) == TOTALS["resnet50"]
    assert sum(count.macs for count in count_by_hooks(module, (3, 224, 224))) == one.macs
    assert one.peak is not None
    assert other.peak is not None
    assert one.peak.live == other.peak.live


def summarise(profile: GraphProfile) -> list[tuple[Any, ...]]:
    """Give the figures of each layer with weights, in an order that readers share."""
    layers = profile.numbered
    return sorted(
        (layer.macs, layer.n_weights, layer.n_folded_parameters, layer.output_shape, layer.kernel, layer.strides, layer.is_tap)
        for layer in layers
    )


@pytest.mark.parametrize("name", ["ResNet", "Branches"])
def test_readers_of_torch_and_of_its_export_agree(name: str) -> None:
    module = make_network(name)
    one = snnmap.profile_model(module, module.shape)
    other = snnmap.profile_model(export_network(module, module.shape))
    figures: list[Callable[[GraphProfile], Any]] = [lambda p: p.macs, lambda p: p.n_weights]
    assert [figure(one) for figure in figures] == [figure(other) for figure in figures]
    assert [(layer.macs, layer.n_weights, layer.output) for layer in sorted(one.numbered, key=key)] == [
        (layer.macs, layer.n_weights, layer.output) for layer in sorted(other.numbered, key=key)
    ]
    assert one.macs == sum(count.macs for count in count_by_hooks(module, module.shape))


def key(layer: Any) -> tuple[int, int, int]:
    return layer.macs, layer.n_weights, layer.output.elements
