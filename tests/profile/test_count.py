"""Operations of each kind, counted by hand."""

from typing import Any

import pytest
from torch import nn

import snnmap

SHAPE = (4, 6, 8)
VALUES = 4 * 6 * 8
OTHERS: dict[str, tuple[nn.Module, int]] = {
    "activation": (nn.ReLU(), VALUES),
    "bounded activation": (nn.ReLU6(), VALUES),
    "product with a sigmoid": (nn.SiLU(), 2 * VALUES),
    "normalisation": (nn.BatchNorm2d(4), 2 * VALUES),
    "normalisation over neighbours": (nn.LocalResponseNorm(3), 3 * VALUES),
    "softmax": (nn.Softmax(dim=1), 3 * VALUES),
    "maximum": (nn.MaxPool2d(2), 4 * 4 * 3 * 4),
    "overlapping mean": (nn.AvgPool2d(3, 1), 9 * 4 * 4 * 6),
    "mean of all places": (nn.AdaptiveAvgPool2d(1), VALUES),
    "maximum of all places": (nn.AdaptiveMaxPool2d(1), VALUES),
    "bias": (nn.Conv2d(4, 2, 1), 2 * 48),
    "no bias": (nn.Conv2d(4, 2, 1, bias=False), 0),
    "bias of a transposed convolution": (nn.ConvTranspose2d(4, 2, 2, 2), 2 * 12 * 16),
    "bias of every place": (nn.Linear(8, 3), 4 * 6 * 3),
    "resizing": (nn.Upsample(scale_factor=2), 4 * VALUES),
    "moving": (nn.PixelShuffle(2), 0),
    "nothing": (nn.Flatten(), 0),
}


@pytest.mark.parametrize("name", OTHERS)
def test_operations_beside_multiply_accumulates(name: str) -> None:
    module, wanted = OTHERS[name]
    assert snnmap.profile_model(module, SHAPE).other_ops == wanted


MACS: dict[str, tuple[Any, tuple[int, ...], int]] = {
    "groups": (nn.Conv2d(4, 6, 3, groups=2), SHAPE, 6 * 4 * 6 * 2 * 9),
    "one kernel a channel": (nn.Conv2d(4, 4, 3, groups=4), SHAPE, 4 * 4 * 6 * 9),
    "padding counts": (nn.Conv2d(4, 6, 3, padding=1), SHAPE, 6 * 48 * 4 * 9),
    "strides and dilation": (nn.Conv2d(4, 6, 3, 2, 2, 2), SHAPE, 6 * 3 * 4 * 4 * 9),
    "one dimension": (nn.Conv1d(4, 6, 3), (4, 10), 6 * 8 * 4 * 3),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, 2, groups=2), SHAPE, VALUES * 3 * 9),
    "vectors": (nn.Linear(8, 3), (8,), 24),
    "a place each": (nn.Linear(8, 3), SHAPE, 4 * 6 * 24),
}


@pytest.mark.parametrize("name", MACS)
def test_multiply_accumulates(name: str) -> None:
    module, shape, wanted = MACS[name]
    assert snnmap.profile_model(module, shape).macs == wanted


def test_parts_of_a_value_are_read_and_not_all_of_it() -> None:
    class Half(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[:, :2]

    (layer,) = snnmap.profile_model(Half(), SHAPE).layers
    assert (layer.input.elements, layer.output.elements) == (VALUES // 2, VALUES // 2)
