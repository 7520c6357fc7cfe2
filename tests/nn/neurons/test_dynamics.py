"""The written gradients against autograd through a plain loop over steps."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from snnmap.nn import Surrogate, SurrogateName, count_spikes
from snnmap.nn.neurons import dynamics
from snnmap.nn.neurons.dynamics import run_lif

SURROGATES = [
    Surrogate(),
    Surrogate(window=0.6),
    *(Surrogate(name=name, slope=1.5) for name in get_args(SurrogateName)[1:]),
]


def run_slowly(
    x: Tensor,
    alpha: Tensor,
    beta: Tensor,
    bias: Tensor,
    threshold: Tensor,
    weight: Tensor | None,
    most: int,
    surrogate: Surrogate,
) -> Tensor:
    batch, _, n_synapses, size = x.shape
    current, potential, fired, counts = (
        x.new_zeros(batch, n_synapses, size),
        x.new_zeros(batch, size),
        x.new_zeros(batch, size),
        [],
    )
    for arriving in x.unbind(dim=1):
        if weight is not None:
            arriving = arriving + (fired @ weight).view(batch, n_synapses, size)
        current = alpha * current + arriving
        potential = beta * potential + current.sum(dim=1) + bias
        fired = count_spikes(potential, threshold, most, surrogate)
        potential = potential - fired * threshold
        counts.append(fired)
    return torch.stack(counts, dim=1)


def draw(seed: int, n_synapses: int, *, recurrent: bool) -> list[Tensor | None]:
    torch.manual_seed(seed)
    size, kind = 7, {"dtype": torch.float64}
    tensors = [
        torch.randn(4, 20, n_synapses, size, **kind) * 0.8,
        torch.rand(n_synapses, size, **kind),
        torch.rand(size, **kind),
        torch.randn(size, **kind) * 0.2,
        torch.rand(size, **kind) + 0.5,
        torch.randn(size, n_synapses * size, **kind) * 0.3 if recurrent else None,
    ]
    return [None if tensor is None else tensor.requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("n_synapses", [1, 2])
def test_counts_and_gradients_are_autograds(n_synapses: int, recurrent: bool, surrogate: Surrogate) -> None:
    tensors = draw(n_synapses, n_synapses, recurrent=recurrent)
    weight = torch.randn(4, 20, 7, dtype=torch.float64)
    results = []
    for run in (run_lif, run_slowly):
        counts = run(*tensors, 3, surrogate)
        (counts * weight).sum().backward()
        results.append([counts.detach(), *(tensor.grad.clone() for tensor in tensors if tensor is not None)])
        for tensor in tensors:
            if tensor is not None:
                tensor.grad = None
    assert results[0][0].max() == 3
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_only_gradients_that_are_asked_for() -> None:
    tensors = draw(0, 1, recurrent=False)
    for tensor in tensors[1:]:
        if tensor is not None:
            tensor.requires_grad_(False)
    run_lif(*tensors, 31, Surrogate()).sum().backward()
    assert tensors[0] is not None
    assert tensors[0].grad is not None
    assert tensors[1] is not None
    assert tensors[1].grad is None


@pytest.mark.parametrize("recurrent", [False, True])
def test_torch_and_compiled_loops_agree(recurrent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = draw(3, 2, recurrent=recurrent)
    results = []
    for _ in range(2):
        counts = run_lif(*tensors, 3, Surrogate(name="arctan"))
        gradients = torch.autograd.grad(counts.square().sum(), [tensor for tensor in tensors if tensor is not None])
        results.append((counts.detach(), *gradients))
        monkeypatch.setattr(dynamics, "_CompiledForward", dynamics._TorchForward)
        monkeypatch.setattr(dynamics, "_CompiledBackward", dynamics._TorchBackward)
    for compiled, plain in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-10, atol=1e-10)


def test_threads_share_the_samples_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = draw(4, 2, recurrent=False)
    asked = [tensor for tensor in tensors if tensor is not None]
    n_threads = torch.get_num_threads()
    results = []
    for threads, worth in ((1, 1 << 60), (3, 1)):
        torch.set_num_threads(threads)
        monkeypatch.setattr(dynamics, "_WORTH_SHARING", worth)
        counts = run_lif(*tensors, 3, Surrogate(window=0.3))
        results.append((counts.detach(), *torch.autograd.grad(counts.square().sum(), asked)))
    torch.set_num_threads(n_threads)
    for alone, shared in zip(*results, strict=True):
        torch.testing.assert_close(alone, shared, rtol=1e-10, atol=1e-10)
