"""One frame of a stream's values, and what changed in it."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnmap.core.errors import InputError
from snnmap.delta.kernels import LANE_BYTES, find_changes

__all__ = ["Array", "Intake", "Signal", "allocate", "flatten_last"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The values of a node of the graph, as :mod:`snnmap.delta.kernels` keeps them.

    Attributes:
        shape: torch's, without the batch.
        stored: channels and positions; the values in memory are ``(*stored[1:], stored[0])``.
        values: flat.
        indices: which changed in this step, the first ``count[0]``; without room where nobody asks.
        olds: what they were.
        count: (1,).
    """

    shape: tuple[int, ...]
    stored: tuple[int, ...]
    values: Array
    indices: Array
    olds: Array
    count: Array

    @classmethod
    def make(cls, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Self:
        """Make a signal of a shape without the batch, with room for a change of every value."""
        n_values = math.prod(shape)
        return cls(
            shape=shape,
            stored=shape or (1,),
            values=allocate(n_values, dtype),
            indices=allocate(n_values, np.int64),
            olds=allocate(n_values, dtype),
            count=np.zeros(1, np.int64),
        )

    @property
    def changed(self) -> tuple[Array, Array, Array, Array]:
        """The four arrays, in the order in which the kernels take them."""
        return self.values, self.indices, self.olds, self.count

    @property
    def keeps_channels(self) -> bool:
        """Whether the stored channels are torch's, not those of before a flattening."""
        return self.stored == self.shape

    def like(self) -> Self:
        """Return a signal of its own, in memory as this one."""
        own = type(self).make(self.stored, self.values.dtype)
        return replace(own, shape=self.shape)

    def without_list(self) -> Self:
        """Return the same memory for values whose changes nobody asks for, so that they are not listed."""
        return replace(self, indices=self.indices[:0], olds=self.olds[:0])

    def view(self, shape: tuple[int, ...]) -> Self:
        """Return the same memory under another shape of torch."""
        return replace(self, shape=shape)

    def tensor(self) -> Tensor:
        """Return a copy as torch shapes it, ``(1, *shape)``."""
        return _shape_as_torch(torch.from_numpy(self.values).clone(), self)

    def borrow(self) -> Tensor:
        """Return the values themselves as torch shapes them, to be read before the next step."""
        return _shape_as_torch(torch.from_numpy(self.values), self)

    def load(self, values: Tensor) -> None:
        """Set the values, ``(1, *shape)``, without a change to follow."""
        self.values[:] = flatten_last(values, self.stored)
        self.count[0] = 0


class Intake:
    """Finds what changed in a signal that comes whole, as torch gives it.

    Args:
        signal: to set.
        name: for errors.
    """

    def __init__(self, signal: Signal, name: str) -> None:
        self._signal, self._name = signal, name
        n_values, n_channels = signal.values.size, signal.stored[0]
        self._given = allocate(n_values, signal.values.dtype)
        self._places = np.zeros(n_values, np.int64)
        self._starts = np.zeros((n_values if n_values == n_channels else n_values // n_channels) + 1, np.int64)

    def load(self, values: Tensor) -> None:
        """Take ``(1, *shape)`` as the values of before.

        Raises:
            InputError: a value is not finite.
        """
        if not torch.isfinite(values).all():
            raise self._refuse(values)
        self._given[:] = values.detach().reshape(-1).numpy()

    def take(self, values: Tensor) -> bool:
        """Set the signal to ``(1, *shape)`` and list what differs; give False, unchanged, where a value is not finite."""
        new = values.detach().reshape(-1).numpy()
        return bool(find_changes(new, self._given, self._places, self._starts, self._signal.changed))

    def follow(self, values: Tensor) -> None:
        """Do so for a result.

        Raises:
            InputError: a value is not finite.
        """
        if not self.take(values):
            raise self._refuse(values)

    def _refuse(self, values: Tensor) -> InputError:
        return InputError(
            "a value is not finite and would stay in the stream's states",
            where=self._name,
            measured=f"{int((~torch.isfinite(values)).sum())} of {values.numel()} values",
            limit="all finite",
            fix="give finite frames; reset() where the network itself made it",
        )


def _shape_as_torch(flat: Tensor, signal: Signal) -> Tensor:
    """Return values that come flat, channels last, as ``(1, *shape)``."""
    last = flat.reshape(*signal.stored[1:], signal.stored[0])
    return last.movedim(-1, 0).reshape(1, *signal.shape)


def flatten_last(values: Tensor, stored: tuple[int, ...]) -> Array:
    """Return a tensor's values flat with the channels, the first axis of ``stored``, last."""
    flat: Array = values.detach().reshape(stored).movedim(0, -1).reshape(-1).numpy()
    return flat


def allocate(n_values: int, dtype: npt.DTypeLike) -> Array:
    """Return zeros that start at a whole block, with another behind: loads across two cache lines take twice as long."""
    n_bytes = n_values * np.dtype(dtype).itemsize
    memory = np.zeros(n_bytes + 2 * LANE_BYTES, np.uint8)
    start = -memory.ctypes.data % LANE_BYTES
    return memory[start : start + n_bytes].view(dtype)
