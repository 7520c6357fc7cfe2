"""What models of other frameworks lose on the way to the bitstream: straight, and after training on. About 18 minutes.

snnTorch's ``RSynaptic`` on heart beats (simulated, see ``heart_beats``); Rockpool's ``SynNet``, read by spikes and by
potentials, ``WaveSenseNet``, and Norse's ``LIFCell`` through NIR on spoken vowels; convolutional networks of snnTorch's ``Leaky``
and, through NIR, SpikingJelly's ``LIFNode`` on event digits (scikit-learn's digits, seen by the event simulator in N-MNIST's
saccades). Each is trained in its own framework, until validation samples gain no more, and taken to the chip as it is; neurons
without a synapse by ``carry_instant_synapses``, those that reset to a value or send more spikes than the chip by the fixes
``chip-reset`` and ``chip-counts``. Training on is the same for all, ``RECIPE``.

Run with ``make training-on``; ``--write`` writes the table. ``--choose`` measures on training samples that were put aside, with
other seeds than those reported, for some recipes: that is how this one was chosen. Words of a row's name measure it alone.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Self, cast

import numpy as np
import torch
from builds import build_anyway
from datasets import read_japanese_vowels
from heart_beats import simulate_beats
from measurements import Row, choose_rows, print_rows, write_table
from numpy.typing import ArrayLike
from rockpool.nn.modules import LIFTorch
from rockpool.nn.networks import SynNet, WaveSenseNet
from sklearn.datasets import load_digits
from snntorch import Leaky, RSynaptic, SpikingNeuron, Synaptic, surrogate
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import snnmap
from snnmap.core import FloatArray, IntArray
from snnmap.events import simulate_saccades
from snnmap.frontends.nir import NirOptions
from snnmap.network import Network, carry_instant_synapses
from snnmap.nn import Readout, ReadoutName, Surrogate
from snnmap.train import TrainOptions, score_model, to_chip_exact, train_model, verify_model

SEEDS, CHOICE_SEEDS = (30, 31, 32), (0, 1, 2)
"""Of the figures that are reported, and of those that the recipe was chosen by."""
N_CALIBRATION = 128
FLOAT_RATE, FLOAT_BATCH = 5e-3, 50

Samples = tuple[Tensor, Tensor]
"""Counts ``(n, time, channels)``, and classes."""
Run = Callable[[Tensor], Tensor]
"""From counts to one value a class."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Samples to train with, and to test with."""

    train: Samples
    test: Samples

    def batches(self, size: int, seed: int) -> DataLoader[tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(seed)
        return DataLoader(TensorDataset(*self.train), size, shuffle=True, generator=generator)

    def without_test(self, seed: int, share: float = 0.25) -> Self:
        """Give the training samples alone, a share of which stands in for the test samples."""
        counts, labels = self.train
        order = torch.as_tensor(np.random.default_rng(seed).permutation(len(labels)))
        test, train = order[: int(share * len(order))], order[int(share * len(order)) :]
        return replace(self, train=(counts[train], labels[train]), test=(counts[test], labels[test]))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained on, with the float model for a teacher where it has a share."""

    options: TrainOptions
    batch: int = 10

    def with_options(self, **changes: Any) -> Self:
        return replace(self, options=replace(self.options, **changes))


RECIPE = Recipe(options=TrainOptions(n_epochs=10, learning_rate=2e-3, clip_norm=0.2, rate_weight=0.1))
"""The penalty on rates keeps recurrent neurons out of bursts, small batches bring networks that start in bursts back."""
CANDIDATES = {
    "as it is": RECIPE,
    "batches of 25": replace(RECIPE, batch=25),
    "rate 1e-3": RECIPE.with_options(learning_rate=1e-3),
    "rate 5e-3": RECIPE.with_options(learning_rate=5e-3),
    "a teacher": RECIPE.with_options(distil_weight=0.5),
    "no penalty on rates": RECIPE.with_options(rate_weight=0.0),
}
"""Among which ``RECIPE`` was chosen."""


class Scaled(Readout):
    """A readout multiplied by a gain, for the cross entropy."""

    def __init__(self, kind: ReadoutName, gain: float) -> None:
        super().__init__(kind)
        self.gain = gain

    def forward(self, values: ArrayLike | Tensor, lengths: ArrayLike | Tensor | None = None) -> Tensor:
        return self.gain * super().forward(values, lengths)


class Teacher(nn.Module):
    """The model as it was trained, for the distillation."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, inputs: Tensor) -> Tensor:
        return self.run(inputs)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model of another framework, trained.

    Attributes:
        run: it, in its own framework.
        network: as :func:`snnmap.load` reads it, or made from that.
        data: what it was trained on.
        readout: from outputs to classes.
        chip: to take it to.
    """

    run: Run
    network: Network
    data: Data
    readout: Readout
    chip: str

    @property
    def calibration(self) -> IntArray:
        return as_counts(self.data.train[0][:N_CALIBRATION])


def to_samples(counts: IntArray | Tensor, labels: IntArray | Tensor) -> Samples:
    return torch.as_tensor(counts, dtype=torch.float32), torch.as_tensor(labels)


def fit(run: Run, parameters: Iterable[nn.Parameter], data: Data, n_epochs: int, seed: int) -> None:
    """Train in the model's own framework until it gains no more: Adam, its rate falling to nothing."""
    optimiser = torch.optim.Adam(parameters, FLOAT_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_epochs)
    for epoch in range(n_epochs):
        for inputs, labels in data.batches(FLOAT_BATCH, seed * 1000 + epoch):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(run(inputs), labels)
            torch.autograd.backward(loss)
            optimiser.step()
        schedule.step()


@torch.no_grad()
def score(run: Run, samples: Samples) -> float:
    inputs, labels = samples
    read = torch.cat([run(part) for part in inputs.split(128)])
    return float((read.argmax(dim=1) == labels).double().mean())


def forget(model: nn.Module) -> None:
    """Set all states to zero; ``snntorch.utils.reset`` leaves out some."""
    for part in model.modules():
        if isinstance(part, SpikingNeuron):
            cast(Any, part).reset_mem()


def run_snntorch(model: nn.Module, inputs: Tensor) -> Tensor:
    """Run the steps of a snnTorch module one after the other; give output spikes, ``(batch, time, n)``."""
    forget(model)
    return torch.stack([model(inputs[:, step])[0] for step in range(inputs.shape[1])], dim=1)


def read_heart(seed: int) -> Data:
    return Data(train=to_samples(*simulate_beats(3000, 1000 + seed)), test=to_samples(*simulate_beats(1000, 5000 + seed)))


def train_heart(data: Data, seed: int) -> Trained:
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
    run = lambda inputs: run_snntorch(model, inputs).sum(dim=1)  # noqa: E731
    fit(run, (p for p in model.parameters() if p.requires_grad), data, 20, seed)
    network = snnmap.load(model, overshoot="ignore")
    return Trained(run=run, network=network, data=data, readout=Readout("count"), chip="xylo-audio-3")


def encode_vowels(utterances: list[FloatArray], low: FloatArray, high: FloatArray) -> Tensor:
    """Give counts of the 12 coefficients, ``(n, 36, 12)``, silence behind each utterance."""
    counts = torch.zeros(len(utterances), 36, 12)
    for row, utterance in enumerate(utterances):
        scaled = np.rint(7 * np.clip((utterance - low) / (high - low), 0, 1))
        counts[row, : len(utterance)] = torch.tensor(scaled, dtype=torch.float32)
    return counts


def read_vowels(_: int) -> Data:
    (utterances, speakers), (test, test_speakers) = read_japanese_vowels("TRAIN"), read_japanese_vowels("TEST")
    bounds = [function(np.concatenate(utterances), axis=0) for function in (np.min, np.max)]
    return Data(
        train=to_samples(encode_vowels(utterances, *bounds), speakers),
        test=to_samples(encode_vowels(test, *bounds), test_speakers),
    )


def train_synnet(data: Data, seed: int, output: str) -> Trained:
    """Train Rockpool's keyword spotter on spoken vowels, to tell speakers."""
    torch.manual_seed(seed)
    model = SynNet(n_channels=12, n_classes=9, size_hidden_layers=[60, 60], time_constants_per_layer=[2, 4], output=output)
    for name, part in model.seq.modules().items():
        if "linear" in name:
            part.weight.data.mul_(0.5)
    readout = Scaled("mean", 3.0 if output == "vmem" else 10.0)
    run = lambda inputs: readout(model.reset_state()(inputs)[0])  # noqa: E731
    fit(run, model.parameters().astorch(), data, 60, seed)
    return Trained(run=run, network=snnmap.load(model), data=data, readout=readout, chip="xylo-audio-3")


def train_wavesense(data: Data, seed: int) -> Trained:
    """Train Rockpool's network of dilated layers, residual and skip connections on spoken vowels."""
    torch.manual_seed(seed)
    model = WaveSenseNet(
        dilations=[2, 4], n_classes=9, n_channels_in=12, n_channels_res=24, n_channels_skip=24, n_hidden=48, kernel_size=2,
        smooth_output=False, tau_mem=4e-3, base_tau_syn=2e-3, threshold=1.0, neuron_model=LIFTorch, dt=1e-3,
    )  # fmt: skip
    readout = Scaled("mean", 10.0)
    run = lambda inputs: readout(model.reset_state()(inputs)[0])  # noqa: E731
    fit(run, model.parameters().astorch(), data, 60, seed)
    network = take_neurons(snnmap.load(model), data, "xylo-audio-3")
    return Trained(run=run, network=network, data=data, readout=readout, chip="xylo-audio-3")


def take_neurons(network: Network, data: Data, chip: str) -> Network:
    """Return the network with the chip's reset where its own goes to a value, and the chip's most spikes a step."""
    options = snnmap.FixOptions(fix_only=("chip-reset", "chip-counts"))
    return snnmap.fix_model(network, chip, calibration=as_counts(data.train[0][:N_CALIBRATION]), fixes=options).network


def train_norse(data: Data, seed: int) -> Trained:
    """Train two layers of Norse's neurons with synapses on spoken vowels, and read them from NIR."""
    from norse import torch as norse

    torch.manual_seed(seed)
    parts: list[Any] = []
    for n_pre, n_post in ((12, 96), (96, 9)):
        linear = nn.Linear(n_pre, n_post, bias=False)
        linear.weight.data.mul_(3.0)
        parts += [linear, norse.LIFCell(norse.LIFParameters(), dt=1e-3)]
    model = norse.SequentialState(*parts)

    def run(inputs: Tensor) -> Tensor:
        state, spikes = None, []
        for step in inputs.unbind(dim=1):
            out, state = model(step, state)
            spikes.append(out)
        return torch.stack(spikes).sum(dim=0)

    fit(run, model.parameters(), data, 100, seed)
    graph = norse.to_nir(model, data.train[0][:1, 0], dt=1)
    network = snnmap.load(graph, options=NirOptions.like("norse", dt_s=1e-3, w_in="left_out"))
    network = take_neurons(network, data, "xylo-audio-3")
    return Trained(run=run, network=network, data=data, readout=Readout("count"), chip="xylo-audio-3")


def train_spikingjelly(data: Data, seed: int) -> Trained:
    """Train a convolution and a Linear layer of SpikingJelly's neurons on event digits, and read them from NIR."""
    from spikingjelly.activation_based import functional, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    torch.manual_seed(seed)
    make_lif = partial(neuron.LIFNode, tau=4.0, decay_input=False)
    first, last = nn.Conv2d(2, 5, 4, stride=2, bias=False), nn.Linear(125, 10, bias=False)
    nn.init.normal_(first.weight, 0.05, 0.2)
    model = nn.Sequential(first, make_lif(), nn.Flatten(), last, make_lif())

    def run(inputs: Tensor) -> Tensor:
        functional.reset_net(model)
        return torch.stack([model(step) for step in inputs.unflatten(2, (2, 12, 12)).unbind(dim=1)]).sum(dim=0)

    fit(run, model.parameters(), data, 30, seed)
    functional.reset_net(model)
    graph = export_to_nir(model, data.train[0][:1, 0].view(1, 2, 12, 12), dt=1e-4)
    network = snnmap.load(graph, options=NirOptions.like("spikingjelly", dt_s=1e-4))
    network = carry_instant_synapses(take_neurons(network, data, "generic-4096"))
    return Trained(run=run, network=network, data=data, readout=Readout("count"), chip="generic-4096")


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


def read_digits(_: int) -> Data:
    return Data(train=encode_digits(range(1200)), test=encode_digits(range(1200, 1797)))


def train_digits(data: Data, seed: int) -> Trained:
    """Train two convolutions and a Linear layer of snnTorch's plain neurons on event digits."""
    torch.manual_seed(seed)
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
    return Trained(run=run, network=network, data=data, readout=Readout("count"), chip="generic-4096")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Accuracies of a model and of its bitstreams, and the rules that refuse these."""

    model: float
    straight: float
    after: float
    refused: tuple[str, ...]
    refused_after: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """Samples by seed, and a model trained on them."""

    read: Callable[[int], Data]
    train: Callable[[Data, int], Trained]


TASKS = {
    "RSynaptic, heart beats (simulated)": Task(read_heart, train_heart),
    "SynNet, vowels, by spikes": Task(read_vowels, partial(train_synnet, output="spikes")),
    "SynNet, vowels, by potentials": Task(read_vowels, partial(train_synnet, output="vmem")),
    "WaveSense, vowels": Task(read_vowels, train_wavesense),
    "Norse through NIR, vowels": Task(read_vowels, train_norse),
    "Leaky conv net, event digits": Task(read_digits, train_digits),
    "SpikingJelly through NIR, event digits": Task(read_digits, train_spikingjelly),
}


def build_as_read(model: object, trained: Trained) -> tuple[snnmap.Artifacts, tuple[str, ...]]:
    options = snnmap.CompileOptions(decision=trained.readout.kind)
    return build_anyway(model, trained.chip, options=options, calibration=trained.calibration)


def train_on(trained: Trained, recipe: Recipe, seed: int) -> nn.Module:
    """Train on in the chip's integers; what comes last is kept."""
    exact = to_chip_exact(
        trained.network, trained.chip, calibration=trained.calibration, surrogate=Surrogate(name="fast_sigmoid", slope=5.0)
    )
    train_model(
        exact,
        trained.data.batches(recipe.batch, seed),
        readout=trained.readout,
        options=replace(recipe.options, seed=seed),
        teacher=Teacher(trained.run) if recipe.options.distil_weight else None,
        progress=False,
    )
    return exact


def score_bitstream(artifacts: snnmap.Artifacts, readout: Readout, samples: Samples) -> float:
    """Give the accuracy of the bitstream, of one output port."""
    inputs, labels = samples
    (outputs,) = artifacts.run(as_counts(inputs)).values()
    return float((readout(torch.tensor(outputs)).argmax(dim=1) == labels).double().mean())


def as_counts(inputs: Tensor) -> IntArray:
    return np.asarray(inputs.numpy(), np.int64)


def measure(words: list[str]) -> Iterator[Row]:
    """Give the losses on test samples."""
    for name, task in pick_tasks(words):
        found, start = [], time.monotonic()
        for seed in SEEDS:
            found.append(measure_one(task, seed))
            report(name, seed, str(found[-1]), start)
        model, straight, after = 100 * np.array([(part.model, part.straight, part.after) for part in found]).T
        yield (
            f"{name}: points lost after {RECIPE.options.n_epochs} epochs",
            f"{tell(model - after)}{tell_refusals([part.refused_after for part in found])}; straight {tell(model - straight)}"
            f"{tell_refusals([part.refused for part in found])}",
            f"<= 1.0; model {model.mean():.1f}%, bitstream {after.mean():.1f}%",
        )


def measure_one(task: Task, seed: int) -> Found:
    trained = task.train(task.read(seed), seed)
    straight, refused = build_as_read(trained.network, trained)
    exact = train_on(trained, RECIPE, seed)
    after, refused_after = build_as_read(exact, trained)
    test = trained.data.test
    if verify_model(exact, after, as_counts(test[0][:200])).n_mismatches:
        raise SystemExit("the bitstream does something else than what was trained")
    return Found(
        model=score(trained.run, test),
        straight=score_bitstream(straight, trained.readout, test),
        after=score_bitstream(after, trained.readout, test),
        refused=refused,
        refused_after=refused_after,
    )


def choose(words: list[str]) -> Iterator[Row]:
    """Give the losses on training samples that were put aside, for each recipe."""
    for name, task in pick_tasks(words):
        lost, start = np.zeros((len(CHOICE_SEEDS), len(CANDIDATES))), time.monotonic()
        for row, seed in enumerate(CHOICE_SEEDS):
            trained = task.train(task.read(seed).without_test(seed), seed)
            aside = trained.data.test
            model = score(trained.run, aside)
            for column, recipe in enumerate(CANDIDATES.values()):
                exact = train_on(trained, recipe, seed)
                lost[row, column] = 100 * (model - score_model(exact, [aside], readout=trained.readout))
            report(name, seed, f"{model}, lost {lost[row].round(2)}", start)
        losses = "; ".join(f"{words} {tell(part)}" for words, part in zip(CANDIDATES, lost.T, strict=True))
        yield (
            f"{name}: points lost after {RECIPE.options.n_epochs} epochs, samples put aside",
            losses,
            f"{len(CHOICE_SEEDS)} seeds",
        )


def pick_tasks(words: list[str]) -> Iterator[tuple[str, Task]]:
    return ((name, TASKS[name]) for name in choose_rows(words, TASKS))


def tell(lost: FloatArray) -> str:
    return f"{lost.mean():.1f} ({', '.join(f'{value:.1f}' for value in lost)})"


def tell_refusals(rules: list[tuple[str, ...]]) -> str:
    n_refused, ids = sum(map(bool, rules)), sorted(set().union(*rules))
    return f", {n_refused} of {len(rules)} builds refused by {', '.join(ids)}" if ids else ""


def report(name: str, seed: int, found: str, start: float) -> None:
    print(f"  {name}, seed {seed}: {found} after {time.monotonic() - start:.0f} s", file=sys.stderr)


def main(words: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    lines = print_rows((choose if "--choose" in words else measure)(words))
    if "--write" in words:
        write_table("training-on", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
