"""What people write in a forward beside layers: read as torch computes it, or refused for what it does."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from snnmap.core.errors import FrontendError
from snnmap.frontends.torch import read_layer_graph
from snnmap.graph import measure_difference, run_graph


class Outputs(NamedTuple):
    scores: Tensor
    hidden: Tensor


class Idiom(nn.Module):
    def __init__(self, function: Callable[["Idiom", Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(4, 2))])
        self.named = nn.ParameterDict({"gain": nn.Parameter(torch.randn(6))})
        self.heads, self.shares = nn.ModuleList([nn.Linear(6, 2) for _ in range(3)]), nn.Parameter(torch.randn(3))
        self.norm = nn.InstanceNorm1d(2, affine=True, track_running_stats=True)
        self.register_buffer("mask", torch.arange(6) % 2 == 0)
        self.register_buffer("places", torch.randn(1, 6))
        self.mask: Tensor
        self.places: Tensor

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


READ: dict[str, Callable[[Idiom, Tensor], Any]] = {
    "a part of a Sequential": lambda m, x: m.layers[1:](m.layers[:1](x)),
    "ParameterList": lambda m, x: torch.relu(x @ m.weights[0]) @ m.weights[1],
    "ParameterDict": lambda m, x: x * m.named["gain"],
    "checkpoint": lambda m, x: checkpoint.checkpoint(m.layers, x, use_reentrant=False),
    "checkpoint_sequential": lambda m, x: checkpoint.checkpoint_sequential(m.layers, 2, x, use_reentrant=False),
    "rows of a constant": lambda m, x: sum(s * head(x) for s, head in zip(torch.softmax(m.shares, 0), m.heads, strict=True)),
    "outputs with names": lambda m, x: Outputs(m.layers(x), m.layers[0](x)),
    "a number of numpy": lambda m, x: m.layers(x) * np.float32(0.1),
    "alpha": lambda m, x: torch.add(x, m.layers(x), alpha=0.5) - torch.rsub(m.layers(x), x, alpha=2),
    "alpha of a constant": lambda m, x: x.sub(m.places, alpha=3),
    "where with a number": lambda m, x: torch.where(m.mask, m.layers(x), 0.0),
    "clamp between a number and none": lambda m, x: torch.clamp(m.layers(x), 0.0),
    "repeat_interleave": lambda _, x: x.repeat_interleave(2, 1),
    "rot90": lambda _, x: torch.rot90(x.view(-1, 2, 3), 1, (1, 2)),
    "diff": lambda _, x: torch.diff(x, dim=1),
    "mT": lambda _, x: x.view(-1, 2, 3).mT,
    "running statistics of InstanceNorm": lambda m, x: m.norm(x.view(-1, 2, 3)),
    "a buffer for each sample": lambda m, x: torch.cat([m.places.expand(x.shape[0], -1), x], 1),
    "one value a sample": lambda m, x: m.layers(x)[:, 0],
}


def compare(graph: Any, module: nn.Module) -> None:
    inputs = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = module.double()(inputs.clone())
    found = run_graph(graph, inputs.numpy())
    outputs = wanted if isinstance(wanted, tuple) else (wanted,)
    assert len(graph.outputs) == len(outputs)
    for name, one in zip(graph.outputs, outputs, strict=True):
        assert measure_difference(found[name], one.numpy()) < 1e-6


@pytest.mark.parametrize("name", READ)
def test_it_is_read(name: str) -> None:
    torch.manual_seed(0)
    module = Idiom(READ[name]).eval()
    module.norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    original = checkpoint.checkpoint
    compare(read_layer_graph(module, (6,)), module)
    assert checkpoint.checkpoint is original


def change_a_view(m: Idiom, x: Tensor) -> Tensor:
    y = m.layers(x)
    y.view(-1, 2, 3)[:, 0].mul_(3.0)
    return y  # type: ignore[no-any-return]


def change_behind_a_view(m: Idiom, x: Tensor) -> Tensor:
    y = m.layers(x)
    z = y.view(-1, 2, 3).transpose(1, 2)
    y += 1.0
    return z.flatten(1)  # type: ignore[no-any-return]


def add_to_another_name(m: Idiom, x: Tensor) -> Tensor:
    y = z = m.layers(x)
    y += 1.0
    return y + z  # type: ignore[no-any-return]


def write_a_column(m: Idiom, x: Tensor) -> Tensor:
    y = m.layers(x)
    y[:, 0] = 0.0
    return y  # type: ignore[no-any-return]


def write_into_an_argument(m: Idiom, x: Tensor) -> Tensor:
    y = m.layers(x)
    torch.mul(y, 2.0, out=y)
    return y  # type: ignore[no-any-return]


def change_one_part_and_use_it(m: Idiom, x: Tensor) -> Tensor:
    y = m.layers(x)
    left, right = y.chunk(2, 1)
    left.mul_(2.0)
    return left + right  # type: ignore[no-any-return]


CHANGES = [
    change_a_view, change_behind_a_view, add_to_another_name, write_a_column, write_into_an_argument, change_one_part_and_use_it,
]  # fmt: skip


@pytest.mark.parametrize("function", CHANGES)
def test_what_is_changed_in_place_and_used_again_is_refused(function: Any) -> None:
    with pytest.raises(FrontendError, match="changed in place and used again"):
        read_layer_graph(Idiom(function), (6,))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("function", CHANGES)
@pytest.mark.parametrize("door", ["export", "script"])
def test_other_doors_refuse_it_or_read_it_right(function: Any, door: str) -> None:
    torch.manual_seed(0)
    module = Idiom(function).eval().requires_grad_(False)
    example = torch.randn(2, 6)
    given = torch.export.export(module, (example,)) if door == "export" else torch.jit.trace(module, (example,))
    try:
        graph = read_layer_graph(given, (6,))
    except FrontendError:
        return
    compare(graph, module)


def test_parts_share_no_memory_with_each_other() -> None:
    def change_one_part(m: Idiom, x: Tensor) -> Tensor:
        left, right = m.layers(x).chunk(2, 1)
        return left.relu_() + right  # type: ignore[no-any-return]

    torch.manual_seed(0)
    module = Idiom(change_one_part).eval().requires_grad_(False)
    compare(read_layer_graph(module, (6,)), module)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_traced_module_of_doubles_is_read() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double().eval()
    traced = torch.jit.trace(module, (torch.zeros(1, 3, dtype=torch.float64),))
    x = np.random.default_rng(0).normal(size=(5, 3))
    graph = read_layer_graph(traced, (3,))
    assert measure_difference(run_graph(graph, x)[graph.outputs[0]], module(torch.tensor(x)).detach().numpy()) <= 1e-9
