"""Regularisation of activity: towards a rate, and towards fewer synaptic operations."""

from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.frontends.torch import load
from snnmap.network import count_fan_out
from snnmap.nn import LIF, ChipLIF, ChipPopulation, LeadIn
from snnmap.train.models import require_layers

__all__ = ["ActivityRecorder"]


class ActivityRecorder:
    """Keeps the spike counts of every spiking layer of the last forward pass, with their gradients, within a ``with`` block.

    ::

        with ActivityRecorder(model) as activity:
            for counts, labels in batches:
                loss = cross_entropy(model(counts)[:, -1], labels)
                loss = loss + 0.1 * activity.rate_penalty(0.05) + 1e-6 * activity.synaptic_operations()
                loss.backward()
                ...

    Args:
        model: of :class:`snnmap.nn.LIF` or :class:`snnmap.nn.ChipLIF` layers, such as the torch frontend reads, or a
            :class:`snnmap.nn.ChipNetwork`.

    Raises:
        InputError: its neurons are another framework's.
    """

    def __init__(self, model: nn.Module) -> None:
        require_layers(model, "ActivityRecorder")
        self.model = model.model if isinstance(model, LeadIn) else model
        self.counts: dict[str, Tensor] = {}
        self.fan_out = {name: torch.tensor(values) for name, values in count_fan_out(load(model)).items()}
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        for path, module in self.model.named_modules():
            if isinstance(module, LIF | ChipLIF | ChipPopulation):
                name = module.name if isinstance(module, ChipPopulation) else path
                self._handles.append(module.register_forward_hook(self._keep(name)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def rate_penalty(self, target: float) -> Tensor:
        """Return the mean, over layers and neurons, of the squared distance of a neuron's rate from a target.

        Args:
            target: spikes a neuron and step.
        """
        self._require_pass()
        parts = [((counts.mean(dim=(0, 1)) - target) ** 2).mean() for counts in self.counts.values()]
        return torch.stack(parts).mean()

    def synaptic_operations(self) -> Tensor:
        """Return the mean number of synaptic operations a sample that the layers' spikes lead to: counts times fan-out."""
        self._require_pass()
        parts = [(counts * self.fan_out[path].to(counts)).sum() / counts.shape[0] for path, counts in self.counts.items()]
        return torch.stack(parts).sum()

    def _keep(self, path: str) -> Any:
        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self.counts[path] = output

        return keep

    def _require_pass(self) -> None:
        if not self.counts:
            raise InputError(
                "no activity was recorded", where=type(self.model).__name__, fix="run the model within the with block first"
            )
