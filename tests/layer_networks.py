"""Small networks of the shapes that back ends are made for, as torch modules, and what torch.onnx makes of them."""

import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import onnx
import torch
from torch import Tensor, nn


class LeNet(nn.Module):
    """Two convolutions with pools, three linear layers."""

    shape = (1, 28, 28)

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.pool = nn.AvgPool2d(2)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 60), nn.Linear(60, 30), nn.Linear(30, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.tanh(self.conv1(x)))
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.view(x.size(0), -1)))
        return torch.log_softmax(self.fc3(torch.sigmoid(self.fc2(x))), dim=1)


class Block(nn.Module):
    """Two convolutions beside a shortcut, which has one where the shape changes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        changes = stride != 1 or before != after
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)) if changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet(nn.Module):
    """ResNet-18's layers at a sixteenth of the width."""

    shape = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (4, 4, 8, 16, 32)
        for number in range(1, 5):
            before, after = widths[number - 1], widths[number]
            blocks = nn.Sequential(Block(before, after, 1 if number == 1 else 2), Block(after, after, 1))
            setattr(self, f"layer{number}", blocks)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class MobileNet(nn.Module):
    """MobileNet V1's 28 layers, at an eighth of the width where nothing else is said."""

    shape = (3, 64, 64)

    def __init__(self, width: int = 4, classes: int = 10) -> None:
        super().__init__()
        plan = [(1, 2, 1), (2, 4, 2), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 16, 2)]
        plan += [(16, 16, 1)] * 5 + [(16, 32, 2), (32, 32, 1)]
        self.first = self._unit(nn.Conv2d(3, width, 3, 2, 1, bias=False))
        self.units = nn.Sequential(*(self._separable(width * one, width * other, stride) for one, other, stride in plan))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(32 * width, classes))

    def _unit(self, conv: nn.Conv2d) -> nn.Sequential:
        return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU6())

    def _separable(self, before: int, after: int, stride: int) -> nn.Sequential:
        depthwise = nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)
        return nn.Sequential(self._unit(depthwise), self._unit(nn.Conv2d(before, after, 1, bias=False)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.units(self.first(x)))


class Branches(nn.Module):
    """Grouped convolutions, a shuffle, branches that are joined, shared weights, gates, arithmetic and a second output."""

    shape = (4, 12, 12)

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 8, (3, 1), padding=(1, 0), groups=2)
        self.other = nn.Conv2d(4, 8, 3, dilation=2, padding=2)
        self.shared = nn.Conv2d(8, 8, 1)
        self.leaky, self.hard = nn.LeakyReLU(0.1), nn.Hardswish()
        self.norm = nn.BatchNorm2d(16)
        self.pool = nn.AvgPool2d(3, 2, 1, ceil_mode=True)
        self.gate = nn.Linear(16, 16)
        self.last = nn.Linear(16, 5)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 16).view(1, 16, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.cat([self.shared(self.leaky(self.one(x))), self.shared(self.hard(self.other(x)))], dim=1)
        y = self.norm(y * self.scale - 0.25) / 2.0
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        left, right = y.chunk(2, dim=1)
        y = self.pool(torch.cat([left.clamp(-1.0, 1.0), nn.functional.silu(right)], 1))
        gate = torch.sigmoid(self.gate(y.mean(dim=(2, 3)))).unsqueeze(-1).unsqueeze(-1)
        return self.last((y * gate).mean((2, 3))), y[:, 1:, ::2]


NETWORKS: dict[str, Callable[[], Any]] = {"LeNet": LeNet, "ResNet": ResNet, "MobileNet": MobileNet, "Branches": Branches}


def make_network(name: str) -> Any:
    """Give a network in evaluation mode with seeded weights and statistics that have seen something."""
    torch.manual_seed(0)
    return settle_norms(NETWORKS[name](), spread=0.5, std=0.3)


def settle_norms(module: nn.Module, *, spread: float, std: float) -> nn.Module:
    """Give batch normalisations statistics that have seen something, and factors about 1; in evaluation mode."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 1.0 - spread, 1.0 + spread)
            nn.init.normal_(part.bias, std=std)
            nn.init.normal_(part.running_mean, std=std)
            nn.init.uniform_(part.running_var, 1.0 - spread, 1.0 + spread)
    return module.eval()


def export_network(module: nn.Module, shape: tuple[int, ...], **options: Any) -> onnx.ModelProto:
    """Give what torch.onnx.export makes, the batch's size left open."""
    file = BytesIO()
    inputs = torch.rand(3, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (inputs,), file, verbose=False, dynamic_shapes=({0: torch.export.Dim("batch")},), **options)
    return onnx.load_from_string(file.getvalue())
