"""Graphs with a defect: each ends in an error that says where, or is right."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnmap.core.errors import FrontendError, NetworkError, SnnmapError
from snnmap.frontends.nir import NirOptions, load
from snnmap.network import simulate_network

nir = pytest.importorskip("nir")

OPTIONS = NirOptions.like("norse", dt_s=1e-3, initial_potential="zero")
TWO = np.ones(2)


def lif(**changes: Any) -> Any:
    values = {"tau": 0.01 * TWO, "r": TWO, "v_leak": 0 * TWO, "v_threshold": TWO, "v_reset": 0 * TWO}
    return nir.LIF(**{**values, **changes})


def cuba() -> Any:
    return nir.CubaLIF(tau_syn=0.01 * TWO, tau_mem=0.01 * TWO, r=TWO, v_leak=0 * TWO, v_threshold=TWO)


def without(node: Any, name: str) -> Any:
    setattr(node, name, None)
    return node


def graph_of(*, cut: tuple[str, str] | None = None, also: Any = (), metadata: Any = None, **nodes: Any) -> Any:
    """x -> w -> n -> y, with nodes replaced or added and edges removed or added."""
    given = {
        "x": nir.Input(np.array([2])),
        "w": nir.Linear(np.eye(2)),
        "n": lif(),
        "y": nir.Output(np.array([2])),
        **nodes,
    }
    edges = [edge for edge in [("x", "w"), ("w", "n"), ("n", "y")] if edge != cut] + list(also)
    return nir.NIRGraph(nodes=given, edges=edges, metadata=metadata or {}, type_check=False)


def conv(**changes: Any) -> Any:
    values = {
        "input_shape": None, "weight": np.ones((2, 1, 2, 2)), "stride": 1, "padding": 0, "dilation": 1, "groups": 1,
        "bias": np.zeros(2),
    }  # fmt: skip
    return nir.Conv2d(**{**values, **changes})


def conv_graph(node: Any, shape: tuple[int, ...] = (1, 2, 2)) -> Any:
    flat, x = nir.Flatten(np.array([2, 1, 1]), 0, -1), nir.Input(np.array(shape))
    return graph_of(x=x, w=node, f=flat, cut=("w", "n"), also=[("w", "f"), ("f", "n")])


DEFECTS: dict[str, tuple[Any, str, str]] = {
    "tau below 0": (lambda: graph_of(n=lif(tau=np.array([0.01, -0.01]))), "'tau' is not above 0", "node 'n' (LIF)"),
    "tau shorter than a step": (lambda: graph_of(n=lif(tau=np.array([1e-4, 1.0]))), "shorter than a step", "node 'n' (LIF)"),
    "NaN threshold": (lambda: graph_of(n=lif(v_threshold=np.array([1, np.nan]))), "'v_threshold' holds", "node 'n' (LIF)"),
    "threshold 0": (lambda: graph_of(n=lif(v_threshold=np.array([0.0, 1]))), "threshold is not above 0", "node 'n' (LIF)"),
    "NaN weight": (lambda: graph_of(w=nir.Linear(np.array([[1, 2], [np.nan, 0]]))), "'weight' holds", "node 'w' (Linear)"),
    "complex weight": (lambda: graph_of(w=nir.Linear(np.eye(2) + 1j)), "'weight' is not numeric", "node 'w' (Linear)"),
    "masked weight": (
        lambda: graph_of(w=nir.Linear(np.ma.masked_equal(np.eye(2), 0.0))), "'weight' is not numeric", "node 'w' (Linear)",
    ),
    "dates for delays": (
        lambda: graph_of(w=nir.Delay(np.ones(2, "timedelta64[s]"))), "'delay' is not numeric", "node 'w' (Delay)",
    ),
    "no weight": (lambda: graph_of(w=without(nir.Linear(np.eye(2)), "weight")), "'weight' is not given", "node 'w' (Linear)"),
    "no tau": (lambda: graph_of(n=without(lif(), "tau")), "'tau' is not given", "node 'n' (LIF)"),
    "no tau of the synapse": (lambda: graph_of(n=without(cuba(), "tau_syn")), "'tau_syn' is not given", "node 'n' (CubaLIF)"),
    "one NaN": (lambda: graph_of(w=nir.Scale(np.array(np.nan))), "'scale' holds", "node 'w' (Scale)"),
    "gain beyond float64": (lambda: graph_of(n=lif(tau=TWO * 1e-3, r=TWO * 1e308, v_leak=TWO * 1e308), w=nir.Scale(1e10 * TWO)),
        "weights of a step leave float64", "node 'w+n'",
    ),
    "a delay of ages": (lambda: graph_of(w=nir.Delay(1e300 * TWO)), "not a whole number of steps", "node 'w' (Delay)"),
    "half a channel": (lambda: graph_of(x=nir.Input(np.array([2.5]))), "no usable shape", "node 'x' (Input)"),
    "text for a dimension": (
        lambda: graph_of(w=nir.Flatten(None, "first", -1)), "'start_dim' is not numeric", "node 'w' (Flatten)",
    ),
    "no integers": (lambda: conv_graph(conv(stride=np.zeros(0))), "'stride' is not an integer", "node 'w' (Conv2d)"),
    "three strides": (lambda: conv_graph(conv(stride=(1, 1, 1))), "'stride' has too many", "node 'w' (Conv2d)"),
    "endless stride": (lambda: conv_graph(conv(stride=np.inf)), "'stride' is not an integer", "node 'w' (Conv2d)"),
    "an edge of three": (lambda: graph_of(also=[("w", "n", "y")]), "no pairs of names", "graph"),
    "text for a place": (
        lambda: graph_of(w=nir.Linear(np.eye(2), metadata={"snnmap_order": "first"})), "cannot be read", "node 'w' (Linear)",
    ),
    "text for numbers": (lambda: graph_of(w=nir.Scale(np.array(["a", "b"]))), "'scale' is not numeric", "node 'w' (Scale)"),
    "bias length": (lambda: graph_of(w=nir.Affine(np.eye(2), np.ones(3))), "the bias does not fit", "node 'w' (Affine)"),
    "weights of another input": (lambda: graph_of(w=nir.Linear(np.ones((2, 3)))), "input does not fit", "node 'w' (Linear)"),
    "weights of other neurons": (lambda: graph_of(w=nir.Linear(np.ones((3, 2)))), "input does not fit", "node 'n' (LIF)"),
    "weights with three sides": (lambda: graph_of(w=nir.Linear(np.ones((2, 2, 2)))), "not a matrix", "node 'w' (Linear)"),
    "edge to a missing node": (lambda: graph_of(also=[("n", "z")]), "does not exist: 'z'", "edge 'n' -> 'z'"),
    "edge twice": (lambda: graph_of(also=[("w", "n")]), "there twice", "edge 'w' -> 'n'"),
    "edge into an Input": (lambda: graph_of(also=[("n", "x")]), "leads into an Input", "edge 'n' -> 'x'"),
    "edge out of an Output": (lambda: graph_of(also=[("y", "w")]), "leaves an Output", "edge 'y' -> 'w'"),
    "loop without state": (
        lambda: graph_of(s=nir.Scale(0.5 * TWO), also=[("w", "s"), ("s", "w")]), "no neurons in it", "w -> s -> w",
    ),
    "loop with a delay only": (
        lambda: graph_of(s=nir.Delay(1e-3 * TWO), also=[("w", "s"), ("s", "w")]), "no neurons in it", "w -> s -> w",
    ),
    "linear island": (lambda: graph_of(s=nir.Scale(TWO), also=[("s", "n")]), "nothing leads to this", "node 's' (Scale)"),
    "island of linear nodes": (
        lambda: graph_of(s=nir.Scale(TWO), t=nir.Scale(TWO), also=[("s", "t"), ("t", "s")]), "no neurons in it", "s -> t -> s",
    ),
    "island of a scalar neuron": (
        lambda: graph_of(s=nir.IF(np.array(1.0), np.array(1.0)), also=[("s", "n")]), "its size is unknown", "node 's' (IF)",
    ),
    "dead end": (lambda: graph_of(s=nir.Scale(TWO), also=[("n", "s")]), "nothing reads this node", "node 's' (Scale)"),
    "Output of nothing": (lambda: graph_of(cut=("n", "y")), "nothing leads to this node", "node 'y' (Output)"),
    "no Output": (lambda: nir.NIRGraph({"x": nir.Input(np.array([2]))}, [], type_check=False), "no Output", "graph"),
    "Output of another shape": (lambda: graph_of(y=nir.Output(np.array([2, 1]))), "node declares", "node 'y' (Output)"),
    "Input without a shape": (lambda: graph_of(x=nir.Input({"input": None})), "no usable shape", "node 'x' (Input)"),
    "Input of no channels": (lambda: graph_of(x=nir.Input(np.array([0]))), "no usable shape", "node 'x' (Input)"),
    "potentials to weights": (
        lambda: graph_of(n=nir.LI(0.1 * TWO, TWO, TWO), v=nir.Linear(np.eye(2)), also=[("n", "v"), ("v", "y")]),
        "weighs membrane potentials", "node 'v' (Linear)",
    ),
    "potentials to neurons": (
        lambda: graph_of(m=nir.LI(0.1 * TWO, TWO, TWO), also=[("w", "m"), ("m", "n")], cut=("w", "n")),
        "potentials reach neurons", "node 'n' (LIF)",
    ),
    "potentials and spikes": (
        lambda: graph_of(m=nir.LI(0.1 * TWO, TWO, TWO), also=[("w", "m"), ("m", "y")]),
        "added to other signals", "node 'y' (Output)",
    ),
    "a reset that ignores v_reset": (
        lambda: graph_of(n=lif(v_reset=np.array([0.1, 0]))), "would ignore the node's v_reset", "node 'n' (LIF)",
    ),
    "delay below 0": (lambda: graph_of(w=nir.Delay(-1e-3 * TWO)), "not a whole number of steps", "node 'w' (Delay)"),
    "constant before a delay": (
        lambda: graph_of(w=nir.Affine(np.eye(2), TWO), d=nir.Delay(TWO), also=[("w", "d"), ("d", "n")], cut=("w", "n")),
        "a constant is delayed", "node 'd' (Delay)",
    ),
    "Flatten that counts the batch": (
        lambda: graph_of(x=nir.Input(np.array([2, 1, 1])), w=nir.Flatten(np.array([2, 1, 1]), 1, -1)),
        "input does not fit the neurons", "node 'n' (LIF)",
    ),
    "Flatten out of range": (lambda: graph_of(w=nir.Flatten(np.array([2]), 1, -1)), "do not fit the input", "node 'w' (Flatten)"),
    "convolution of a vector": (lambda: graph_of(w=conv()), "wrong number of dimensions", "node 'w' (Conv2d)"),
    "convolution of another input": (lambda: conv_graph(conv(input_shape=(3, 2))), "node declares", "node 'w' (Conv2d)"),
    "convolution's channels": (lambda: conv_graph(conv(), (2, 2, 2)), "the channels do not fit", "node 'w' (Conv2d)"),
    "convolution's groups": (lambda: conv_graph(conv(groups=3), (3, 2, 2)), "the channels do not fit", "node 'w' (Conv2d)"),
    "convolution's bias": (lambda: conv_graph(conv(bias=np.zeros(3))), "bias does not fit", "node 'w' (Conv2d)"),
    "kernel larger than the input": (lambda: conv_graph(conv(), (1, 1, 2)), "smaller than the kernel", "node 'w' (Conv2d)"),
    "strided 'same'": (lambda: conv_graph(conv(stride=2, padding="same")), "no agreed meaning", "node 'w' (Conv2d)"),
    "stride 0": (lambda: conv_graph(conv(stride=0)), "must be 1 or more", "node 'w' (Conv2d)"),
    "half a stride": (lambda: conv_graph(conv(stride=(1, 0.5))), "'stride' is not an integer", "node 'w' (Conv2d)"),
    "pool of a vector": (lambda: graph_of(w=nir.SumPool2d(TWO, TWO, 0 * TWO)), "wrong number", "node 'w' (SumPool2d)"),
    "later format": (
        lambda: graph_of(metadata={"snnmap_format": "9", "snnmap_options": "{}"}), "another version of snnmap", "",
    ),
    "broken options": (
        lambda: graph_of(metadata={"snnmap_format": "1", "snnmap_options": "{"}), "cannot be read", "metadata 'snnmap_options'",
    ),
    "two nodes of one path": (
        lambda: graph_of(**{"g.x": lif(), "g": nir.NIRGraph({"x": lif()}, [], type_check=False)}),
        "same path", "node 'g.x'",
    ),
    "node of no known kind": (lambda: graph_of(w=nir.ir.graph.Identity(TWO)), "no counterpart", "node 'w'"),
    "ambiguous nested graph": (
        lambda: graph_of(w=nir.NIRGraph({"a": nir.Input(TWO), "b": nir.Input(TWO)}, [], type_check=False)),
        "has 2 Input nodes", "edge 'x' -> 'w'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_located(defect: str) -> None:
    make, message, where = DEFECTS[defect]
    options = NirOptions.like("rockpool", dt_s=1e-3, integrator="euler") if "v_reset" in defect else OPTIONS
    with pytest.raises((FrontendError, NetworkError), match=message) as caught:
        load(make(), options)
    assert caught.value.where == where
    assert caught.value.fix


NOT_IN_FILES = (
    "text for numbers", "Input without a shape", "island of a scalar neuron", "node of no known kind", "masked weight",
    "dates for delays", "no weight", "no tau", "no tau of the synapse", "one NaN", "text for a dimension", "an edge of three",
)  # fmt: skip
"""nir.write refuses these, or writes something else."""


@pytest.mark.parametrize("defect", [name for name in DEFECTS if name not in NOT_IN_FILES])
def test_a_defect_in_a_file_is_located_too(defect: str, tmp_path: Path) -> None:
    make, _, where = DEFECTS[defect]
    options = NirOptions.like("rockpool", dt_s=1e-3, integrator="euler") if "v_reset" in defect else OPTIONS
    graph = make()
    for node in graph.nodes.values():
        if type(node).__name__ == "Conv2d" and node.input_shape is None:
            node.input_shape = np.array([2, 2]) if "kernel" not in defect else np.array([1, 2])
    nir.write(tmp_path / "x.nir", graph)
    with pytest.raises((FrontendError, NetworkError)) as caught:
        load(tmp_path / "x.nir", options)
    assert str(tmp_path) in caught.value.where
    assert "loop" in defect or "island of linear" in defect or where in caught.value.where


def test_a_population_that_nothing_feeds_stays() -> None:
    """An island of neurons is no defect: a leak may drive it."""
    graph = graph_of(m=lif(v_leak=2 * TWO), z=nir.Output(np.array([2])), also=[("m", "z")])
    network = load(graph, OPTIONS)
    run = simulate_network(network, np.zeros((1, 50, 2), np.int64), counts_of=["m", "n"])
    assert run.counts["m"].sum() > 0
    assert run.counts["n"].sum() == 0


def test_files_that_are_no_nir(tmp_path: Path) -> None:
    import h5py

    (tmp_path / "text.nir").write_text("no hdf5")
    with h5py.File(tmp_path / "empty.nir", "w"):
        pass
    with h5py.File(tmp_path / "type.nir", "w") as file:
        file["node/type"], file["node/nodes/a/type"] = "NIRGraph", "Transformer"
        file["node/edges"] = np.zeros((0, 2))
    with h5py.File(tmp_path / "shapes.nir", "w") as file:
        file["node/nodes/a/type"] = "LI"
        file["node/nodes/a/tau"], file["node/nodes/a/r"], file["node/nodes/a/v_leak"] = np.ones(2), np.ones(3), np.ones(2)
        file["node/edges"] = np.zeros((0, 2))
    for name, message in {
        "absent": "there is no such NIR file", "text": "cannot be read as NIR", "empty": "cannot be read as NIR",
        "type": "type is unknown", "shapes": "the LI cannot be built",
    }.items():  # fmt: skip
        with pytest.raises(FrontendError, match=message) as caught:
            load(tmp_path / f"{name}.nir", OPTIONS)
        assert f"{name}.nir" in caught.value.where
    assert "node 'a'" in caught.value.where
    with pytest.raises(FrontendError, match="no NIR graph"):
        load(nir.Linear(np.eye(2)))


def test_random_bytes_in_a_file_end_in_an_error_of_ours(tmp_path: Path) -> None:
    nir.write(tmp_path / "x.nir", graph_of())
    content = bytearray((tmp_path / "x.nir").read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(content)
        for place in rng.integers(0, len(content), 20):
            broken[place] = rng.integers(256)
        (tmp_path / "y.nir").write_bytes(broken)
        with contextlib.suppress(SnnmapError):
            load(tmp_path / "y.nir", OPTIONS)
