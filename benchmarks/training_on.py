"""What models of other frameworks lose on the way to the bitstream, straight and after at most ten epochs of training on.

Four models: snnTorch's ``RSynaptic`` on heart beats (simulated, see ``heart_beats``), Rockpool's ``SynNet`` on spoken vowels,
read by spikes and by potentials, and a convolutional network of snnTorch's ``Leaky`` on event digits (scikit-learn's digits,
seen by the event simulator in N-MNIST's saccades). Each is trained in its own framework, one spike a step where that has no
more, and taken to the chip as it is; ``Leaky``, which has no synapse, by ``carry_instant_synapses``. What is kept, the start or
the last epoch at one of two learning rates, is chosen on validation samples out of the training data.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from datasets import read_japanese_vowels
from heart_beats import simulate_beats
from readme_table import Row, print_rows
from rockpool.nn.networks import SynNet
from sklearn.datasets import load_digits
from snntorch import Leaky, RSynaptic, SpikingNeuron, Synaptic, surrogate
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import snnmap
from snnmap.events import simulate_saccades
from snnmap.ir import FloatArray, IntArray, Network, carry_instant_synapses
from snnmap.nn import Readout, Surrogate
from snnmap.train import TrainOptions, score_model, to_chip_exact, train_model, verify_model

SEEDS = (0, 1)
N_EPOCHS, RATES = 10, (5e-3, 1.5e-2)
"""Epochs of training on, and highest learning rates, between which the validation samples choose."""
BATCH = 50

Batches = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Counts ``(n, time, channels)`` and classes: to train with, to choose with, and to test with."""

    train: tuple[Tensor, Tensor]
    validate: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    def batches(self, seed: int) -> DataLoader[tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(seed)
        return DataLoader(TensorDataset(*self.train), BATCH, shuffle=True, generator=generator)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model of another framework, trained.

    Attributes:
        network: as :func:`snnmap.load` reads it, or made from that.
        data: what it was trained on.
        accuracy: on test data, in its own framework.
        readout: from outputs to classes.
        gain: what the read values are multiplied by before the cross entropy.
        chip: to take it to.
    """

    network: Network
    data: Data
    accuracy: float
    readout: Readout
    gain: float
    chip: str


def split(counts: IntArray | Tensor, labels: IntArray, n_validate: int, test: tuple[Any, Any], seed: int) -> Data:
    """Put some of the training samples aside."""
    order = np.random.default_rng(seed).permutation(len(labels))
    parts = [order[n_validate:], order[:n_validate]]
    x, y = torch.as_tensor(counts, dtype=torch.float32), torch.as_tensor(labels)
    train, validate = ((x[part], y[part]) for part in parts)
    return Data(train=train, validate=validate, test=(torch.as_tensor(test[0], dtype=torch.float32), torch.as_tensor(test[1])))


def fit(
    run: Callable[[Tensor], Tensor], parameters: Iterator[nn.Parameter], data: Data, n_epochs: int, rate: float, seed: int
) -> None:
    """Train in the model's own framework: Adam, cosine, cross entropy of one value a class."""
    optimiser = torch.optim.Adam(parameters, rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_epochs)
    for epoch in range(n_epochs):
        for inputs, labels in data.batches(seed * 1000 + epoch):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(run(inputs), labels)
            torch.autograd.backward(loss)
            optimiser.step()
        schedule.step()


@torch.no_grad()
def score(run: Callable[[Tensor], Tensor], samples: tuple[Tensor, Tensor]) -> float:
    inputs, labels = samples
    read = torch.cat([run(part) for part in inputs.split(128)])
    return float((read.argmax(dim=1) == labels).float().mean())


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
    data = split(*simulate_beats(900, 1000 + seed), 200, simulate_beats(600, 5000 + seed), seed)
    run = lambda inputs: run_snntorch(model, inputs).sum(dim=1)  # noqa: E731
    fit(run, (p for p in model.parameters() if p.requires_grad), data, 15, 5e-3, seed)
    return Trained(
        network=snnmap.load(model, overshoot="ignore"),
        data=data,
        accuracy=score(run, data.test),
        readout=Readout("count"),
        gain=1.0,
        chip="xylo-audio-3",
    )


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
    data = split(known, speakers, 54, (unknown, test_speakers), seed)
    model = SynNet(n_channels=12, n_classes=9, size_hidden_layers=[60, 60], time_constants_per_layer=[2, 4], output=output)
    for name, part in model.seq.modules().items():
        if "linear" in name:
            part.weight.data.mul_(0.5)
    readout, gain = Readout("mean"), 3.0 if output == "vmem" else 10.0
    run = lambda inputs: gain * readout(model(inputs)[0])  # noqa: E731
    fit(run, iter(model.parameters().astorch()), data, 25, 3e-3, seed)
    return Trained(
        network=snnmap.load(model),
        data=data,
        accuracy=score(run, data.test),
        readout=readout,
        gain=gain,
        chip="xylo-audio-3",
    )


def encode_digits(numbers: range) -> tuple[Tensor, Tensor]:
    """Give events of digits, ``(n, 20, 2 * 16 * 16)`` counts in cells of two by two pixels, and their classes."""
    images, labels = load_digits(return_X_y=True)
    pictures = nn.functional.interpolate(torch.tensor(images).view(-1, 1, 8, 8) / 16.0, size=(28, 28), mode="bilinear")[:, 0]
    counts = np.zeros((len(numbers), 20, 2, 16, 16))
    for row, number in enumerate(numbers):
        events = simulate_saccades(pictures[number].numpy(), seed=number)
        times = np.asarray(events.t_us, np.float64)
        step = np.minimum((times - times.min()) / (np.ptp(times) + 1.0) * 20, 19).astype(int)
        cell = np.minimum(np.stack([np.asarray(events.y), np.asarray(events.x)]) // 2, 15)
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
    known, unknown = encode_digits(range(1200)), encode_digits(range(1200, 1797))
    data = split(known[0], known[1].numpy(), 200, unknown, seed)
    kind: dict[str, Any] = {"beta": 0.75, "init_hidden": True, "spike_grad": surrogate.fast_sigmoid(slope=5)}
    first, second = nn.Conv2d(2, 8, 4, stride=2, bias=False), nn.Conv2d(8, 12, 3, stride=2, bias=False)
    nn.init.normal_(first.weight, 0.05, 0.2)
    nn.init.normal_(second.weight, 0.02, 0.15)
    last = nn.Linear(108, 10, bias=False)
    neurons = [Leaky(**kind), Leaky(**kind), Leaky(output=True, reset_delay=False, **kind)]
    picture, flat = nn.Unflatten(1, (2, 16, 16)), nn.Flatten()
    model = nn.Sequential(picture, first, neurons[0], second, neurons[1], flat, last, neurons[2])
    run = lambda inputs: run_snntorch(model, inputs).sum(dim=1)  # noqa: E731
    fit(run, model.parameters(), data, 8, 4e-3, seed)
    accuracy = score(run, data.test)
    plain = nn.Sequential(write_out(first, 16, 16), neurons[0], write_out(second, 7, 7), neurons[1], last, neurons[2])
    forget(plain)
    return Trained(
        network=carry_instant_synapses(snnmap.load(plain, overshoot="ignore")),
        data=data,
        accuracy=accuracy,
        readout=Readout("count"),
        gain=1.0,
        chip="generic-4096",
    )


TASKS: dict[str, Callable[[int], Trained]] = {
    "RSynaptic, heart beats (simulated)": train_heart,
    "SynNet, vowels, by spikes": lambda seed: train_synnet(seed, "spikes"),
    "SynNet, vowels, by potentials": lambda seed: train_synnet(seed, "vmem"),
    "Leaky conv net, event digits": train_digits,
}


def train_on(trained: Trained, seed: int) -> tuple[float, float]:
    """Give the accuracy of the bitstream straight, and after training on, of one output port."""
    data, readout = trained.data, trained.readout
    samples = data.train[0][:128].numpy().astype(np.int64)
    exact = to_chip_exact(trained.network, trained.chip, calibration=samples, surrogate=Surrogate(window=0.5))
    straight = score_model(exact, cut(data.test), readout=readout)
    best, kept, start = score_model(exact, cut(data.validate), readout=readout), copy_state(exact), copy_state(exact)
    for rate in RATES:
        exact.load_state_dict(start)
        history = train_model(
            exact,
            data.batches(seed),
            readout=readout,
            options=TrainOptions(n_epochs=N_EPOCHS, learning_rate=rate, clip_norm=1.0, seed=seed),
            loss=lambda read, labels: nn.functional.cross_entropy(trained.gain * read, labels),
            validation=cut(data.validate),
            progress=False,
        )
        found = history[-1].validation_accuracy or 0.0
        if found > best:
            best, kept = found, copy_state(exact)
    exact.load_state_dict(kept)
    artifacts = snnmap.compile_model(exact, trained.chip)
    test = data.test[0].numpy().astype(np.int64)
    if verify_model(exact, artifacts, test[:100]).n_mismatches:
        raise SystemExit("the bitstream does something else than what was trained")
    read = readout(torch.tensor(next(iter(artifacts.run(test).values()))))
    return straight, float((read.argmax(dim=1) == data.test[1]).float().mean())


def cut(samples: tuple[Tensor, Tensor]) -> Batches:
    return list(zip(*(part.split(128) for part in samples), strict=True))


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def measure(names: list[str]) -> Iterator[Row]:
    for name, train in TASKS.items():
        if names and not any(wanted in name for wanted in names):
            continue
        figures, start = [], time.monotonic()
        for seed in SEEDS:
            trained = train(seed)
            figures.append((trained.accuracy, *train_on(trained, seed)))
            print(f"  {name}, seed {seed}: {figures[-1]} after {time.monotonic() - start:.0f} s", file=sys.stderr)
        model, straight, after = 100 * np.mean(figures, axis=0)
        yield (
            f"{name}: points lost after {N_EPOCHS} epochs",
            f"{model - after:.1f} (straight {model - straight:.1f})",
            f"model {model:.1f}%, bitstream {after:.1f}%; {len(SEEDS)} seeds, {time.monotonic() - start:.0f} s",
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print_rows(measure(sys.argv[1:]))
