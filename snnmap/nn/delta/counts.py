"""Count what temporal sparsity saves: values that stay, multiplications left, and the state that it costs."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from snnmap.errors import InputError
from snnmap.nn.delta.activation import differences
from snnmap.nn.delta.inference import DeltaSynapse, SynapticLayer

__all__ = ["DeltaCounter", "LayerCount"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCount:
    """What a layer of weights was given, summed over samples and steps, and the work that it makes.

    Attributes:
        name: path of the layer in the model.
        n_values: values of the input.
        n_active: those that are not 0.
        n_changed: those that differ from the previous step's; at a first step those that are not 0.
        n_macs: multiply-accumulates as executed by delta inference: each changed value times its fan-out.
        n_macs_static: those of frame-by-frame inference that skips zeros: each non-zero value times its fan-out.
        n_macs_dense: those of inference that skips nothing, but for the padding of a convolution.
        n_state: values that delta inference keeps for one stream: the layer's previous input and its pre-activations.
    """

    name: str
    n_values: int
    n_active: int
    n_changed: int
    n_macs: int
    n_macs_static: int
    n_macs_dense: int
    n_state: int

    @property
    def activation_sparsity(self) -> float:
        """The fraction of input values that are 0."""
        return 1.0 - self.n_active / self.n_values

    @property
    def delta_sparsity(self) -> float:
        """The fraction of input values that did not change."""
        return 1.0 - self.n_changed / self.n_values


class DeltaCounter:
    """Counts, for every Linear, Conv1d and Conv2d of a model that runs within a ``with`` block, what delta inference needs.

    The model is not changed. A :class:`DeltaNetwork` is counted as it runs; any other model is counted as if it ran so::

        with DeltaCounter(model, n_steps=clips.shape[1]) as counter:
            run_frames(model, clips)
        print(counter.total().delta_sparsity, counter.total().n_macs)

    A multiply-accumulate is counted where the signal's change is not 0 (its l0 norm) and the weight is not 0 either, so that
    a pruned weight costs nothing; at a convolution's border only outputs that exist are counted. Additions of the changes,
    activations and biases are no multiply-accumulates.

    Args:
        model: any.
        n_steps: time steps of a sequence where frames are folded, ``(batch * n_steps, ...)``, as by :func:`run_frames`; None
            means ``(batch, time, ..., features)``, which only Linear takes. A DeltaNetwork needs none.
    """

    def __init__(self, model: nn.Module, *, n_steps: int | None = None) -> None:
        self.model, self.n_steps = model, n_steps
        self._counts: dict[str, LayerCount] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Self:
        for path, module in self.model.named_modules():
            if isinstance(module, SynapticLayer | DeltaSynapse):
                self._handles.append(module.register_forward_hook(self._count(path)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def layers(self) -> tuple[LayerCount, ...]:
        """Give the counts of every layer that ran, in the order in which they first ran, summed over all passes.

        Raises:
            InputError: nothing ran within the block.
        """
        if not self._counts:
            raise InputError(
                "no layer of weights was counted",
                where=type(self.model).__name__,
                fix="run the model within the with block first",
            )
        return tuple(self._counts.values())

    def total(self) -> LayerCount:
        """Give the sums over all layers, under the name ``total``.

        Raises:
            InputError: nothing ran within the block.
        """
        layers = self.layers()
        return _add(layers, name="total", n_state=sum(layer.n_state for layer in layers))

    def _count(self, path: str) -> Any:
        def count(module: SynapticLayer | DeltaSynapse, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            with torch.no_grad():
                new = self._measure(path, module, inputs[0].detach(), output)
            old = self._counts.get(path)
            self._counts[path] = new if old is None else _add((old, new), name=path, n_state=max(old.n_state, new.n_state))

        return count

    def _measure(self, path: str, module: SynapticLayer | DeltaSynapse, x: Tensor, output: Tensor) -> LayerCount:
        if isinstance(module, DeltaSynapse):
            delta = x if module.delta is None else module.delta.detach()  # never None: it has just run
            return _measure_signals(path, module.layer, x, delta, output[0].numel())
        if self.n_steps is None and (not isinstance(module, nn.Linear) or x.ndim < 3):
            raise InputError(
                "which axis is time is not known",
                where=path,
                measured=str(tuple(x.shape)),
                limit="(batch, time, ..., features) for a Linear",
                fix="give n_steps, the frames of a sequence, and run the model through run_frames",
            )
        delta = differences(x, self.n_steps)
        if self.n_steps is not None:
            return _measure_signals(path, module, x, delta.flatten(0, 1), output[0].numel())
        return _measure_signals(path, module, x.flatten(0, 1), delta.flatten(0, 1), output[0, 0].numel())


def _measure_signals(path: str, layer: SynapticLayer, x: Tensor, delta: Tensor, n_outputs: int) -> LayerCount:
    """Count one pass of ``x`` and its change, both ``(samples and steps, ...)``."""
    active, changed = (x != 0), (delta != 0)
    fan_out = _fan_out(layer, x[:1], (layer.weight != 0).double())
    dense = _fan_out(layer, x[:1], torch.ones_like(layer.weight, dtype=torch.float64))
    return LayerCount(
        name=path,
        n_values=x.numel(),
        n_active=int(active.sum()),
        n_changed=int(changed.sum()),
        n_macs=int((changed.sum(0, dtype=torch.float64) * fan_out).sum()),
        n_macs_static=int((active.sum(0, dtype=torch.float64) * fan_out).sum()),
        n_macs_dense=int(dense.expand(x[0].shape).sum()) * x.shape[0],
        n_state=x[0].numel() + n_outputs,
    )


def _fan_out(layer: SynapticLayer, frame: Tensor, weight: Tensor) -> Tensor:
    """Give how many of the weights each input value meets, of a weight of 0 and 1, float64 that broadcasts to one frame.

    That is the gradient of the sum of the layer's outputs, whatever the stride, padding, dilation and groups.
    """
    if isinstance(layer, nn.Linear):
        return weight.sum(0)
    with torch.enable_grad():
        probe = torch.zeros_like(frame, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(layer._conv_forward(probe, weight, None).sum(), probe)
    return gradient[0].round()


def _add(counts: tuple[LayerCount, ...], *, name: str, n_state: int) -> LayerCount:
    return LayerCount(
        name=name,
        n_values=sum(count.n_values for count in counts),
        n_active=sum(count.n_active for count in counts),
        n_changed=sum(count.n_changed for count in counts),
        n_macs=sum(count.n_macs for count in counts),
        n_macs_static=sum(count.n_macs_static for count in counts),
        n_macs_dense=sum(count.n_macs_dense for count in counts),
        n_state=n_state,
    )
