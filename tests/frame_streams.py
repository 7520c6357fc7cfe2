"""Streams of frames, networks whose sums are exact, and a stream held against the network, frame by frame."""

from typing import Any

import torch
from torch import Tensor, nn

from snnmap.delta import DeltaStream
from snnmap.nn import (
    QuantisedReLU,
    SigmaDeltaQuantiser,
    StepQuantiser,
    delta_activation_layer,
)


class Residual(nn.Module):
    """A sum of two branches, one of them shared by two users."""

    def __init__(self, conv: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.conv, self.after = conv, after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.conv(x) + x)


def draw_stream(*shape: int, n_steps: int = 8, rate: float = 0.1, seed: int = 0) -> list[Tensor]:
    """Frames ``(1, *shape)`` float64 of small whole numbers, of which a part changes at every step."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.randint(-3, 4, (1, *shape), generator=generator).double()
    frames = [frame]
    for _ in range(n_steps - 1):
        changes = torch.randint(-3, 4, frame.shape, generator=generator) * (torch.rand(frame.shape, generator=generator) < rate)
        frame = frame + changes
        frames.append(frame)
    return frames


def settle(model: nn.Module) -> nn.Module:
    """Draw the statistics of normalisations, which are otherwise those of nothing; give the model in evaluation."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.5)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return model.double().eval()


def make_dyadic(model: nn.Module) -> nn.Module:
    """Round weights to eighths, so that all sums are exact."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d):
                for parameter in module.parameters():
                    parameter.copy_((8 * parameter).round() / 8)
    return model.double().eval()


@torch.no_grad()
def require_equal(model: nn.Module, frames: list[Tensor], *, atol: float = 1e-10, **options: Any) -> DeltaStream:
    stream = DeltaStream(model, frames[0], **options)
    for frame in frames:
        expected, found = model(frame), stream.step(frame)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0.0, atol=atol)
    return stream


def quantised_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        QuantisedReLU(7, step=0.5),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        StepQuantiser(3, signed=True, n_channels=8, step=1.0),
        Residual(nn.Conv2d(8, 8, 3, padding=1, bias=False), SigmaDeltaQuantiser(step=2.0)),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(8, 4, 2, stride=2),
        StepQuantiser(3, clip=False, step=0.5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        StepQuantiser(3, clip=False, step=0.25),
        nn.Linear(4, 16),
        delta_activation_layer(4),
        nn.Linear(16, 3),
    )
