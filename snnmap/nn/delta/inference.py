"""Delta inference: a layer's pre-activations from the change of its input, and whole networks so."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn.delta.masked import MaskedConv1d, MaskedConv2d, MaskedLinear, MaskedSynapses
from snnmap.nn.event_linear import EventLinear
from snnmap.nn.tracing import foreign_hooks

__all__ = ["DeltaNetwork", "DeltaSynapse", "SynapticLayer", "WeightedLayer", "apply_weight", "effective_weight", "require_time"]

SynapticLayer = nn.Linear | nn.Conv1d | nn.Conv2d
_Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d
WeightedLayer = SynapticLayer | _Transposed

_KNOWN = tuple(
    layer.forward
    for layer in (
        *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d),
        *(MaskedLinear, MaskedConv1d, MaskedConv2d, EventLinear),
    )
)
"""What a layer of weights may do with its input for the change of its output to be the weights times the input's."""


class DeltaSynapse(nn.Module):
    """Compute a layer's pre-activations from the change of its input.

    The delta inference of Vijayan et al. 2022, Temporal Delta Layer, eq. 3.3 to 3.5::

        dY_t = W dX_t,    Y_t = Y_{t-1} + dY_t,    Y_0 = B

    where dX_t = X_t - X_{t-1} is the previous layer's dZ_t = sigma(Y_t) - sigma(Y_{t-1}). X_0 = 0: a first step transmits its
    input whole, without which the next layer would lack W sigma(B). Only products with non-zero dX are needed, and
    :class:`DeltaCounter` counts those; this module computes them all.

    Args:
        layer: whose parameters it uses, not copied.

    Attributes:
        delta: dX of the last step, of the input's shape; None before the first step.
        n_steps: steps since the last reset.
    """

    def __init__(self, layer: WeightedLayer) -> None:
        super().__init__()
        self.layer = layer
        self.reset()

    def __getstate__(self) -> dict[str, object]:
        """Leave the stream out of copies and files: its state may belong to a graph."""
        return {**self.__dict__, "n_steps": 0, "delta": None, "_previous": None, "_total": None}

    def reset(self) -> None:
        """Forget the stream: the next step is a first one."""
        self.n_steps = 0
        self.delta: Tensor | None = None
        self._previous: Tensor | None = None
        self._total: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return Y_t of one step's input X_t.

        Args:
            x: ``(batch, ...)``, as the layer takes it.

        Raises:
            InputError: another shape than at the previous step.
        """
        if self._previous is not None and self._previous.shape != x.shape:
            raise InputError(
                "the input's shape changed within a stream",
                where="DeltaSynapse",
                measured=str(tuple(x.shape)),
                limit=str(tuple(self._previous.shape)),
                fix="reset() before another stream",
            )
        self.delta = x if self._previous is None else x - self._previous
        change = apply_weight(self.layer, self.delta)
        self._total = self._start(change) if self._total is None else self._total + change
        self._previous = x.clone()  # what follows may write in place
        self.n_steps += 1
        return self._total.clone()

    def _start(self, change: Tensor) -> Tensor:
        bias = self.layer.bias
        if bias is None:
            return change
        n_after = 0 if isinstance(self.layer, nn.Linear) else len(self.layer.kernel_size)
        return change + bias.view(-1, *[1] * n_after)


class DeltaNetwork(nn.Module):
    """Run a network by delta inference: every Linear, convolution and transposed convolution becomes a :class:`DeltaSynapse`.

    All other modules stay as they are, so that at every step the output is the frame-by-frame network's, but for rounding.
    It holds for any model, sequential or not, whose other modules keep no state between frames (batch normalisation and
    dropout: in ``eval()``, which this sets) and which uses each layer once a frame. Run long streams within
    ``torch.no_grad()``: the state keeps its gradients otherwise, and every step's graph with them.

    Args:
        model: of one frame ``(batch, ...)``; copied.

    Raises:
        InputError: no torch module, or one without such a layer, with a layer of another forward or with hooks, or attention.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise InputError(
                "a delta network is made from a torch module",
                where="DeltaNetwork",
                measured=f"{type(model).__module__}.{type(model).__qualname__}",
                limit="torch.nn.Module",
                fix="give the torch module; of an ONNX file, the module that it was exported from",
            )
        self.model = nn.Sequential(copy.deepcopy(model))
        _replace_layers(self.model)
        self.n_steps = 0
        self.eval()
        if not list(self.synapses()):
            raise InputError(
                "a delta network needs a layer of weights", where=type(model).__name__, fix="give Linear, Conv1d or Conv2d"
            )

    def synapses(self) -> Iterator[DeltaSynapse]:
        """Go through the layers of weights, in the order of the model's modules."""
        return (module for module in self.model.modules() if isinstance(module, DeltaSynapse))

    def reset(self) -> None:
        """Forget the stream: the next step is a first one."""
        self.n_steps = 0
        for synapse in self.synapses():
            synapse.reset()

    def step(self, x: Tensor) -> Tensor:
        """Return the output of the stream's next frame.

        Args:
            x: ``(batch, ...)``.

        Raises:
            InputError: the shape changed within a stream, or the model uses a layer twice a frame.
        """
        y: Tensor = self.model(x)
        self.n_steps += 1
        if any(synapse.n_steps > self.n_steps for synapse in self.synapses()):
            raise InputError(
                "a layer is used more than once a frame: its state would mix two signals",
                where=type(self.model[0]).__name__,
                measured=f"{max(synapse.n_steps for synapse in self.synapses())} uses in {self.n_steps} frames",
                limit=f"{self.n_steps}",
                fix="give each use a layer of its own",
            )
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of whole sequences, from and to a state of nothing.

        Args:
            x: ``(batch, time, ...)``.

        Returns:
            ``(batch, time, ...)``.
        """
        require_time(x)
        self.reset()
        outputs = [self.step(frame) for frame in x.unbind(1)]
        self.reset()
        return torch.stack(outputs, 1)


def apply_weight(layer: WeightedLayer, x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the layer's output without its bias, with its own weights where none are given."""
    weight = effective_weight(layer) if weight is None else weight
    if isinstance(layer, nn.Linear):
        return nn.functional.linear(x, weight)
    if isinstance(layer, _Transposed):
        run = nn.functional.conv_transpose1d if isinstance(layer, nn.ConvTranspose1d) else nn.functional.conv_transpose2d
        sides: Any = (layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation)
        return run(x, weight, None, *sides)
    change: Tensor = layer._conv_forward(x, weight, None)  # the one place that knows the padding modes
    return change


def effective_weight(layer: WeightedLayer) -> Tensor:
    """Return the weights that a layer multiplies by: a masked layer's are not its parameter."""
    return layer.effective_weight() if isinstance(layer, MaskedSynapses) else layer.weight


def _replace_layers(model: nn.Module) -> None:
    """Replace layers of weights; one that stands in several places is one synapse, whose second use a step refuses."""
    synapses: dict[nn.Module, DeltaSynapse] = {}
    for path, parent in list(model.named_modules()):
        _require_plain(parent, path)
        for name, child in list(parent._modules.items()):
            if isinstance(child, WeightedLayer):
                parent.register_module(name, synapses.setdefault(child, DeltaSynapse(child)))


def _require_plain(module: nn.Module, path: str) -> None:
    """Refuse what would run as something else than it is."""
    is_synaptic = isinstance(module, WeightedLayer)
    if is_synaptic and (type(module).forward not in _KNOWN or foreign_hooks(module)):
        what = "a layer's own forward or hooks would be left out of delta inference"
    elif isinstance(module, nn.MultiheadAttention | DeltaNetwork | DeltaSynapse):
        what = "the module uses its layers' weights itself, or runs by delta inference already"
    else:
        return
    raise InputError(
        what,
        where=f"module '{path.removeprefix('0.')}'",
        measured=type(module).__name__,
        limit="Linear, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, their masked kinds and EventLinear, without hooks",
        fix="put what the layer does beside its product into a module of its own",
    )


def require_time(x: Tensor) -> None:
    """Refuse what is no batch of sequences."""
    is_tensor = isinstance(x, Tensor)
    if not is_tensor or x.ndim < 2 or not x.numel():
        raise InputError(
            "a sequence has a batch and a time axis, and values",
            measured=str(tuple(x.shape)) if is_tensor else f"{type(x).__module__}.{type(x).__name__}",
            limit="a tensor (batch, time, ...)",
            fix="unsqueeze(1) a single frame" if is_tensor else "torch.as_tensor makes one",
        )
