"""Layers that train a network to change little from step to step."""

import copy
import math
import warnings
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar

import torch
from torch import Tensor, fx, nn

from snnmap.core.errors import FrontendError, InputError
from snnmap.nn.delta.inference import require_time
from snnmap.nn.delta.quantisers import FixedPoint, StepQuantiser
from snnmap.nn.quantised import QuantisedReLU
from snnmap.nn.tracing import trace_module

__all__ = [
    "DeltaActivation",
    "delta_activation_layer",
    "differences",
    "insert_delta",
    "require_steps",
    "run_frames",
    "sparsity_penalty",
    "temporal_delta_layer",
]

_ACTIVATIONS = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid, nn.Mish,
    nn.PReLU, nn.ReLU, nn.RReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink,
    nn.Threshold, QuantisedReLU,
)  # fmt: skip
_FUNCTIONS = {kind.__name__.lower() for kind in _ACTIVATIONS} | {"relu6"}


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
        """Return the quantised activation, of the same shape.

        Raises:
            InputError: in training, ``z`` is not a whole number of sequences.
        """
        quantised: Tensor = self.quantiser(z)
        if self.training:
            self.changes.append(differences(quantised, self.n_steps))
        return quantised


def delta_activation_layer(width_bits: int = 8, *, signed: bool = False) -> DeltaActivation:
    """Return a delta layer with fixed-point activations (Vijayan et al. 2022, eq. 3.6 to 3.8)."""
    return DeltaActivation(FixedPoint(width_bits, signed=signed))


_RUNNING_STEPS: ContextVar[int | None] = ContextVar("running_steps", default=None)
"""Steps of the sequences that :func:`run_frames` is running."""


def temporal_delta_layer(width_bits: int = 8, *, signed: bool = False, n_channels: int | None = None) -> DeltaActivation:
    """Return a delta layer with a learned step and no clipping (Vijayan et al. 2022, eq. 3.10 and 3.11)."""
    return DeltaActivation(StepQuantiser(width_bits, clip=False, signed=signed, n_channels=n_channels))


def insert_delta(
    model: nn.Module,
    where: Collection[str] | Callable[[str, nn.Module], bool] | None = None,
    *,
    make: Callable[[str], nn.Module] = lambda _path: temporal_delta_layer(),
    skip_first: bool = False,
    skip_last: bool = False,
) -> nn.Module:
    """Return a copy of a model with a delta layer after each activation chosen.

    The model may be new (to train) or trained (to fine-tune, or only to run: the quantisers take their steps from the first
    batch). It takes what it took; :func:`run_frames` gives it sequences. A module called several times a frame, such as one
    ReLU that a block shares, gets one delta layer, whose step all calls share and whose changes are all kept.

    Args:
        model: copied, unchanged.
        where: paths of modules; or which of ``(path, module)``; None takes every elementwise
            activation of ``torch.nn`` and QuantisedReLU.
        make: gives the delta layer of a path, or any other module to follow it, such as a SigmaDeltaQuantiser; with
            ``temporal_delta_layer(n_channels=...)`` one step a channel.
        skip_first: leave the first one out, in the order in which the model registers its modules.
        skip_last: leave the last one out, likewise.

    Warns:
        UserWarning: where all activations are taken, functions such as ``F.relu`` that have no module to follow.

    Raises:
        InputError: no torch module, a path that the model lacks, no place left, or a quantiser without negative levels behind an
            activation that has negative values.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            "delta layers are inserted into a torch module",
            where="insert_delta",
            measured=f"{type(model).__module__}.{type(model).__qualname__}",
            limit="torch.nn.Module",
            fix="give the torch module; of an ONNX file, the module that it was exported from",
        )
    result = copy.deepcopy(model)
    paths = _choose_paths(result, where)
    paths = paths[int(skip_first) : len(paths) - int(skip_last)]
    layers: tuple[object, ...] = (temporal_delta_layer, delta_activation_layer)
    if not callable(make) or isinstance(make, nn.Module) or make in layers:
        raise InputError(
            "each place gets a layer of its own, which a function of the path makes",
            where="insert_delta, make",
            measured=getattr(make, "__name__", type(make).__name__),
            limit="a function of the path",
            fix="give make=lambda path: temporal_delta_layer()",
        )
    if not paths:
        raise InputError(
            "no place for a delta layer",
            where=type(model).__name__,
            measured=f"skip_first={skip_first}, skip_last={skip_last}",
            fix="name the modules in where; functional activations have no module to name",
        )
    for path in reversed(paths):
        parent, _, name = path.rpartition(".")
        activation, layer = result.get_submodule(path), make(path)
        _require_signs(path, activation, layer)
        result.get_submodule(parent).register_module(name, nn.Sequential(activation, layer))
    if where is None:
        _tell_functions(model)
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
    require_time(x)
    before = {layer: layer.n_steps for layer in _delta_layers(model)}
    for layer in before:
        layer.n_steps = x.shape[1]
        layer.changes.clear()
    running = _RUNNING_STEPS.set(x.shape[1])
    try:
        y: Tensor = model(x.flatten(0, 1))
    finally:
        _RUNNING_STEPS.reset(running)
        for layer, n_steps in before.items():
            layer.n_steps = n_steps
    return y.reshape(*x.shape[:2], *y.shape[1:])


def sparsity_penalty(model: nn.Module) -> Tensor:
    """Return the l1 norm of the activations' changes in the last pass, divided by the number of neurons.

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
    """Return x_t - x_{t-1}, with x_0 = 0.

    Args:
        x: ``(batch, time, ...)``, or ``(batch * n_steps, ...)`` where ``n_steps`` is given.
        n_steps: time steps of a sequence.

    Returns:
        ``(batch, time, ...)``.

    Raises:
        InputError: no time axis, not a whole number of sequences, or :func:`run_frames` runs others.
    """
    if n_steps is not None:
        require_steps(n_steps)
        if n_steps < 1 or x.shape[0] % n_steps or not x.numel():
            raise InputError(
                "the frames are not a whole number of sequences",
                measured=f"{x.shape[0]} frames",
                limit=f"a multiple of {n_steps} steps, of one at least",
                fix="run the model through run_frames, or set n_steps",
            )
        x = x.reshape(-1, n_steps, *x.shape[1:])
    require_time(x)
    return torch.cat([x[:, :1], x[:, 1:] - x[:, :-1]], 1)


def require_steps(n_steps: int) -> None:
    """Refuse another number of steps than that of the sequences that :func:`run_frames` is running."""
    running = _RUNNING_STEPS.get()
    if running not in (None, n_steps):
        raise InputError(
            "the sequences have another number of steps, so that frames of different ones would be compared",
            where="n_steps",
            measured=f"n_steps={n_steps}, sequences of {running}",
            limit=f"n_steps={running}",
            fix=f"give n_steps={running}, the second axis of what run_frames takes",
        )


def _choose_paths(model: nn.Module, where: Collection[str] | Callable[[str, nn.Module], bool] | None) -> list[str]:
    modules = _list_places(model)
    if where is None:
        return [path for path, module in modules if isinstance(module, _ACTIVATIONS)]
    if callable(where):
        return [path for path, module in modules if where(path, module)]
    where = [where] if isinstance(where, str) else [str(path) for path in where]
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


def _require_signs(path: str, activation: nn.Module, layer: nn.Module) -> None:
    """Refuse levels from 0 behind an activation that goes below: they would make those values 0."""
    quantiser = layer.quantiser if isinstance(layer, DeltaActivation) else layer
    bounds = getattr(quantiser, "level_bounds", (-math.inf, math.inf))
    if not isinstance(activation, _ACTIVATIONS) or _is_never_negative(activation) or bounds[0] < 0:
        return
    raise InputError(
        "a quantiser without negative levels would make the activation's negative values 0",
        where=f"module '{path}'",
        measured=f"{type(activation).__name__}, levels {bounds[0]:g} to {bounds[1]:g}",
        limit="levels below 0, or an activation that is never negative",
        fix="give the quantiser signed=True, such as make=lambda path: delta_activation_layer(8, signed=True)",
    )


def _is_never_negative(activation: nn.Module) -> bool:
    if isinstance(activation, nn.Hardtanh):  # ReLU6 is one
        return activation.min_val >= 0.0
    if isinstance(activation, nn.Threshold):
        return activation.value >= 0.0 and activation.threshold >= 0.0
    return isinstance(activation, nn.ReLU | nn.Sigmoid | nn.Hardsigmoid | nn.Softplus | QuantisedReLU)


def _tell_functions(model: nn.Module) -> None:
    """Warn of activations that are functions, in a forward that can be followed."""
    own = {type(module) for module in model.modules() if type(module).__module__.startswith("snnmap.")}
    try:
        names = [node.name for node in trace_module(nn.Sequential(model), tuple(own)).nodes if _is_activation(node)]
    except FrontendError:
        return
    if names:
        warnings.warn(
            f"{type(model).__name__}: no delta layer follows {', '.join(names)}: functions have no module to name; "
            "write nn.ReLU() and the like as modules in __init__",
            stacklevel=3,
        )


def _is_activation(node: fx.Node) -> bool:
    name = getattr(node.target, "__name__", str(node.target)).rstrip("_").replace("_", "")
    return node.op in ("call_function", "call_method") and name in _FUNCTIONS


def _list_places(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """List modules by path; a module in several parents has as many places, one in a parent that is shared has one."""
    places: dict[tuple[nn.Module, str], tuple[str, nn.Module]] = {}
    for path, parent in model.named_modules():
        for name, child in parent._modules.items():
            if child is not None:
                places.setdefault((parent, name), (f"{path}.{name}" if path else name, child))
    order = {path: number for number, (path, _) in enumerate(model.named_modules(remove_duplicate=False))}
    return sorted(places.values(), key=lambda place: order[place[0]])


def _delta_layers(model: nn.Module) -> Iterator[DeltaActivation]:
    return (module for module in model.modules() if isinstance(module, DeltaActivation))


def _forget_changes(model: nn.Module, _inputs: object) -> None:
    for layer in _delta_layers(model):
        layer.changes.clear()
