"""Counts of work: those of loops over every weight, whatever the layer."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import DeltaCounter, DeltaNetwork, LayerCount, mask_layers, run_frames


def draw_video(*shape: int, rate: float = 0.3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    steps = torch.randint(-2, 3, shape, generator=generator).double()
    return (steps * (torch.rand(shape, generator=generator) < rate)).cumsum(1)


def count_slowly(layer: nn.Conv2d, signal: Tensor) -> int:
    """Multiplications of non-zero values with non-zero weights, one by one, of a ``(frames, channels, height, width)`` signal."""
    padding, stride = int(layer.padding[0]), layer.stride[0]
    per_group_in, per_group_out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    rows = (signal.shape[2] + 2 * padding - 3) // stride + 1
    total = 0
    for frame, out, y, x, c, i, j in itertools.product(
        range(len(signal)), range(layer.out_channels), range(rows), range(rows), range(per_group_in), range(3), range(3)
    ):
        channel, row, column = out // per_group_out * per_group_in + c, y * stride + i - padding, x * stride + j - padding
        if 0 <= row < signal.shape[2] and 0 <= column < signal.shape[3]:
            total += bool(signal[frame, channel, row, column] != 0) and bool(layer.weight[out, c, i, j] != 0)
    return total


@settings(deadline=None, max_examples=15)
@given(stride=st.integers(1, 2), padding=st.integers(0, 2), groups=st.sampled_from([1, 2]), pruned=st.booleans())
def test_convolutions_are_counted_as_by_loops(stride: int, padding: int, groups: int, pruned: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 2, 3, stride=stride, padding=padding, groups=groups).double()
    if pruned:
        with torch.no_grad():
            layer.weight *= torch.rand_like(layer.weight) < 0.5
    x = draw_video(1, 3, 2, 5, 5)
    with DeltaCounter(layer, n_steps=3) as counter, torch.inference_mode():
        run_frames(layer, x)
    (found,) = counter.layers()
    change = torch.cat([x[:, :1], x[:, 1:] - x[:, :-1]], 1)[0]
    assert found.n_macs == count_slowly(layer, change)
    assert found.n_macs_static == count_slowly(layer, x[0])
    with torch.no_grad():
        layer.weight.fill_(1.0)
    assert found.n_macs_dense == count_slowly(layer, torch.ones_like(x[0]))


def test_a_layer_by_hand() -> None:
    layer = nn.Linear(2, 3)
    with DeltaCounter(layer) as counter:
        layer(torch.tensor([[[1.0, 0.0], [1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]]))
    expected = LayerCount(name="", n_values=8, n_active=6, n_changed=3, n_macs=9, n_macs_static=18, n_macs_dense=24, n_state=5)
    assert counter.layers() == (expected,)
    assert (expected.activation_sparsity, expected.delta_sparsity) == (0.25, 0.625)
    assert (expected.n_fetches, expected.n_fetches_static, expected.n_fetches_dense) == (2 * 3 + 27, 6 + 54, 8 + 72)
    assert counter.total() == replace(expected, name="total")
    assert counter.table().splitlines()[1:] == [
        "                      25.00%  62.50%               9           2.7              33         5",
        "total                 25.00%  62.50%               9           2.7              33         5",
    ]


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)
    ).double()


def integer_net() -> nn.Sequential:
    """A network whose every sum is exact, so that what does not change has a change of exactly 0."""
    model = small_net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((8 * parameter).round())
    return model


def test_streams_are_counted_as_the_same_frames_folded() -> None:
    model, x = integer_net(), draw_video(2, 6, 1, 5, 5, rate=0.05)
    with DeltaCounter(model, n_steps=6) as folded:
        run_frames(model, x)
    delta = DeltaNetwork(model)
    with DeltaCounter(delta) as streamed:
        delta(x)

    def rows(counter: DeltaCounter) -> list[tuple[Any, ...]]:
        return [
            (row.n_values, row.n_active, row.n_changed, row.n_macs, row.n_macs_dense, row.n_state) for row in counter.layers()
        ]

    assert rows(folded) == rows(streamed)
    total = streamed.total()
    assert (total.n_macs, total.n_values) == (sum(row.n_macs for row in folded.layers()), 2 * 6 * (25 + 50 + 8))
    assert total.n_state == (25 + 50) + (50 + 8) + (8 + 3)
    assert 0 < total.n_macs < total.n_macs_dense


def test_a_still_picture_costs_its_first_frame() -> None:
    model = small_net()
    frame = draw_video(1, 1, 1, 5, 5, rate=1.0)
    with DeltaCounter(model, n_steps=1) as first:
        run_frames(model, frame)
    with DeltaCounter(model, n_steps=9) as still:
        run_frames(model, frame.expand(1, 9, 1, 5, 5))
    assert still.total().n_macs == first.total().n_macs == first.total().n_macs_static
    assert still.total().n_macs_dense == 9 * first.total().n_macs_dense


def test_passes_add_up_and_the_model_is_left_alone() -> None:
    model, x = small_net(), draw_video(1, 4, 1, 5, 5)
    expected = run_frames(model, x)
    with DeltaCounter(model, n_steps=4) as counter:
        found = run_frames(model, x)
        once = counter.total()
        run_frames(model, x)
    run_frames(model, x)
    assert torch.equal(found, expected)
    assert counter.total().n_macs == 2 * once.n_macs
    assert counter.total().n_state == once.n_state
    assert [row.name for row in counter.layers()] == ["0", "2", "5"]
    assert all(not module._forward_hooks for module in model.modules())


def test_weights_and_shapes_that_change_between_passes_are_counted_as_they_are() -> None:
    layer = nn.Conv2d(1, 2, 3, bias=False)
    x = torch.ones(1, 1, 1, 4, 4)
    with DeltaCounter(layer, n_steps=1) as counter:
        run_frames(layer, x)
        layer.weight.data[0].zero_()  # which torch's own count of changes does not see
        run_frames(layer, x)
        run_frames(layer, torch.ones(1, 1, 1, 3, 3))
    assert counter.total().n_macs == 2 * 36 + 36 + 9
    assert counter.total().n_macs_dense == 2 * 72 + 18


def test_a_masked_layer_counts_its_effective_weight() -> None:
    layer = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0], [2.0, 3.0]]))
    masked = mask_layers(layer)
    assert bool((masked.weight != 0).any())
    with torch.no_grad():
        masked.weight[0, 1] = 0.5 * masked.threshold  # cut, though the parameter is not 0
    with DeltaCounter(masked) as counter:
        masked(torch.ones(1, 1, 2))
    assert (counter.total().n_macs, counter.total().n_macs_dense) == (3, 6)


@pytest.mark.parametrize(
    ("model", "shape"), [(nn.Conv1d(2, 2, 3), (1, 2, 5)), (nn.Linear(2, 2), (3, 2)), (nn.Conv2d(1, 1, 3), (1, 1, 5, 5))]
)
def test_an_unknown_time_axis_is_refused(model: nn.Module, shape: tuple[int, ...]) -> None:
    with DeltaCounter(model) as counter, pytest.raises(InputError, match="which axis is time"):
        model(torch.ones(shape))
    with pytest.raises(InputError, match="no layer of weights was counted"):
        counter.total()
