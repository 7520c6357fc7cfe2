"""Questions about an activation's shape and type, which are answered without the activation."""

from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["BATCH", "Activation", "Batch", "Rows", "describe", "has_batch", "is_shape_query", "replace_batch"]

_QUERIES = ("size", "dim", "ndimension", "shape", "ndim", "dtype", "device", "is_cuda", "requires_grad")


class Activation(Protocol):
    """What a reader holds for an activation."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides of one sample."""


class Batch:
    """The size of the batch, which no conversion knows: it can be handed on as a size, and nothing be computed from it."""

    def __repr__(self) -> str:
        return "the size of the batch"


BATCH = Batch()


@dataclass(frozen=True, slots=True)
class Rows:
    """A constant of ``(batch, ...)`` that forward makes, the same for each sample: that of one, a tensor."""

    sample: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides of one sample."""
        return tuple(self.sample.shape)


def is_shape_query(name: str, arguments: tuple[Any, ...]) -> bool:
    """Say whether a call asks for a shape or type: ``x.size()``, or ``getattr(x, 'shape')``."""
    if name == "getattr":
        return len(arguments) > 1 and arguments[1] in _QUERIES
    return name in _QUERIES


def describe(value: Activation, name: str, arguments: tuple[Any, ...], batch_axis: int = 0) -> Any:
    """Answer a query about the batch of an activation."""
    import torch

    shape = (*value.shape[:batch_axis], BATCH, *value.shape[batch_axis:])
    if name == "size" and arguments:
        return shape[arguments[0]]
    answers = {"size": shape, "shape": shape, "dtype": torch.float32, "device": torch.device("cpu")}
    if name in ("dim", "ndimension", "ndim"):
        return len(shape)
    return answers.get(name, False)


def has_batch(arguments: Any) -> bool:
    """Say whether arguments, nested as they may be, hold the batch's size or a constant of so many rows."""
    if isinstance(arguments, dict):
        arguments = tuple(arguments.values())
    if isinstance(arguments, slice):
        arguments = (arguments.start, arguments.stop, arguments.step)
    return isinstance(arguments, Batch | Rows) or (isinstance(arguments, tuple | list) and any(map(has_batch, arguments)))


def replace_batch(arguments: Any, size: int) -> Any:
    """Return arguments, nested in tuples, lists, dicts and slices, with a size for the batch's."""
    if isinstance(arguments, Batch):
        return size
    if isinstance(arguments, Rows):
        return arguments.sample.expand(size, *arguments.shape)
    if isinstance(arguments, tuple | list):
        return type(arguments)(replace_batch(argument, size) for argument in arguments)
    if isinstance(arguments, dict):
        return {key: replace_batch(argument, size) for key, argument in arguments.items()}
    if isinstance(arguments, slice):
        return slice(*(replace_batch(part, size) for part in (arguments.start, arguments.stop, arguments.step)))
    return arguments
