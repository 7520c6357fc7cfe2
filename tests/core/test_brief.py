"""What is printed of a record in a notebook or a debugger is short, however large it is."""

import numpy as np
import pytest
from random_networks import random_network
from rule_cases import chain

import snnmap
from snnmap.core import CsrMatrix
from snnmap.loading import open_model
from snnmap.network import InputPort, Population


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    network, raster = chain(16, 100, 90, 8), np.ones((2, 20, 16), np.int64)
    artifacts = snnmap.compile_model(network, "xylo-audio-3")
    found = snnmap.check_model(chain(16, 2000, 8), "xylo-audio-3")
    parts = {name: getattr(artifacts, name) for name in type(artifacts).__dataclass_fields__}
    return {
        **parts,
        "artifacts": artifacts,
        "program": artifacts.quantised.program,
        "slots": artifacts.mapped.table,
        "check": found,
        "findings": found.report,
        "chip": artifacts.mapped.chip,
        "opened": open_model(network),
        "random": random_network(3),
        "recording": snnmap.simulate_network(network, raster, states_of=["h1"]),
        "run": snnmap.simulate_image(artifacts.image, raster, states_of=["hidden"]),
        "matrix": network.projections[0].weights,
        "wide": snnmap.Network(
            name="w" * 5000,
            inputs=(),
            populations=tuple(Population.create(f"p{k}", 1) for k in range(1000)),
            projections=(),
            outputs=(),
            provenance={f"key {k}": "long " * 100 for k in range(100)},
        ),
    }


def test_ten_lines_are_enough(results: dict[str, object]) -> None:
    for name, value in results.items():
        if isinstance(value, bytes | tuple):
            continue
        text = repr(value)
        assert text.startswith(f"{type(value).__name__}("), name
        assert len(text.splitlines()) <= 10, name
        assert max(map(len, text.splitlines())) <= 120, name


def test_what_is_small_is_told_in_full() -> None:
    assert repr(InputPort(name="in", size=2)) == "InputPort(name='in', size=2)"
    assert repr(CsrMatrix.from_dense([[1.0]])) == "CsrMatrix(shape=(1, 1), indptr=[0, 1], indices=[0], data=[1.0])"


def test_what_is_large_is_told_by_type_and_size() -> None:
    text = repr(Population.create("h", 300))
    assert "alpha=float64(1, 300)" in text
    assert "max_count=int64(300,)" in text
    network = repr(chain(3, 5, 4, 2))
    assert "inputs=(InputPort(name='in', size=3),)" in network
    assert "Population('h1', ...)" in network
