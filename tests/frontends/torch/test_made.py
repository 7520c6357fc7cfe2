"""What forwards make of the size of the batch, choose by masks or spread, is what torch gives, or refused."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from snnmap.core.errors import FrontendError
from snnmap.frontends.torch import read_layer_graph
from snnmap.graph import run_graph

torch.set_num_threads(1)

N = 4
MASK = torch.tensor([True, False, True, False])
Body = Callable[[Any, Tensor], Tensor]


class Model(nn.Module):
    def __init__(self, body: Body) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc, self.back = body, nn.Linear(N, N), nn.Linear(N, N)
        self.conv = nn.Conv1d(N, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


def recur(s: Any, x: Tensor) -> Tensor:
    hidden = torch.zeros(x.size(0), N, device=x.device, dtype=x.dtype)
    for step in range(3):
        hidden = functional.relu(s.fc(x * step) + s.back(hidden))
    return hidden


ELSEWHERE: Any = ModuleType("elsewhere")
"""Another file of the user's."""
exec(
    """
import functools
import torch
import torch as th
from torch import ones, where, zeros
mask = torch.tensor([True, False, True, False])
chosen, table = functools.partial(torch.where, mask), {"where": torch.where}
def choose(x): return torch.where(mask, x, 0.0)
def choose_by_name(x): return where(mask, 0.5, th.where(mask, x, 1.0))
def widen(x): return torch.cat([x, torch.zeros(x.shape[0], 2), ones(x.size(0), 1)], 1)
def enclose(pick=torch.where): return lambda x: pick(mask, x, 0.0)
class Tool:
    def __call__(self, x): return widen(choose(x))
tool = Tool()
""",
    vars(ELSEWHERE),
)


def smaller(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(x < y, x, y)


def recur_within(s: Any, x: Tensor) -> Tensor:
    hidden = x.new_zeros(x.shape[0], N) + 1
    for now in x[:, None].expand(-1, 3, -1).unbind(1):
        hidden = functional.relu(s.fc(now) + s.back(hidden))
    return hidden


@pytest.mark.parametrize(
    "body",
    [
        recur,
        recur_within,
        lambda s, x: torch.cat([s.fc(x), torch.zeros(x.size(0), 3)], 1),
        lambda s, x: torch.cat([torch.ones(x.shape[0], 1), x, 2 * torch.full((x.shape[0], 2), 0.3), s.fc(x)], dim=1),
        lambda s, x: torch.stack([s.fc(x), torch.ones(x.size(0), N), x], dim=1),
        lambda s, x: torch.stack([x, torch.zeros_like(x), s.fc(x)], dim=-1).flatten(1),
        lambda s, x: torch.maximum(s.fc(x), torch.zeros_like(x)),
        lambda s, x: s.fc(x) * torch.ones_like(x) - torch.full_like(x, 0.25),
        lambda s, x: torch.where(MASK, s.fc(x), torch.zeros_like(x)),
        lambda s, x: torch.where(MASK, 0.5, s.fc(x)),
        lambda s, x: ELSEWHERE.choose(s.fc(x)),
        lambda s, x: ELSEWHERE.choose_by_name(s.fc(x)),
        lambda s, x: ELSEWHERE.chosen(s.fc(x), 0.0) + ELSEWHERE.chosen(-1.0, x),
        lambda s, x: ELSEWHERE.table["where"](MASK, s.fc(x), 0.0),
        lambda s, x: ELSEWHERE.enclose()(s.fc(x)),
        lambda s, x: ELSEWHERE.tool(s.fc(x)) if isinstance(x, Tensor) else x,
        lambda s, x: torch.where(MASK, s.fc(x), x),
        lambda s, x: s.fc(x).where(MASK, x),
        lambda s, x: torch.where(x > 0, x, torch.zeros_like(x)) - torch.where(x <= s.fc.bias, s.fc.bias, x),
        lambda s, x: smaller(x.masked_fill(x >= 0.25, 0.25), s.fc(x)),
        lambda s, x: s.fc(x).masked_fill(MASK, -3.0),
        lambda s, x: x.unsqueeze(-1) * s.fc(x).mean(1, keepdim=True).unsqueeze(-1).expand_as(x.unsqueeze(-1)),
        lambda s, x: functional.threshold(s.fc(x), 0.0, 0.0),
    ],
)  # fmt: skip
def test_what_is_the_same_for_each_sample_is_read(body: Body) -> None:
    module = Model(body).double().eval()
    graph = read_layer_graph(module, (N,))
    for batch in (1, 2, 5):
        inputs = torch.rand(batch, N, dtype=torch.float64, generator=torch.Generator().manual_seed(batch)) - 0.3
        with torch.no_grad():
            wanted = module(inputs).numpy()
        found = run_graph(graph, inputs.numpy())[graph.outputs[0]]
        assert found.shape == wanted.shape
        assert np.allclose(found, wanted, rtol=1e-6, atol=1e-7)


def spread_by_a_choice(x: Tensor) -> Tensor:
    return torch.where(x > torch.zeros(N), x, torch.zeros(1))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lambda s, x: s.fc(x) * x.size(0), "nothing from the size of the batch"),
        (lambda s, x: s.fc(x) + torch.ones(x.size(0), N).sum(), "depends on the size of the batch"),
        (lambda s, x: s.fc(x) + torch.zeros_like(x).flatten().shape[0], "depends on the size of the batch"),
        (lambda s, x: s.fc(x) + torch.arange(x.size(0))[:, None], "depends on the size of the batch"),
        (lambda s, x: s.fc(x) + torch.eye(x.size(0), N), "depends on the size of the batch"),
        (lambda s, x: s.fc(x) + torch.randn(x.size(0), N), "values that are random"),
        (lambda s, x: s.conv(x[:, :, None] + torch.ones(x.size(0), N)), "of other axes|cannot be computed"),
        (lambda s, x: torch.where(x > 0, s.fc(x), x), r"\(where\).*relu\(x\) for x"),
        (lambda s, x: s.fc(x) * (x > 0), r"\(gt\).*relu\(x\) for x"),
        (lambda _, x: torch.where(x > 0, x, 1.0), "chooses by the values"),
        (lambda _, x: spread_by_a_choice(x[:, :1]), "chooses by the values"),
        (lambda s, x: functional.threshold(s.fc(x), 0.5, 0.0), "a threshold of 0.5 with 0.0 below"),
        (lambda s, x: torch.round(s.fc(x)), "QuantisedReLU"),
        (lambda s, x: s.fc(x) @ torch.ones(x.size(0), N).T, "depends on the size of the batch"),
    ],
)  # fmt: skip
def test_what_differs_between_samples_is_refused(body: Body, said: str) -> None:
    with pytest.raises(FrontendError, match=f"(?s){said}"):
        read_layer_graph(Model(body), (N,))


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_layers_are_refused_with_what_to_write(kind: type[nn.Module]) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = kind(3, 5, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)[0]

    with pytest.raises(FrontendError, match=r"(?s)as a loop of Linear layers.*recurrent weights"):
        read_layer_graph(Recurrent(), (4, 3))


def test_layers_in_a_dict_are_refused_with_where_to_hold_them() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = {"one": nn.Linear(N, N)}

        def forward(self, x: Tensor) -> Tensor:
            return self.layers["one"](x)

    with pytest.raises(FrontendError, match=r"(?s)not installed as a submodule.*nn.ModuleDict"):
        read_layer_graph(Held(), (N,))


def test_the_users_code_and_torch_stay_as_they_were() -> None:
    before = torch, torch.zeros
    read_layer_graph(Model(recur), (N,))
    with pytest.raises(FrontendError):
        read_layer_graph(Model(lambda s, x: s.fc(x) * x.size(0)), (N,))
    assert (torch, torch.zeros) == before
