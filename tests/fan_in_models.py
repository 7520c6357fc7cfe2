"""Models that break the fan-in of small chips, for the tests of what keeps them within it."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from snnmap.chip import Chip, load_chip
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, LeakyIntegrator, Residual


def make_small_chip(n_inputs: int, n_recurrent: int, n_outputs: int, base: str = "generic-4096") -> Chip:
    """A chip with these fan-in limits."""
    chip = load_chip(base)
    limits = {"input_weights": n_inputs, "recurrent_weights": n_recurrent, "output_weights": n_outputs}
    return replace(chip, **{name: replace(getattr(chip, name), max_fan_in=limit) for name, limit in limits.items()})


def linear(n_pre: int, n_post: int) -> nn.Linear:
    return nn.Linear(n_pre, n_post, bias=False)


def make_lif_model() -> nn.Sequential:
    """Recurrent and residual: the readout reads a sum of three populations."""
    torch.manual_seed(0)
    return nn.Sequential(
        linear(12, 24),
        LIF(24, recurrent=True),
        Residual(linear(24, 24), LIF(24, recurrent=True)),
        Residual(linear(24, 24), LIF(24)),
        linear(24, 4),
        LeakyIntegrator(4),
    )


def make_chip_model() -> nn.Sequential:
    """In the chip's integers, with weights that make all layers fire."""
    torch.manual_seed(0)
    model = nn.Sequential(ChipLIF(16, 48), ChipLIF(48, 32, recurrent=True), Residual(ChipLIF(32, 32)), ChipIntegrator(32, 4))
    with torch.no_grad():
        for path in ("0", "1", "2.body.0"):
            model.get_submodule(path).weight.mul_(3)
    return model


class SkipModel(nn.Module):
    """A skip from the input past one population: it waits in relays."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second, self.skip, self.last = linear(6, 10), linear(10, 2 * 8), linear(6, 2 * 8), linear(8, 3)
        self.a, self.b, self.out = LIF(10, recurrent=True), LIF(8, n_synapses=2, recurrent=True), LeakyIntegrator(3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.last(self.b(self.second(self.a(self.first(x))) + self.skip(x))))
        return out


def draw_counts(n_channels: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 4, (8, 30, n_channels), generator=torch.Generator().manual_seed(seed)).float()


def make_redundant(n: int) -> Tensor:
    """Six inputs of which the last three repeat the first three."""
    values = torch.rand(n, 3, generator=torch.Generator().manual_seed(2))
    return torch.cat([values, values], dim=1)
