"""What models of other frameworks lose on the way to the bitstream: straight, and after training on. About 8 minutes.

Four models: snnTorch's ``RSynaptic`` on heart beats (simulated, see ``heart_beats``), Rockpool's ``SynNet`` on spoken vowels,
read by spikes and by potentials, and a convolutional network of snnTorch's ``Leaky`` on event digits (scikit-learn's digits,
seen by the event simulator in N-MNIST's saccades). Each is trained in its own framework, one spike a step where that has no
more, until validation samples gain no more, and taken to the chip as it is; ``Leaky``, which has no synapse, by
``carry_instant_synapses``. Training on is the same for all: ``EPOCHS`` epochs at ``RATE``, of which the last is kept.

Run with ``make training-on``; ``--readme`` writes the table. ``--choose`` measures on validation samples alone, of other seeds
than those reported, for each of ``RATES``: that is how ``RATE`` was chosen. Words of a row's name measure it alone.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from datasets import read_japanese_vowels
from heart_beats import simulate_beats
from readme_table import Row, print_rows, write_readme
from rockpool.nn.networks import SynNet
from sklearn.datasets import load_digits
from snntorch import Leaky, RSynaptic, SpikingNeuron, Synaptic, surrogate
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import snnmap
from snnmap.errors import DesignRuleError
from snnmap.events import simulate_saccades
from snnmap.ir import FloatArray, IntArray, Network, carry_instant_synapses
from snnmap.nn import Readout, Surrogate
from snnmap.train import TrainOptions, to_chip_exact, train_model, verify_model

SEEDS, CHOICE_SEEDS = (10, 11, 12), (0, 1, 2, 3, 4)
"""Of the figures that are reported, and of those that the recipe was chosen by."""
EPOCHS, RATE, BATCH = 10, 1e-2, 25
RATES = (5e-3, 1e-2, 2e-2)
"""Highest rates of a one-cycle schedule among which ``RATE`` was chosen."""
FLOAT_RATE, FLOAT_BATCH = 5e-3, 50

Samples = tuple[Tensor, Tensor]
"""Counts ``(n, time, channels)``, and classes."""
Run = Callable[[Tensor], Tensor]
"""From counts to one value a class."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Samples to train with, to choose with, and to test with."""

    train: Samples
    validate: Samples
    test: Samples

    def batches(self, size: int, seed: int) -> DataLoader[tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(seed)
        return DataLoader(TensorDataset(*self.train), size, shuffle=True, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model of another framework, trained.

    Attributes:
        run: it, in its own framework.
        network: as :func:`snnmap.load` reads it, or made from that.
        data: what it was trained on.
        readout: from outputs to classes.
        gain: what the read values are multiplied by before the cross entropy.
        chip: to take it to.
    """

    run: Run
    network: Network
    data: Data
    readout: Readout
    gain: float
    chip: str

    @property
    def calibration(self) -> IntArray:
        return as_counts(self.data.train[0][:128])


def split(known: tuple[Any, Any], n_validate: int, test: tuple[Any, Any], seed: int) -> Data:
    """Put some of the training samples aside."""
    counts, labels = to_samples(*known)
    order = torch.as_tensor(np.random.default_rng(seed).permutation(len(labels)))
    validate, train = ((counts[part], labels[part]) for part in (order[:n_validate], order[n_validate:]))
    return Data(train=train, validate=validate, test=to_samples(*test))


def to_samples(counts: IntArray | Tensor, labels: IntArray | Tensor) -> Samples:
    return torch.as_tensor(counts, dtype=torch.float32), torch.as_tensor(labels)


def fit(run: Run, parameters: Iterable[nn.Parameter], data: Data, n_epochs: int, seed: int) -> None:
    """Train in the model's own framework, with more epochs than it gains by; keep the one that is best on validation samples."""
    weights = list(parameters)
    optimiser = torch.optim.Adam(weights, FLOAT_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_epochs)
    best, kept = (-1.0, 0.0), weights
    for epoch in range(n_epochs):
        for inputs, labels in data.batches(FLOAT_BATCH, seed * 1000 + epoch):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(run(inputs), labels)
            torch.autograd.backward(loss)
            optimiser.step()
        schedule.step()
        found = judge(run, data.validate)
        if found > best:
            best, kept = found, [nn.Parameter(weight.detach().clone()) for weight in weights]
    for weight, value in zip(weights, kept, strict=True):
        weight.data.copy_(value)


@torch.no_grad()
def judge(run: Run, samples: Samples) -> tuple[float, float]:
    """Give the accuracy, and the cross entropy with the sign turned."""
    inputs, labels = samples
    read = torch.cat([run(part) for part in inputs.split(128)])
    return float((read.argmax(dim=1) == labels).double().mean()), -float(nn.functional.cross_entropy(read, labels))


def forget(model: nn.Module) -> None:
    """Set all states to zero; ``snntorch.utils.reset`` leaves out some."""
    for part in model.modules():
        if isinstance(part, SpikingNeuron):
            cast(Any, part).reset_mem()


def run_snntorch(model: nn.Module, inputs: Tensor) -> Tensor:
    """Run the steps of a snnTorch module one after the other; give output spikes, ``(batch, time, n)``."""
    forget(model)
    return torch.stack([model(inputs[:, step])[0] for step in range(inputs.shape[1])], dim=1)


def train_heart(seed: int) -> Trained:
    """Train a recurrent snnTorch network with synapses on heart beats."""
    torch.manual_seed(seed)
    kind: dict[str, Any] = {"init_hidden": True, "spike_grad": surrogate.fast_sigmoid(slope=5)}
    model = nn.Sequential(
        nn.Linear(2, 48, bias=False),
        RSynaptic(alpha=0.75, beta=0.875, linear_features=48, **kind),
        nn.Linear(48, 4, bias=False),
        Synaptic(alpha=0.75, beta=0.875, output=True, reset_delay=False, **kind),
    )
    nn.init.zeros_(model[1].recurrent.bias)
    model[1].recurrent.bias.requires_grad_(False)
    for layer, gain in ((model[0], 0.15), (model[1].recurrent, 0.15), (model[2], 0.3)):
        nn.init.normal_(layer.weight, std=gain / layer.in_features**0.5)
    data = split(simulate_beats(1400, 1000 + seed), 400, simulate_beats(1000, 5000 + seed), seed)
    run = lambda inputs: run_snntorch(model, inputs).sum(dim=1)  # noqa: E731
    fit(run, (p for p in model.parameters() if p.requires_grad), data, 40, seed)
    network = snnmap.load(model, overshoot="ignore")
    return Trained(run=run, network=network, data=data, readout=Readout("count"), gain=1.0, chip="xylo-audio-3")


def encode_vowels(utterances: list[FloatArray], low: FloatArray, high: FloatArray) -> Tensor:
    """Give counts of the 12 coefficients, ``(n, 36, 12)``, silence behind each utterance."""
    counts = torch.zeros(len(utterances), 36, 12)
    for row, utterance in enumerate(utterances):
        scaled = np.rint(7 * np.clip((utterance - low) / (high - low), 0, 1))
        counts[row, : len(utterance)] = torch.tensor(scaled, dtype=torch.float32)
    return counts


def train_synnet(seed: int, output: str) -> Trained:
    """Train Rockpool's keyword spotter on spoken vowels, to tell speakers."""
    torch.manual_seed(seed)
    (utterances, speakers), (test, test_speakers) = read_japanese_vowels("TRAIN"), read_japanese_vowels("TEST")
    bounds = [function(np.concatenate(utterances), axis=0) for function in (np.min, np.max)]
    known, unknown = encode_vowels(utterances, *bounds), encode_vowels(test, *bounds)
    data = split((known, speakers), 54, (unknown, test_speakers), seed)
    model = SynNet(n_channels=12, n_classes=9, size_hidden_layers=[60, 60], time_constants_per_layer=[2, 4], output=output)
    for name, part in model.seq.modules().items():
        if "linear" in name:
            part.weight.data.mul_(0.5)
    readout, gain = Readout("mean"), 3.0 if output == "vmem" else 10.0
    run = lambda inputs: gain * readout(model.reset_state()(inputs)[0])  # noqa: E731
    fit(run, model.parameters().astorch(), data, 60, seed)
    return Trained(run=run, network=snnmap.load(model), data=data, readout=readout, gain=gain, chip="xylo-audio-3")


@cache
def encode_digits(numbers: range) -> Samples:
    """Give events of digits, ``(n, 20, 2 * 12 * 12)`` counts in cells of three by three pixels, and their classes."""
    images, labels = load_digits(return_X_y=True)
    pictures = nn.functional.interpolate(torch.tensor(images).view(-1, 1, 8, 8) / 16.0, size=(28, 28), mode="bilinear")[:, 0]
    counts = np.zeros((len(numbers), 20, 2, 12, 12))
    for row, number in enumerate(numbers):
        events = simulate_saccades(pictures[number].numpy(), seed=number)
        times = np.asarray(events.t_us, np.float64)
        step = np.minimum((times - times.min()) / (np.ptp(times) + 1.0) * 20, 19).astype(int)
        cell = np.stack([np.asarray(events.y), np.asarray(events.x)]) // 3
        np.add.at(counts[row], (step, np.asarray(events.polarity).astype(int), cell[0], cell[1]), 1)
    classes = torch.as_tensor(labels[numbers.start : numbers.stop])
    return torch.tensor(counts.clip(max=15), dtype=torch.float32).flatten(2), classes


def write_out(layer: nn.Conv2d, height: int, width: int) -> nn.Linear:
    """Give a convolution as a Linear layer, which is what the snnTorch frontend reads."""
    eye = torch.eye(layer.in_channels * height * width).view(-1, layer.in_channels, height, width)
    with torch.no_grad():
        weight = layer(eye).flatten(1).t()
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight.data.copy_(weight)
    return linear


def train_digits(seed: int) -> Trained:
    """Train two convolutions and a Linear layer of snnTorch's plain neurons on event digits."""
    torch.manual_seed(seed)
    data = split(encode_digits(range(1200)), 200, encode_digits(range(1200, 1797)), seed)
    kind: dict[str, Any] = {"beta": 0.75, "init_hidden": True, "spike_grad": surrogate.fast_sigmoid(slope=5)}
    first, second = nn.Conv2d(2, 8, 4, stride=2, bias=False), nn.Conv2d(8, 12, 3, bias=False)
    nn.init.normal_(first.weight, 0.05, 0.2)
    nn.init.normal_(second.weight, 0.02, 0.15)
    last = nn.Linear(108, 10, bias=False)
    neurons = [Leaky(**kind), Leaky(**kind), Leaky(output=True, reset_delay=False, **kind)]
    picture, flat = nn.Unflatten(1, (2, 12, 12)), nn.Flatten()
    model = nn.Sequential(picture, first, neurons[0], second, neurons[1], flat, last, neurons[2])
    run = lambda inputs: run_snntorch(model, inputs).sum(dim=1)  # noqa: E731
    fit(run, model.parameters(), data, 30, seed)
    plain = nn.Sequential(write_out(first, 12, 12), neurons[0], write_out(second, 5, 5), neurons[1], last, neurons[2])
    forget(plain)
    network = carry_instant_synapses(snnmap.load(plain, overshoot="ignore"))
    return Trained(run=run, network=network, data=data, readout=Readout("count"), gain=1.0, chip="generic-4096")


TASKS: dict[str, Callable[[int], Trained]] = {
    "RSynaptic, heart beats (simulated)": train_heart,
    "SynNet, vowels, by spikes": lambda seed: train_synnet(seed, "spikes"),
    "SynNet, vowels, by potentials": lambda seed: train_synnet(seed, "vmem"),
    "Leaky conv net, event digits": train_digits,
}


def build_straight(trained: Trained) -> tuple[snnmap.Artifacts, tuple[str, ...]]:
    """Give the build, whatever the bitstream does beside the model, and the rules that refuse it unless that is allowed."""
    calibration, options = trained.calibration, snnmap.CompileOptions(decision=trained.readout.kind)
    try:
        return snnmap.compile_model(trained.network, trained.chip, options=options, calibration=calibration), ()
    except DesignRuleError as refusal:
        rules = tuple(sorted({diagnostic.rule for diagnostic in refusal.diagnostics}))
    options = replace(options, allow=("SNN6",))
    return snnmap.compile_model(trained.network, trained.chip, options=options, calibration=calibration), rules


def build_trained_on(trained: Trained, rate: float, seed: int) -> snnmap.Artifacts:
    """Train on in the chip's integers, and give the build, which rounds nothing."""
    calibration = trained.calibration
    exact = to_chip_exact(trained.network, trained.chip, calibration=calibration, surrogate=Surrogate(window=0.5))
    train_model(
        exact,
        trained.data.batches(BATCH, seed),
        readout=trained.readout,
        options=TrainOptions(n_epochs=EPOCHS, learning_rate=rate, clip_norm=1.0, seed=seed),
        loss=lambda read, labels: nn.functional.cross_entropy(trained.gain * read, labels),
        progress=False,
    )
    artifacts = snnmap.compile_model(exact, trained.chip, calibration=calibration)
    if verify_model(exact, artifacts, as_counts(trained.data.validate[0])).n_mismatches:
        raise SystemExit("the bitstream does something else than what was trained")
    return artifacts


def score_bitstream(artifacts: snnmap.Artifacts, readout: Readout, samples: Samples) -> float:
    """Give the accuracy of the bitstream, of one output port."""
    inputs, labels = samples
    (outputs,) = artifacts.run(as_counts(inputs)).values()
    return float((readout(torch.tensor(outputs)).argmax(dim=1) == labels).double().mean())


def as_counts(inputs: Tensor) -> IntArray:
    return np.asarray(inputs.numpy(), np.int64)


def measure(words: list[str]) -> Iterator[Row]:
    """Give the losses on test samples."""
    for name, train in pick_tasks(words):
        figures, refusals, start = [], [], time.monotonic()
        for seed in SEEDS:
            trained = train(seed)
            test, readout = trained.data.test, trained.readout
            straight, rules = build_straight(trained)
            builds = (straight, build_trained_on(trained, RATE, seed))
            figures.append((judge(trained.run, test)[0], *(score_bitstream(build, readout, test) for build in builds)))
            refusals.append(rules)
            report(name, seed, f"{figures[-1]} {' '.join(rules)}", start)
        model, straight_on, after = np.transpose(100 * np.array(figures))
        n_refused, ids = sum(map(bool, refusals)), " ".join(sorted(set().union(*refusals)))
        refused = f"refused by {ids}" if n_refused == len(SEEDS) else f"{n_refused} of {len(SEEDS)} refused by {ids}"
        yield (
            f"{name}: points lost after {EPOCHS} epochs",
            f"{tell(model - after)}; straight {tell(model - straight_on)}, {refused if ids else 'not refused'}",
            f"<= 1.0; model {model.mean():.1f}%, bitstream {after.mean():.1f}%",
        )


def choose(words: list[str]) -> Iterator[Row]:
    """Give the losses on validation samples for each rate."""
    for name, train in pick_tasks(words):
        lost, start = np.zeros((len(CHOICE_SEEDS), len(RATES))), time.monotonic()
        for row, seed in enumerate(CHOICE_SEEDS):
            trained = train(seed)
            model = judge(trained.run, trained.data.validate)[0]
            for column, rate in enumerate(RATES):
                artifacts = build_trained_on(trained, rate, seed)
                lost[row, column] = 100 * (model - score_bitstream(artifacts, trained.readout, trained.data.validate))
            report(name, seed, f"{model}, lost {lost[row].round(2)}", start)
        rates = ", ".join(f"{rate:g}: {part.mean():.1f}" for rate, part in zip(RATES, lost.T, strict=True))
        yield f"{name}: points lost after {EPOCHS} epochs, validation samples, by rate", rates, f"{len(CHOICE_SEEDS)} seeds"


def pick_tasks(words: list[str]) -> Iterator[tuple[str, Callable[[int], Trained]]]:
    names = [name for name in TASKS if any(word in name for word in words)] or list(TASKS)
    return ((name, TASKS[name]) for name in names)


def tell(lost: FloatArray) -> str:
    return f"{lost.mean():.1f} ({', '.join(f'{value:.1f}' for value in lost)})"


def report(name: str, seed: int, found: str, start: float) -> None:
    print(f"  {name}, seed {seed}: {found} after {time.monotonic() - start:.0f} s", file=sys.stderr)


def main(words: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    lines = print_rows((choose if "--choose" in words else measure)([word for word in words if not word.startswith("--")]))
    if "--readme" in words:
        write_readme("training-on", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
