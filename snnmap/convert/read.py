"""From a torch module of linear layers and ReLUs to an ANN of affine maps."""

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from snnmap.convert.affine import apply_map, combine, make_identity, reshape, scale, to_array
from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer, drop_unused
from snnmap.convert.functional import as_module, clip_bounds
from snnmap.convert.layers import LayerList
from snnmap.convert.levels import quantise_activation, read_levels
from snnmap.convert.options import Signed
from snnmap.convert.spatial import lower_adaptive_pool, lower_average_pool, lower_convolution, pool_windows
from snnmap.errors import FrontendError
from snnmap.packages import import_package

__all__ = ["read_ann"]

_FIX = (
    "use Linear, Conv1d/2d, BatchNorm, AvgPool, MaxPool, Flatten, Dropout, ReLU, ReLU6, Hardtanh(0, b), QuantisedReLU, "
    "delta layers, additions, differences and products with numbers"
)
_SIGNS = {operator.add: 1.0, operator.iadd: 1.0, operator.sub: -1.0, operator.isub: -1.0}
_METHODS: dict[str, Any] = {"add": operator.add, "add_": operator.add, "sub": operator.sub, "sub_": operator.sub}
_METHODS |= {"mul": operator.mul, "mul_": operator.mul, "div": operator.truediv, "neg": operator.neg, "negative": operator.neg}


def read_ann(module: Any, input_shape: Sequence[int], *, signed: Signed = "refuse") -> Ann:
    """Read a module by torch.fx; batch normalisation is folded, dropout removed, maxima and clips become ReLUs.

    Delta layers are read as the frame by frame network that delta inference equals: quantisers as levels, a masked layer's
    weights without those that its mask cuts, and a :class:`snnmap.nn.delta.DeltaNetwork` as the model that it runs.

    Args:
        module: ``torch.nn.Module`` with one input and one output, taken in evaluation mode.
        input_shape: of one sample, one frame of a delta network's, without the batch.
        signed: what to do about quantised activations with negative levels, as in :class:`ConvertOptions`.

    Returns:
        ReLU layers named by module path, and the output.

    Raises:
        FrontendError: torch is missing, or an operation has no counterpart; it says which and where.
    """
    torch = import_package("torch")
    from snnmap.nn import EventLinear
    from snnmap.nn.delta import DeltaNetwork, DeltaSynapse, MaskedConv1d, MaskedConv2d, MaskedLinear
    from snnmap.nn.tracing import trace_module

    module = module.model[0] if isinstance(module, DeltaNetwork) else module
    module = module.layer if isinstance(module, DeltaSynapse) else module
    layers = (torch.nn.Linear, EventLinear, MaskedLinear, MaskedConv1d, MaskedConv2d)
    leaves = (*_quantisers(), *layers, DeltaSynapse, DeltaNetwork)
    graph = trace_module(module, leaves)
    return _Reader(module, tuple(input_shape), signed).read(graph, f"torch {torch.__version__}")


def _quantisers() -> tuple[type, ...]:
    from snnmap.nn import QuantisedReLU
    from snnmap.nn.delta import FixedPoint, SigmaDeltaQuantiser, StepQuantiser

    return QuantisedReLU, FixedPoint, SigmaDeltaQuantiser, StepQuantiser


class _Reader:
    """Follows the graph with an affine map for each value."""

    def __init__(self, module: Any, input_shape: tuple[int, ...], signed: Signed) -> None:
        self.module, self.input_shape, self.signed = module, input_shape, signed
        self.modules = dict(module.named_modules())
        self.layers = LayerList()
        self.values: dict[Any, Affine] = {}

    def read(self, graph: Any, framework: str) -> Ann:
        for node in graph.nodes:
            if node.op == "output":
                return self._finish(node, framework)
            value = self._read_node(node)
            if value is not None:
                self.values[node] = value
        raise FrontendError("the module has no output", where="forward", fix="give one tensor back")

    def _finish(self, node: Any, framework: str) -> Ann:
        output = self.values.get(node.args[0]) if isinstance(node.args[0], type(node)) else None
        if output is None:
            raise FrontendError("the module has no single output", where="forward", fix="give one tensor back")
        n_inputs, name = int(np.prod(self.input_shape)), type(self.module).__name__
        ann = Ann(name=name, n_inputs=n_inputs, layers=self.layers.layers, output=output, framework=framework)
        return drop_unused(ann)  # a ReLU that is one with the quantiser behind it

    def _read_node(self, node: Any) -> Affine | None:
        if node.op == "placeholder":
            return self._read_input(node)
        if node.op == "call_module":
            path = str(node.target)
            return self._read_module(self.modules[path], path, f"module '{path}'", self._first(node))
        name, where = getattr(node.target, "__name__", str(node.target)), f"forward, {node.name}"
        if name in ("size", "getattr", "getitem") and node.op != "get_attr":
            return None  # a shape, for a view
        if name in ("reshape", "view"):
            return _flatten(self._first(node), node.args[1:], where)
        function = _METHODS.get(name, node.target)
        if function in (*_SIGNS, operator.mul, operator.truediv, operator.neg):
            return self._calculate(node, function)
        module = as_module(name, node.args[1:], node.kwargs) if node.op != "get_attr" else None
        if module is None:
            raise FrontendError(f"operation '{name}' has no LIF counterpart", where=where, fix=_FIX)
        return self._read_module(module, node.name, where, self._first(node))

    def _read_input(self, node: Any) -> Affine:
        if self.values:
            raise FrontendError(
                "the module takes several inputs", where=f"forward, {node.name}", limit="1", fix="join them to one tensor"
            )
        return make_identity(INPUT, self.input_shape)

    def _first(self, node: Any) -> Affine:
        argument = node.args[0] if node.args else node.kwargs.get("input")
        if argument not in self.values:
            raise FrontendError("the operation takes no activation", where=f"forward, {node.name}", fix=_FIX)
        return self.values[argument]

    def _read_module(self, module: Any, path: str, where: str, value: Affine) -> Affine:
        from torch import nn

        from snnmap.nn.delta import DeltaNetwork, DeltaSynapse

        if isinstance(module, DeltaNetwork):
            raise _refuse_sequences(where)
        if isinstance(module, DeltaSynapse):
            module = module.layer  # what it computes at every step, but for rounding
        if isinstance(module, nn.Linear):
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
        if isinstance(module, nn.ReLU | nn.Hardtanh):
            return self._activate(path, module, value, where)
        if isinstance(module, _quantisers()):
            levels = read_levels(module, value.shape, where)
            return quantise_activation(self.layers, path, value, levels, where, signed=self.signed)
        if isinstance(module, nn.Flatten):
            return _flatten_module(module, value, where)
        if isinstance(module, nn.Identity | nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            return value
        raise FrontendError(f"module {type(module).__name__} has no LIF counterpart", where=where, measured=str(module), fix=_FIX)

    def _activate(self, path: str, module: Any, value: Affine, where: str) -> Affine:
        """Read a ReLU, clipped or not; a clip at b is exact as relu(z) - relu(z - b)."""
        low, high = clip_bounds(module)
        if low != 0.0 or not high > 0.0:
            raise FrontendError(
                "an activation whose least value is not 0 has no LIF counterpart",
                where=where,
                measured=f"{low:g} to {high:g}",
                limit="0 to a positive number",
                fix="clip from 0, as spike counts are",
            )
        return self.layers.rectify_and_clip(ReluLayer(name=path, incoming=value), high)

    def _calculate(self, node: Any, function: Any) -> Affine:
        """Read sums and differences of activations and numbers, and products with numbers."""
        where = f"forward, {node.name}"
        terms = [self.values.get(argument, argument) if isinstance(argument, type(node)) else argument for argument in node.args]
        if node.kwargs or not all(isinstance(term, Affine | int | float) for term in terms):
            raise FrontendError("arithmetic with other things than activations and numbers", where=where, fix=_FIX)
        if function is operator.neg:
            return _scale_by(terms[0], -1.0)
        one, other = terms
        if function in _SIGNS:
            return _add(one, other, _SIGNS[function], where)
        if isinstance(one, Affine) and not isinstance(other, Affine) and (other or function is operator.mul):
            return _scale_by(one, float(other) if function is operator.mul else 1.0 / other)
        if isinstance(other, Affine) and not isinstance(one, Affine) and function is operator.mul:
            return _scale_by(other, float(one))
        raise FrontendError(
            "a product or quotient of activations has no LIF counterpart", where=where, fix="multiply activations by numbers only"
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


def _flatten_module(module: Any, value: Affine, where: str) -> Affine:
    if module.start_dim != 1 or module.end_dim not in (-1, len(value.shape)):
        raise FrontendError(
            "flattening other than of a whole sample",
            where=where,
            measured=f"dimensions {module.start_dim} to {module.end_dim}",
            limit="1 to -1",
            fix="use Flatten(), torch.flatten(x, 1) or x.flatten(1)",
        )
    return reshape(value, (value.size,))


def _flatten(value: Affine, arguments: Sequence[Any], where: str) -> Affine:
    """Read ``view(n, -1)`` and ``reshape(n, size)``, n the batch or -1."""
    given = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments
    if len(given) != 2 or given[1] not in (-1, value.size) or given[1] == given[0]:
        raise FrontendError(
            "a change of shape other than flattening whole samples",
            where=where,
            measured=str(tuple(given)),
            limit=f"(batch, {value.size})",
            fix="use torch.flatten(x, 1)",
        )
    return reshape(value, (value.size,))


def _add(one: Any, other: Any, sign: float, where: str) -> Affine:
    if isinstance(one, Affine) and isinstance(other, Affine):
        if one.shape != other.shape:
            raise FrontendError(
                "an addition of other things than two activations of one size",
                where=where,
                measured=f"{one.shape} and {other.shape}",
                fix="add activations of one shape",
            )
        return combine(one, other, sign)
    if isinstance(one, Affine):
        return replace(one, bias=one.bias + sign * float(other))
    return replace(_scale_by(other, sign), bias=sign * other.bias + float(one))


def _scale_by(value: Affine, factor: float) -> Affine:
    return scale(value, np.full(value.size, factor), np.zeros(value.size))
