"""Time a training step in the chip's integers, ``ChipLIF``, against the float ``LIF`` of the same weights and decays.

2 x 256 neurons, 16 inputs, 100 steps, a batch of 64, one thread, at two levels of activity. Both layers must fire alike first:
the integers are fine enough that nearly all counts are the floats'.
"""

from collections.abc import Iterator
from functools import partial

import torch
from figures import Figure, find_ratio, time_in_turn
from torch import Tensor, nn

from snnmap.nn import LIF, EventLinear
from snnmap.nn.chip import ChipLIF

N_INPUTS, SIZE, N_STEPS, BATCH, N_ROUNDS = 16, 256, 100, 64, 15
SCALE, SHIFT = 1500.0, 5
FACTORS = {"sparse": (2.0, 2.0), "busy": (4.0, 6.0)}
"""What the first weights of both layers are multiplied by."""
LEAST_ALIKE = 0.99


def make_layers(factors: tuple[float, float]) -> tuple[nn.Sequential, nn.Sequential]:
    """Give two chip layers and the float layers of their integers."""
    torch.manual_seed(0)
    chip = nn.Sequential(ChipLIF(N_INPUTS, SIZE, scale=SCALE, shift=SHIFT), ChipLIF(SIZE, SIZE, scale=SCALE, shift=SHIFT))
    floats: list[nn.Module] = []
    for layer, factor in zip(chip, factors, strict=True):
        layer.weight.data *= factor
        linear = EventLinear(layer.n_inputs, SIZE, bias=False)
        linear.weight.data = layer.codes().weight.detach() * 0.5 / SCALE  # a synapse of dash 1 decays before it is used
        floats += [linear, LIF(SIZE, dash_syn=1, dash_mem=2)]
    return chip, nn.Sequential(*floats)


def require_alike(chip: nn.Sequential, floats: nn.Sequential, counts: Tensor) -> float:
    """Compare the counts of both kinds of layer on what the chip's layer before gives; give the last one's a neuron and step."""
    with torch.no_grad():
        for number, layer in enumerate(chip):
            ours, theirs = layer(counts), floats[2 * number : 2 * number + 2](counts)
            alike = float((ours == theirs).float().mean())
            if alike < LEAST_ALIKE:
                raise SystemExit(f"layer {number}: {alike:.2%} of counts are the float layer's, {LEAST_ALIKE:.0%} wanted")
            counts = ours
    return float(counts.mean())


def train_step(model: nn.Sequential, counts: Tensor) -> None:
    """Run forward and backward."""
    model.zero_grad()
    model(counts).sum().backward()


def measure() -> Iterator[Figure]:
    """Give the ratio at each level of activity."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    counts = (torch.rand(BATCH, N_STEPS, N_INPUTS, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    for name, factors in FACTORS.items():
        chip, floats = make_layers(factors)
        rate = require_alike(chip, floats, counts)
        jobs = {"chip": partial(train_step, chip, counts), "float": partial(train_step, floats, counts)}
        times = time_in_turn(jobs, N_ROUNDS)
        yield Figure(
            name=f"ChipLIF step, {name}",
            value=find_ratio(times, "chip", "float"),
            unit="x LIF's",
            goal=1.5,
            at_least=False,
            detail=f"2 x {SIZE}, {N_STEPS} steps, batch {BATCH}, {rate:.3f} spikes a neuron and step",
        )
    torch.set_num_threads(n_threads)
