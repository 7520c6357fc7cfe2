"""Leave out operations that give their input back: Identity, Dropout, and shapes that stay as they are."""

from dataclasses import replace

from snnmap.graph.graph import LayerGraph

__all__ = ["remove_identity"]

_NOTHING = ("Identity", "Dropout")
_MAYBE = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def remove_identity(graph: LayerGraph) -> LayerGraph:
    """Return the graph without nodes that change nothing; their users take their input."""
    stands_for: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        inputs = tuple(stands_for.get(name, name) for name in node.inputs)
        same_shape = graph.types[node.name].shape == graph.types[node.inputs[0]].shape
        if node.kind in _NOTHING or (node.kind in _MAYBE and same_shape):
            stands_for[node.name] = inputs[0]
        else:
            kept.append(replace(node, inputs=inputs))
    return graph.with_nodes(kept, outputs=[stands_for.get(name, name) for name in graph.outputs])
