"""The demo's data and model: digits as spike counts, a deep residual recurrent network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import SnnmapError

try:
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import Tensor, nn
    from torch.utils.data import DataLoader
except ImportError as error:
    raise SnnmapError("the demo needs torch, scikit-learn and matplotlib", fix="pip install 'snnmap[demo]'") from error

from snnmap.nn import LIF, LeakyIntegrator, Readout, Residual, Surrogate
from snnmap.train import TrainOptions, train_model

__all__ = ["Digits", "make_model", "read_digits", "train_digits"]

_MAX_COUNT = 15
_SETTLE_STEPS = 2
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Digits:
    """Spike counts ``(n, steps, 8)`` and labels ``(n,)`` of training and held-out digits."""

    train: npt.NDArray[np.int64]
    train_labels: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    test_labels: npt.NDArray[np.int64]


def read_digits(seed: int) -> Digits:
    """Read scikit-learn's digits: each image row by row, a pixel's grey value as the spike count of its column.

    A fifth is held out. Grey values run from 0 to 16, counts to the chip's 15; two silent steps follow the last row.
    """
    data = load_digits()
    counts = np.minimum(data.images, _MAX_COUNT).astype(np.int64)
    counts = np.pad(counts, ((0, 0), (0, _SETTLE_STEPS), (0, 0)))
    train, test, train_labels, test_labels = train_test_split(
        counts, data.target, test_size=0.2, random_state=seed, stratify=data.target
    )
    return Digits(train=train, train_labels=train_labels, test=test, test_labels=test_labels)


def make_model(seed: int) -> nn.Sequential:
    """Build 8 - 96 - 64 (recurrent) - residual block of 64 - 10 integrating readouts, decays as the chip codes them."""
    torch.manual_seed(seed)
    surrogate = Surrogate(name="relu", window=0.5)
    recurrent = LIF(64, dash_syn=1, dash_mem=2, surrogate=surrogate, recurrent=True)
    if recurrent.recurrent_weight is not None:
        nn.init.normal_(recurrent.recurrent_weight, std=0.02)
    return nn.Sequential(
        _linear(8, 96, 0.15),
        LIF(96, dash_syn=1, dash_mem=2, surrogate=surrogate),
        _linear(96, 64, 0.7),
        recurrent,
        Residual(_linear(64, 64, 0.7), LIF(64, dash_syn=1, dash_mem=2, surrogate=surrogate)),
        _linear(64, 10, 0.5),
        LeakyIntegrator(10, dash_syn=1, dash_mem=4),
    )


def train_digits(model: nn.Sequential, digits: Digits, *, n_epochs: int, seed: int, progress: bool = True) -> None:
    """Train in place, on images with noise: some shifted by a pixel, counts jittered, a few dropped.

    Args:
        model: from :func:`make_model`.
        digits: data.
        n_epochs: passes over the training data.
        seed: of shuffling and noise.
        progress: whether epochs are told.
    """
    torch.set_num_threads(1)
    samples = list(zip(torch.tensor(digits.train, dtype=torch.float32), digits.train_labels.tolist(), strict=True))
    batches: DataLoader[tuple[Tensor, int]] = DataLoader(
        samples,  # type: ignore[arg-type]
        _BATCH,
        shuffle=True,
        collate_fn=_vary,
    )
    options = TrainOptions(
        n_epochs=n_epochs, learning_rate=4e-3, weight_decay=1e-2, label_smoothing=0.05, clip_norm=1.0, seed=seed
    )
    train_model(model, batches, readout=Readout("last"), options=options, progress=progress)


def _vary(samples: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Shift a third of the images by a column, jitter the counts and drop some."""
    raster = torch.stack([counts for counts, _ in samples])
    shift = torch.randint(0, 6, (len(raster), 1, 1))
    moved = torch.where(
        shift == 0, torch.roll(raster, 1, dims=2), torch.where(shift == 1, torch.roll(raster, -1, dims=2), raster)
    )
    noise = torch.randint(-1, 2, raster.shape) * (moved > 0)
    kept = torch.rand(raster.shape) > 0.05
    return (moved + noise).clamp(0, _MAX_COUNT) * kept, torch.tensor([label for _, label in samples])


def _linear(n_pre: int, n_post: int, gain: float) -> nn.Linear:
    layer = nn.Linear(n_pre, n_post, bias=False)
    nn.init.normal_(layer.weight, std=gain / n_pre**0.5)
    return layer
