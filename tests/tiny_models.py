"""The four networks of the MLPerf Tiny benchmark (Banbury et al. 2021) with random weights: shape of a sample, and a module."""

from itertools import pairwise
from typing import Any

from layer_networks import Block, MobileNet
from torch import nn


def make_autoencoder() -> nn.Sequential:
    widths = (640, *[128] * 4, 8, *[128] * 4)
    layers = [part for n_in, n_out in pairwise(widths) for part in (nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(128, 640))


def make_keyword_spotter() -> nn.Sequential:
    def unit(conv: nn.Conv2d) -> tuple[nn.Module, ...]:
        return conv, nn.BatchNorm2d(64), nn.ReLU()

    first = nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False)
    deep = [part for _ in range(4) for part in (nn.Conv2d(64, 64, 3, 1, 1, groups=64), nn.Conv2d(64, 64, 1))]
    layers = [part for conv in (first, *deep) for part in unit(conv)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12), nn.Softmax(1))


def make_resnet_8() -> nn.Sequential:
    first = (nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU())
    blocks = (Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
    return nn.Sequential(*first, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1))


TINY: dict[str, tuple[tuple[int, ...], Any]] = {
    "anomaly detection": ((640,), make_autoencoder),
    "keyword spotting": ((1, 49, 10), make_keyword_spotter),
    "image classification": ((3, 32, 32), make_resnet_8),
    "visual wake words": ((3, 96, 96), lambda: MobileNet(8, 2)),
}
