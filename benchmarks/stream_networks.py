"""Networks that streams are timed on: random weights, statistics of normalisation as data leave them."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from snnmap.nn import StepQuantiser, insert_delta

__all__ = ["UNet", "calibrate", "draw_mobilenet", "round_coarsely"]


def _convolve_twice(n_inputs: int, n_outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (n_inputs, n_outputs):
        layers += [nn.Conv2d(before, n_outputs, 3, padding=1), nn.BatchNorm2d(n_outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Two convolutions a level, maximum pools down, transposed convolutions up, levels side by side (Ronneberger 2015)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(widths[0], 2, 1)
        self.downs = nn.ModuleList(_convolve_twice(one, other) for one, other in pairwise((3, *widths)))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(one, other, 2, 2) for one, other in pairwise(widths[::-1]))
        self.merges = nn.ModuleList(_convolve_twice(2 * width, width) for width in widths[-2::-1])

    def forward(self, x: Tensor) -> Tensor:
        """Return two maps of the frame's size."""
        levels = [self.downs[0](x)]
        for down in self.downs[1:]:
            levels.append(down(self.pool(levels[-1])))
        y = levels.pop()
        for up, merge in zip(self.ups, self.merges, strict=True):
            y = merge(torch.cat([up(y), levels.pop()], 1))
        found: Tensor = self.head(y)
        return found


def draw_mobilenet(width: float = 0.25) -> nn.Sequential:
    """Give MobileNet V1 with ReLU6: a convolution within each channel, then one of 1x1, thirteen times (Howard et al. 2017)."""
    strides = {64: 1, 128: 2, 256: 2, 512: 2, 1024: 2}
    before = int(32 * width)
    layers: list[nn.Module] = [nn.Conv2d(3, before, 3, 2, 1, bias=False), nn.BatchNorm2d(before), nn.ReLU6()]
    for wide in (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024):
        after = int(wide * width)
        stride = strides[wide] if after != before else 1
        layers += [nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False), nn.BatchNorm2d(before), nn.ReLU6()]
        layers += [nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU6()]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


@torch.no_grad()
def calibrate(model: nn.Module, frames: Tensor) -> nn.Module:
    """Draw scales and shifts of the normalisations and set their statistics from frames; give the model in evaluation."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
            module.momentum = None  # the mean of all batches: of this one
    model.train()(frames)
    return model.eval()


@torch.no_grad()
def round_coarsely(model: nn.Module, frame: Tensor, factor: float) -> nn.Module:
    """Give a copy whose activations are rounded to ``factor`` times the steps of three bits, coarse as training leaves them."""
    rounded = insert_delta(model, make=lambda _: StepQuantiser(3, clip=False)).eval()
    rounded(frame)  # sets the steps
    for module in rounded.modules():
        if isinstance(module, StepQuantiser):
            module.step.mul_(factor)
    return rounded
