"""From a torch module of linear layers and ReLUs to an ANN of affine maps."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer
from snnmap.convert.spatial import lower_average_pool, lower_convolution, pool_windows
from snnmap.errors import FrontendError
from snnmap.ir import FloatArray

__all__ = ["read_ann"]

_FIX = "use Linear, Conv1d/2d, BatchNorm, AvgPool, MaxPool, Flatten, Dropout, ReLU and additions"


def read_ann(module: Any, input_shape: Sequence[int]) -> Ann:
    """Read a module by torch.fx; batch normalisation is folded, dropout removed, maxima become ReLUs.

    Args:
        module: ``torch.nn.Module`` with one input and one output, taken in evaluation mode.
        input_shape: of one sample, without the batch.

    Returns:
        ReLU layers named by module path, and the output.

    Raises:
        FrontendError: torch is missing, or an operation has no counterpart; it says which and where.
    """
    try:
        import torch
        from torch import fx
    except ImportError as error:
        raise FrontendError("torch is not installed", fix="pip install 'snnmap[torch]'") from error
    try:
        graph = fx.Tracer().trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise FrontendError(
            f"the module's forward cannot be followed: {error}",
            where=type(module).__name__,
            fix="write forward without branches or loops over data",
        ) from error
    return _Reader(module, tuple(input_shape)).read(graph, torch.__version__)


class _Reader:
    """Follows the graph with an affine map for each value."""

    def __init__(self, module: Any, input_shape: tuple[int, ...]) -> None:
        self.module, self.input_shape = module, input_shape
        self.modules = dict(module.named_modules())
        self.layers: list[ReluLayer] = []

    def read(self, graph: Any, version: str) -> Ann:
        values: dict[Any, Affine] = {}
        for node in graph.nodes:
            arguments = [values[argument] for argument in node.all_input_nodes if argument in values]
            if node.op == "output":
                output = values.get(node.args[0])
                if output is None:
                    raise FrontendError("the module has no single output", where="forward", fix="give one tensor back")
                n_inputs = int(np.prod(self.input_shape))
                name = type(self.module).__name__
                return Ann(name=name, n_inputs=n_inputs, layers=tuple(self.layers), output=output, version=version)
            values[node] = self._read_node(node, arguments)
        raise FrontendError("the module has no output", where="forward")

    def _read_node(self, node: Any, arguments: list[Affine]) -> Affine:
        if node.op == "placeholder":
            return self._identity(INPUT, self.input_shape)
        if node.op == "call_module":
            return self._read_module(str(node.target), arguments[0])
        name = getattr(node.target, "__name__", str(node.target))
        if node.target in (operator.add, operator.iadd) or name in ("add", "add_"):
            return self._add(node, arguments)
        if name in ("relu", "relu_"):
            return self._rectify(node.name, arguments[0])
        if name in ("flatten", "reshape", "view"):
            return _reshape(arguments[0], (arguments[0].size,))
        if name in ("dropout", "contiguous"):
            return arguments[0]
        raise FrontendError(f"operation '{name}' has no LIF counterpart", where=f"forward, {node.name}", fix=_FIX)

    def _read_module(self, path: str, value: Affine) -> Affine:
        from torch import nn

        module = self.modules[path]
        if isinstance(module, nn.Linear):
            bias = np.zeros(module.out_features) if module.bias is None else _array(module.bias)
            return _through(value, _sparse(_array(module.weight).T), bias, (module.out_features,), path)
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            return _through(value, *lower_convolution(module, value.shape), path)
        if isinstance(module, nn.AvgPool1d | nn.AvgPool2d):
            return _through(value, *lower_average_pool(module, value.shape), path)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return self._normalise(path, module, value)
        if isinstance(module, nn.MaxPool1d | nn.MaxPool2d):
            return self._pool_maxima(path, module, value)
        if isinstance(module, nn.ReLU):
            return self._rectify(path, value)
        if isinstance(module, nn.Flatten):
            return _reshape(value, (value.size,))
        if isinstance(module, nn.Identity | nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            return value
        raise FrontendError(
            f"module {type(module).__name__} has no LIF counterpart", where=f"module '{path}'", measured=str(module), fix=_FIX
        )

    def _normalise(self, path: str, module: Any, value: Affine) -> Affine:
        """Fold a batch normalisation into the affine map before it."""
        if module.running_mean is None:
            raise FrontendError(
                "the batch normalisation has no running statistics and cannot be folded",
                where=f"module '{path}'",
                fix="train it with track_running_stats=True",
            )
        scale = 1.0 / np.sqrt(_array(module.running_var) + module.eps)
        if module.affine:
            scale = scale * _array(module.weight)
        shift = -_array(module.running_mean) * scale + (_array(module.bias) if module.affine else 0.0)
        if value.shape[0] != scale.size:
            raise FrontendError(
                "the batch normalisation has other channels than its input",
                where=f"module '{path}'",
                measured=str(value.shape[0]),
                limit=str(scale.size),
                fix="give it num_features of the layer before",
            )
        repeats = value.size // scale.size
        factor = np.repeat(scale, repeats)
        terms = {source: weights.multiply(factor).tocsr() for source, weights in value.terms.items()}
        return Affine(terms=terms, bias=value.bias * factor + np.repeat(shift, repeats), shape=value.shape)

    def _pool_maxima(self, path: str, module: Any, value: Affine) -> Affine:
        """Write maxima as ReLUs, exactly: max(a, b) = a + relu(b - a), pair by pair."""
        index, shape = pool_windows(module, value.shape)
        if (index < 0).any():
            raise FrontendError("a padded MaxPool has no LIF counterpart", where=f"module '{path}'", fix="pool without padding")
        places = [_select(value, index[:, place].reshape(-1), shape) for place in range(index.shape[1])]
        level = 0
        while len(places) > 1:
            pairs = []
            for number in range(0, len(places) - 1, 2):
                difference = _combine(places[number + 1], places[number], -1.0)
                more = self._rectify(f"{path}.max{level}.{number // 2}", difference)
                pairs.append(_combine(places[number], more, 1.0))
            places = pairs + places[2 * len(pairs) :]
            level += 1
        return places[0]

    def _rectify(self, name: str, value: Affine) -> Affine:
        self.layers.append(ReluLayer(name=name, incoming=value))
        return self._identity(name, value.shape)

    def _add(self, node: Any, values: list[Affine]) -> Affine:
        if len(values) == 1 and len(node.all_input_nodes) == 1:
            values = values * sum(argument is node.all_input_nodes[0] for argument in node.args)
        if len(values) != 2 or values[0].size != values[1].size:
            raise FrontendError(
                "an addition of other things than two activations of one size",
                where=f"forward, {node.name}",
                measured=" and ".join(str(value.shape) for value in values),
                fix="add activations of one shape",
            )
        return _combine(values[0], values[1], 1.0)

    def _identity(self, source: str, shape: tuple[int, ...]) -> Affine:
        from scipy.sparse import eye_array

        size = int(np.prod(shape))
        return Affine(terms={source: eye_array(size, format="csr")}, bias=np.zeros(size), shape=shape)


def _through(value: Affine, weights: Any, bias: FloatArray, shape: tuple[int, ...], path: str) -> Affine:
    if weights.shape[0] != value.size:
        raise FrontendError(
            "the layer does not fit its input",
            where=f"module '{path}'",
            measured=f"{value.size} values",
            limit=f"{weights.shape[0]}",
            fix="give calibration data of the shape that the model was trained with",
        )
    terms = {source: (term @ weights).tocsr() for source, term in value.terms.items()}
    return Affine(terms=terms, bias=value.bias @ weights + bias, shape=shape)


def _combine(one: Affine, other: Affine, factor: float) -> Affine:
    terms = dict(one.terms)
    for source, weights in other.terms.items():
        terms[source] = terms[source] + factor * weights if source in terms else factor * weights
    return Affine(terms=terms, bias=one.bias + factor * other.bias, shape=one.shape)


def _select(value: Affine, index: Any, shape: tuple[int, ...]) -> Affine:
    return Affine(terms={source: term[:, index] for source, term in value.terms.items()}, bias=value.bias[index], shape=shape)


def _reshape(value: Affine, shape: tuple[int, ...]) -> Affine:
    return Affine(terms=value.terms, bias=value.bias, shape=shape)


def _sparse(dense: FloatArray) -> Any:
    from scipy.sparse import csr_array

    return csr_array(dense)


def _array(tensor: Any) -> FloatArray:
    return np.asarray(tensor.detach().cpu().double().numpy(), np.float64)
