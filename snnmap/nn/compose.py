"""Composition beside ``torch.nn.Sequential``: residual blocks, and a look at every layer's counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from snnmap.nn.lif import LIF

__all__ = ["Residual", "record_counts"]


class Residual(nn.Module):
    """Adds the spike counts of its input to those of its body: ``x + body(x)``.

    Args:
        body: modules, applied one after the other; the last gives counts of the input's size.
    """

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        """Give ``x + body(x)``, ``(batch, time, size)``."""
        added: Tensor = x + self.body(x)
        return added


@contextmanager
def record_counts(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Keep the counts of every LIF layer of each forward pass within the block, by module path.

    Yields:
        Filled by each forward pass: ``(batch, time, size)`` counts by the path that :meth:`named_modules` gives.
    """
    counts: dict[str, Tensor] = {}
    handles = []
    for path, module in model.named_modules():
        if isinstance(module, LIF):

            def keep(_module: nn.Module, _inputs: Any, output: Tensor, path: str = path) -> None:
                counts[path] = output.detach()

            handles.append(module.register_forward_hook(keep))
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()
