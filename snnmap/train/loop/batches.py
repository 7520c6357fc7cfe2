"""What a model is trained on."""

from typing import Any, Protocol

from torch import Tensor

__all__ = ["Batch", "Batches"]

Batch = tuple[Tensor, ...] | list[Tensor]


class Batches(Protocol):
    """What is trained on, such as a ``torch.utils.data.DataLoader``: a known number of batches, again for each epoch.

    A batch is inputs and labels, and, for samples of different lengths, their lengths.
    """

    def __iter__(self) -> Any:
        """Return the batches of an epoch."""

    def __len__(self) -> int:
        """Return their number."""
