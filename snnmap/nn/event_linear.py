"""Products of spike counts and weights whose cost grows with the spikes: silent neurons are left out."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from snnmap.core.threads import run_parts
from snnmap.nn.compiled import split_evenly

__all__ = ["EventLinear", "multiply_counts"]

_DENSE_FROM = 0.25
"""Share of active counts from which on a dense product is faster (measured, 64..512 neurons)."""
_WORTH_SHARING = 1 << 16
"""Active counts from which on threads are worth their start."""


class EventLinear(nn.Linear):
    """``torch.nn.Linear`` for spike counts, several times as fast where few neurons fire; the same function and gradients.

    Forward and weight gradient add up rows of the weights, or of the gradient, for the counts that are not 0, on CPUs; where
    many are, and on other devices, it is the dense product. Sums are taken in another order, so that results differ in the
    last bits of floats, unless they are exact, as in a chip's integers. It is made with ``in_features``, ``out_features`` and
    ``bias``.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Return ``input @ weight.T + bias``, ``(..., out_features)`` of counts ``(..., in_features)``."""
        product = multiply_counts(input, self.weight)
        if self.bias is not None:
            product = product + self.bias
        return product


def multiply_counts(counts: Tensor, weight: Tensor) -> Tensor:
    """Return ``counts @ weight.T``.

    Args:
        counts: ``(..., n_inputs)``, mostly zeros.
        weight: ``(n, n_inputs)``, of the same floating type.

    Returns:
        ``(..., n)``.
    """
    compiled = counts.dtype == weight.dtype and counts.dtype in (torch.float32, torch.float64)
    if counts.device.type != "cpu" or not compiled or counts.shape[-1] != weight.shape[1] or torch.is_autocast_enabled("cpu"):
        return nn.functional.linear(counts, weight)
    return cast(Callable[..., Tensor], _MultiplyCounts.apply)(counts, weight)


class _MultiplyCounts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, counts: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(counts, weight)
        ctx.events = _find_events(counts.detach().reshape(-1, counts.shape[-1]))
        if ctx.events is None:
            return nn.functional.linear(counts, weight)
        total: Tensor = ctx.events.gather(weight.detach().t().contiguous())
        return total.view(*counts.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        counts, weight = ctx.saved_tensors
        given = gradients[0]
        by_counts = given @ weight if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return by_counts, None
        flat = given.reshape(-1, given.shape[-1]).contiguous()
        if ctx.events is None:
            return by_counts, flat.t() @ counts.reshape(-1, counts.shape[-1])
        return by_counts, ctx.events.scatter(flat, counts.shape[-1]).t()


class _Events:
    """The counts that are not 0, row by row."""

    def __init__(self, starts: Any, columns: Any, values: Any) -> None:
        self.starts, self.columns, self.values = starts, columns, values
        n_parts = torch.get_num_threads() if columns.size >= _WORTH_SHARING else 1
        self.parts = split_evenly(starts.size - 1, n_parts)

    def gather(self, rows: Tensor) -> Tensor:
        """Add up, for each row of events, the rows that its columns name."""
        from snnmap.nn.kernels import gather_rows

        total = rows.new_empty(self.starts.size - 1, rows.shape[1])
        arrays = (self.starts, self.columns, self.values, rows.numpy(), total.numpy())
        run_parts([partial(gather_rows, part.start, part.stop, *arrays) for part in self.parts])
        return total

    def scatter(self, rows: Tensor, n_columns: int) -> Tensor:
        """Add each row to the places that its events name."""
        from snnmap.nn.kernels import scatter_rows

        totals = rows.new_zeros(len(self.parts), n_columns, rows.shape[1])
        arrays = (self.starts, self.columns, self.values, rows.numpy())
        run_parts(
            [
                partial(scatter_rows, part.start, part.stop, *arrays, total.numpy())
                for part, total in zip(self.parts, totals, strict=True)
            ]
        )
        return totals[0] if len(totals) == 1 else totals.sum(dim=0)


def _find_events(counts: Tensor) -> _Events | None:
    """List the counts that are not 0; None where there are too many."""
    from snnmap.nn.kernels import list_events

    n_active = int(torch.count_nonzero(counts))
    if n_active > _DENSE_FROM * counts.numel():
        return None
    return _Events(*list_events(counts.contiguous().numpy(), n_active))
