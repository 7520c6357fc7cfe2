"""What is converted is what the model computes: read right, or refused with the cause, whatever was done to the model."""

import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from snnmap.convert import convert_ann, read_ann, run_ann
from snnmap.core.errors import FrontendError, InputError
from snnmap.nn import insert_delta
from snnmap.nn.delta import DeltaNetwork

DATA = np.random.default_rng(0).uniform(0, 1, (30, 6)).astype(np.float32)
IMAGES = np.random.default_rng(0).uniform(0, 1, (30, 1, 6, 6)).astype(np.float32)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(self.act(self.first(x)))
        return result


class Called(Net):
    """Does something around its forward."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(1 - x)


class Stubborn(nn.Module):
    """Keeps its normalisation in training mode, so that it normalises by the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Linear(9, 3)

    def train(self, mode: bool = True) -> "Stubborn":
        super().train(mode)
        self.norm.train(True)
        return self

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(torch.relu(self.norm(self.first(x))))
        return result


class Wave(nn.Module):
    """A weight that depends on how the module is called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.first.weight.mul_(1.5)
        result: Tensor = self.last(torch.relu(self.first(x)))
        return result


class Positive(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.abs()


def patched() -> nn.Module:
    net = Net()
    net.forward = types.MethodType(lambda self, x: self.last(torch.relu(self.first(1 - x))), net)  # type: ignore[method-assign]
    return net


def patched_layer(function: Callable[[Tensor], Tensor]) -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))
    net[1].forward = function  # type: ignore[method-assign]
    return net


def patched_linear() -> nn.Module:
    net = Net()
    net.last.forward = lambda x: 2 * nn.functional.linear(x, net.last.weight)  # type: ignore[method-assign]
    return net


def parametrised() -> nn.Module:
    net = Net()
    parametrize.register_parametrization(net.first, "weight", Positive())
    parametrizations.weight_norm(net.last)
    return net


def compiled() -> nn.Module:
    return torch.compile(Net())  # type: ignore[return-value]


def with_statistics() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 3)).train()
    net(torch.tensor(DATA))
    net[1].running_mean += 0.3  # type: ignore[operator]
    return net


def weights_of_integers() -> nn.Module:
    module = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))
    module[0].weight = nn.Parameter(torch.ones(9, 6, dtype=torch.int8), requires_grad=False)
    return module


def quantised_weights() -> nn.Module:
    from torch.ao import quantization
    from torch.ao.nn import qat

    layer = nn.Linear(6, 9)
    fake = quantization.FakeQuantize.with_args(quant_min=-4, quant_max=3, dtype=torch.qint8, qscheme=torch.per_tensor_symmetric)
    layer.qconfig = quantization.QConfig(activation=quantization.default_observer, weight=fake)  # type: ignore[assignment]
    net = nn.Sequential(qat.Linear.from_float(layer), nn.ReLU(), nn.Linear(9, 3))
    net(torch.tensor(DATA))
    return net.eval()


def prepared(*, convert: bool) -> nn.Module:
    from torch.ao import quantization

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nn.Sequential(quantization.QuantStub(), Net(), quantization.DeQuantStub())
        net.qconfig = quantization.get_default_qconfig("x86")  # type: ignore[assignment]
        net.eval()
        quantization.prepare(net, inplace=True)
        net(torch.tensor(DATA))
        return quantization.convert(net) if convert else net


@pytest.mark.parametrize(
    "make",
    [patched, lambda: patched_layer(lambda z: torch.relu(z - 0.2)), patched_linear, parametrised, compiled, with_statistics],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_read_as_it_computes(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = make()
    modes = [part.training for part in module.modules()]
    ann = read_ann(module, (6,))
    assert [part.training for part in module.modules()] == modes
    plain = getattr(module, "_orig_mod", module).eval()
    with torch.no_grad():
        wanted = plain(torch.tensor(DATA)).numpy()
    assert np.allclose(run_ann(ann, DATA)["output"], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: patched_layer(lambda z: nn.functional.softplus(z)), "softplus"),
        (Called, "__call__ of its own"),
        (weights_of_integers, "(?s)does not run.*scale '0.weight', which is int8.*get_submodule\\('0'\\).weight.float"),
        (quantised_weights, "(?s)qat.*quantises as it runs.*module '0'.*quantize_static"),
        (lambda: prepared(convert=False), "QuantStub quantises as it runs"),
        (lambda: prepared(convert=True), "Quantize quantises as it runs"),
        (Stubborn, "not what the model computes"),
        (Wave, "changed in place|not what the model computes|cannot be followed"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_it_is_refused(make: Callable[[], nn.Module], said: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(FrontendError, match=said):
        convert_ann(make(), DATA)


def test_the_comparison_is_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a reader takes an operation for, a run of the module tells."""
    from snnmap.convert import layers

    monkeypatch.setattr(layers.LayerList, "rectify_leaky", lambda _self, _name, value, _slope: value)
    with pytest.raises(FrontendError, match=r"(?s)not what the model computes.*15 of 15 samples"):
        convert_ann(nn.Sequential(nn.Linear(6, 9), nn.LeakyReLU(0.1), nn.Linear(9, 3)), DATA)


class Optional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 9), nn.Linear(9, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None, gain: float = 2.0) -> Tensor:
        x = torch.relu(self.first(x)) * gain
        if mask is not None:
            x = x * mask
        result: Tensor = self.last(x)
        return result


class Globally(nn.Module):
    """Pools by the shape that it meets, as many nets for small images do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv(x))
        result: Tensor = self.last(nn.functional.avg_pool2d(y, y.size()[3]).view(y.size(0), -1))
        return result


@pytest.mark.parametrize(("module", "data"), [(Optional(), DATA), (Globally(), IMAGES)])
def test_shapes_and_defaults_are_those_of_the_call(module: nn.Module, data: np.ndarray) -> None:
    ann = read_ann(module, data.shape[1:])
    assert np.allclose(run_ann(ann, data)["output"], module(torch.tensor(data)).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("last", [nn.LogSoftmax(1), nn.Softmax(-1)])
def test_a_softmax_at_the_end_gives_logits(last: nn.Module) -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 3))
    conversion = convert_ann(nn.Sequential(body, last), DATA)
    logits = body(torch.tensor(DATA)).detach().numpy()
    assert np.allclose(conversion.expected, logits, atol=1e-5)
    assert conversion.ann.left_out in ("log_softmax", "softmax")
    assert "logits" in conversion.network.provenance["left out"]


def nan_net() -> nn.Module:
    net = Net()
    with torch.no_grad():
        net.last.weight[1, 2] = float("nan")
    return net


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Net, "(?s)a class is not a model.*Net"),
        (Net().state_dict(), "(?s)OrderedDict.*load_state_dict"),
        (None, "NoneType"),
        (torch.jit.ScriptModule(), "TorchScript"),
        (nn.Sequential(nn.Linear(6, 4, device="meta"), nn.ReLU()), "(?s)no values.*0.weight"),
        (nan_net(), "(?s)not finite.*module 'last'.*NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_no_model_is_named(model: Any, said: str) -> None:
    with pytest.raises(FrontendError, match=said):
        convert_ann(model, DATA)


def test_scikit_learn_is_named() -> None:
    from sklearn.neural_network import MLPClassifier

    with pytest.raises(FrontendError, match=r"(?s)not fitted.*MLPClassifier.*fit\(x, y\)"):
        convert_ann(MLPClassifier(), DATA)


def test_data_may_need_gradients_and_must_be_an_array() -> None:
    torch.manual_seed(0)
    net = Net()
    one, other = convert_ann(net, torch.tensor(DATA, requires_grad=True)), convert_ann(net, DATA)
    assert one.network == other.network
    with pytest.raises(InputError, match=r"(?s)DataLoader.*torch.cat"):
        convert_ann(net, torch.utils.data.DataLoader(torch.tensor(DATA), 8))
    with pytest.raises(InputError, match=r"(?s)DataLoader.*torch.cat"):
        one.encode(torch.utils.data.DataLoader(torch.tensor(DATA), 8))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"(?s)dict.*ConvertOptions\(\.\.\.\)"):
        convert_ann(net, DATA, options={"n_steps": 8})  # type: ignore[arg-type]
    with pytest.raises(FrontendError, match=r"(?s)lazy layer.*module '0'.*once on an input"):
        convert_ann(nn.Sequential(nn.LazyLinear(4), nn.ReLU()), DATA)


def test_classes_are_read_from_potentials_of_a_run() -> None:
    torch.manual_seed(0)
    conversion = convert_ann(Net(), DATA)
    potentials = np.zeros((5, conversion.latency_steps, conversion.expected.shape[1]))
    assert conversion.read(potentials).shape == (5,)
    for wrong in ({"output": potentials}, potentials[0], potentials.sum(axis=1), potentials[..., :-1]):
        with pytest.raises(InputError, match=r"(?s)no potentials.*artifacts\.run\("):
            conversion.read(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [insert_delta, DeltaNetwork])
def test_a_path_is_no_module(make: Callable[[Any], nn.Module]) -> None:
    with pytest.raises(InputError, match=r"(?s)builtins.str.*torch.nn.Module"):
        make("net.onnx")


def with_huge_values() -> nn.Module:
    """Clips values of 1e12 to 6, which an ANN does by a difference of two ReLUs."""
    net = nn.Sequential(nn.Linear(6, 9), nn.ReLU6(), nn.Linear(9, 3))
    with torch.no_grad():
        net[0].weight.mul_(1e12)  # type: ignore[operator]
    return net


def with_norms_of_nothing() -> nn.Module:
    """A weight by a norm that is nearly 0, computed in float32."""
    net = nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 9)), nn.ReLU(), nn.Linear(9, 3))
    with torch.no_grad():
        u, weight = net[0].weight_u, net[0].weight_orig
        side = weight @ net[0].weight_v  # type: ignore[operator]
        u.copy_(nn.functional.normalize(u - (u @ side) / (side @ side) * side * (1 - 1e-4), dim=0))  # type: ignore[operator]
    return net


@pytest.mark.parametrize("make", [with_huge_values, with_norms_of_nothing])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_rounding_is_not_taken_for_a_misreading(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    assert read_ann(make(), (6,)).output.size == 3


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
def test_a_weight_that_is_misread_by_a_little_is_found(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """One weight of 256 is read as 1 + 1e-5 of what it is."""
    from snnmap.frontends.torch import call

    read = call.read_parameter

    def misread(module: nn.Module, name: str) -> Tensor:
        found = read(module, name).detach().double().clone()
        if found.shape == (16, 16):
            found[3, 5] *= 1 + 1e-5
        return found

    monkeypatch.setattr(call, "read_parameter", misread)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale)
    with pytest.raises(FrontendError, match="not what the model computes"):
        read_ann(net, (6,))


class Mixed(Net):
    """Makes a constant in float32, whatever type its weights have."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.linspace(0.1, 1.0, 3).sqrt()


def test_a_constant_in_single_precision_is_no_misreading() -> None:
    torch.manual_seed(0)
    assert read_ann(Mixed(), (6,)).output.size == 3
