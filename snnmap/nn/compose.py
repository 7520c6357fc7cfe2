"""Composition beside ``torch.nn.Sequential``: residual blocks, and a look at every layer's counts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from snnmap.nn.chip import ChipIntegrator, ChipLIF, ChipPopulation
from snnmap.nn.neurons import LIF

__all__ = ["LeadIn", "Residual", "record_counts", "record_outputs"]


class Residual(nn.Module):
    """Adds the spike counts of its input to those of its body: ``x + body(x)``.

    Args:
        body: modules, applied one after the other; the last gives counts of the input's size.
    """

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x + body(x)``, ``(batch, time, size)``."""
        added: Tensor = x + self.body(x)
        return added


class LeadIn(nn.Module):
    """Runs a model of chip layers from the step at which the chip switches on, some steps before the input begins.

    On the chip all neurons run from the first step on, but a folded population is some steps behind its source: with a bias
    it has moved by the time its input begins. :func:`snnmap.align_model` makes such a model; without biases it changes nothing.

    Args:
        model: of :class:`ChipLIF` and :class:`ChipIntegrator` layers, one input and one output.
        lags: steps by which each layer runs behind, by module path.
    """

    def __init__(self, model: nn.Module, lags: Mapping[str, int]) -> None:
        super().__init__()
        self.model, self.lags, self.n_steps = model, dict(lags), max(lags.values(), default=0)

    def forward(self, x: Tensor) -> Tensor:
        """Run the model on ``(batch, time, n)`` counts, silent steps put before and taken away after."""
        layers = {path: part for path, part in self.model.named_modules() if isinstance(part, ChipLIF | ChipIntegrator)}
        try:
            for path, layer in layers.items():
                layer.wake_step = self.n_steps - self.lags[path]
            counts: Tensor = self.model(nn.functional.pad(x, (0, 0, self.n_steps, 0)))
        finally:
            for layer in layers.values():
                layer.wake_step = 0
        return counts[:, self.n_steps :]

    def extra_repr(self) -> str:
        """Say what the module prints of itself."""
        return f"lags={self.lags}"


@contextmanager
def record_outputs(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[dict[str, Tensor]]:
    """Keep the outputs of every layer of some kinds of each forward pass within the block, by module path.

    Args:
        model: of layers with outputs ``(batch, time, size)``.
        kinds: their classes.

    Yields:
        Filled by each forward pass: outputs by the path that ``named_modules`` gives (that of the model within, for
        :class:`LeadIn`, whose silent steps are left out), or by the name of a population of a :class:`ChipNetwork`.
    """
    outputs: dict[str, Tensor] = {}
    handles = []
    lead, prefix = (model.n_steps, "model.") if isinstance(model, LeadIn) else (0, "")
    for path, module in model.named_modules():
        if isinstance(module, kinds):
            name = module.name if isinstance(module, ChipPopulation) else path.removeprefix(prefix)

            def keep(_module: nn.Module, _inputs: Any, output: Tensor, name: str = name) -> None:
                outputs[name] = output.detach()[:, lead:]

            handles.append(module.register_forward_hook(keep))
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def record_counts(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Keep the counts of every spiking layer, as :func:`record_outputs`."""
    with record_outputs(model, (LIF, ChipLIF, ChipPopulation)) as counts:
        yield counts
