"""Small networks as people write and export them, over a hundred: torch's forms and ONNX files of several exporters."""

import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from layer_networks import export_network
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import prune

Make = Callable[[], nn.Module]


class Calls(nn.Module):
    """A convolution, any function of its ReLU, and a linear layer on all that is left."""

    def __init__(self, function: Callable[[Any, Tensor], Any], n_left: int, shape: tuple[int, ...] = (2, 8, 8)) -> None:
        super().__init__()
        self.function, self.shape = function, shape
        self.first, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(n_left, 3)
        self.register_buffer("mean", torch.tensor([0.4, 0.6]).view(1, 2, 1, 1))
        self.gain = nn.Parameter(torch.tensor([0.5, 1.0, 1.5, 2.0]).view(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.function(self, torch.relu(self.first(x)))
        return self.last(torch.relu(x).flatten(1))


class Vectors(nn.Module):
    """Linear layers around any function of a vector."""

    def __init__(self, function: Callable[[Any, Tensor], Any], n_left: int = 8) -> None:
        super().__init__()
        self.function, self.first, self.last = function, nn.Linear(6, 8), nn.Linear(n_left, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self, self.first(x)))


class Whole(nn.Module):
    """Any function as the whole forward, with two linear layers at hand."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function, self.first, self.last = function, nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class Optional(nn.Module):
    """Optional arguments that decide between branches, shape asserts, an auxiliary head that is for training only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.aux = nn.Linear(6, 8), nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 1.0) -> Tensor:
        torch._assert(x.shape[1] == 6, "six values")
        assert x.ndim == 2
        if x.shape[-1] != 6:
            raise ValueError(x.shape)
        y = torch.relu(self.first(x))
        if mask is not None:
            y = y * mask
        if self.training:
            y = y + self.aux(y).mean()
        return self.last(y) * scale


class Residual(nn.Module):
    """A ResNet's stem, a basic block with a strided shortcut, and its head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.one = nn.Sequential(
            nn.Conv2d(4, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)
        )
        self.short = nn.Sequential(nn.Conv2d(4, 8, 1, 2, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(self.one(x) + self.short(x))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class PaddedShortcut(nn.Module):
    """A ResNet's block for small images: the shortcut is every second place, with channels of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 8, 3, 2, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.second(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2), "constant", 0))
        return self.head(F.avg_pool2d(x, x.size(3)).view(x.size(0), -1))


class Encoder(nn.Module):
    """A UNet: halved, doubled by a transposed convolution, and joined with what was before."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(8, 1, 1)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        return self.last(torch.relu(torch.cat([x, self.up(torch.relu(self.middle(F.max_pool2d(x, 2))))], dim=1)))


class Causal(nn.Module):
    """Dilated convolutions of which the places that see the future are cut off, around a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 4, 3, padding=2), nn.Conv1d(4, 4, 3, padding=4, dilation=2)
        self.skip, self.head = nn.Conv1d(2, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x)[:, :, :-2].contiguous())
        y = torch.relu(self.second(y)[:, :, :-4] + self.skip(x))
        return self.head(y[:, :, -1])


class Mobile(nn.Module):
    """Depthwise separable layers with ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU6(),
            nn.Conv2d(4, 4, 3, 1, 1, groups=4, bias=False), nn.BatchNorm2d(4), nn.ReLU6(),
            nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4)
    )


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))


def parametrised() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3))


def pruned() -> nn.Module:
    made = mlp()
    prune.l1_unstructured(made[0], "weight", 0.5)
    prune.random_structured(made[2], "weight", 0.25, dim=0)
    return made


def images(*layers: nn.Module) -> Make:
    """Give a convolution, a ReLU, some layers, and a linear layer on what is left."""
    return lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), *layers, nn.Flatten(), nn.LazyLinear(3))


V, I, C = (6,), (2, 8, 8), (3, 16, 16)  # noqa: E741 shapes of vectors, images, colour images
TORCH: dict[str, tuple[Make, tuple[int, ...]]] = {
    "mlp": (mlp, V),
    "cnn": (cnn, (1, 8, 8)),
    "resnet": (Residual, C),
    "mobilenet": (Mobile, C),
    "logistic regression": (lambda: nn.Sequential(nn.Linear(6, 3), nn.Softmax(1)), V),
    "softmax last": (lambda: nn.Sequential(*mlp(), nn.Softmax(dim=-1)), V),
    "log_softmax last": (lambda: Whole(lambda m, x: F.log_softmax(m.last(F.relu(m.first(x))), dim=1)), V),
    "skip from input to output": (lambda: Whole(lambda m, x: m.last(torch.relu(m.first(x))) + x[:, :3]), V),
    "mean over places": (lambda: Calls(lambda _, x: x.mean((2, 3)), 4), I),
    "mean kept": (lambda: Calls(lambda _, x: x - x.mean(dim=(2, 3), keepdim=True), 256), I),
    "zero pad": (lambda: Calls(lambda _, x: F.pad(x, (1, 2, 0, 1)), 4 * 9 * 11), I),
    "slice": (lambda: Calls(lambda _, x: x[:, 1:, ::2, -4:], 48), I),
    "narrow and select": (lambda: Calls(lambda _, x: x.narrow(2, 1, 4).select(1, 2), 32), I),
    "split": (lambda: Calls(lambda _, x: sum(torch.split(x, 2, dim=1)), 128), I),
    "unbind and stack": (lambda: Calls(lambda _, x: torch.stack(x.unbind(1)[:2], dim=1), 128), I),
    "chunk and cat": (lambda: Calls(lambda _, x: torch.cat(x.chunk(4, 1)[::-1], 1), 256), I),
    "parts of two sizes": (lambda: Calls(lambda _, x: torch.cat(torch.split(x, [1, 3], 1)[::-1], 1), 256), I),
    "picked": (lambda: Calls(lambda _, x: x[:, [0, 2]], 128), I),
    "side by side": (lambda: Vectors(lambda _, x: torch.hstack([torch.relu(x), torch.rsub(x, 1)]), 16), V),
    "pixel shuffle": (images(nn.PixelShuffle(2)), I),
    "pixel unshuffle": (images(nn.PixelUnshuffle(2)), I),
    "transposed": (lambda: Calls(lambda _, x: x.permute(0, 2, 3, 1).contiguous(), 256), I),
    "squeezed": (lambda: Calls(lambda _, x: x.mean((2, 3), keepdim=True).squeeze(-1).unsqueeze(1).squeeze(), 4), I),
    "sum": (lambda: Calls(lambda _, x: x.sum(dim=1) + x.sum((1,)), 64), I),
    "amax": (lambda: Calls(lambda _, x: x.amax(dim=(2, 3)) + x.max(dim=3)[0].max(2).values, 4), I),
    "amin": (lambda: Calls(lambda _, x: torch.amin(x, 1), 64), I),
    "minimum and maximum": (lambda: Vectors(lambda _, x: torch.minimum(x, -x) + torch.max(x, 2 * x)), V),
    "negative": (lambda: Vectors(lambda _, x: -torch.relu(-x)), V),
    "abs": (lambda: Vectors(lambda _, x: x.abs()), V),
    "leaky": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.1), nn.Linear(8, 3)), V),
    "prelu": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.PReLU(4), nn.Flatten(), nn.Linear(144, 3)), I),
    "prelu as a function": (lambda: Vectors(lambda m, x: F.prelu(x, m.last.weight[0])), V),
    "relu6 and hardtanh": (lambda: Vectors(lambda _, x: F.relu6(4 * x) + F.hardtanh(x)), V),
    "stem pool": (images(nn.MaxPool2d(3, 2, 1)), I),
    "ceil max pool": (images(nn.MaxPool2d(3, 2, ceil_mode=True)), I),
    "padded average": (images(nn.AvgPool2d(3, 2, 1)), I),
    "padded average, not counted": (images(nn.AvgPool2d(3, 2, 1, count_include_pad=False)), I),
    "ceil average": (images(nn.AvgPool2d(3, 2, ceil_mode=True)), I),
    "global max pool": (images(nn.AdaptiveMaxPool2d(1)), I),
    "uneven adaptive average": (images(nn.AdaptiveAvgPool2d((3, 5))), I),
    "uneven adaptive maximum": (images(nn.AdaptiveMaxPool2d((3, 8))), I),
    "nearest": (images(nn.Upsample(scale_factor=2)), I),
    "bilinear": (images(nn.Upsample(size=(5, 11), mode="bilinear")), I),
    "interpolate to a size": (lambda: Calls(lambda _, x: F.interpolate(x, size=x.shape[2] * 2), 4 * 256), I),
    "transposed convolution": (images(nn.ConvTranspose2d(4, 2, 2, 2), nn.ReLU()), I),
    "buffers": (lambda: Whole(lambda m, x: m.last(torch.relu(m.first((x - 0.5) / 0.25)))), V),
    "scale parameter": (lambda: Calls(lambda m, x: x * m.gain, 256), I),
    "F.linear": (lambda: Whole(lambda m, x: F.linear(F.relu(F.linear(x, m.first.weight, m.first.bias)), m.last.weight)), V),
    "x @ W.T": (lambda: Whole(lambda m, x: torch.relu(x @ m.first.weight.T + m.first.bias) @ m.last.weight.t()), V),
    "addmm": (lambda: Whole(lambda m, x: torch.addmm(m.last.bias, m.first(x).relu(), m.last.weight.T)), V),
    "einsum": (lambda: Whole(lambda m, x: torch.einsum("bi,oi->bo", m.first(x).relu(), m.last.weight)), V),
    "casts": (lambda: Whole(lambda m, x: m.last(torch.relu(m.first(x.float())).to(x.device).type_as(x))), V),
    "old weight norm": (old_weight_norm, V),
    "parametrised weight norm": (parametrised, V),
    "pruned": (pruned, V),
    "optional arguments and asserts": (Optional, V),
    "tuple": (lambda: Whole(lambda m, x: (m.last(torch.relu(m.first(x))), m.first(x))), V),
    "dict": (lambda: Whole(lambda m, x: {"logits": m.last(torch.relu(m.first(x)))}), V),
    "one in a list": (lambda: Whole(lambda m, x: [m.last(torch.relu(m.first(x)))]), V),
    "where": (lambda: Vectors(lambda _, x: torch.where(x > 0, x, torch.zeros_like(x))), V),
    "choices of the greater": (lambda: Vectors(lambda _, x: torch.where(x > 0.25, x, 0.25) - x.masked_fill(x >= 0.5, 0.5)), V),
    "mean of members": (lambda: Whole(lambda m, x: torch.stack([m.last(F.relu(m.first(y))) for y in (x, -x)]).mean(0)), V),
    "places first": (lambda: Calls(lambda _, x: torch.relu(x.flatten(2).permute(2, 0, 1) - 0.25)[1:].amax(0), 4), I),
    "batch between axes": (lambda: Calls(lambda _, x: x.view(-1, 2, 2, 64).permute(2, 0, 3, 1)[1], 128), I),
    "repeated": (lambda: Calls(lambda _, x: x.repeat(1, 2, 1, 1), 512), I),
    "running sum": (lambda: Calls(lambda _, x: x.cumsum(1), 256), I),
    "threshold": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Threshold(0.0, 0.0), nn.Linear(8, 3)), V),
    "rrelu and relu_": (lambda: nn.Sequential(nn.Linear(6, 8), nn.RReLU(), nn.ReLU(inplace=True), nn.Linear(8, 3)), V),
    "clamp": (lambda: Vectors(lambda _, x: x.clamp(min=0).clamp_max(0.5)), V),
    "grouped and shuffled": (images(nn.Conv2d(4, 4, 3, groups=2), nn.ChannelShuffle(2), nn.ReLU()), I),
    "1-d": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(),
                                  nn.Linear(12, 3)), (2, 8)),
    "modules in a list and a dict": (lambda: Whole(lambda m, x: nn.ModuleDict({"a": m.last})["a"](torch.relu(m.first(x)))), V),
    "view with sizes": (lambda: Calls(lambda _, x: x.view(x.size(0), -1, x.size(2) // 2, 2).reshape(x.shape[0], -1), 256), I),
    "padded shortcut": (PaddedShortcut, I),
    "unet": (Encoder, I),
    "causal": (Causal, (2, 8)),
    "windows": (lambda: Calls(lambda _, x: F.unfold(x, 3, padding=1, stride=2).mean(-1), 36), I),
    "einsum by place": (lambda: Calls(lambda m, x: torch.einsum("bchw,cw->bhc", x, m.gain.view(4, 1).expand(4, 8)), 32), I),
    "maxout": (lambda: Vectors(lambda _, x: x.view(x.shape[0], 4, 2).max(dim=2)[0], 4), V),
    "dueling": (lambda: Vectors(lambda _, x: x[:, :1] + x - x.mean(dim=1, keepdim=True)), V),
    "squeeze and excite": (lambda: Calls(lambda _, x: x * F.hardsigmoid(x.mean((2, 3), keepdim=True)), 256), I),
    "hardswish": (lambda: Vectors(lambda _, x: F.hardswish(x)), V),
    "flattened by numel": (lambda: Calls(lambda _, x: x.view(x.shape[0], x[0].numel()), 256), I),
}  # fmt: skip


def make_module(name: str) -> nn.Module:
    """Give a network in evaluation mode, with seeded weights and statistics that have seen something."""
    make, shape = TORCH[name]
    torch.manual_seed(0)
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.running_mean, std=0.3)
    with torch.no_grad():
        module.eval()(torch.rand(2, *shape))  # which gives lazy layers their size
    return module


def export_old(module: nn.Module, shape: tuple[int, ...], opset: int) -> onnx.ModelProto:
    """Give what torch's exporter by TorchScript writes."""
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.rand(2, *shape),), file, dynamo=False, verbose=False, opset_version=opset, input_names=["x"],
            dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


def export_program(module: nn.Module, shape: tuple[int, ...], batch: int, **options: Any) -> Any:
    return torch.export.export(module, (torch.rand(batch, *shape),), **options)


ROUTES: dict[str, Callable[[nn.Module, tuple[int, ...]], Any]] = {
    "torch.compile": lambda module, _: torch.compile(module),
    "DataParallel": lambda module, _: nn.DataParallel(module),
    "fx": lambda module, _: torch.fx.symbolic_trace(module),
    "jit.trace": lambda module, shape: torch.jit.trace(module, torch.rand(2, *shape)),
    "jit.script": lambda module, _: torch.jit.script(module),
    "export": lambda module, shape: export_program(module, shape, 1),
    "export, decomposed": lambda module, shape: export_program(module, shape, 1).run_decompositions(),
    "export, open": lambda module, shape: export_program(module, shape, 3, dynamic_shapes=({0: torch.export.Dim.AUTO},)),
    "ONNX": lambda module, shape: export_network(module, shape, optimize=True),
    "ONNX by TorchScript": lambda module, shape: export_old(module, shape, 17),
    "ONNX 11": lambda module, shape: export_old(module, shape, 11),
    "ONNX 9": lambda module, shape: export_old(module, shape, 9),
    "quantize_static": lambda module, shape: quantise(module, shape),
    "quantize_static, QUInt8, per channel": lambda module, shape: quantise(module, shape, unsigned=True, per_channel=True),
    "quantize_static, QOperator": lambda module, shape: quantise(module, shape, operators=True),
}
"""What a module becomes on the way to a reader."""

SOURCES: list[tuple[str, str]] = [
    *((route, name) for route in ("torch.compile", "DataParallel", "fx", "jit.script") for name in ("mlp",)),
    *((route, name) for route in ("jit.trace", "export") for name in ("mlp", "cnn", "resnet", "slice")),
    *(
        ("export, decomposed", name)
        for name in ("cnn", "resnet", "softmax last", "zero pad", "transposed convolution", "uneven adaptive average", "1-d")
    ),
    *(("export, open", name) for name in ("cnn", "mobilenet", "transposed", "dict")),
    *(
        ("export", name)
        for name in ("parts of two sizes", "picked", "side by side", "prelu", "global max pool", "nearest", "bilinear")
    ),
    *(("ONNX", name) for name in ("cnn", "resnet", "mobilenet", "log_softmax last", "pixel shuffle", "pixel unshuffle")),
    *(("ONNX", name) for name in ("einsum by place", "windows", "causal", "unet", "picked", "threshold")),
    *(("export", name) for name in ("mean of members", "places first", "batch between axes")),
    *(
        ("ONNX by TorchScript", name)
        for name in (
            "where",
            "choices of the greater",
            "mean of members",
            "places first",
            "batch between axes",
            "repeated",
            "running sum",
        )
    ),
    *(
        ("quantize_static, QOperator", name)
        for name in ("mean kept", "ceil average", "softmax last", "mean of members", "zero pad")
    ),
    *(("quantize_static", name) for name in ("softmax last", "mean of members")),
    *(("ONNX by TorchScript", name) for name in ("mlp", "resnet", "sum", "amax", "ceil average", "nearest", "prelu", "split")),
    *(("ONNX 11", name) for name in ("cnn", "squeezed", "bilinear", "softmax last", "leaky")),
    *(("ONNX 9", name) for name in ("cnn", "zero pad", "clamp")),
    *((route, name) for route in ROUTES if route.startswith("quantize") for name in ("mlp", "cnn", "resnet", "mobilenet")),
    ("quantize_static", "padded shortcut"),
]


class _Samples:
    """Calibration data as onnxruntime's quantiser asks for them."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        rows = np.random.default_rng(0).uniform(0, 1, (20, 1, *shape)).astype(np.float32)
        self.rest: Iterator[dict[str, Any]] = iter([{"x": row} for row in rows])

    def get_next(self) -> dict[str, Any] | None:
        return next(self.rest, None)


def quantise(
    module: nn.Module, shape: tuple[int, ...], *, unsigned: bool = False, per_channel: bool = False, operators: bool = False
) -> onnx.ModelProto:
    """Give what onnxruntime's quantize_static makes of an export, by its own defaults where nothing else is said."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    chosen = {"activation_type": QuantType.QUInt8} if unsigned else {}
    with TemporaryDirectory() as folder:
        path, made = (str(Path(folder, name)) for name in ("net.onnx", "quantised.onnx"))
        onnx.save(export_old(module, shape, 17), path)
        form = QuantFormat.QOperator if operators else QuantFormat.QDQ
        quantize_static(path, made, _Samples(shape), quant_format=form, per_channel=per_channel, **chosen)
        return onnx.load(made)
