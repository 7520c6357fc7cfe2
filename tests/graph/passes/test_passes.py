"""Passes: each gives a graph that computes the same, by the reference run before and after."""

from dataclasses import replace

import numpy as np
import pytest
from layer_graphs import make_graph

from snnmap.graph import (
    LayerGraph,
    Node,
    canonicalise,
    fold_affine,
    format_graph,
    fuse_steps,
    remove_identity,
    require_same,
    unfuse_steps,
)
from snnmap.graph.operations.arithmetic import Div, Sub
from snnmap.graph.operations.gemm import Gemm
from snnmap.graph.operations.movement import Dropout, Identity, Reshape
from snnmap.graph.operations.pooling import ReduceMean

INPUTS = np.random.default_rng(3).normal(size=(4, 2, 6, 5))


def test_fusing_keeps_every_value_and_is_undone() -> None:
    graph = make_graph()
    fused = fuse_steps(graph)
    assert [node.kind for node in fused.nodes] == ["Fused", "Fused", "GlobalAveragePool", "Squeeze", "Gemm"]
    assert require_same(graph, fused, INPUTS) == 0.0
    restored = {node.name: node for node in unfuse_steps(fused).nodes}
    assert restored == graph.producers()


def test_a_value_that_is_used_twice_or_is_an_output_ends_a_row() -> None:
    graph = replace(make_graph(), outputs=("norm", "fc"))
    steps = {node.name: [step.name for step in node.operation.steps] for node in fuse_steps(graph).select_kinds("Fused")}  # type: ignore[attr-defined]
    assert steps == {"norm": ["conv", "norm"], "relu": ["again", "sum", "relu"]}


def test_only_chosen_roles_fuse() -> None:
    fused = fuse_steps(make_graph(), following=("Norm",))
    assert [node.name for node in fused.select_kinds("Fused")] == ["norm"]


def test_folding_keeps_what_it_folds() -> None:
    graph = make_graph()
    folded = fold_affine(graph)
    assert require_same(graph, folded, INPUTS, tolerance=1e-6) > 0.0  # float32 weights are rounded once more
    assert [node.name for node in folded["half#2"].replaces] == ["conv", "norm", "half#2"]
    assert np.array_equal(folded.constants["weight"], graph.constants["weight"])
    assert [node.kind for node in folded.nodes].count("BatchNormalization") == 0


@pytest.mark.parametrize("bias", [(), ("bias3",)])
@pytest.mark.parametrize("transposed", [0, 1])
def test_folding_into_a_product(transposed: int, bias: tuple[str, ...]) -> None:
    """(alpha x W + beta b - c) / d and c - (...), into the weights of a Gemm in float64."""
    graph = make_graph()
    rng = np.random.default_rng(4)
    weight = rng.normal(size=(3, 4) if transposed else (4, 3))
    constants = {"w": weight, "bias3": rng.normal(size=3), "c": rng.normal(size=3), "d": np.array([0.5, -2.0, 3.0])}
    nodes = [
        *graph.nodes[:-1],
        Node(name="fc", operation=Gemm(alpha=0.5, beta=2.0, trans_b=transposed), inputs=("flat", "w", *bias)),
        Node(name="minus", operation=Sub(), inputs=("fc", "c")),
        Node(name="quotient", operation=Div(), inputs=("minus", "d")),
        Node(name="from", operation=Sub(), inputs=("c", "quotient")),
    ]
    long = graph.with_nodes(nodes, constants, outputs=["from"])
    folded = fold_affine(long)
    assert folded.nodes[-1].kind == "Gemm"
    assert len(folded.nodes[-1].replaces) == 4
    require_same(long, folded, INPUTS, tolerance=1e-6)


def test_what_differs_from_place_to_place_is_not_folded() -> None:
    graph = make_graph()
    constants = {"half": np.ones((4, 6, 5), np.float32)}
    folded = fold_affine(replace(graph, constants={**graph.constants, **constants}))
    assert "half#2" in [node.name for node in folded.select_kinds("Mul")]


def test_a_value_of_two_users_is_not_folded() -> None:
    graph = replace(make_graph(), outputs=("conv", "fc"))
    assert "norm" in [node.name for node in fold_affine(graph).select_kinds("BatchNormalization")]


def test_identities_go() -> None:
    graph = make_graph()
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += [replace(node, inputs=(f"{node.name}.same", *node.inputs[1:]))] if node.name in ("relu", "fc") else [node]
        nodes[-1:-1] = [Node(name=f"{node.name}.same", operation=operation, inputs=node.inputs[:1])
                        for name, operation in (("relu", Identity()), ("fc", Dropout())) if name == node.name]  # fmt: skip
    nodes.append(Node(name="end", operation=Reshape(shape=(3,)), inputs=("fc",)))
    longer = graph.with_nodes(nodes, outputs=["end"])
    assert len(longer.nodes) == len(graph.nodes) + 3
    assert remove_identity(longer) == graph


def shuffled(graph: LayerGraph) -> LayerGraph:
    """Give the same graph in other words: names, order, a mean for the global pool, two reshapes for one."""
    names = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)} | {name: f"c_{name}" for name in graph.constants}
    nodes = [
        replace(node, name=names[node.name], inputs=tuple(names.get(name, name) for name in node.inputs), source="", tensor="x")
        for node in (graph["again"], *(node for node in graph.nodes if node.name != "again"))
    ]
    pool = next(place for place, node in enumerate(nodes) if node.kind == "GlobalAveragePool")
    nodes[pool : pool + 2] = [
        replace(nodes[pool], operation=ReduceMean(axes=(-1, -2), keepdims=0)),
        Node(name="twice", operation=Reshape(shape=(2, 2)), inputs=(nodes[pool].name,)),
        replace(nodes[pool + 1], operation=Reshape(shape=(4,)), inputs=("twice",)),
    ]
    constants = {names[name]: array for name, array in graph.constants.items()}
    return LayerGraph(name="y", inputs=graph.inputs, nodes=tuple(nodes), outputs=(names["fc"],), constants=constants)


def test_equal_networks_have_one_canonical_form() -> None:
    graph = make_graph()
    form = canonicalise(graph)
    assert format_graph(canonicalise(shuffled(graph)), digests=True) == format_graph(form, digests=True)
    assert canonicalise(form) == form
    assert canonicalise(fuse_steps(graph)) == form
    before, after = graph.outputs[0], form.outputs[0]
    assert before != after
    require_same(graph, form, {"input": INPUTS, "input0": INPUTS})


def test_other_weights_have_another_canonical_form() -> None:
    assert canonicalise(make_graph()) != canonicalise(make_graph(seed=1))
