"""What ONNX graphs compute from the size of the batch, or choose by constants, is what onnxruntime gives, or refused."""

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnmap.frontends.onnx import read_layer_graph
from snnmap.graph import UnreadableModelError, run_graph

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
torch.set_num_threads(1)

N = 6
MASK = torch.tensor([True, False] * 3)


class Model(nn.Module):
    def __init__(self, body: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc = body, nn.Linear(N, N)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.fc, x)


def export(model: nn.Module) -> Any:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (torch.randn(2, N),), file, dynamo=False, opset_version=17,
            input_names=["x"], dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


def assert_same(model: Any) -> None:
    graph = read_layer_graph(model, (N,))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5):
        inputs = np.random.default_rng(batch).normal(size=(batch, N)).astype(np.float32)
        (wanted,) = session.run(None, {"x": inputs})
        found = run_graph(graph, inputs)[graph.outputs[0]]
        assert found.shape == wanted.shape
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "body",
    [
        lambda fc, x: torch.cat([fc(x), torch.zeros(x.size(0), 3)], 1),
        lambda fc, x: torch.cat([torch.ones(x.size(0), 3), fc(x), 2 * torch.ones(x.size(0), 1), x], 1),
        lambda fc, x: fc(x) + torch.ones(x.size(0), N),
        lambda fc, x: fc(x) + fc.bias.expand(x.size(0), -1),
        lambda fc, x: fc(x) + fc.bias[None].repeat(x.size(0), 1),
        lambda fc, x: fc(x).view(x.size(0), 2, 3).relu().reshape(x.size(0), -1),
        lambda fc, x: fc(x)[0 : x.size(0)],
        lambda fc, x: fc(x) * (x.numel() / x.size(0)),
        lambda fc, x: torch.where(MASK, fc(x), torch.tensor(0.5)),
        lambda fc, x: torch.where(MASK, torch.tensor(-0.5), fc(x)),
        lambda fc, x: torch.where(MASK, fc(x), x),
        lambda fc, x: torch.where(torch.ones(x.size(0), N) > 0, fc(x), x),
        lambda fc, x: fc(x).masked_fill(MASK, -3.0),
        lambda fc, x: (fc(x).relu() + 1).reciprocal(),
    ],
)  # fmt: skip
def test_what_is_the_same_for_each_sample_is_read(body: Callable[[nn.Module, Tensor], Tensor]) -> None:
    assert_same(export(Model(body)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lambda fc, x: fc(x) * x.size(0), r"'/Mul' \(Mul\).*measured 2.0 of a batch of 2"),
        (lambda fc, x: fc(x) / x.size(0), r"'/Div' \(Div\).*depends on the size of the batch"),
        (lambda fc, x: fc(x) + x.size(0), r"'/Add' \(Add\).*depends on the size of the batch"),
        (lambda fc, x: fc(x) + torch.arange(x.size(0))[:, None], r"'/Add' \(Add\).*depends on the size of the batch"),
        (lambda fc, x: fc(x).view(2 * x.size(0), 3).relu().view(x.size(0), N), r"measured \[4, 3\] of a batch of 2"),
        (lambda fc, x: fc(x)[: x.size(0) // 2 + 1], r"\(Slice\).*depends on the size of the batch"),
        (lambda fc, x: fc(x)[:, : x.size(0)], r"\(Slice\).*depends on the size of the batch"),
    ],
)  # fmt: skip
def test_what_the_size_of_the_batch_changes_is_refused(body: Callable[[nn.Module, Tensor], Tensor], said: str) -> None:
    with pytest.raises(UnreadableModelError, match=f"(?s){said}"):
        read_layer_graph(export(Model(body)), (N,))


def to_script(model: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(model)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(N, N)


class ByWidth(Branching):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(1) == 6:  # noqa: SIM108 (TorchScript writes an If for a branch)
            y = self.fc(x).relu()
        else:
            y = x
        return y + 1


class ByBatch(Branching):
    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) == 1:  # noqa: SIM108
            y = self.fc(x).relu()
        else:
            y = x
        return y + 1


class ByValue(Branching):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:  # noqa: SIM108
            y = self.fc(x).relu()
        else:
            y = x
        return y + 1


def test_the_branch_that_a_constant_chooses_is_read() -> None:
    model = export(to_script(ByWidth()))
    assert "If" in [node.op_type for node in model.graph.node]
    assert_same(model)


@pytest.mark.parametrize(
    ("kind", "said"),
    [(ByBatch, "which branch it takes depends on the size of the batch"), (ByValue, r"'/ReduceSum' .ReduceSum.*mixes samples")],
)
def test_a_branch_that_samples_choose_is_refused(kind: type[nn.Module], said: str) -> None:
    with pytest.raises(UnreadableModelError, match=said):
        read_layer_graph(export(to_script(kind())), (N,))
