"""How candidates, and models along a sweep, are trained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snnmap.chip import Chip
from snnmap.core import IntArray
from snnmap.core.errors import FrontendError, SnnmapError
from snnmap.core.record import record
from snnmap.lif.program import Decision
from snnmap.nn import Readout
from snnmap.train import EpochResult, FanInLimiter, TrainOptions, regrowth_fraction, settle_fan_in, train_model

__all__ = ["Labelled", "limit_fan_in", "train_classifier"]

_REGROWTHS = 20
"""Times that a limited fan-in is chosen anew while a model trains."""


class _StoppedError(Exception):
    """Ends a training that is not worth its time."""


@record
class Labelled:
    """Spike counts ``(n, n_steps, n_channels)`` and classes ``(n,)``."""

    counts: IntArray
    labels: IntArray

    def batches(self, size: int, *, shuffle: bool = False) -> DataLoader[Any]:
        """Return them as batches to train on or to score."""
        samples = TensorDataset(torch.tensor(self.counts, dtype=torch.get_default_dtype()), torch.tensor(self.labels))
        return DataLoader(samples, size, shuffle=shuffle)


def limit_fan_in(model: nn.Module, chip: Chip) -> Callable[[float], None]:
    """Keep a model within a chip's fan-in while it trains; returns what :func:`train_classifier` is to call on the way."""
    limiter, done_at = FanInLimiter(model, chip), [0.0]

    def regrow(done: float) -> None:
        if done - done_at[0] >= 1 / _REGROWTHS:
            done_at[0] = done
            limiter.regrow(regrowth_fraction(round(100 * done), 100))

    return regrow


def train_classifier(
    model: nn.Module,
    training: Labelled,
    *,
    options: TrainOptions,
    readout: Decision,
    batch_size: int,
    validation: Labelled | None = None,
    on_gradients: Callable[[float], None] | None = None,
    on_epoch: Callable[[EpochResult], bool] = lambda _: False,
) -> bool:
    """Train a model in place, and leave it in float64, ready to be built; say whether it was trained to the end.

    Args:
        model: changed in place.
        training: what it is trained on.
        options: of the training.
        readout: how classes are read from its outputs.
        batch_size: samples a batch.
        validation: what it is scored on after each epoch.
        on_gradients: of :func:`limit_fan_in`.
        on_epoch: called after each epoch; says whether the training is to end there.

    Raises:
        FrontendError: its forward fails on these data.
        InputError: as :func:`snnmap.train.train_model`.
    """

    def end(result: EpochResult) -> None:
        if on_epoch(result):
            raise _StoppedError

    try:
        train_model(
            model,
            training.batches(batch_size, shuffle=True),
            readout=Readout(readout),
            options=options,
            validation=None if validation is None else validation.batches(256),
            on_gradients=on_gradients or (lambda _: None),
            on_epoch=end,
            progress=False,
        )
    except _StoppedError:
        return False
    except SnnmapError:
        raise
    except Exception as error:  # of the model's own forward
        fix = "hold shapes and classes of the data against the model, or run it on some of them in Python alone"
        raise FrontendError.from_failure("the model cannot be trained", error, where=type(model).__name__, fix=fix) from error
    if on_gradients is not None:
        settle_fan_in(model)
    model.double().eval()
    return True
