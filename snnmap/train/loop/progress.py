"""What a training run says of itself, while it runs and afterwards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from snnmap.core.errors import SnnmapError
from snnmap.train.loop.batches import Batches

__all__ = ["EpochResult", "TrainingBars", "log_to_tensorboard"]


@dataclass(slots=True, kw_only=True)
class EpochResult:
    """One pass over the training data.

    Attributes:
        epoch: number, from 0.
        loss: mean over the samples, penalties included.
        accuracy: share of the training samples read right, while the model changed; 0 where labels are not classes.
        validation_accuracy: share of the validation samples read right after the epoch.
        seconds: it took, validation not included.
        is_kept: whether the model was left in the end as it was after this epoch.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_accuracy: float | None = None
    seconds: float = 0.0
    is_kept: bool = False


class TrainingBars:
    """A bar of epochs and one of the batches of an epoch, on a terminal's stderr; elsewhere a line an epoch.

    Args:
        n_epochs: in all.
        n_done: epochs of a run that is resumed.
        show: whether anything is told.
    """

    def __init__(self, n_epochs: int, n_done: int, *, show: bool) -> None:
        self._n_epochs, self._show = n_epochs, show
        console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal))
        self._epochs = self._bars.add_task("epochs", total=n_epochs, completed=n_done)
        self._batches = self._bars.add_task("batches")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def track(self, batches: Batches) -> Iterator[Any]:
        """Yield the batches of an epoch, each counted when it is done."""
        self._bars.reset(self._batches, total=len(batches))
        for batch in batches:
            yield batch
            self._bars.advance(self._batches)

    def tell(self, result: EpochResult) -> None:
        """Tell an epoch that is done."""
        self._bars.advance(self._epochs)
        if not self._show:
            return
        validated = "" if result.validation_accuracy is None else f", validation {result.validation_accuracy:.2%}"
        line = f"epoch {result.epoch + 1} of {self._n_epochs}: loss {result.loss:.4f}, accuracy {result.accuracy:.2%}{validated}"
        self._bars.console.print(f"{line}, {result.seconds:.1f} s")


def log_to_tensorboard(folder: Path | str) -> Callable[[EpochResult], None]:
    """Return an ``on_epoch`` of :func:`train_model` that writes scalars for TensorBoard, a step an epoch.

    ::

        train_model(model, loader, on_epoch=log_to_tensorboard("runs/first"))  # then: tensorboard --logdir runs

    Args:
        folder: of the run.

    Raises:
        SnnmapError: tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SnnmapError(
            "TensorBoard's files need tensorboard", where="log_to_tensorboard", fix="pip install tensorboard"
        ) from error
    writer = SummaryWriter(str(folder))

    def log(result: EpochResult) -> None:
        scalars = {"loss": result.loss, "accuracy/training": result.accuracy, "accuracy/validation": result.validation_accuracy}
        for name, value in {**scalars, "seconds": result.seconds}.items():
            if value is not None:
                writer.add_scalar(name, value, result.epoch)
        writer.flush()

    return log
