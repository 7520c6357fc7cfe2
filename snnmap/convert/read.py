"""Torch modules, ONNX models and layer graphs as networks of ReLUs: their layer graphs, lowered."""

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.convert.ann import Ann
from snnmap.convert.confirm import confirm_graph, confirm_reading
from snnmap.convert.lower import Place, lower_graph
from snnmap.convert.options import Pools, Signed
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends import onnx as onnx_frontend
from snnmap.frontends import torch as torch_frontend
from snnmap.frontends.torch.accept import require_module, require_no_spikes, unwrap
from snnmap.graph import LayerGraph, Node, UnreadableModelError
from snnmap.graph.fixes import OWN_OPERATION

__all__ = ["read_ann", "read_graph", "read_onnx"]

_TORCH_FIX = (
    "use Linear, Conv1d/2d, ConvTranspose, BatchNorm, AvgPool, MaxPool, Upsample, Flatten, Dropout, ReLU, ReLU6, LeakyReLU, "
    "Hardtanh, Hardsigmoid, QuantisedReLU, delta layers, additions and differences, products with constants, cat, pad, slices "
    "and means"
)
_GRAPH_FIX = (
    "use Gemm, MatMul, Conv, Add, Sub, Mul, Div, BatchNormalization, Relu, Clip, pools, Flatten, Reshape, Squeeze, Unsqueeze, "
    "QuantizeLinear and DequantizeLinear"
)
_ONNX_FIX = f"{_GRAPH_FIX}; export in evaluation mode with constants folded"


def read_ann(
    module: Any,
    input_shape: Sequence[int],
    *,
    signed: Signed = "refuse",
    samples: npt.ArrayLike | None = None,
    pools: Pools = "weights",
    chips: Sequence[Chip] = (),
) -> Ann:
    """Read a module by torch.fx; batch normalisation is folded, dropout removed, maxima and clips become ReLUs.

    Delta layers are read as the frame by frame network that delta inference equals: quantisers as levels, a masked layer's
    weights without those that its mask cuts, and a :class:`snnmap.nn.delta.DeltaNetwork` as the model that it runs. A softmax
    or sigmoid at the end is left out (:attr:`Ann.left_out`): it keeps the order of its inputs, the logits, which are the outputs
    then.

    What was read is run beside the module itself at the end, and refused where the outputs differ.

    Args:
        module: ``torch.nn.Module`` with one input and one output, taken in evaluation mode.
        input_shape: of one sample, one frame of a delta network's, without the batch.
        signed: what to do about quantised activations with negative levels, as in :class:`ConvertOptions`.
        samples: ``(n, *input_shape)`` inputs on which both are run; None draws some.
        pools: as in :class:`ConvertOptions`.
        chips: of which one must have room for the network.

    Returns:
        ReLU layers named by module path, and the output.

    Raises:
        FrontendError: torch is missing, an operation has no counterpart, or what was read gives other outputs than the module;
            it says which and where.
        NoRoomError: none of the chips has channels and neurons enough.
    """
    torch = import_package("torch")
    from snnmap.nn.delta import DeltaNetwork, DeltaSynapse

    module = unwrap(module)
    require_module(module)
    require_no_spikes(module)
    module = module.model[0] if isinstance(module, DeltaNetwork) else module
    module = module.layer if isinstance(module, DeltaSynapse) else module
    if "forward" in vars(module) and not isinstance(module, torch.jit.ScriptModule):
        module = torch.nn.Sequential(module)  # within which its own forward is followed
    _refuse_sequences(module, DeltaNetwork)
    modules = dict(module.named_modules())
    try:
        graph = torch_frontend.read_layer_graph(module, input_shape)
    except UnreadableModelError as error:
        _refuse_first(error, _TORCH_FIX)
    ann = lower_graph(graph, lambda node: _find_torch_place(modules, node), _TORCH_FIX, signed=signed, pools=pools, chips=chips)
    confirm_reading(ann, module, tuple(input_shape), None if samples is None else np.asarray(samples, np.float64))
    return ann


def read_onnx(
    source: Any,
    input_shape: Sequence[int] | None = None,
    *,
    signed: Signed = "refuse",
    pools: Pools = "weights",
    chips: Sequence[Chip] = (),
) -> Ann:
    """Read an ONNX model; consecutive linear operators become one affine map.

    A quantised activation, ``QuantizeLinear`` with its zero point at the least integer, or of values that are never negative,
    and ``DequantizeLinear`` behind it, becomes a ReLU with the scale as its step, as :class:`snnmap.nn.QuantisedReLU` is one.
    Around the input and the output, and of weights, quantisation is computed or passed over: inputs are coded as spike counts
    anyway.

    Args:
        source: path of a file, or ``onnx.ModelProto``.
        input_shape: of one sample, without the batch; that of the graph where left out.
        signed: what to do about quantised activations with negative levels, as in :class:`ConvertOptions`.
        pools: likewise.
        chips: as :func:`read_ann` takes them.

    Returns:
        ReLU layers named by node, and the output.

    Raises:
        FrontendError: onnx is missing, the file cannot be read, or a node has no counterpart; it says which and why.
        NoRoomError: as :func:`read_ann`.
    """
    try:
        graph = onnx_frontend.read_layer_graph(source, input_shape)
    except UnreadableModelError as error:
        _refuse_first(error, _ONNX_FIX)
    return lower_graph(graph, _find_node_place, _ONNX_FIX, signed=signed, pools=pools, chips=chips)


def read_graph(
    graph: LayerGraph,
    *,
    signed: Signed = "refuse",
    samples: FloatArray | None = None,
    pools: Pools = "weights",
    chips: Sequence[Chip] = (),
    fix: str = _GRAPH_FIX,
) -> Ann:
    """Read a layer graph, as a frontend's ``load`` gives one of an ANN, or a :class:`snnmap.graph.GraphBuilder`.

    Args:
        graph: of one input and one output.
        signed: what to do about quantised activations with negative levels, as in :class:`ConvertOptions`.
        samples: ``(n, ...)`` inputs on which the graph's reference run is compared with what was read.
        pools: as in :class:`ConvertOptions`.
        chips: as :func:`read_ann` takes them.
        fix: what errors advise about operations without a counterpart, in the words of where the graph comes from.

    Raises:
        FrontendError: an operation has no counterpart, or what was read gives other outputs than the graph.
        NoRoomError: as :func:`read_ann`.
    """
    ann = lower_graph(graph, _find_node_place, fix, signed=signed, pools=pools, chips=chips)
    if samples is not None:
        confirm_graph(ann, graph, samples)
    return ann


def _find_torch_place(modules: dict[str, Any], node: Node) -> Place:
    """Tell a call of a module by its path, one of a function by what torch.fx calls it."""
    path = node.source
    if path and path in modules and re.fullmatch(re.escape(path) + r"(\.[a-z]+)?(#\d+)?", node.name):
        return Place(name=path, noun=f"module {type(modules[path]).__name__}", where=f"module '{path}'")
    function = re.sub(r"(_\d+)?$", "", node.tensor, count=1)
    return Place(name=re.sub(r"#\d+$", "", node.name), noun=f"operation '{function}'", where=f"forward, {node.tensor}")


def _find_node_place(node: Node) -> Place:
    return Place(name=re.sub(r"#\d+$", "", node.name), noun=f"operator {node.kind}", where=f"node '{node.name}' ({node.kind})")


def _refuse_first(error: UnreadableModelError, fix: str) -> NoReturn:
    """Tell the first part that cannot be read, as one that has no counterpart where it is not known at all."""
    problem = error.problems[0]
    found, noun = problem.error, problem.where.partition(" ")[0]
    if not found.is_unknown:
        raise FrontendError(
            found.what, where=problem.where, measured=found.measured, limit=found.limit, fix=found.fix or fix
        ) from error
    told = {"module": f"module {problem.operator}", "forward,": f"operation '{problem.operator}'"}
    what = f"{told.get(noun, f'operator {problem.operator}')} has no LIF counterpart"
    raise FrontendError(what, where=problem.where, fix=fix if found.fix.endswith(OWN_OPERATION) else found.fix) from error


def _refuse_sequences(module: Any, kind: type) -> None:
    """Refuse a delta network within a model."""
    for path, part in module.named_modules():
        if isinstance(part, kind):
            raise FrontendError(
                "a delta network within a model takes whole sequences, and its changes have no LIF counterpart",
                where=f"module '{path}'",
                measured="(batch, time, ...), changes of both signs",
                limit="frames (batch, ...), spike counts >= 0 on membranes that leak",
                fix="convert the DeltaNetwork itself, or the model that it was made from: frame by frame they are the same "
                "network",
            )
