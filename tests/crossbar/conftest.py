"""Small networks that are compiled once."""

from typing import Any

import numpy as np
import pytest
from command_line import Run, make_runner
from quantised_networks import make_small

from snnmap.crossbar import Built, compile_graph
from snnmap.frontends.onnx import read_layer_graph


@pytest.fixture(scope="session")
def small() -> Any:
    return make_small()


@pytest.fixture(scope="session")
def built(small: Any) -> Built:
    return compile_graph(read_layer_graph(small), "grid-128")


@pytest.fixture(scope="session")
def images() -> Any:
    return np.random.default_rng(0).normal(0, 1, (3, 3, 12, 12)).astype(np.float32)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)
