"""From a torch module of linear layers and ReLUs to an ANN of affine maps."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.affine import apply_map, combine, make_identity, require_finite, scale, to_array
from snnmap.convert.ann import INPUT, Affine, Ann, drop_unused
from snnmap.convert.arithmetic import OPERATORS, calculate
from snnmap.convert.confirm import confirm_reading
from snnmap.convert.layers import LayerList
from snnmap.convert.levels import quantise_activation, read_levels
from snnmap.convert.options import Signed
from snnmap.convert.probe import LINEAR, REARRANGING, apply_linear, rearrange
from snnmap.convert.spatial import lower_adaptive_pool, lower_average_pool, lower_convolution, pool_windows
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.torch.accept import require_module, require_own_forward, unwrap
from snnmap.frontends.torch.functional import as_module, clip_bounds
from snnmap.frontends.torch.shapes import describe, is_shape_query, replace_batch

__all__ = ["read_ann"]

_FIX = (
    "use Linear, Conv1d/2d, ConvTranspose, BatchNorm, AvgPool, MaxPool, Upsample, Flatten, Dropout, ReLU, ReLU6, LeakyReLU, "
    "Hardtanh, Hardsigmoid, QuantisedReLU, delta layers, additions and differences, products with constants, cat, pad, slices "
    "and means"
)
_FINAL = {"LogSoftmax": "log_softmax", "Softmax": "softmax", "log_softmax": "log_softmax", "softmax": "softmax"}
_CASTS = ("float", "double", "to", "type", "type_as", "clone", "detach", "cpu", "cuda", "requires_grad_")


def read_ann(module: Any, input_shape: Sequence[int], *, signed: Signed = "refuse", samples: npt.ArrayLike | None = None) -> Ann:
    """Read a module by torch.fx; batch normalisation is folded, dropout removed, maxima and clips become ReLUs.

    Delta layers are read as the frame by frame network that delta inference equals: quantisers as levels, a masked layer's
    weights without those that its mask cuts, and a :class:`snnmap.nn.delta.DeltaNetwork` as the model that it runs. A softmax
    at the end is left out (:attr:`Ann.left_out`): it keeps the order of its inputs, the logits, which are the outputs then.

    What was read is run beside the module itself at the end, and refused where the outputs differ.

    Args:
        module: ``torch.nn.Module`` with one input and one output, taken in evaluation mode.
        input_shape: of one sample, one frame of a delta network's, without the batch.
        signed: what to do about quantised activations with negative levels, as in :class:`ConvertOptions`.
        samples: ``(n, *input_shape)`` inputs on which both are run; None draws some.

    Returns:
        ReLU layers named by module path, and the output.

    Raises:
        FrontendError: torch is missing, an operation has no counterpart, or what was read gives other outputs than the module;
            it says which and where.
    """
    torch = import_package("torch")
    from snnmap.nn import EventLinear
    from snnmap.nn.delta import DeltaNetwork, DeltaSynapse, MaskedConv1d, MaskedConv2d, MaskedLinear
    from snnmap.nn.tracing import trace_module

    module = unwrap(module)
    require_module(module)
    module = module.model[0] if isinstance(module, DeltaNetwork) else module
    module = module.layer if isinstance(module, DeltaSynapse) else module
    module = torch.nn.Sequential(module) if "forward" in vars(module) else module  # within which its own forward is followed
    layers = (torch.nn.Linear, EventLinear, MaskedLinear, MaskedConv1d, MaskedConv2d)
    leaves = (*_quantisers(), *layers, DeltaSynapse, DeltaNetwork)
    graph = trace_module(module, leaves, defaults=True)
    ann = _Reader(module, tuple(input_shape), signed).read(graph, f"torch {torch.__version__}")
    confirm_reading(ann, module, tuple(input_shape), None if samples is None else np.asarray(samples, np.float64))
    return ann


def _quantisers() -> tuple[type, ...]:
    from snnmap.nn import QuantisedReLU
    from snnmap.nn.delta import FixedPoint, SigmaDeltaQuantiser, StepQuantiser

    return QuantisedReLU, FixedPoint, SigmaDeltaQuantiser, StepQuantiser


class _Reader:
    """Follows the graph with an affine map for each activation and a constant for each other value."""

    def __init__(self, module: Any, input_shape: tuple[int, ...], signed: Signed) -> None:
        self.module, self.input_shape, self.signed = module, input_shape, signed
        self.modules = dict(module.named_modules())
        self.layers = LayerList()
        self.values: dict[Any, Any] = {}
        self.left_out = ""

    def read(self, graph: Any, framework: str) -> Ann:
        for node in graph.nodes:
            if node.op == "output":
                return self._finish(node, framework)
            if node.users or node.op == "call_module":
                self.values[node] = self._read_node(node)
        raise FrontendError("the module has no output", where="forward", fix="give one tensor back")

    def _finish(self, node: Any, framework: str) -> Ann:
        output = self._settle(node.args[0])
        if not isinstance(output, Affine):
            raise FrontendError("the module has no single output", where="forward", fix="give one tensor back")
        n_inputs, name = int(np.prod(self.input_shape)), type(self.module).__name__
        ann = Ann(
            name=name,
            n_inputs=n_inputs,
            layers=self.layers.layers,
            output=output,
            framework=framework,
            left_out=self.left_out,
        )
        return drop_unused(ann)  # a ReLU that is one with the quantiser behind it

    def _settle(self, arguments: Any) -> Any:
        """Return arguments with the values that nodes have."""
        from torch.fx.node import map_arg

        return map_arg(arguments, lambda node: self.values[node])

    def _read_node(self, node: Any) -> Any:
        if node.op == "placeholder":
            return self._read_input(node)
        if node.op == "get_attr":
            return _get_constant(self.module, str(node.target))
        arguments, keywords = self._settle(tuple(node.args)), self._settle(dict(node.kwargs))
        if node.op == "call_module":
            path = str(node.target)
            where = f"module '{path}'"
            value = self._read_leaf(self.modules[path], path, where, _first(arguments, keywords, where), node)
        else:
            where = f"forward, {node.name}"
            value = self._read_call(node, arguments, keywords, where)
        if isinstance(value, Affine):
            require_finite(value, where)
        return value

    def _read_input(self, node: Any) -> Any:
        if not any(isinstance(value, Affine) for value in self.values.values()):
            return make_identity(INPUT, self.input_shape)
        if node.args:
            return node.args[0]  # a default, which tracing has put in
        raise FrontendError(
            "the module takes several inputs", where=f"forward, {node.name}", limit="1", fix="join them to one tensor"
        )

    def _read_call(self, node: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], where: str) -> Any:
        """Read a function or method, by what its arguments are."""
        name = getattr(node.target, "__name__", str(node.target))
        if is_shape_query(name, arguments) and isinstance(arguments[0], Affine):
            return describe(arguments[0], arguments[1] if name == "getattr" else name, () if name == "getattr" else arguments[1:])
        values = _find_activations((arguments, keywords))
        if not values:
            return _compute(node, arguments, keywords, where)
        if name == "getitem" and not isinstance(arguments[0], Affine):
            return arguments[0][arguments[1]]
        if name in OPERATORS:
            if keywords:
                raise FrontendError("arithmetic with other things than activations and constants", where=where, fix=_FIX)
            return calculate(OPERATORS[name], arguments, where)
        if name in ("maximum", "minimum", "abs", "batch_norm"):
            return self._read_function(name, node.name, arguments, keywords, where)
        if name in _CASTS:
            return _cast(name, arguments, keywords, where)
        if name in _FINAL:
            return self._leave_out(
                _FINAL[name], values[0], keywords.get("dim", arguments[1] if len(arguments) > 1 else None), node
            )
        is_nearest = keywords.get("mode", "nearest") in (
            "nearest",
            "nearest-exact",
            "constant",
            "reflect",
            "replicate",
            "circular",
        )
        if name in REARRANGING and (is_nearest or name == "pad"):
            return rearrange(_operation(node, arguments, keywords), values, where)
        if name in LINEAR and len(values) == 1:
            return apply_linear(_operation(node, arguments, keywords), values[0], where)
        module = as_module(name, arguments[1:], keywords)
        if module is None:
            raise FrontendError(f"operation '{name}' has no LIF counterpart", where=where, fix=_FIX)
        return self._read_leaf(module, node.name, where, _first(arguments, keywords, where), node)

    def _read_function(self, name: str, path: str, arguments: tuple[Any, ...], keywords: dict[str, Any], where: str) -> Affine:
        one = _first(arguments, keywords, where)
        if name == "abs":
            return self.layers.rectify_leaky(path, one, np.full(one.size, -1.0))
        if name == "batch_norm":
            return _normalise(_make_norm(arguments, keywords, where), one, where)
        other = arguments[1] if len(arguments) == 2 else None
        if not isinstance(other, Affine) or other.shape != one.shape:
            raise FrontendError(f"a {name} of other things than two activations of one shape", where=where, fix=_FIX)
        if name == "maximum":
            return self.layers.maximum(path, one, other)
        return combine(combine(one, other, 1.0), self.layers.maximum(path, one, other), -1.0)

    def _leave_out(self, name: str, value: Affine, dim: Any, node: Any) -> Affine:
        """Leave a softmax over the outputs away where nothing comes behind it."""
        if len(value.shape) != 1 or dim not in (1, -1) or any(user.op != "output" for user in node.users):
            raise FrontendError(
                f"a {name} has no LIF counterpart but at the end, over the outputs",
                where=f"forward, {node.name}",
                measured=f"over dimension {dim} of (batch, {', '.join(map(str, value.shape))})",
                limit="over dimension 1 of (batch, outputs), as the last operation",
                fix="give the logits to what follows",
            )
        self.left_out = name
        return value

    def _read_leaf(self, module: Any, path: str, where: str, value: Affine, node: Any) -> Affine:
        require_own_forward(module, where)
        final = _FINAL.get(type(module).__name__)
        return self._leave_out(final, value, module.dim, node) if final else self._read_module(module, path, where, value)

    def _read_module(self, module: Any, path: str, where: str, value: Affine) -> Affine:
        from torch import nn

        from snnmap.nn.delta import DeltaNetwork, DeltaSynapse

        if isinstance(module, DeltaNetwork):
            raise _refuse_sequences(where)
        if isinstance(module, DeltaSynapse):
            module = module.layer  # what it computes at every step, but for rounding
        if isinstance(module, nn.Linear) and len(value.shape) == 1:
            return _read_linear(module, value, where)
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            return apply_map(value, *lower_convolution(module, value.shape, where), where)
        if isinstance(module, nn.AvgPool1d | nn.AvgPool2d):
            return apply_map(value, *lower_average_pool(module, value.shape, where), where)
        if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
            return apply_map(value, *lower_adaptive_pool(module, value.shape, where), where)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return _normalise(module, value, where)
        if isinstance(module, nn.MaxPool1d | nn.MaxPool2d):
            return self.layers.pool_maxima(path, *pool_windows(module, value.shape, where), value, where)
        if isinstance(module, _quantisers()):
            levels = read_levels(module, value.shape, where)
            return quantise_activation(self.layers, path, value, levels, where, signed=self.signed)
        if isinstance(module, nn.Identity | nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            return value
        if isinstance(module, _rearranging()):
            move: Any = module
            moved: Affine = rearrange(lambda given, _: move(given[0]), [value], where)
            return moved
        if isinstance(module, nn.Linear | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.Upsample):
            double = copy.deepcopy(module).cpu().double()
            return apply_linear(lambda given, _: double(given[0]), value, where)
        return self._activate(path, module, value, where)

    def _activate(self, path: str, module: Any, value: Affine, where: str) -> Affine:
        """Read a ReLU, clipped, leaking or scaled: exactly, as one or two rectified layers."""
        from torch import nn

        if isinstance(module, nn.LeakyReLU):
            return self.layers.rectify_leaky(path, value, np.full(value.size, float(module.negative_slope)))
        if isinstance(module, nn.PReLU):
            slopes = to_array(module.weight)
            if slopes.size not in (1, value.shape[0]):
                raise FrontendError(
                    "the slopes do not fit the channels",
                    where=where,
                    measured=str(slopes.size),
                    limit=str(value.shape[0]),
                    fix=_FIX,
                )
            return self.layers.rectify_leaky(path, value, np.repeat(slopes, value.size // slopes.size))
        if isinstance(module, nn.Hardsigmoid):
            ones = np.ones(value.size)
            return self.layers.clip(path, scale(value, ones / 6.0, ones / 2.0), 0.0, 1.0)
        if isinstance(module, nn.ReLU | nn.Hardtanh):
            low, high = clip_bounds(module)
            if low > high:
                raise FrontendError(
                    "a clip whose bounds are in the wrong order", where=where, measured=f"{low:g} to {high:g}", fix=_FIX
                )
            return self.layers.clip(path, value, low, high)
        raise FrontendError(f"module {type(module).__name__} has no LIF counterpart", where=where, measured=str(module), fix=_FIX)


def _rearranging() -> tuple[type, ...]:
    from torch import nn

    pads = ("ZeroPad1d", "ZeroPad2d", "ReflectionPad1d", "ReflectionPad2d", "ReplicationPad1d", "ReplicationPad2d")
    moves = ("ConstantPad1d", "ConstantPad2d", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle", "Unflatten", "Flatten")
    return tuple(getattr(nn, name) for name in (*pads, *moves, "UpsamplingNearest2d") if hasattr(nn, name))


def _find_activations(arguments: Any) -> list[Affine]:
    if isinstance(arguments, Affine):
        return [arguments]
    if isinstance(arguments, dict):
        arguments = tuple(arguments.values())
    return [value for part in arguments for value in _find_activations(part)] if isinstance(arguments, tuple | list) else []


def _put_tensors(arguments: Any, tensors: Any) -> Any:
    """Return arguments, an iterator's next tensor in place of each activation."""
    if isinstance(arguments, Affine):
        return next(tensors)
    if isinstance(arguments, dict):
        return {key: _put_tensors(part, tensors) for key, part in arguments.items()}
    return (
        type(arguments)(_put_tensors(part, tensors) for part in arguments) if isinstance(arguments, tuple | list) else arguments
    )


def _operation(node: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Return a call as a function of its activations' tensors and the size of the batch."""

    def run(tensors: Sequence[Any], batch: int) -> Any:
        rest = iter(tensors)
        given, named = _put_tensors(arguments, rest), _put_tensors(keywords, rest)
        return _call(node, replace_batch(given, batch), replace_batch(named, batch))

    return run


def _call(node: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **keywords)
    return node.target(*arguments, **keywords)


def _compute(node: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], where: str) -> Any:
    """Compute what depends on no activation."""
    import torch

    try:
        with torch.no_grad():
            return _call(node, arguments, keywords)
    except Exception as error:
        fix = "compute it in __init__, as a buffer, and nothing from the size of the batch"
        raise FrontendError.from_failure("a constant of forward cannot be computed", error, where=where, fix=fix) from error


def _get_constant(module: Any, path: str) -> Any:
    import torch

    value = module
    for name in path.split("."):
        value = getattr(value, name)
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().cpu().double() if value.is_floating_point() else value.detach().cpu()


def _first(arguments: tuple[Any, ...], keywords: dict[str, Any], where: str) -> Affine:
    value = arguments[0] if arguments else keywords.get("input", keywords.get("x"))
    if not isinstance(value, Affine):
        raise FrontendError("the operation takes no activation", where=where, fix=_FIX)
    return value


def _cast(name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], where: str) -> Affine:
    """Pass over a change of type or place, but one that rounds."""
    import torch

    kinds = [argument for argument in (*arguments[1:], *keywords.values()) if isinstance(argument, torch.dtype | str)]
    allowed = (torch.float32, torch.float64, "torch.float32", "torch.float64", "torch.FloatTensor", "torch.DoubleTensor")
    wrong = [kind for kind in kinds if kind not in allowed and not (isinstance(kind, str) and name in ("to", "cuda"))]
    if wrong:
        raise FrontendError(
            "a cast that rounds activations", where=where, measured=str(wrong[0]), limit="float32, float64", fix=_FIX
        )
    return _first(arguments, keywords, where)


def _make_norm(arguments: tuple[Any, ...], keywords: dict[str, Any], where: str) -> Any:
    """Return the module of a call of ``batch_norm``."""
    from types import SimpleNamespace

    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    given = dict(zip(names, arguments, strict=False)) | keywords
    if given.get("training"):
        raise FrontendError(
            "a batch normalisation by the batch's own statistics", where=where, measured="training=True", fix=_FIX
        )
    return SimpleNamespace(
        running_mean=given.get("running_mean"),
        running_var=given.get("running_var"),
        eps=given.get("eps", 1e-5),
        affine=given.get("weight") is not None,
        weight=given.get("weight"),
        bias=given.get("bias"),
    )


def _read_linear(module: Any, value: Affine, where: str) -> Affine:
    from scipy.sparse import csr_array

    from snnmap.nn.delta.inference import effective_weight

    bias = np.zeros(module.out_features) if module.bias is None else to_array(module.bias)
    return apply_map(value, csr_array(to_array(effective_weight(module)).T), bias, (module.out_features,), where)


def _refuse_sequences(where: str) -> FrontendError:
    return FrontendError(
        "a delta network within a model takes whole sequences, and its changes have no LIF counterpart",
        where=where,
        measured="(batch, time, ...), changes of both signs",
        limit="frames (batch, ...), spike counts >= 0 on membranes that leak",
        fix="convert the DeltaNetwork itself, or the model that it was made from: frame by frame they are the same network",
    )


def _normalise(module: Any, value: Affine, where: str) -> Affine:
    """Fold a batch normalisation into the affine map before it."""
    if module.running_mean is None:
        raise FrontendError(
            "the batch normalisation has no running statistics and cannot be folded",
            where=where,
            fix="train it with track_running_stats=True",
        )
    factor = 1.0 / np.sqrt(to_array(module.running_var) + module.eps)
    if module.affine:
        factor = factor * to_array(module.weight)
    shift = -to_array(module.running_mean) * factor + (to_array(module.bias) if module.affine else 0.0)
    if value.shape[0] != factor.size:
        raise FrontendError(
            "the batch normalisation has other channels than its input",
            where=where,
            measured=str(value.shape[0]),
            limit=str(factor.size),
            fix="give it num_features of the layer before",
        )
    repeats = value.size // factor.size
    return scale(value, np.repeat(factor, repeats), np.repeat(shift, repeats))
