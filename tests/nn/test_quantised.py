"""Quantised ReLUs: the published formula in front, the published gradients behind."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import QuantisedReLU, step_from_data

Z = torch.linspace(-1.3, 5.9, 97, dtype=torch.float64).reshape(1, -1)


def lsq_gradient(x: float, level: float, n_levels: float) -> float:
    """Esser et al. 2019, eq. 3, with Q_N = 0 and Q_P = n_levels."""
    if x <= 0:
        return 0.0
    return n_levels if x >= n_levels else level - x


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("rounding", ["round", "floor"])
def test_levels_and_gradients_are_those_written(rounding: Any, clip: bool) -> None:
    step, n_levels = 0.5, 6
    module = QuantisedReLU(n_levels, step=step, rounding=rounding, clip=clip).double()
    z = Z.clone().requires_grad_()
    upstream = torch.cos(torch.arange(Z.numel(), dtype=torch.float64)).reshape(Z.shape)
    found = module(z)
    (found * upstream).sum().backward()
    assert z.grad is not None
    assert module.step.grad is not None
    by_step = 0.0
    top = n_levels if clip else math.inf
    for number, value in enumerate(Z[0].tolist()):
        x = value / step
        level = min(max(math.floor(x + (0.5 if rounding == "round" else 0.0)), 0), top)
        assert found[0, number].item() == pytest.approx(level * step)
        assert z.grad[0, number].item() == pytest.approx(upstream[0, number].item() * (0 < x < top))
        by_step += upstream[0, number].item() * lsq_gradient(x, level, top)
    scale = 1.0 / math.sqrt(Z.numel() * n_levels)  # section 2.2, features of one sample
    assert module.step.grad.item() == pytest.approx(by_step * scale)


def test_rounding_is_qcfs() -> None:
    levels, threshold = 4, 3.0
    expected = threshold * torch.clamp(torch.floor(Z * levels / threshold + 0.5) / levels, 0, 1)  # Bu et al. 2022, eq. 9
    assert torch.allclose(QuantisedReLU(levels, step=threshold / levels).double()(Z), expected)


def test_the_gradient_does_not_grow_with_the_batch_size_twice() -> None:
    gradients = []
    for copies in (1, 4):
        module = QuantisedReLU(6, step=0.5)
        module(Z.float().repeat(copies, 1)).mean().backward()
        assert module.step.grad is not None
        gradients.append(module.step.grad.item())
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-5)


def test_the_first_batch_sets_the_step() -> None:
    module = QuantisedReLU(16)
    first = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    module(first)
    assert module.step.item() == pytest.approx(2 * torch.relu(first).mean().item() / 4)
    before = module.step.item()
    module(10 * first)
    assert module.step.item() == before
    other = QuantisedReLU(16)
    other.load_state_dict(module.state_dict())
    other(10 * first)
    assert other.step.item() == before
    assert "n_levels=16" in repr(other)


def test_training_finds_a_better_step() -> None:
    data = torch.rand(256, 16, generator=torch.Generator().manual_seed(0))
    module = QuantisedReLU(4, step=1.0)

    def loss() -> Tensor:
        return nn.functional.mse_loss(module(data), data)

    before = loss().item()
    optimiser = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(200):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().item() < 0.2 * before
    assert module.step.item() == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(
    "make",
    [
        lambda: QuantisedReLU(0),
        lambda: QuantisedReLU(4, rounding="ceil"),  # type: ignore[arg-type]
        lambda: QuantisedReLU(4, step=0.0),
        lambda: QuantisedReLU(4, step=math.nan),
        lambda: QuantisedReLU(4)(-torch.ones(2, 3)),
        lambda: QuantisedReLU(4).set_step(-1.0),
        lambda: step_from_data(torch.zeros(0), 4),
        lambda: step_from_data(torch.tensor([math.nan]), 4),
    ],
)
def test_steps_are_positive(make: Any) -> None:
    with pytest.raises(InputError, match="fix"):
        make()
