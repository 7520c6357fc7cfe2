"""From a layer graph to layers of integers; what cannot be computed is told of every node at once."""

from collections.abc import Callable, Mapping

import numpy as np

from snnmap.crossbar.lower.digital import (
    lower_average,
    lower_function,
    lower_global_pool,
    lower_lookup,
    lower_mean,
    lower_pair,
    lower_pool,
)
from snnmap.crossbar.lower.layers import LayerProgram
from snnmap.crossbar.lower.lowering import QUANTISE, Lowered, Lowering, Refusal, require_computed
from snnmap.crossbar.lower.matrices import lower_conv, lower_gemm, lower_product
from snnmap.crossbar.lower.moves import MOVES, lower_concat, lower_move, lower_quantised_concat
from snnmap.crossbar.record import Architecture
from snnmap.graph import LayerGraph, Node, join_quantised, leave_to_host, shift_signed

__all__ = ["lower_graph"]

_QUANTISE_BEHIND = (
    "put QuantizeLinear and DequantizeLinear behind it and around its weights, as snnmap crossbar build --calibration does of the"
    " model of floats"
)


def lower_graph(graph: LayerGraph, architecture: Architecture) -> Lowered:
    """Read a quantised layer graph as layers of an accelerator.

    Args:
        graph: with QuantizeLinear and DequantizeLinear around its operations, or of QLinear operations; activations of int8
            become uint8, 128 higher. A Softmax that is last is left to the host.
        architecture: whose elements say how many groups a block holds.
    """
    kept, left = leave_to_host(graph)
    joined = join_quantised(shift_signed(kept))
    lowering = Lowering(graph=joined, architecture=architecture)
    for node in joined.nodes:
        lowering.take(node, _LOWERINGS.get(node.kind, _refuse))
    lowering.require_outputs()
    if lowering.refused:
        return Lowered(program=None, refused=tuple(lowering.refused), left=left)
    program = LayerProgram(
        name=graph.name,
        tensors=tuple(lowering.tensors),
        layers=tuple(lowering.layers),
        inputs=tuple(lowering.inputs),
        outputs=tuple(lowering.positions[name] for name in joined.outputs),
        graph=joined,
    )
    return Lowered(program=program, refused=(), left=left)


def _refuse(lowering: Lowering, node: Node) -> None:
    require_computed(lowering, node)
    if lowering.graph.types[node.name].dtype == "float32":
        producers = lowering.graph.producers()
        around = any(name in producers and producers[name].kind == "DequantizeLinear" for name in node.inputs[:1])
        raise Refusal("the model is not quantised here", _QUANTISE_BEHIND if around else QUANTISE, kind="quantisation")
    raise Refusal("no core computes this operation on integers", "put it between DequantizeLinear and QuantizeLinear")


def _lower_quantise(lowering: Lowering, node: Node) -> None:
    """Take the quantiser of an input, which the host computes."""
    if node.inputs[0] not in lowering.graph.inputs:
        raise Refusal("it quantises what no core computes", "replace the operation before it, or quantise its input")
    zero = lowering.single(node, 2, "zero point") if len(node.inputs) > 2 else np.uint8(0)
    lowering.inputs.append(lowering.add_tensor(node, lowering.single(node, 1, "scale"), zero))


def _lower_dequantise(lowering: Lowering, node: Node) -> None:
    """Let an output that the host scales stand for its integers; what takes floats is told at the node that does."""
    if node.name in lowering.graph.outputs:
        lowering.positions[node.name] = lowering.scaled_tensor(node, 0)


_LOWERINGS: Mapping[str, Callable[[Lowering, Node], None]] = {
    **dict.fromkeys(MOVES, lower_move),
    "Concat": lower_concat,
    "DequantizeLinear": _lower_dequantise,
    "GlobalMaxPool": lower_global_pool,
    "Lookup": lower_lookup,
    "MaxPool": lower_pool,
    "QGemm": lower_gemm,
    "QLinearAdd": lower_pair,
    "QLinearAveragePool": lower_average,
    "QLinearConcat": lower_quantised_concat,
    "QLinearConv": lower_conv,
    "QLinearGlobalAveragePool": lower_mean,
    "QLinearLeakyRelu": lower_function,
    "QLinearMatMul": lower_product,
    "QLinearMul": lower_pair,
    "QLinearSigmoid": lower_function,
    "QuantisedPair": lower_pair,
    "QuantizeLinear": _lower_quantise,
}
