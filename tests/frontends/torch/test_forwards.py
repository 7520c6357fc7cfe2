"""Modules of torch and snnTorch that compute otherwise than their class are refused, and parametrised weights are read."""

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from snnmap.core.errors import FrontendError
from snnmap.frontends import snntorch as snntorch_frontend
from snnmap.loading import load
from snnmap.network import simulate_network
from snnmap.nn import LIF

snn = pytest.importorskip("snntorch")
torch.set_num_threads(1)


class Doubled(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Called(nn.Linear):
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().__call__(x)


def of_snnmap(first: type[nn.Linear] = nn.Linear) -> nn.Sequential:
    return nn.Sequential(first(4, 5, bias=False), LIF(5), nn.Linear(5, 3, bias=False), LIF(3))


def of_snntorch(first: type[nn.Linear] = nn.Linear) -> nn.Sequential:
    kind = {"alpha": 0.5, "beta": 0.75, "init_hidden": True}
    return nn.Sequential(first(4, 5), snn.Synaptic(**kind), nn.Dropout(), nn.Linear(5, 3), snn.Synaptic(**kind, output=True))


def replace(module: Any, name: str) -> None:
    old = getattr(module, name)
    module.__dict__[name] = types.MethodType(lambda _, *given, **options: old(*given, **options), module)


def replaced(model: nn.Sequential, index: int, name: str) -> nn.Module:
    replace(model[index], name)
    return model


def quantised(model: nn.Sequential) -> nn.Module:
    from torch.ao import quantization
    from torch.ao.nn import qat

    model[0] = qat.Linear(4, 5, bias=False, qconfig=quantization.get_default_qat_qconfig("x86"))
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "change",
    [
        lambda: of_snnmap(Doubled),
        lambda: of_snnmap(Called),
        lambda: replaced(of_snnmap(), 0, "forward"),
        lambda: replaced(of_snnmap(), 1, "forward"),
        lambda: quantised(of_snnmap()),
        lambda: replaced(of_snntorch(), 1, "forward"),
        lambda: quantised(of_snntorch()),
    ],
)
def test_other_forwards_are_refused(change: Callable[[], nn.Module]) -> None:
    with pytest.raises(FrontendError):
        load(change())


@pytest.mark.parametrize(
    ("change", "factor"),
    [(lambda: of_snntorch(Doubled), 2), (lambda: of_snntorch(Called), 2), (lambda: replaced(of_snntorch(), 0, "forward"), 1)],
)
def test_other_forwards_of_layers_beside_snntorchs_neurons_are_followed(change: Callable[[], nn.Sequential], factor: int) -> None:
    torch.manual_seed(0)
    model, plain = change(), of_snntorch()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        for parameter in plain[0].parameters():
            parameter *= factor
    raster = np.random.default_rng(0).poisson(2.0, (1, 60, 4))
    found, wanted = (simulate_network(load(each), raster).counts["4"] for each in (model, plain))
    assert found.sum() > 0
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("name", ["mem_reset", "fire", "_base_sub"])
def test_a_method_of_snntorchs_neurons_replaced_on_the_instance_is_refused(name: str) -> None:
    with pytest.raises(FrontendError, match=f"has a {name} of its own"):
        load(replaced(of_snntorch(), 1, name))


def test_dropout_that_does_something_is_refused() -> None:
    with pytest.raises(FrontendError):
        load(replaced(of_snntorch(), 2, "forward"))


def test_parametrised_weights_are_read_as_they_are_used() -> None:
    torch.manual_seed(0)
    plain, model = of_snntorch(), of_snntorch()
    parametrizations.weight_norm(model[0])
    with torch.no_grad():
        model[0].parametrizations.weight.original0 *= 3  # the norms of the rows
    for index in (0, 3):
        plain[index].load_state_dict({"weight": model[index].weight.detach(), "bias": model[index].bias.detach()})
    raster = np.random.default_rng(0).poisson(1.0, (1, 60, 4))
    found, wanted = (simulate_network(snntorch_frontend.load(m), raster).counts["4"] for m in (model, plain))
    assert found.sum() > 0
    assert np.array_equal(found, wanted)
