"""Recurrent LIF networks for two real time series: spoken vowels, and exercises seen by a watch.

What is chosen, epochs and decays, is chosen on validation data: a third of each speaker's training utterances, or two of the
people that a fold trains on. The network is then trained again on all training data, and the test data are seen once.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from datasets import read_japanese_vowels, read_watch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn
from torch.utils.data import DataLoader

from snnmap.core import FloatArray, IntArray
from snnmap.nn import LIF, LeakyIntegrator, Readout, Surrogate
from snnmap.pipeline import compile_model
from snnmap.train import TrainOptions, train_model

CHIP = "xylo-audio-3"
MOST = 15
"""Counts a channel and step."""


def make_model(seed: int, n_inputs: int, n_classes: int, dash_mem: int) -> nn.Sequential:
    """Make two LIF layers, the second recurrent, that fill XyloAudio 3's reach of inputs and its recurrent words."""
    torch.manual_seed(seed)
    surrogate, sizes = Surrogate(window=0.5), (n_inputs, 128, 120, n_classes)
    linear = [nn.Linear(n_pre, n_post, bias=False) for n_pre, n_post in pairwise(sizes)]
    for layer, gain in zip(linear, (0.3, 0.6, 0.3), strict=True):
        nn.init.normal_(layer.weight, std=gain / layer.in_features**0.5)
    recurrent = LIF(120, dash_syn=1, dash_mem=dash_mem, surrogate=surrogate, recurrent=True)
    nn.init.normal_(recurrent.recurrent_weight, std=0.02)
    first = [linear[0], LIF(128, dash_syn=1, dash_mem=2, surrogate=surrogate), nn.Dropout(0.3)]
    return nn.Sequential(
        *first, linear[1], recurrent, nn.Dropout(0.3), linear[2], LeakyIntegrator(n_classes, dash_syn=1, dash_mem=5)
    )


def load_batches(
    samples: Sequence[tuple[Tensor, int]], size: int, vary: Callable[[Sequence[tuple[Tensor, int]]], tuple[Tensor, ...]]
) -> DataLoader[tuple[Tensor, int]]:
    return DataLoader(samples, size, shuffle=True, collate_fn=vary)  # type: ignore[arg-type]


def score_bitstream(
    model: nn.Module, readout: Readout, calibration: IntArray, counts: IntArray, labels: IntArray, lengths: IntArray
) -> float:
    """Build, run the bitstream on all samples, give the share read right."""
    artifacts = compile_model(model.double().eval(), CHIP, calibration=calibration)
    read = readout(torch.tensor(artifacts.run(counts)["output"]), torch.tensor(lengths))
    return float((read.argmax(dim=1).numpy() == labels).mean())


VOWELS_SETTLE, VOWELS_LONGEST = 3, 29


def vary_vowels(samples: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, ...]:
    """Cut pieces out of utterances, shift their level, add noise."""
    n_steps = VOWELS_LONGEST + VOWELS_SETTLE
    counts, lengths = torch.zeros(len(samples), n_steps, samples[0][0].shape[1]), []
    for row, (utterance, _) in enumerate(samples):
        cut = int(torch.rand(1) * 0.4 * len(utterance))
        start, length = int(torch.randint(0, cut + 1, (1,))), len(utterance) - cut
        noise = torch.randn(length, utterance.shape[1]) + 0.5 * torch.randn(utterance.shape[1])
        counts[row, :length] = (utterance[start : start + length] + noise).round().clamp(0, MOST)
        lengths.append(length)
    return counts, torch.tensor([speaker for _, speaker in samples]), torch.tensor(lengths)


def encode_vowels(utterances: list[FloatArray], low: FloatArray, high: FloatArray) -> list[Tensor]:
    scaled = [np.rint(MOST * np.clip((utterance - low) / (high - low), 0, 1)) for utterance in utterances]
    return [torch.tensor(utterance, dtype=torch.float32) for utterance in scaled]


Choice = tuple[int, int]
"""Epochs, and the bit shift of the recurrent layer's membranes."""
VOWELS_READOUT = Readout("last", settle_steps=VOWELS_SETTLE)
VOWELS_CHOICES: tuple[Choice, ...] = ((200, 3), (300, 3), (300, 4))


def train_vowels(seed: int) -> float:
    """Give the accuracy of the bitstream on the test data."""
    (utterances, speakers), (test, test_speakers) = read_japanese_vowels("TRAIN"), read_japanese_vowels("TEST")
    validated = np.arange(len(utterances)) % 3 == seed % 3
    fitted, validation = (
        [one for one, chosen in zip(utterances, part, strict=True) if chosen] for part in (~validated, validated)
    )

    def validate(choice: Choice) -> float:
        model, bounds = fit_vowels(fitted, speakers[~validated], seed, choice)
        counts = torch.tensor(encode_padded(validation, bounds), dtype=torch.float32)
        return score_model(model, VOWELS_READOUT, counts, speakers[validated], [len(part) for part in validation])

    model, bounds = fit_vowels(utterances, speakers, seed, max(VOWELS_CHOICES, key=validate))
    known, unknown = (encode_padded(part, bounds) for part in (utterances, test))
    return score_bitstream(model, VOWELS_READOUT, known, unknown, test_speakers, np.array([len(part) for part in test]))


def fit_vowels(
    utterances: list[FloatArray], speakers: IntArray, seed: int, choice: Choice
) -> tuple[nn.Sequential, tuple[FloatArray, FloatArray]]:
    """Train a network; give it and the bounds between which its inputs are scaled."""
    together = np.concatenate(utterances)
    bounds = together.min(axis=0), together.max(axis=0)
    samples = list(zip(encode_vowels(utterances, *bounds), speakers.tolist(), strict=True))
    model = make_model(seed, 12, 9, choice[1])
    options = TrainOptions(n_epochs=choice[0], learning_rate=3e-3, weight_decay=1e-2, label_smoothing=0.1, seed=seed)
    train_model(model, load_batches(samples, 32, vary_vowels), readout=VOWELS_READOUT, options=options, progress=False)
    return model, bounds


def encode_padded(utterances: list[FloatArray], bounds: tuple[FloatArray, FloatArray]) -> IntArray:
    return pad(encode_vowels(utterances, *bounds), VOWELS_LONGEST + VOWELS_SETTLE)


@torch.no_grad()
def score_model(model: nn.Module, readout: Readout, counts: Tensor, labels: IntArray, lengths: Sequence[int]) -> float:
    """Give the share that the float model reads right."""
    read = readout(model.eval()(counts), torch.tensor(lengths))
    return float((read.argmax(dim=1).numpy() == labels).mean())


def pad(sequences: list[Tensor], n_steps: int) -> IntArray:
    padded = [nn.functional.pad(sequence, (0, 0, 0, n_steps - len(sequence))) for sequence in sequences]
    return np.asarray(torch.stack(padded).numpy(), np.int64)


WATCH_WINDOW, WATCH_BIN = 200, 2
"""Samples at 50 Hz, and how many of them make a step."""
WATCH_SPARE = 60
"""More samples, of which a training window is taken faster or slower."""
WATCH_SCALE = torch.tensor([1.5, 1.5, 1.5, 4.0, 4.0, 4.0])
"""Acceleration in g and rotation in rad/s that are 15 counts."""
OTHER_WRIST = torch.tensor([-1.0, 1.0, 1.0, 1.0, -1.0, -1.0])
"""Signs of acceleration and rotation seen in a mirror across the forearm."""
WATCH_FOLDS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
"""People of whom a fold's network has seen nothing."""
WATCH_READOUT = Readout("mean", skip_steps=20)
WATCH_CHOICES: tuple[Choice, ...] = ((15, 4), (25, 4), (25, 3))


def encode_watch(windows: Tensor) -> Tensor:
    """Give each channel's positive and negative part as counts, ``(n, steps, 12)``."""
    n, length, channels = windows.shape
    means = windows.reshape(n, length // WATCH_BIN, WATCH_BIN, channels).mean(dim=2) / WATCH_SCALE
    return (MOST * torch.cat([means, -means], dim=2)).round().clamp(0, MOST)


def vary_watch(samples: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, ...]:
    """Turn the watch a little on the wrist, change wrists, speed and strength of the movement."""
    windows = torch.stack([window for window, _ in samples])
    n = len(windows)
    turn = turn_about(torch.randn(n, 3), 0.3 * torch.randn(n))
    windows = torch.cat([windows[:, :, :3] @ turn, windows[:, :, 3:] @ turn], dim=2)
    windows = torch.where(torch.rand(n, 1, 1) < 0.5, windows * OTHER_WRIST, windows)
    speed = 0.8 + 0.4 * torch.rand(n)
    windows = resample(windows, speed)
    windows = torch.cat([windows[:, :, :3], windows[:, :, 3:] * speed.view(n, 1, 1)], dim=2)
    return encode_watch(windows * (1 + 0.15 * torch.randn(n, 1, 1))), torch.tensor([label for _, label in samples])


def turn_about(axis: Tensor, angle: Tensor) -> Tensor:
    """Give rotation matrices ``(n, 3, 3)`` about axes ``(n, 3)`` by angles ``(n,)`` in radians."""
    x, y, z = (angle.unsqueeze(1) * nn.functional.normalize(axis, dim=1)).unbind(dim=1)
    zero = torch.zeros_like(x)
    generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1)
    return torch.linalg.matrix_exp(generator.view(-1, 3, 3))


def resample(windows: Tensor, speed: Tensor) -> Tensor:
    """Take a window out of a longer one at another speed, from somewhere in it, between samples linearly."""
    n, length, channels = windows.shape
    spare = (length - 1 - WATCH_WINDOW * speed).clamp(min=0)
    places = (torch.rand(n) * spare).unsqueeze(1) + torch.arange(WATCH_WINDOW) * speed.unsqueeze(1)
    places = places.clamp(max=length - 1.001)
    before = places.long().unsqueeze(2).expand(n, WATCH_WINDOW, channels)
    share = (places - places.floor()).unsqueeze(2)
    return windows.gather(1, before) * (1 - share) + windows.gather(1, before + 1) * share


def cut_windows(recordings: list[FloatArray], labels: IntArray, length: int, step: int) -> tuple[Tensor, IntArray]:
    """Cut recordings to windows, ``(n, length, channels)``, with their labels."""
    windows, found = [], []
    for recording, label in zip(recordings, labels, strict=True):
        cut = sliding_window_view(recording, length, axis=0)[::step].transpose(0, 2, 1)
        windows.append(cut)
        found += [label] * len(cut)
    return torch.tensor(np.concatenate(windows), dtype=torch.float32), np.array(found)


Recordings = tuple[list[FloatArray], IntArray]


def split_watch(without: Sequence[int], held: Sequence[int]) -> tuple[Recordings, Recordings]:
    """Give recordings and labels of everybody but some people, and of the ones held out."""
    recordings, labels, people = read_watch()
    parts = ~np.isin(people, [*without, *held]), np.isin(people, held)
    first, second = (([one for one, is_in in zip(recordings, part, strict=True) if is_in], labels[part]) for part in parts)
    return first, second


def train_watch(fold: int) -> float:
    """Give the accuracy of the bitstream on the fold's people, on windows of 4 s, half of each in the one before it."""
    unseen, validated = WATCH_FOLDS[fold], WATCH_FOLDS[(fold + 1) % len(WATCH_FOLDS)]
    fitted, validation = split_watch(unseen, validated)
    known, unknown = split_watch((), unseen)

    def validate(choice: Choice) -> float:
        model, _ = fit_watch(fitted, fold, choice)
        windows, labels = cut_windows(*validation, WATCH_WINDOW, WATCH_WINDOW // 2)
        return score_model(model, WATCH_READOUT, encode_watch(windows), labels, [WATCH_WINDOW // WATCH_BIN] * len(windows))

    model, windows = fit_watch(known, fold, max(WATCH_CHOICES, key=validate))
    test, test_labels = cut_windows(*unknown, WATCH_WINDOW, WATCH_WINDOW // 2)
    calibration, counts = (encode_watch(part).numpy().astype(np.int64) for part in (windows[::8, :WATCH_WINDOW], test))
    lengths = np.full(len(test), WATCH_WINDOW // WATCH_BIN)
    return score_bitstream(model, WATCH_READOUT, calibration, counts, test_labels, lengths)


def fit_watch(known: Recordings, seed: int, choice: Choice) -> tuple[nn.Sequential, Tensor]:
    """Train a network; give it and its windows."""
    windows, labels = cut_windows(*known, WATCH_WINDOW + WATCH_SPARE, WATCH_WINDOW // 4)
    model = make_model(seed, 12, 7, choice[1])
    options = TrainOptions(n_epochs=choice[0], learning_rate=3e-3, weight_decay=1e-2, label_smoothing=0.1, seed=seed)
    samples = list(zip(windows, labels.tolist(), strict=True))
    train_model(model, load_batches(samples, 32, vary_watch), readout=WATCH_READOUT, options=options, progress=False)
    return model, windows


def score_watch_svm(fold: int) -> float:
    """Give the accuracy of a support vector machine on summary statistics of the same windows; its C is validated likewise."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def summarise(windows: Tensor) -> FloatArray:
        values = windows.numpy()
        parts = [np.mean, np.std, np.min, np.max, np.median]
        change = np.abs(np.diff(values, axis=1)).mean(axis=1)
        return np.concatenate([*(part(values, axis=1) for part in parts), change], axis=1)

    def fit_and_score(without: Sequence[int], held: Sequence[int], c: float) -> float:
        parts = [cut_windows(*part, WATCH_WINDOW, WATCH_WINDOW // 2) for part in split_watch(without, held)]
        (known, known_labels), (unknown, labels) = parts
        machine = make_pipeline(StandardScaler(), SVC(C=c)).fit(summarise(known), known_labels)
        return float(machine.score(summarise(unknown), labels))

    unseen, validated = WATCH_FOLDS[fold], WATCH_FOLDS[(fold + 1) % len(WATCH_FOLDS)]
    best = max((1.0, 10.0, 100.0), key=lambda c: fit_and_score(unseen, validated, c))
    return fit_and_score((), unseen, best)
