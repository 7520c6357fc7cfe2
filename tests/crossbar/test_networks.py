"""Bytes against onnxruntime's int8, free-running, in every tensor: no value differs."""

from typing import Any

import numpy as np
import pytest
from crossbar_differences import count_differences
from crossbar_variants import ODD
from quantised_networks import Quantised, make_mobilenet, make_resnet, make_small, run_onnxruntime
from random_quantised import make_random

from snnmap.crossbar import compile_graph, find_differences
from snnmap.frontends.onnx import read_layer_graph

NETWORKS = {
    "small": make_small,
    "mobilenet": lambda: make_mobilenet(32, 8, 10),
    "resnet-18": lambda: make_resnet(18, 32, 8, 10),
    "resnet-50": lambda: make_resnet(50, 32, 8, 10),
}


@pytest.mark.parametrize("architecture", ["example-16x4", "fixed-128", "grid-128"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_equals_onnxruntimes(name: str, architecture: str) -> None:
    assert not any(count_differences(NETWORKS[name](), architecture).values())


@pytest.mark.parametrize("name", ODD)
def test_on_odd_architectures(name: str) -> None:
    assert not any(count_differences(make_small(3), ODD[name]).values())
    assert not any(count_differences(make_resnet(18, 32, 8, 10), ODD[name], 1).values())


@pytest.mark.parametrize("seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(20, 200))])
def test_random_networks(seed: int) -> None:
    architecture = ["grid-128", "fixed-128", "example-16x4", *ODD.values()][seed % 8]
    assert not any(count_differences(make_random(seed), architecture, seed=seed).values())


@pytest.mark.parametrize("kind", ["", "Relu", "LeakyRelu", "HardSigmoid", "HardSwish", "Sigmoid", "Tanh", "Elu", "Softplus"])
def test_every_level_of_an_activation(kind: str) -> None:
    """All 256 levels; without a kind, a change of scale."""
    for seed in range(3):
        net = Quantised((1, 16, 16), seed)
        name = net.activate("q", kind)
        model = net.model(net.conv(name, 3))
        levels = ((np.arange(256) - 128) / 64).reshape(1, 1, 16, 16)
        found = compile_graph(read_layer_graph(model), "grid-128").run(levels, keep="all")
        assert np.array_equal(np.sort(found["quantise"].reshape(-1)), np.arange(256))
        assert np.array_equal(found[name], run_onnxruntime(model, levels, names=[name])[name])


def test_the_run_of_the_graph_is_another_judge(built: Any, images: Any) -> None:
    assert not any(find_differences(built, images).values())


def test_two_builds_give_the_same_bytes(built: Any, small: Any) -> None:
    assert compile_graph(read_layer_graph(small), "grid-128").data == built.data
