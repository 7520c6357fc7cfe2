"""Products of spike counts with weights of which most do not exist, as those of a convolution or a pruned layer."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from snnmap.core.threads import run_parts
from snnmap.nn.compiled import is_compiled, split_evenly
from snnmap.nn.event_linear import multiply_counts

__all__ = ["multiply_sparse"]

_SPARSE_BELOW = 0.05
"""Share of the weights that exist up to which a list of them is faster than a matrix (measured, 500..2,000 neurons)."""


def multiply_sparse(counts: Tensor, weights: Tensor, starts: Tensor, targets: Tensor, n_targets: int) -> Tensor:
    """Return what spike counts bring to each target.

    Args:
        counts: ``(..., n_sources)``, mostly zeros.
        weights: ``(n_weights,)``, of the same floating type, source by source.
        starts: ``(n_sources + 1,) int64``, where the weights of each source start.
        targets: ``(n_weights,) int64``.
        n_targets: neurons.

    Returns:
        ``(..., n_targets)``.
    """
    n_sources = counts.shape[-1]
    if is_compiled(counts) and weights.numel() < _SPARSE_BELOW * n_sources * n_targets:
        apply = cast(Callable[..., Tensor], _MultiplySparse.apply)
        return apply(counts, weights, starts, targets, n_targets)
    sources = torch.repeat_interleave(torch.arange(n_sources, device=starts.device), starts.diff())
    matrix = weights.new_zeros(n_targets, n_sources).index_put((targets, sources), weights)
    return multiply_counts(counts, matrix)


class _MultiplySparse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, counts: Tensor, weights: Tensor, starts: Tensor, targets: Tensor, n_targets: int) -> Tensor:
        from snnmap.nn.kernels import gather_sparse, list_events

        ctx.save_for_backward(weights, starts, targets)
        ctx.shape = counts.shape
        flat = counts.detach().reshape(-1, counts.shape[-1]).contiguous()
        ctx.events = list_events(flat.numpy(), int(torch.count_nonzero(flat)))
        total = weights.new_zeros(len(flat), n_targets)
        arrays = (*ctx.events, starts.numpy(), targets.numpy(), weights.detach().contiguous().numpy(), total.numpy())
        run_parts([partial(gather_sparse, part.start, part.stop, *arrays) for part in _share(len(flat))])
        return total.view(*counts.shape[:-1], n_targets)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from snnmap.nn.kernels import gather_back, scatter_sparse

        weights, starts, targets = ctx.saved_tensors
        rows = gradients[0].reshape(-1, gradients[0].shape[-1]).contiguous()
        wiring, parts = (starts.numpy(), targets.numpy()), _share(len(rows))
        by_counts = by_weights = None
        if ctx.needs_input_grad[0]:
            by_counts = rows.new_empty(ctx.shape)
            arrays = (*wiring, weights.contiguous().numpy(), rows.numpy(), by_counts.view(len(rows), -1).numpy())
            run_parts([partial(gather_back, part.start, part.stop, *arrays) for part in parts])
        if ctx.needs_input_grad[1]:
            totals = rows.new_zeros(len(parts), weights.numel())
            kernels = [
                partial(scatter_sparse, part.start, part.stop, *ctx.events, *wiring, rows.numpy(), total.numpy())
                for part, total in zip(parts, totals, strict=True)
            ]
            run_parts(kernels)
            by_weights = totals.sum(dim=0)
        return by_counts, by_weights, None, None, None


def _share(n_rows: int) -> list[slice]:
    return split_evenly(n_rows, torch.get_num_threads() if n_rows > 1 << 12 else 1)
