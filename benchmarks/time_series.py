"""Recurrent LIF networks for two real time series: spoken vowels, and exercises seen by a watch.

How they are trained is chosen on data put aside from training, never on what is tested.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

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

T = TypeVar("T")
CHIP = "xylo-audio-3"
MOST = 15
"""Counts a channel and step."""


@dataclass(frozen=True)
class Recipe:
    """What is chosen: how long and fast to learn, the decay of the recurrent layer, dropout, and what is averaged."""

    n_epochs: int
    learning_rate: float
    dash_mem: int
    dropout: float = 0.3
    average_last: float = 0.0

    def to_options(self, seed: int) -> TrainOptions:
        return TrainOptions(
            n_epochs=self.n_epochs,
            learning_rate=self.learning_rate,
            weight_decay=1e-2,
            label_smoothing=0.1,
            average_last=self.average_last,
            seed=seed,
        )


def choose_best(candidates: Sequence[T], score: Callable[[T], float]) -> T:
    """Give the candidate of the best score; of equals the first."""
    scores = [score(candidate) for candidate in candidates]
    return candidates[scores.index(max(scores))]


def make_model(seed: int, n_inputs: int, n_classes: int, recipe: Recipe) -> nn.Sequential:
    """Make two LIF layers, the second recurrent, that fill XyloAudio 3's reach of inputs and its recurrent words."""
    torch.manual_seed(seed)
    surrogate, sizes = Surrogate(window=0.5), (n_inputs, 128, 120, n_classes)
    linear = [nn.Linear(n_pre, n_post, bias=False) for n_pre, n_post in pairwise(sizes)]
    for layer, gain in zip(linear, (0.3, 0.6, 0.3), strict=True):
        nn.init.normal_(layer.weight, std=gain / layer.in_features**0.5)
    recurrent = LIF(120, dash_syn=1, dash_mem=recipe.dash_mem, surrogate=surrogate, recurrent=True)
    nn.init.normal_(recurrent.recurrent_weight, std=0.02)
    first = [linear[0], LIF(128, dash_syn=1, dash_mem=2, surrogate=surrogate), nn.Dropout(recipe.dropout)]
    second = [linear[1], recurrent, nn.Dropout(recipe.dropout)]
    return nn.Sequential(*first, *second, linear[2], LeakyIntegrator(n_classes, dash_syn=1, dash_mem=5))


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


Utterances = tuple[list[FloatArray], IntArray]
"""Of shape ``(length, 12)``, and their speakers."""
VOWELS_RECIPES = (
    Recipe(300, 3e-3, 3),
    Recipe(300, 3e-3, 3, average_last=0.5),
    Recipe(300, 3e-3, 3, dropout=0.5, average_last=0.5),
)
VOWELS_FOLDS = 3
"""Parts of the training set, alike in speakers, each put aside once to choose a recipe on."""


def choose_vowels() -> Recipe:
    """Choose a recipe on utterances put aside from the training set: the mean of all folds."""
    return choose_best(VOWELS_RECIPES, lambda recipe: float(np.mean([score_fold(recipe, k) for k in range(VOWELS_FOLDS)])))


def score_fold(recipe: Recipe, fold: int) -> float:
    """Give the share read right of the utterances of one fold, trained on the others."""
    utterances, speakers = read_japanese_vowels("TRAIN")
    aside = np.arange(len(speakers)) % VOWELS_FOLDS == fold
    known, unknown = (([utterances[k] for k in np.flatnonzero(part)], speakers[part]) for part in (~aside, aside))
    return train_vowels(100, recipe, known, unknown)


def train_vowels(seed: int, recipe: Recipe, known: Utterances, unknown: Utterances) -> float:
    """Train on known utterances; give the accuracy of the bitstream on the others."""
    (utterances, speakers), (test, test_speakers) = known, unknown
    bounds = [function(np.concatenate(utterances), axis=0) for function in (np.min, np.max)]
    samples = list(zip(encode_vowels(utterances, *bounds), speakers.tolist(), strict=True))
    model, readout = make_model(seed, 12, 9, recipe), Readout("last", settle_steps=VOWELS_SETTLE)
    batches = load_batches(samples, 32, vary_vowels)
    train_model(model, batches, readout=readout, options=recipe.to_options(seed), progress=False)
    calibration, counts = (pad(encode_vowels(part, *bounds), VOWELS_LONGEST + VOWELS_SETTLE) for part in (utterances, test))
    return score_bitstream(model, readout, calibration, counts, test_speakers, np.array([len(part) for part in test]))


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
WATCH_RECIPES = (Recipe(25, 3e-3, 4), Recipe(25, 1e-3, 4), Recipe(25, 3e-3, 3))
SVM_RECIPES = (1.0, 10.0, 100.0)
WATCH_FOLDS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
"""People who are left out together; a recipe is chosen for each fold on the two of the next one."""


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
"""Of shape ``(length, 6)``, and the exercises that they are of."""


def split_watch(left_out: Sequence[int], unused: Sequence[int] = ()) -> tuple[Recordings, Recordings]:
    """Give recordings of all people but those left out (and those unused), and of those left out."""
    recordings, labels, people = read_watch()
    unseen = np.isin(people, left_out)
    known, unknown = (
        ([recordings[k] for k in np.flatnonzero(part)], labels[part]) for part in (~unseen & ~np.isin(people, unused), unseen)
    )
    return known, unknown


def choose_watch(fold: int, recipes: Sequence[T], score: Callable[[T, Recordings, Recordings], float]) -> T:
    """Choose a recipe on two of the people that a fold trains on."""
    aside = split_watch(WATCH_FOLDS[(fold + 1) % len(WATCH_FOLDS)], WATCH_FOLDS[fold])
    return choose_best(recipes, lambda recipe: score(recipe, *aside))


def train_watch(recipe: Recipe, known: Recordings, unknown: Recordings, *, seed: int) -> float:
    """Give the accuracy of the bitstream on windows of 4 s, half of each in the one before it."""
    windows, labels = cut_windows(*known, WATCH_WINDOW + WATCH_SPARE, WATCH_WINDOW // 4)
    model, readout = make_model(seed, 12, 7, recipe), Readout("mean", skip_steps=20)
    batches = load_batches(list(zip(windows, labels.tolist(), strict=True)), 32, vary_watch)
    train_model(model, batches, readout=readout, options=recipe.to_options(seed), progress=False)
    test, test_labels = cut_windows(*unknown, WATCH_WINDOW, WATCH_WINDOW // 2)
    calibration, counts = (encode_watch(part).numpy().astype(np.int64) for part in (windows[::8, :WATCH_WINDOW], test))
    return score_bitstream(model, readout, calibration, counts, test_labels, np.full(len(test), WATCH_WINDOW // WATCH_BIN))


def score_watch_svm(penalty: float, known: Recordings, unknown: Recordings) -> float:
    """Give the accuracy of a support vector machine on summary statistics of the same windows."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def summarise(windows: Tensor) -> FloatArray:
        values = windows.numpy()
        parts = [np.mean, np.std, np.min, np.max, np.median]
        change = np.abs(np.diff(values, axis=1)).mean(axis=1)
        return np.concatenate([*(part(values, axis=1) for part in parts), change], axis=1)

    (seen, seen_labels), (windows, labels) = (cut_windows(*part, WATCH_WINDOW, WATCH_WINDOW // 2) for part in (known, unknown))
    machine = make_pipeline(StandardScaler(), SVC(C=penalty)).fit(summarise(seen), seen_labels)
    return float(machine.score(summarise(windows), labels))
