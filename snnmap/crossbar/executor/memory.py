"""The activation memory of a batch: what nobody wrote is not read."""

from typing import Any

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.crossbar.container import Image, TensorEntry

__all__ = ["ActivationMemory"]


class ActivationMemory:
    """Levels of all tensors of a batch, and which tensor each byte was written as.

    Args:
        image: whose tensors it holds.
        n_samples: of the batch.
    """

    def __init__(self, image: Image, n_samples: int) -> None:
        self.tensors = image.tensors
        size = max((tensor.address + tensor.size for tensor in image.tensors), default=0)
        self._levels = np.zeros((n_samples, size), np.uint8)
        self._writer = np.full(size, -1, np.int32)

    def tensor(self, number: int, where: str) -> TensorEntry:
        """Return a tensor by number.

        Raises:
            FormatError: there is none.
        """
        if number >= len(self.tensors):
            raise FormatError("there is no such tensor", where=where, measured=str(number), limit=f"{len(self.tensors)} tensors")
        return self.tensors[number]

    def read(self, number: int, first: int, count: int, where: str) -> Any:
        """Return levels ``(n_samples, count)`` of a tensor from value ``first`` on, a view.

        Raises:
            FormatError: they are outside of it, or were not written as this tensor.
        """
        tensor = self.tensor(number, where)
        span = self._span(tensor, first, count, where)
        missing = np.count_nonzero(self._writer[span] != tensor.storage)
        if missing:
            raise FormatError(
                f"values of tensor '{tensor.name}' are read that nobody wrote",
                where=where,
                measured=f"{missing} of {count} values",
                limit="0",
                fix="build the file anew",
            )
        return self._levels[:, span]

    def write(self, number: int, first: int, values: Any, where: str) -> None:
        """Write levels ``(n_samples, count)`` to a tensor from value ``first`` on.

        Raises:
            FormatError: they are outside of it.
        """
        tensor = self.tensor(number, where)
        span = self._span(tensor, first, values.shape[1], where)
        self._levels[:, span] = values
        self._writer[span] = tensor.storage

    def write_channels(self, number: int, channel: int, window: int, values: Any, where: str) -> None:
        """Write levels ``(n_samples, channels, windows)`` to channels and places of a tensor.

        Raises:
            FormatError: they are outside of it.
        """
        tensor = self.tensor(number, where)
        _, channels, windows = values.shape
        if channel + channels > tensor.channels or window + windows > tensor.n_places:
            raise FormatError(
                f"values are written outside of tensor '{tensor.name}'",
                where=where,
                measured=f"channels to {channel + channels}, places to {window + windows}",
                limit=f"{tensor.channels} channels of {tensor.n_places}",
                fix="build the file anew",
            )
        whole = slice(tensor.address, tensor.address + tensor.size)
        places = (slice(channel, channel + channels), slice(window, window + windows))
        self._levels[:, whole].reshape(-1, tensor.channels, tensor.n_places)[:, *places] = values
        self._writer[whole].reshape(tensor.channels, tensor.n_places)[places] = tensor.storage

    def _span(self, tensor: TensorEntry, first: int, count: int, where: str) -> slice:
        if first + count > tensor.size:
            raise FormatError(
                f"values outside of tensor '{tensor.name}'",
                where=where,
                measured=f"{first} to {first + count - 1}",
                limit=f"0 to {tensor.size - 1}",
                fix="build the file anew",
            )
        return slice(tensor.address + first, tensor.address + first + count)
