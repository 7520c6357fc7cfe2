"""What the reader takes is computed as torch does; what it does not take is refused by name."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from snnmap.convert import read_ann, run_ann
from snnmap.core.errors import FrontendError
from snnmap.nn import QuantisedReLU


class Calls(nn.Module):
    """Two linear layers around any function."""

    def __init__(self, function: Callable[[Tensor], Tensor], n_between: int = 8) -> None:
        super().__init__()
        self.function, self.first, self.last = function, nn.Linear(6, 8), nn.Linear(n_between, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(self.function(self.first(x)))
        return result


class Images(nn.Module):
    """A convolution, any function, and a readout of all that is left."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.first = function, nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.function(torch.relu(self.first(x))), 1)


class Reused(nn.Module):
    """One ReLU module in two places, and modules that are called like ports."""

    def __init__(self) -> None:
        super().__init__()
        self.output, self.clock, self.first, self.second = nn.ReLU(), nn.ReLU6(), nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.output(self.first(x))
        x = self.output(self.second(x))
        x = self.clock(10 * x)
        return x.view(x.size(0), -1)


CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "clamp": lambda x: x.clamp(0, 0.4),
    "clamp, keywords": lambda x: torch.clamp(x, min=0.0, max=0.3),
    "clamp_min": lambda x: x.clamp_min(0),
    "clip": lambda x: torch.clip(x, 0, 0.2),
    "relu6": lambda x: F.relu6(20 * x),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 0.3),
    "dropout": lambda x: F.dropout(torch.relu(x), 0.5, training=False),
    "difference": lambda x: torch.relu(x) - 0.5 * torch.relu(x + 1),
    "numbers": lambda x: 1.5 - torch.relu(-x) / 4 + torch.relu(x.sub(0.1)) - 2,
    "negative": lambda x: torch.neg(torch.relu(x)).add(torch.relu(2 * x)),
    "leaky": lambda x: F.leaky_relu(x, 0.3),
    "hardsigmoid": lambda x: F.hardsigmoid(5 * x),
    "clip of both signs": lambda x: x.clamp(-0.4, 0.3),
    "clip from above": lambda x: torch.clamp(x, max=0.1),
    "magnitude": lambda x: torch.abs(x),
    "maximum": lambda x: torch.maximum(x, 0.3 - x) + torch.minimum(x, 2 * x),
    "concatenated": lambda x: torch.cat([x[:, :3], 2 * torch.relu(x[:, 3:])], dim=1),
    "constants": lambda x: (x - torch.arange(8) / 8) * torch.linspace(-1, 1, 8) / torch.full((1, 8), 2.0),
    "a product with a constant matrix": lambda x: x @ torch.eye(8, dtype=torch.float64).flip(0),
    "casts": lambda x: torch.relu(x.to(torch.float64).contiguous()).clone(),
    "halves": lambda x: torch.cat(x.chunk(2, dim=1)[::-1], dim=1),
    "shapes": lambda x: x.view(x.size(0), 2, x.shape[1] // 2).transpose(1, 2).reshape(x.shape[0], -1),
    "means": lambda x: x - x.mean(dim=1, keepdim=True).expand(-1, 8),
    "sums": lambda x: (x.sum(1, keepdim=True) + x) - x.unflatten(1, (2, 4)).sum(1).repeat(1, 2),
    "greatest": lambda x: x - x.amax(dim=1, keepdim=True) + x.max(1, keepdim=True).values,
    "least": lambda x: x + torch.min(x.unflatten(1, (2, 4)), dim=1)[0].repeat(1, 2) - x.amin(1, keepdim=True),
    "greater than a number": lambda x: torch.max(x, torch.full((1, 8), 0.2)) + torch.minimum(torch.arange(8) / 8, x),
    "stacked": lambda x: torch.stack(x.unflatten(1, (2, 4)).unbind(1), dim=2).flatten(1),
    "product and sum": lambda x: torch.addmm(torch.ones(8).double(), x, torch.eye(8).double().flip(0), alpha=2.0),
    "Einstein's sum": lambda x: torch.einsum("bi,oi->bo", x, torch.eye(8).double() + 1),
    "same twice": lambda x: torch.relu(x) + torch.relu(x),
}
IMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "max_pool2d": lambda x: F.max_pool2d(x, (2, 3), stride=2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1, False, False),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive, part": lambda x: F.adaptive_avg_pool2d(x, (2, None)),
    "padded max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "avg_pool2d of all": lambda x: F.avg_pool2d(x, x.size()[2:]),
    "mean": lambda x: x.mean((2, 3)),
    "mean of means": lambda x: x.flatten(2).mean(-1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1)),
    "reflect": lambda x: F.pad(x, (1, 2, 3, 0), mode="reflect"),
    "strided": lambda x: x[:, ::2, 1::2, ::3] + 0,
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, size=(5, 4), mode="bilinear"),
    "shuffle": lambda x: F.pixel_shuffle(x, 2),
    "checked": lambda x: (torch._assert(x.ndim == 4, "images"), x)[1],
    "reshape": lambda x: x.reshape(-1, 4 * 8 * 9),
    "flatten": lambda x: x.flatten(1),
}
LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "even same": (nn.Conv2d(2, 3, (2, 4), padding="same"), (2, 7, 6)),
    "even same, dilated": (nn.Conv2d(2, 3, (4, 2), padding="same", dilation=(1, 3)), (2, 9, 8)),
    "circular": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 7, 6)),
    "even same, 1d": (nn.Conv1d(2, 3, 4, padding="same"), (2, 9)),
    "valid": (nn.Conv1d(2, 3, 4, padding="valid"), (2, 9)),
    "average, padded": (nn.AvgPool2d(3, 2, padding=1), (2, 7, 8)),
    "average, padding not counted": (nn.AvgPool2d((3, 2), 2, padding=1, count_include_pad=False), (2, 7, 8)),
    "average, 1d, padding not counted": (nn.AvgPool1d(3, 2, padding=1, count_include_pad=False), (2, 7)),
    "average, divisor": (nn.AvgPool2d(2, divisor_override=3), (2, 6, 6)),
    "adaptive": (nn.AdaptiveAvgPool2d((2, 3)), (2, 6, 9)),
    "adaptive, uneven": (nn.AdaptiveAvgPool2d((3, 5)), (2, 7, 7)),
    "adaptive, to more": (nn.AdaptiveAvgPool2d((4, None)), (2, 3, 2)),
    "adaptive maximum, uneven": (nn.AdaptiveMaxPool2d((3, 5)), (2, 7, 7)),
    "adaptive maximum, uneven, 1d": (nn.AdaptiveMaxPool1d(4), (2, 7)),
    "average, hanging over": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 6, 8)),
    "average, hanging over, not counted": (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 6, 8)),
    "average, 3d": (nn.AvgPool3d(2), (2, 4, 2, 4)),
    "maximum, hanging over": (nn.MaxPool2d(2, ceil_mode=True), (2, 7, 5)),
    "maximum, dilated": (nn.MaxPool2d(2, 1, dilation=2), (2, 7, 5)),
    "threshold": (nn.Threshold(0.0, 0.0), (5,)),
    "rrelu": (nn.RReLU(), (5,)),
    "adaptive, 1d": (nn.AdaptiveAvgPool1d(3), (2, 9)),
    "transposed": (nn.ConvTranspose2d(2, 3, (3, 2), 2, 1, output_padding=1, groups=1), (2, 5, 6)),
    "transposed, groups, 1d": (nn.ConvTranspose1d(4, 6, 3, 2, groups=2, bias=False), (4, 7)),
    "padded maximum": (nn.MaxPool2d(3, 2, 1), (2, 7, 8)),
    "upsample": (nn.Upsample(scale_factor=(2, 3)), (2, 3, 4)),
    "upsample, bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 4)),
    "zeros around": (nn.ZeroPad2d((1, 0, 2, 1)), (2, 3, 4)),
    "unflatten": (nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2)), nn.Conv2d(3, 2, 2)), (5,)),
    "linear on the last axis": (nn.Linear(4, 3), (2, 4)),
    "alone": (nn.Linear(4, 3), (4,)),
    "leaky": (nn.LeakyReLU(0.2), (5,)),
    "a slope a channel": (nn.PReLU(3), (3, 4)),
    "hardsigmoid": (nn.Hardsigmoid(), (5,)),
    "hardtanh of both signs": (nn.Hardtanh(-0.5, 0.2), (5,)),
    "relu6": (nn.ReLU6(), (5,)),
    "hardtanh": (nn.Hardtanh(0.0, 0.7), (5,)),
    "levels": (QuantisedReLU(3, step=0.3), (5,)),
    "levels, floor": (QuantisedReLU(3, step=0.3, rounding="floor"), (5,)),
    "levels, no clip": (QuantisedReLU(3, step=0.1, clip=False), (5,)),
    "maximum of levels": (nn.Sequential(QuantisedReLU(3, step=0.3), nn.MaxPool2d(2)), (2, 6, 6)),
}


def require_equal(model: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = model.double().eval()
    for parameter in model.parameters():
        if parameter.ndim:
            nn.init.normal_(parameter)
    inputs = torch.randn(9, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = model(inputs).reshape(9, -1).numpy()
    ann = read_ann(model, shape)
    assert np.allclose(run_ann(ann, inputs.numpy())["output"], expected, atol=1e-10)
    names = [layer.name for layer in ann.layers]
    assert len(set(names)) == len(names)
    assert not {"input", "output", "clock", "hold"} & set(names)


@pytest.mark.parametrize("name", CALLS)
def test_functions(name: str) -> None:
    require_equal(Calls(CALLS[name]), (6,))


@pytest.mark.parametrize("name", IMAGES)
def test_functions_of_images(name: str) -> None:
    require_equal(Images(IMAGES[name]), (2, 8, 9))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", LAYERS)
def test_modules(name: str) -> None:
    model, shape = LAYERS[name]
    require_equal(nn.Sequential(model), shape)


def test_modules_may_be_used_twice() -> None:
    require_equal(Reused(), (6,))


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (nn.Sequential(nn.AdaptiveAvgPool3d(3)), (1, 7, 7, 7), "module '0'.*divides"),
        (nn.Sequential(nn.Threshold(0.1, 0.0)), (4,), "a jump at the threshold.*module '0'"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), (3, 8, 8), "module '0'.*limit: 1"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 8), "module '0'.*limit: 3: channels first"),
        (nn.Sequential(nn.Conv2d(1, 2, 5)), (1, 4, 4), "module '0'.*4 x 4"),
        (nn.Sequential(nn.Flatten(0)), (1, 4), "module '0'.*each sample by itself"),
        (nn.Sequential(QuantisedReLU(4)), (4,), "module '0'.*step="),
        (nn.Sequential(nn.Softmax(dim=1), nn.Linear(4, 2)), (4,), "module '0'.*as the last operation"),
        (nn.Sequential(nn.Sigmoid(), nn.Linear(4, 2)), (4,), "but at the end.*module '0'.*fix: use [^|]*ReLU"),
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), (4,), "GELU has no LIF.*fix: train with ReLUs in its place"),
        (nn.Sequential(nn.LSTM(4, 4)), (3, 4), "LSTM has no LIF.*fix: .*recurrent weights instead"),
        (nn.Sequential(nn.Hardtanh(), nn.ELU()), (4,), "ELU has no LIF counterpart.*fix: use [^|]*LeakyReLU"),
        (nn.Sequential(nn.Conv2d(1, 1, 2)), (4,), "other dimensions.*measured: 1 dimensions of a sample   limit: 3"),
        (nn.Sequential(nn.Softmax(dim=1)), (4, 3), "over dimension 1 of .batch, 4, 3"),
        (nn.Sequential(nn.Linear(4, 2, dtype=torch.complex64)), (4,), "complex weights.*'0.weight'.*complex64"),
        (nn.Sequential(nn.Linear(4, 2, device="meta")), (4,), "no values.*'0.weight'.*device 'meta'"),
        (Calls(lambda x: x * x), (6,), "forward, mul.*numbers only"),
        (Calls(lambda x: x / 0), (6,), "forward, truediv"),
        (Calls(lambda x: torch.add(x, x, alpha=x.sum(1))), (6,), "forward, add"),
        (Calls(torch.sigmoid), (6,), "'sigmoid'.*forward, sigmoid"),
        (Calls(lambda x: torch.clamp(x, 1, -1)), (6,), "forward, clamp.*1 to -1"),
        (Calls(lambda x: x.view(-1, 4), 4), (6,), "forward, view"),
        (Calls(lambda x: x.half().float()), (6,), "'half'"),
        (Calls(lambda x: x.to(torch.int32).float()), (6,), "rounds activations.*int32"),
        (Calls(lambda x: x / x.size(0)), (6,), "forward, truediv.*size of the batch"),
        (Calls(lambda x: x.flip(0)), (6,), "forward, flip.*none of the sample's own values"),
        (Calls(lambda x: F.pad(x, (0, 0), value=1.0) + F.pad(x, (1, -1), value=2.0)), (6,), "forward, pad_1"),
        (Calls(lambda x: x - x.mean(0)), (6,), "mixes samples.*forward, mean"),
    ],
)
def test_refusals_name_the_place(model: nn.Module, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(FrontendError, match=f"(?s){said}"):
        read_ann(model, shape)


def test_one_input_only() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    with pytest.raises(FrontendError, match="forward, y"):
        read_ann(Two(), (3,))
