"""What a training run says of itself, while it runs and afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import track

from snnmap.train.loop.batches import Batches

__all__ = ["EpochResult", "show_epoch", "track_batches"]


@dataclass(slots=True, kw_only=True)
class EpochResult:
    """One pass over the training data.

    Attributes:
        epoch: number, from 0.
        loss: mean over the samples, penalties included.
        accuracy: share of the training samples read right, while the model changed; 0 where labels are not classes.
        validation_accuracy: share of the validation samples read right after the epoch.
        seconds: it took, validation not included.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_accuracy: float | None = None
    seconds: float = 0.0


def show_epoch(result: EpochResult, n_epochs: int) -> None:
    """Print a line of an epoch on stderr."""
    validated = "" if result.validation_accuracy is None else f", validation {result.validation_accuracy:.2%}"
    line = f"epoch {result.epoch + 1} of {n_epochs}: loss {result.loss:.4f}, accuracy {result.accuracy:.2%}{validated}"
    Console(stderr=True, highlight=False).print(f"{line}, {result.seconds:.1f} s")


def track_batches(batches: Batches, epoch: int, n_epochs: int, *, show: bool) -> Iterator[Any]:
    """Yield the batches of an epoch, with a progress bar on a terminal's stderr."""
    console = Console(stderr=True)
    if not (show and console.is_terminal):
        yield from batches
        return
    yield from track(batches, f"epoch {epoch + 1} of {n_epochs}", total=len(batches), console=console, transient=True)
