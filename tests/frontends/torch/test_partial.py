"""Modules of which only some calls are read: one node a call, whatever it is, and torch runs them all."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from snnmap.core.errors import NetworkError
from snnmap.frontends.torch.partial import read_partly, record_results
from snnmap.graph import LayerGraph, format_graph, format_mermaid, parse_graph, run_graph
from snnmap.graph.operations.activations import Relu
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.movement import Pad, Reshape
from snnmap.nn.tracing import trace_module


class Mixed(nn.Module):
    """Calls that are read, that are not, that are two operations, and that give other things than samples."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.around = nn.Conv1d(2, 4, 1), nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular")
        self.gelu, self.scale = nn.GELU(), nn.Parameter(torch.ones(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.gelu(self.around(self.a(x).clone())).chunk(2, 1)
        y = left.relu_() * (self.scale / x.size(0)) + right.double().to(x.dtype)
        return y.view(1, -1)


TEXT = f"""\
graph 'stream' from 'torch {torch.__version__}'
input input: float32 Nx2x5
constant a.bias: float32 4
constant a.weight: float32 4x2x1
a = Conv(input, a.weight, a.bias; kernel_shape=(1,), strides=(1,), dilations=(1,), pads=(0, 0)) -> float32 Nx4x5 of 'a' as 'a'
around = Opaque(a; call='Conv1d', shape=(4, 5)) -> float32 Nx4x5 of 'around' as 'around'
gelu = Opaque(around; call='GELU', shape=(4, 5)) -> float32 Nx4x5 of 'gelu' as 'gelu'
chunk = Opaque(gelu; call='chunk', dtype='object') -> object N as 'chunk'
getitem = Opaque(chunk; call='getitem', shape=(2, 5)) -> float32 Nx2x5 as 'getitem'
getitem_1 = Opaque(chunk; call='getitem', shape=(2, 5)) -> float32 Nx2x5 as 'getitem_1'
relu_ = Relu(getitem) -> float32 Nx2x5 as 'relu_'
mul = Opaque(relu_; call='mul', shape=(2, 5)) -> float32 Nx2x5 as 'mul'
double = Opaque(getitem_1; call='double', dtype='object') -> object N as 'double'
to = Opaque(double; call='to', shape=(2, 5)) -> float32 Nx2x5 as 'to'
add = Opaque(mul, to; call='add', shape=(2, 5)) -> float32 Nx2x5 as 'add'
view = Reshape(add; shape=(10,)) -> float32 Nx10 as 'view'
output view
"""


def read(module: nn.Module, example: Tensor) -> tuple[LayerGraph, Any]:
    traced = fx.GraphModule(module, trace_module(module, ()))
    return read_partly(traced, record_results(traced, example), (Conv, Pad, Relu, Reshape))


def test_each_call_is_one_node_and_what_is_not_wanted_is_opaque() -> None:
    graph, calls = read(Mixed().eval(), torch.ones(1, 2, 5))
    text = format_graph(graph)
    assert text == TEXT
    assert parse_graph(text, graph.constants) == graph
    assert '"chunk<br/>Opaque<br/>object N"' in format_mermaid(graph)
    assert {name for name, call in calls.items() if call.module is not None} == {"a", "around", "gelu"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_calls_run_what_torch_runs(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module, frames = Mixed().eval().to(dtype), torch.randn(2, 1, 2, 5).to(dtype)
    graph, calls = read(module, frames[0])
    values: dict[str, Any] = {"input": frames[1]}
    with torch.no_grad():
        for node in graph.nodes:
            values[node.name] = calls[node.name].run(values.__getitem__)
        assert torch.equal(values["view"], module(frames[1]))


def test_only_the_framework_runs_an_opaque_call() -> None:
    graph, _ = read(nn.Sequential(nn.GELU()), torch.ones(1, 3))
    with pytest.raises(NetworkError, match="a call GELU of the framework is no operation"):
        run_graph(graph, np.ones((1, 3)))
