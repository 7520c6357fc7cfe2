"""The mean of a model's weights over the last part of its training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

__all__ = ["WeightAverage", "copy_into"]


@dataclass(slots=True, kw_only=True)
class WeightAverage:
    """Mean of weights over steps (Izmailov et al. 2018), with that of batch normalisation's running statistics.

    Attributes:
        n_steps: steps that it is the mean of.
        values: the mean by name.
    """

    n_steps: int = 0
    values: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, model: nn.Module) -> None:
        """Take in the weights as they are now."""
        self.n_steps += 1
        for name, value in _find_averaged(model).items():
            mean = self.values.setdefault(name, value.clone())
            mean.lerp_(value, 1.0 / self.n_steps)

    @contextmanager
    def put_into(self, model: nn.Module) -> Iterator[None]:
        """Let a model have the mean, and then its own weights again; nothing changes where no step was taken in."""
        own = {name: value.clone() for name, value in _find_averaged(model).items()}
        copy_into(model, self.values)
        try:
            yield
        finally:
            copy_into(model, own)


@torch.no_grad()
def copy_into(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Give a model these weights, in place."""
    mine = _find_averaged(model)
    for name, value in values.items():
        mine[name].copy_(value)


def _find_averaged(model: nn.Module) -> dict[str, Tensor]:
    """Return what is trained, and what batch normalisation measures while it is."""
    found = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
    for path, module in model.named_modules():
        if isinstance(module, _NormBase) and module.track_running_stats:
            found |= {f"{path}.{name}": getattr(module, name) for name in ("running_mean", "running_var")}
    return found
