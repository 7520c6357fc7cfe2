"""What is read of a module is what it computes: hooks, in-place changes and other forwards are refused or followed."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from snnmap.convert import read_ann, run_ann
from snnmap.core.errors import FrontendError
from snnmap.frontends.torch import load
from snnmap.nn import LIF, EventLinear
from snnmap.nn.tracing import trace_module


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Louder(LIF):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 3)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.one(x))
        if self.training:
            x = x * 5
        return self.other(x)


class InPlace(nn.Module):
    """A value rectified in place and used again: in torch the second use is rectified too."""

    def __init__(self, rectify: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.other, self.rectify = nn.Linear(4, 4), nn.Linear(4, 3), rectify

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        return self.other(self.rectify(x) + x)


def hooked(module: nn.Module) -> nn.Module:
    module[0].register_forward_hook(lambda _module, _inputs, output: output * 3)
    return module


def pruned(module: nn.Module) -> nn.Module:
    prune.l1_unstructured(module[0], "weight", 2)
    return module


def ann() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))


def test_a_subclass_is_followed() -> None:
    module, inputs = nn.Sequential(Doubled(4, 4), nn.ReLU(), nn.Linear(4, 3)).double(), torch.rand(5, 4, dtype=torch.float64)
    found = run_ann(read_ann(module, (4,)), inputs.numpy())["output"]
    assert np.allclose(found, module(inputs).detach().numpy())


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (InPlace(nn.ReLU(inplace=True)), "changed in place"),
        (InPlace(torch.relu_), "changed in place"),
        (InPlace(lambda x: x.flatten(1).relu_()), "changed in place"),
        (hooked(ann()), "a hook of the module"),
    ],
)
def test_an_ann_that_computes_something_else_is_refused(module: nn.Module, said: str) -> None:
    with pytest.raises(FrontendError, match=said):
        read_ann(module, (4,))


def test_in_place_without_another_use_is_read() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), EventLinear(4, 3)).double()
    inputs = torch.rand(5, 4, dtype=torch.float64)
    wanted = module(inputs).detach().numpy()
    np.testing.assert_allclose(run_ann(read_ann(module, (4,)), inputs.numpy())["output"], wanted, atol=1e-12)


def test_the_evaluation_branch_is_read_and_the_mode_stays() -> None:
    torch.manual_seed(0)
    module = Branching().double().train()
    module.other.eval()
    inputs = torch.rand(5, 4, dtype=torch.float64)
    found = run_ann(read_ann(module, (4,)), inputs.numpy())["output"]
    assert [module.training, module.one.training, module.other.training] == [True, True, False]
    np.testing.assert_allclose(found, module.eval()(inputs).detach().numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(Doubled(4, 6, bias=False), LIF(6)),
        nn.Sequential(nn.Linear(4, 6, bias=False), Louder(6)),
        hooked(nn.Sequential(nn.Linear(4, 6, bias=False), LIF(6))),
        pruned(nn.Sequential(nn.Linear(4, 6, bias=False), LIF(6))),
    ],
)
def test_a_spiking_module_that_computes_something_else_is_refused(module: nn.Module) -> None:
    with pytest.raises(FrontendError):
        load(module)


class Asking(nn.Module):
    """Asks in forward whether what it has is a tensor, a parameter or a list."""

    def __init__(self, neurons: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.one, self.neurons = nn.Linear(4, 6, bias=False), neurons()
        self.other, self.last = nn.Linear(6, 3, bias=False), neurons()

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_tensor(x) and not isinstance(x, nn.Parameter):
            x = self.neurons(self.one(x))
        if isinstance(x, Tensor) and not isinstance(x, list | tuple):
            x = self.last(self.other(x))
        return x


def test_forwards_that_ask_for_tensors_are_read() -> None:
    torch.manual_seed(0)
    module, inputs = Asking(nn.ReLU).double(), torch.rand(5, 4, dtype=torch.float64)
    found = run_ann(read_ann(module, (4,)), inputs.numpy())["output"]
    np.testing.assert_allclose(found, module(inputs).detach().numpy(), atol=1e-12)
    sizes = iter((6, 3))
    assert [p.name for p in load(Asking(lambda: LIF(next(sizes)))).populations] == ["neurons", "last"]


class Subtracted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.neurons = nn.Linear(4, 6, bias=False), nn.Linear(4, 6, bias=False), LIF(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.neurons(torch.add(self.one(x), self.other(x), alpha=-1))


def test_a_scaled_addition_is_refused() -> None:
    with pytest.raises(FrontendError, match="alpha"):
        load(Subtracted())


def test_bare_neurons_are_a_network() -> None:
    assert [population.name for population in load(LIF(3)).populations] == ["0"]


def test_a_bare_linear_layer_is_no_network() -> None:
    with pytest.raises(FrontendError, match="not the output of neurons"):
        load(nn.Linear(3, 2))


class Summing(nn.Module):
    """Adds to zeros that it makes: fx makes them once."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros(1, 3)
        y += self.one(x)
        return y


def test_a_constant_changed_in_place_is_refused() -> None:
    with pytest.raises(FrontendError, match="made once is changed in place"):
        trace_module(Summing(), ())
