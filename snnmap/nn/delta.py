"""Delta inference, and layers that train a network to change little from step to step."""

import copy
from collections.abc import Callable, Collection, Iterator

import torch
from torch import Tensor, nn

from snnmap.errors import InputError
from snnmap.nn.delta_quantisers import FixedPoint, StepQuantiser
from snnmap.nn.quantised import QuantisedReLU

__all__ = [
    "DeltaActivation",
    "DeltaNetwork",
    "DeltaSynapse",
    "SynapticLayer",
    "delta_activation_layer",
    "differences",
    "insert_delta",
    "run_frames",
    "sparsity_penalty",
    "temporal_delta_layer",
]

SynapticLayer = nn.Linear | nn.Conv1d | nn.Conv2d

_ACTIVATIONS = (
    nn.ELU, nn.GELU, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.ReLU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Tanh, QuantisedReLU,
)  # fmt: skip


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

    def __init__(self, layer: SynapticLayer) -> None:
        super().__init__()
        self.layer = layer
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next step is a first one."""
        self.n_steps = 0
        self.delta: Tensor | None = None
        self._previous: Tensor | None = None
        self._total: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Give Y_t of one step's input X_t.

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
        change = _apply_weight(self.layer, self.delta)
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
    """Run a network by delta inference: every Linear, Conv1d and Conv2d becomes a :class:`DeltaSynapse`.

    All other modules stay as they are, so that at every step the output is the frame-by-frame network's, but for rounding.
    It holds for any model, sequential or not, whose other modules keep no state between frames (batch normalisation and
    dropout: in ``eval()``, which this sets) and which uses each layer once a frame. Run long streams within
    ``torch.no_grad()``: the state keeps its gradients otherwise, and every step's graph with them.

    Args:
        model: of one frame ``(batch, ...)``; copied.

    Raises:
        InputError: the model has none of these layers.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
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
        """Give the output of the stream's next frame.

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
        """Give the outputs of whole sequences, from and to a state of nothing.

        Args:
            x: ``(batch, time, ...)``.

        Returns:
            ``(batch, time, ...)``.
        """
        _require_time(x)
        self.reset()
        outputs = [self.step(frame) for frame in x.unbind(1)]
        self.reset()
        return torch.stack(outputs, 1)


class DeltaActivation(nn.Module):
    """Quantise an activation and, in training, keep how much it changes in time for :func:`sparsity_penalty`.

    The Delta Activation Layer (Yousefzadeh & Sifalakis 2021) and the Temporal Delta Layer (Vijayan et al. 2022): delta
    inference adds the transmitted changes up again, so that what the next layer gets is the quantised activation itself;
    only the cost sees the changes. See :func:`delta_activation_layer` and :func:`temporal_delta_layer`.

    Args:
        quantiser: any module that keeps the shape; None changes nothing.
        n_steps: time steps of a sequence. The input is ``(batch * n_steps, ...)``, a sequence's frames one after the other; None
            means ``(batch, time, ...)``.
    """

    def __init__(self, quantiser: nn.Module | None = None, *, n_steps: int | None = None) -> None:
        super().__init__()
        self.quantiser = nn.Identity() if quantiser is None else quantiser
        self.n_steps = n_steps
        self.changes: list[Tensor] = []

    def __getstate__(self) -> dict[str, object]:
        """Leave the last pass's changes out of copies and files: they belong to its graph."""
        return {**self.__dict__, "changes": []}

    def forward(self, z: Tensor) -> Tensor:
        """Give the quantised activation, of the same shape.

        Raises:
            InputError: in training, ``z`` is not a whole number of sequences.
        """
        quantised: Tensor = self.quantiser(z)
        if self.training:
            self.changes.append(differences(quantised, self.n_steps))
        return quantised


def delta_activation_layer(width_bits: int = 8, *, signed: bool = False) -> DeltaActivation:
    """Give a delta layer with fixed-point activations (Vijayan et al. 2022, eq. 3.6 to 3.8)."""
    return DeltaActivation(FixedPoint(width_bits, signed=signed))


def temporal_delta_layer(width_bits: int = 8, *, signed: bool = False, n_channels: int | None = None) -> DeltaActivation:
    """Give a delta layer with a learned step and no clipping (Vijayan et al. 2022, eq. 3.10 and 3.11)."""
    return DeltaActivation(StepQuantiser(width_bits, clip=False, signed=signed, n_channels=n_channels))


def insert_delta(
    model: nn.Module,
    where: Collection[str] | Callable[[str, nn.Module], bool] | None = None,
    *,
    make: Callable[[str], DeltaActivation] = lambda _path: temporal_delta_layer(),
    skip_first: bool = False,
    skip_last: bool = False,
) -> nn.Module:
    """Give a copy of a model with a delta layer after each activation chosen.

    The model may be new (to train) or trained (to fine-tune, or only to run: the quantisers take their steps from the first
    batch). It takes what it took; :func:`run_frames` gives it sequences. A module called several times a frame, such as one
    ReLU that a block shares, gets one delta layer, whose step all calls share and whose changes are all kept.

    Args:
        model: copied, unchanged.
        where: paths of modules; or which of ``(path, module)``; None takes the activations of ``torch.nn`` and QuantisedReLU.
        make: gives the delta layer of a path; with ``temporal_delta_layer(n_channels=...)`` one step a channel.
        skip_first: leave the first one out, in the order in which the model registers its modules.
        skip_last: leave the last one out, likewise.

    Raises:
        InputError: a path that the model lacks, or no place left.
    """
    result = copy.deepcopy(model)
    paths = _choose_paths(result, where)
    paths = paths[int(skip_first) : len(paths) - int(skip_last)]
    if not paths:
        raise InputError(
            "no place for a delta layer",
            where=type(model).__name__,
            measured=f"skip_first={skip_first}, skip_last={skip_last}",
            fix="name the modules in where; functional activations have no module to name",
        )
    for path in reversed(paths):
        parent, _, name = path.rpartition(".")
        activation = result.get_submodule(path)
        result.get_submodule(parent).register_module(name, nn.Sequential(activation, make(path)))
    result.register_forward_pre_hook(_forget_changes)
    return result


def run_frames(model: nn.Module, x: Tensor) -> Tensor:
    """Run a model of single frames on sequences, all frames as one batch; its delta layers are told the steps of a sequence.

    Args:
        model: of frames ``(batch, ...)``, with delta layers or without.
        x: ``(batch, time, ...)``.

    Returns:
        ``(batch, time, ...)``.
    """
    _require_time(x)
    for layer in _delta_layers(model):
        layer.n_steps = x.shape[1]
    y: Tensor = model(x.flatten(0, 1))
    return y.reshape(*x.shape[:2], *y.shape[1:])


def sparsity_penalty(model: nn.Module) -> Tensor:
    """Give the l1 norm of the activations' changes in the last pass, divided by the number of neurons.

    The second term of Vijayan et al. 2022, eq. 3.12, before its factor: the mean over sequences and steps of the sum of
    ``|dZ|`` over the neurons of all delta layers, divided by their number. A first step counts whole, as it is transmitted.

    Args:
        model: with delta layers, in training mode, that has been run.

    Returns:
        A scalar, with its gradients.

    Raises:
        InputError: no pass in training mode has been run.
    """
    changes = [change for layer in _delta_layers(model) for change in layer.changes]
    if not changes:
        raise InputError(
            "no change was kept", where=type(model).__name__, fix="run the model in train() mode, with delta layers, first"
        )
    n_neurons = sum(change[0, 0].numel() for change in changes)
    return torch.stack([change.abs().sum() / (change.shape[0] * change.shape[1]) for change in changes]).sum() / n_neurons


def differences(x: Tensor, n_steps: int | None = None) -> Tensor:
    """Give x_t - x_{t-1}, with x_0 = 0.

    Args:
        x: ``(batch, time, ...)``, or ``(batch * n_steps, ...)`` where ``n_steps`` is given.
        n_steps: time steps of a sequence.

    Returns:
        ``(batch, time, ...)``.

    Raises:
        InputError: no time axis, or not a whole number of sequences.
    """
    if n_steps is not None:
        if x.shape[0] % n_steps or not x.numel():
            raise InputError(
                "the frames are not a whole number of sequences",
                measured=f"{x.shape[0]} frames",
                limit=f"a multiple of {n_steps} steps",
                fix="run the model through run_frames, or set n_steps",
            )
        x = x.reshape(-1, n_steps, *x.shape[1:])
    _require_time(x)
    return torch.cat([x[:, :1], x[:, 1:] - x[:, :-1]], 1)


def _apply_weight(layer: SynapticLayer, x: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return nn.functional.linear(x, layer.weight)
    change: Tensor = layer._conv_forward(x, layer.weight, None)  # the one place that knows the padding modes
    return change


def _replace_layers(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SynapticLayer):
                parent.register_module(name, DeltaSynapse(child))


def _choose_paths(model: nn.Module, where: Collection[str] | Callable[[str, nn.Module], bool] | None) -> list[str]:
    modules = [(path, module) for path, module in model.named_modules(remove_duplicate=False) if path]
    if where is None:
        return [path for path, module in modules if isinstance(module, _ACTIVATIONS)]
    if callable(where):
        return [path for path, module in modules if where(path, module)]
    unknown = sorted(set(where) - {path for path, _ in modules})
    if unknown:
        raise InputError(
            "the model has no such module",
            where=type(model).__name__,
            measured=", ".join(unknown),
            limit=", ".join(path for path, _ in modules),
            fix="name paths of model.named_modules()",
        )
    return [path for path, _ in modules if path in where]


def _delta_layers(model: nn.Module) -> Iterator[DeltaActivation]:
    return (module for module in model.modules() if isinstance(module, DeltaActivation))


def _forget_changes(model: nn.Module, _inputs: object) -> None:
    for layer in _delta_layers(model):
        layer.changes.clear()


def _require_time(x: Tensor) -> None:
    if x.ndim < 2 or not x.numel():
        raise InputError(
            "a sequence has a batch and a time axis, and values",
            measured=str(tuple(x.shape)),
            limit="(batch, time, ...)",
            fix="unsqueeze(1) a single frame",
        )
