"""The worked example: shapes, windows, elements of its seven variants, and what its bytes compute."""

import numpy as np
import pytest
from crossbar_variants import EXAMPLE_VARIANTS
from quantised_networks import make_example, run_onnxruntime

from snnmap.crossbar import Architecture, compile_graph
from snnmap.frontends.onnx import read_layer_graph

MODEL = make_example()


@pytest.mark.parametrize("name", EXAMPLE_VARIANTS)
def test_elements_and_values(name: str) -> None:
    architecture, n_elements = EXAMPLE_VARIANTS[name]
    assert isinstance(architecture, Architecture)
    built = compile_graph(read_layer_graph(MODEL), architecture)
    assert sum(tile.n_elements for tile in built.mapped.tiles) == n_elements
    inputs = np.random.default_rng(1).normal(0, 1, (4, 1, 13, 64))
    found, wanted = built.run(inputs, keep="all"), run_onnxruntime(MODEL, inputs)
    assert [found[name].shape[1:] for name in ("conv1", "conv2")] == [(16, 5, 31), (8, 3, 29)]
    assert all(np.array_equal(found[name], wanted[name]) for name in ("q", "conv1", "conv2") if name in found)


def test_windows() -> None:
    program = compile_graph(read_layer_graph(MODEL), "example-16x4").program
    assert [layer.windows.n_windows for _, layer in program.matrices] == [155, 87]
    assert [layer.n_weights for _, layer in program.matrices] == [256, 1152]
    assert [layer.windows.n_windows * layer.n_weights for _, layer in program.matrices] == [39_680, 100_224]
