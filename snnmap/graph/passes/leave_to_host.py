"""What stands behind a model's last layer, and the host computes."""

from snnmap.graph.graph import LayerGraph, Node

__all__ = ["leave_to_host"]

_LEFT = ("LogSoftmax", "QLinearSoftmax", "Softmax")
_BEHIND = ("DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze", "Unsqueeze")


def leave_to_host(graph: LayerGraph) -> tuple[LayerGraph, tuple[Node, ...]]:
    """Return the graph whose outputs are what a last Softmax or LogSoftmax takes, and the nodes that were left out."""
    producers, left, outputs = graph.producers(), [], []
    for name in graph.outputs:
        behind, before = _follow(producers, name)
        left += behind
        outputs.append(before)
    if not left:
        return graph, ()
    needed = set(outputs)
    for node in reversed(graph.nodes):
        needed |= set(node.inputs) if node.name in needed else set()
    nodes = [node for node in graph.nodes if node.name in needed]
    return graph.with_nodes(nodes, outputs=outputs), tuple(node for node in dict.fromkeys(left) if node.name not in needed)


def _follow(producers: dict[str, Node], name: str) -> tuple[list[Node], str]:
    """Return the nodes from an output back to a Softmax, and the value before it; none and the output where there is none."""
    nodes, at = [], name
    while at in producers:
        node = producers[at]
        nodes.append(node)
        at = node.inputs[0]
        if node.kind in _LEFT:
            return nodes, at
        if node.kind not in _BEHIND:
            break
    return [], name
