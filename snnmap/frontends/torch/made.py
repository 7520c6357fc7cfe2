"""Constants that forward makes of the size of the batch: read where they are the same for each sample."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from snnmap.frontends.torch.call import Call, map_values, to_doubles
from snnmap.frontends.torch.shapes import BATCH, Rows, replace_batch
from snnmap.graph import BATCHES, UnreadableError

__all__ = ["CREATORS", "compute_rows", "create_like", "run_layer"]

CREATORS = frozenset({"full_like", "new_full", "new_ones", "new_zeros", "ones_like", "zeros_like"})
"""Functions that take a shape alone from an activation."""
_RANDOM = frozenset({"empty", "rand", "randn"})
_FIX = "make it in __init__, as a buffer of one sample, and compute nothing from the size of the batch"


def compute_rows(call: Call, arguments: Any, keywords: Any) -> Any:
    """Return what a call gives that takes the batch's size, or a constant of as many rows, and no activation.

    Raises:
        UnreadableError: it differs between samples, or between batches of other sizes, or is random.
    """
    if call.operator in _RANDOM:
        raise UnreadableError(
            "values that are random, or no ones in particular", "leave them out in evaluation: if self.training"
        )
    return _settle([to_doubles(call.run_on(to_doubles(arguments), to_doubles(keywords), batch)) for batch in BATCHES])


def create_like(call: Call, arguments: Any, keywords: Any) -> Any:
    """Return a tensor of the shape of an activation, or made by one.

    Raises:
        UnreadableError: as for :func:`compute_rows`.
    """
    import torch

    def run(batch: int) -> Any:
        given, named = (map_values(part, lambda one: torch.zeros(batch, *one.shape)) for part in (arguments, keywords))
        return to_doubles(call.run_on(given, named, batch))

    return _settle([run(batch) for batch in BATCHES])


def run_layer(module: Any, arguments: Any, keywords: Any) -> Any:
    """Return what a layer makes of constants.

    Raises:
        UnreadableError: as for :func:`compute_rows`.
    """
    import torch

    layer = deepcopy(module).eval().cpu().double()

    def run(batch: int) -> Any:
        with torch.no_grad():
            return layer(*to_doubles(replace_batch(arguments, batch)), **to_doubles(replace_batch(keywords, batch)))

    try:
        return _settle([run(batch) for batch in BATCHES])
    except UnreadableError:
        raise
    except Exception as error:  # whatever the layer raises
        raise UnreadableError(f"a constant of forward cannot be computed: {error}", _FIX) from error


def _settle(found: Sequence[Any]) -> Any:
    """Return what was found for each of some sizes of the batch as one thing."""
    import torch

    first = found[0]
    if isinstance(first, tuple | list):
        return tuple(_settle(parts) for parts in zip(*found, strict=True))
    if not isinstance(first, torch.Tensor):
        return first if all(one == first for one in found) else BATCH if tuple(found) == BATCHES else _refuse()
    if all(torch.equal(one, first) for one in found):
        return first
    are_rows = first.ndim > 0 and all(
        one.shape == (batch, *first.shape[1:]) and torch.equal(one, first.expand_as(one))
        for one, batch in zip(found, BATCHES, strict=True)
    )
    return Rows(first[0]) if are_rows else _refuse()


def _refuse() -> Any:
    raise UnreadableError("a constant that depends on the size of the batch", _FIX)
