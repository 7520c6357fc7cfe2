"""Time a training step, forward and backward, of two LIF layers against a Python loop over ``snntorch.Leaky``.

2 x 256 neurons, 16 inputs, 100 steps, a batch of 64, on a CPU, at two levels of activity. Run with ``make bench``.
"""

import statistics
import time
from collections.abc import Callable

import snntorch
import torch
from rich.console import Console
from snntorch import surrogate
from torch import Tensor, nn

from snnmap.nn import LIF, EventLinear, Surrogate
from snnmap.report import make_table

N_INPUTS, SIZE, N_STEPS, BATCH, BETA, ROUNDS = 16, 256, 100, 64, 0.9, 7
WEIGHTS = {"sparse": ((0.0, 0.06), (0.0, 0.1)), "busy": ((0.03, 0.03), (0.005, 0.02))}
"""Mean and standard deviation of the weights of both layers: potentials stay below two thresholds, where snnTorch's late second
reset would differ."""

Weights = tuple[tuple[float, float], tuple[float, float]]


def make_layers(kind: torch.dtype, weights: Weights) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    layers = EventLinear(N_INPUTS, SIZE, bias=False, dtype=kind), EventLinear(SIZE, SIZE, bias=False, dtype=kind)
    for layer, (mean, std) in zip(layers, weights, strict=True):
        nn.init.normal_(layer.weight, mean, std)
    return layers


def make_loop(layers: tuple[nn.Linear, nn.Linear]) -> Callable[[Tensor], Tensor]:
    gradient = surrogate.fast_sigmoid(slope=2)
    leaky = [snntorch.Leaky(beta=BETA, spike_grad=gradient, reset_mechanism="subtract", reset_delay=False) for _ in layers]

    def run(x: Tensor) -> Tensor:
        states, out = [cell.init_leaky() for cell in leaky], []
        for step in range(x.shape[1]):
            spikes = x[:, step]
            for number, (layer, cell) in enumerate(zip(layers, leaky, strict=True)):
                spikes, states[number] = cell(nn.functional.linear(spikes.to(x.dtype), layer.weight), states[number])
            out.append(spikes)
        return torch.stack(out, dim=1)

    return run


def make_ours(layers: tuple[nn.Linear, nn.Linear]) -> nn.Sequential:
    def neurons() -> LIF:
        return LIF(SIZE, alpha=0.0, beta=BETA, max_count=1, surrogate=Surrogate(name="fast_sigmoid", slope=2.0))

    return nn.Sequential(layers[0], neurons(), layers[1], neurons())


def require_equal(weights: Weights) -> str:
    """Compare spikes in float64, where the order of additions does not matter; give the layers' rates."""
    layers = make_layers(torch.float64, weights)
    x = (torch.rand(BATCH, N_STEPS, N_INPUTS, dtype=torch.float64) < 0.3).double()
    ours = make_ours(layers).double()
    first, theirs = ours[:2](x), make_loop(layers)(x)
    last = ours(x)
    if not torch.equal(last, theirs.double()):
        raise SystemExit(f"spikes differ: {int((last != theirs).sum())} of {last.numel()}")
    return f"{first.detach().mean():.3f}, {last.detach().mean():.3f}"


def time_step(run: Callable[[Tensor], Tensor], x: Tensor, layers: tuple[nn.Linear, nn.Linear]) -> float:
    for layer in layers:
        layer.weight.grad = None
    start = time.perf_counter()
    run(x).sum().backward()
    return time.perf_counter() - start


def time_both(weights: Weights, threads: int) -> tuple[str, str, str]:
    """Give both medians in ms and the median ratio."""
    layers = make_layers(torch.float32, weights)
    x = (torch.rand(BATCH, N_STEPS, N_INPUTS) < 0.3).float()
    theirs, ours = make_loop(layers), make_ours(layers)
    torch.set_num_threads(threads)
    time_step(ours, x, layers), time_step(theirs, x, layers)
    pairs = [(time_step(theirs, x, layers), time_step(ours, x, layers)) for _ in range(ROUNDS)]
    seconds = [statistics.median(side) for side in zip(*pairs, strict=True)]
    ratio = statistics.median(loop / fused for loop, fused in pairs)
    return f"{1e3 * seconds[0]:.0f}", f"{1e3 * seconds[1]:.0f}", f"{ratio:.2f}"


def main() -> None:
    rows = []
    for name, weights in WEIGHTS.items():
        rates = require_equal(weights)
        rows += [(name, rates, threads, *time_both(weights, threads)) for threads in (1, 2)]
    headings = (
        "activity",
        "spikes a neuron and step",
        "threads#",
        "loop over snntorch.Leaky, ms#",
        "snnmap.nn.LIF, ms#",
        "ratio#",
    )
    Console().print(make_table("a training step; spikes equal", headings, rows))


if __name__ == "__main__":
    main()
