"""Bytes that were changed behind valid checksums are found: by the reader, by the check against the layers, or by the run."""

from typing import Any

import numpy as np
import pytest
from crossbar_mutations import list_sections, mutate, reseal
from crossbar_variants import ODD
from quantised_networks import make_small
from random_wide import make_digital

from snnmap.core.errors import FormatError
from snnmap.crossbar import Architecture, Built, compile_graph, decode_image, load_architecture, run_image
from snnmap.crossbar.check import find_faults
from snnmap.frontends.onnx import read_layer_graph

TARGETS: dict[str, tuple[Any, Architecture]] = {
    "grid": (make_small, load_architecture("grid-128")),
    "tiny": (make_small, ODD["few accumulators, tiny cores"]),
    "digital": (make_digital, load_architecture("grid-128")),
}
N_CI, N_NIGHTLY = 15, 250
"""Mutations of one seed, of three targets and two seeds."""


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Built:
    make, architecture = TARGETS[request.param]
    return compile_graph(read_layer_graph(make()), architecture)


def find(built: Built, data: bytes, inputs: Any, wanted: Any) -> str:
    """Say who finds that a file was changed; nothing where nobody does."""
    architecture = built.mapped.architecture
    try:
        image = decode_image(data, architecture=architecture)
    except FormatError:
        return "reader"
    if find_faults(image, built.program):
        return "check"
    try:
        found = run_image(image, inputs, keep="all")
    except FormatError:
        return "run"
    return "values" if any(not np.array_equal(found.get(name), levels) for name, levels in wanted.items()) else ""


def test_sealing_anew_changes_nothing(target: Built) -> None:
    assert reseal(target.data) == target.data
    assert {kind for kind, *_ in list_sections(target.data)} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("seed", "count"),
    [*((seed, N_CI) for seed in range(2)), *(pytest.param(s, N_NIGHTLY, marks=pytest.mark.nightly) for s in (2, 3))],
)
def test_every_change_is_found(target: Built, images: Any, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = target.run(images, keep="all")
    assert find(target, target.data, images, wanted) == ""
    missed = [told for data, told in (mutate(target.data, rng) for _ in range(count)) if not find(target, data, images, wanted)]
    assert missed == []


def test_the_run_alone_finds_most(target: Built, images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check: the executor's own rules, and values."""
    monkeypatch.setattr(f"{__name__}.find_faults", lambda *_: ())
    rng = np.random.default_rng(4)
    wanted = target.run(images, keep="all")
    found = [find(target, mutate(target.data, rng)[0], images, wanted) for _ in range(40)]
    assert sum(map(bool, found)) >= 30
    assert "values" in found
