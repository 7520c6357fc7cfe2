"""Quantised activations as ONNX writes them: a ReLU with a step, or the input or the output itself."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from snnmap.convert.affine import reshape
from snnmap.convert.ann import Affine, ReluLayer
from snnmap.convert.levels import Levels, is_non_negative, quantise_activation
from snnmap.graph import Node
from snnmap.graph.operation import Array

if TYPE_CHECKING:
    from snnmap.convert.lower import Lowering

__all__ = ["leads_to_output", "lower_dequantise", "lower_quantise"]


def lower_quantise(lowering: "Lowering", node: Node) -> Affine:
    """Take a quantised activation for what it stands for: a ReLU with a step, or the input or the output itself."""
    value, before = lowering.value(node), node.inputs[0]
    step, given = lowering.constant(node, 1), lowering.optional(node, 2)
    zero: Array = np.zeros(1, np.uint8) if given is None else given
    if step.size != 1 or zero.size != 1:
        raise lowering.refuse(
            node,
            "a quantised activation with a step a channel is not read from ONNX",
            measured=f"{step.size} steps",
            limit="1 step",
            fix="quantise activations by layer, or convert the torch module",
        )
    if lowering.left_out:
        return value  # the logits of what is quantised behind a softmax, and nothing else comes behind that
    step_size, offset, words = float(step.item()), int(zero.item()), np.iinfo(zero.dtype)
    if before in lowering.graph.inputs or lowering.steps.get(before) == step_size:
        if before in lowering.graph.inputs:
            lowering.zeros[node.name] = offset
        lowering.steps[node.name] = step_size
        return value
    lowering.zeros[node.name] = offset
    if offset == words.min or is_non_negative(value):
        alone = lowering.layers.take_last(value) if _is_used_alone(lowering, before) else None
        layer = alone or ReluLayer(name=lowering.name(node), incoming=value)
        lowering.steps[node.name] = step_size
        layer = replace(layer, incoming=reshape(layer.incoming, value.shape), step=step_size)
        return lowering.layers.rectify_and_clip(layer, (int(words.max) - offset) * step_size)
    if leads_to_output(lowering, node, "LogSoftmax", "Sigmoid", "Softmax"):
        return value
    if lowering.signed == "pairs":
        lowering.steps[node.name] = step_size
        levels = Levels(step=step_size, bottom=words.min - offset, top=words.max - offset, rounding="round")
        return quantise_activation(lowering.layers, lowering.name(node), value, levels, lowering.where(node), signed="pairs")
    raise lowering.refuse(
        node,
        "a quantised activation with negative levels has no LIF counterpart",
        measured=f"{zero.dtype}, zero point {offset}",
        limit="a zero point at the least integer, or values that are never negative",
        fix="quantise activations behind their ReLU, or give each a pair of neurons: ConvertOptions(signed='pairs')",
    )


def lower_dequantise(lowering: "Lowering", node: Node) -> Affine:
    """Return the activation that was quantised, if it comes back with its own scale."""
    before, step = node.inputs[0], lowering.constant(node, 1)
    known, wanted = lowering.steps.get(before), lowering.zeros.get(before)
    if known is not None and (step.size != 1 or not np.isclose(step.item(), known, rtol=1e-6)):
        raise lowering.refuse(
            node, "an activation comes back with another scale", measured=f"{step.reshape(-1)[0]:.6g}", limit=f"{known:.6g}"
        )
    given = lowering.optional(node, 2)
    zero = np.zeros(1) if given is None else given
    if wanted is not None and (zero != wanted).any():
        raise lowering.refuse(
            node, "an activation comes back with another zero point", measured=f"{zero.reshape(-1)[0]:g}", limit=f"{wanted}"
        )
    if known is not None:
        lowering.steps[node.name] = known
    return lowering.value(node)


def leads_to_output(lowering: "Lowering", node: Node, *kinds: str) -> bool:
    """Say whether nothing but quantisation, or operations of some kinds, lies between a node and the graph's output."""
    names = {node.name}
    for other in lowering.graph.select_kinds("QuantizeLinear", "DequantizeLinear", *kinds):
        names |= {other.name} if names & set(other.inputs) else set()
    others = (other for other in lowering.graph.nodes if other.name not in names)
    return lowering.graph.outputs[0] in names and not any(names & set(other.inputs) for other in others)


def _is_used_alone(lowering: "Lowering", name: str) -> bool:
    """Say whether nothing else uses a value, nor what it is in another shape."""
    made = {node.name: node for node in lowering.graph.nodes}
    while name in made and lowering.uses[name] == 1:
        node = made[name]
        if node.operation.role not in ("Shape", "Squeeze", "Unsqueeze"):
            return node.operation.role == "Act"
        name = node.inputs[0]
    return False
