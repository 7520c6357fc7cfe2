"""Quantisers of delta layers: the published formulas in front, the published gradients behind."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from snnmap.core.errors import InputError
from snnmap.nn import FixedPoint, QuantisedReLU, StepQuantiser, count_integer_bits, step_from_data

Z = torch.linspace(-5.3, 5.9, 96, dtype=torch.float64).reshape(1, 3, 32)
UPSTREAM = torch.cos(torch.arange(96, dtype=torch.float64)).reshape(Z.shape)


def bounds(width: int, clip: bool, signed: bool) -> tuple[float, float]:
    if not clip:
        return -math.inf, math.inf
    return (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)


@pytest.mark.parametrize("n_channels", [None, 3])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("clip", [True, False])
def test_levels_and_gradients_are_those_written(clip: bool, signed: bool, n_channels: int | None) -> None:
    width = 3
    module = StepQuantiser(width, clip=clip, signed=signed, n_channels=n_channels, step=0.5).double()
    with torch.no_grad():
        module.step.mul_(torch.tensor([1.0, 0.7, 1.3], dtype=torch.float64) if n_channels else 1.0)
    z = Z.clone().requires_grad_()
    found = module(z)
    (found * UPSTREAM).sum().backward()
    assert z.grad is not None
    assert module.step.grad is not None
    bottom, top = bounds(width, clip, signed)
    by_step = [0.0, 0.0, 0.0]
    for channel in range(3):
        step = module.step.detach().expand(3)[channel].item()
        for number, value in enumerate(Z[0, channel].tolist()):
            x, upstream = value / step, UPSTREAM[0, channel, number].item()
            level = min(max(math.floor(x + 0.5), bottom), top)
            assert found[0, channel, number].item() == pytest.approx(level * step)
            assert z.grad[0, channel, number].item() == pytest.approx(upstream * (bottom < x < top))
            by_step[channel] += upstream * (level - x if bottom < x < top else level)
    highest = bounds(width, True, signed)[1]
    if n_channels is None:
        assert module.step.grad.item() == pytest.approx(sum(by_step) / math.sqrt(96 * highest))
    else:
        assert module.step.grad.tolist() == pytest.approx([part / math.sqrt(32 * highest) for part in by_step])


def test_unsigned_with_a_clip_is_the_quantised_relu() -> None:
    ours, theirs = StepQuantiser(3, step=0.5).double(), QuantisedReLU(7, step=0.5).double()
    gradients = []
    for module in (ours, theirs):
        z = Z.clone().requires_grad_()
        (module(z) * UPSTREAM).sum().backward()
        assert z.grad is not None
        assert module.step.grad is not None
        gradients.append((module(Z), z.grad, module.step.grad))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_the_first_batch_sets_the_steps_of_layer_and_channels() -> None:
    data = torch.randn(4, 3, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.0, 5.0]).view(3, 1)
    layer, channels = StepQuantiser(4, signed=True), StepQuantiser(4, signed=True, n_channels=3)
    layer(data)
    channels(data)
    whole = step_from_data(data.abs(), 7)
    assert layer.step.item() == pytest.approx(whole)
    assert channels.step.tolist() == pytest.approx(
        [step_from_data(data[:, 0].abs(), 7), whole, step_from_data(data[:, 2].abs(), 7)]
    )
    before = channels.step.tolist()
    channels(9 * data)
    assert channels.step.tolist() == before
    other = StepQuantiser(4, signed=True, n_channels=3)
    other.load_state_dict(channels.state_dict())
    other(9 * data)
    assert other.step.tolist() == before


def test_channels_may_be_the_last_axis() -> None:
    module = StepQuantiser(4, clip=False, n_channels=2, channel_axis=-1, step=1.0)
    with torch.no_grad():
        module.step.copy_(torch.tensor([1.0, 10.0]))
    assert module(torch.full((1, 2, 2), 7.2)).tolist() == [[[7.0, 10.0]] * 2]


@given(
    largest=st.floats(1e-3, 1e3),
    width=st.integers(2, 16),
    signed=st.booleans(),
    values=st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=9),
)
def test_fixed_point_has_integer_bits_of_the_data(largest: float, width: int, signed: bool, values: list[float]) -> None:
    data = torch.tensor([*values, 1.0], dtype=torch.float64) * largest
    module = FixedPoint(width, signed=signed)
    found = module(data)
    n_integer_bits = math.floor(math.log2(largest)) + 1
    assert module.n_integer_bits.item() == n_integer_bits
    step = 2.0 ** (n_integer_bits - width + signed)
    assert module.step == step
    levels = found / step
    assert torch.equal(levels, levels.round())
    kept = data if signed else data.relu()
    assert (found - kept).abs().max().item() <= step  # half of one, but for the highest, which saturates
    assert len(levels.unique()) <= 2**width
    assert levels.max().item() <= 2 ** (width - signed) - 1


def test_fixed_point_passes_gradients_within_its_range() -> None:
    module = FixedPoint(3)
    module.calibrate(torch.tensor([3.9]))  # 2 integer bits and 1 of fraction: 0 to 3.5
    z = torch.tensor([-1.0, 0.3, 3.4, 3.6, 9.0], requires_grad=True)
    y = module(z)
    y.backward(torch.arange(1.0, 6.0))
    assert y.tolist() == [0.0, 0.5, 3.5, 3.5, 3.5]
    assert z.grad is not None
    assert z.grad.tolist() == [0.0, 2.0, 3.0, 0.0, 0.0]
    other = FixedPoint(3)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(z), y)
    assert "step=0.5" in repr(other)


@pytest.mark.parametrize(("value", "bits"), [(0.2, -2), (0.25, -1), (0.5, 0), (0.99, 0), (1.0, 1), (-255.0, 8), (256.0, 9)])
def test_integer_bits(value: float, bits: int) -> None:
    assert count_integer_bits(torch.tensor([0.0, value])) == bits


def nan_step() -> Tensor:
    module = StepQuantiser(4, step=1.0)
    with torch.no_grad():
        module.step.fill_(math.nan)
    result: Tensor = module(Z)
    return result


@pytest.mark.parametrize(
    "make",
    [
        lambda: FixedPoint(0),
        lambda: FixedPoint(1, signed=True),
        lambda: FixedPoint(4)(torch.zeros(3)),
        lambda: FixedPoint(4)(torch.tensor([math.inf])),
        lambda: StepQuantiser(0),
        lambda: StepQuantiser(4, n_channels=0),
        lambda: StepQuantiser(4, step=0.0),
        lambda: StepQuantiser(4)(torch.zeros(2, 3)),
        lambda: StepQuantiser(4, n_channels=2)(torch.ones(2, 3)),
        lambda: StepQuantiser(4, n_channels=2)(torch.ones(2)),
        nan_step,
    ],
)
def test_what_cannot_be_quantised_is_refused(make: Any) -> None:
    with pytest.raises(InputError, match="fix"):
        make()
