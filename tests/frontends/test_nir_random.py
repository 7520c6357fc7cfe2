"""Random NIR graphs beside a run of NIR's own equations: the same spikes and potentials, or a refusal with its reason."""

import warnings
from collections import Counter

import numpy as np
import pytest

from snnmap.core.errors import FrontendError
from snnmap.frontends.nir import load
from snnmap.network import Network, Recording, simulate_network

pytest.importorskip("nir")
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

from nir_equations import AmbiguousLoopError, Run, run_graph  # noqa: E402  (needs nir)
from random_nir import Drawn, draw_graph  # noqa: E402

CLOSE = 1e-7
NEAR = 1e-9
"""How near to its threshold a potential may come before the order of a sum decides the spike."""

REFUSED = (
    "a constant is delayed",
    "neurons start above their threshold",
    "neurons that start elsewhere than at 0 send several spikes",
    "neurons that start elsewhere than at 0 take their threshold off",
)


def run_equations(drawn: Drawn) -> Run | None:
    try:
        return run_graph(drawn.flat, drawn.shapes, drawn.options, drawn.rasters)
    except AmbiguousLoopError:
        return None


def first_difference(drawn: Drawn, network: Network, found: Recording, expected: Run) -> int:
    """Return the first step in which a count, or a potential that an Output reads, differs; the number of steps if none."""
    differs = [found.counts[drawn.paths[name]] != counts for name, counts in expected.counts.items()]
    nodes = {path: name for name, path in drawn.paths.items()}
    for port in network.outputs:
        (read,) = port.populations
        if port.readout == "potential":
            wanted = expected.potentials[nodes[read]]
            differs.append(np.abs(found.potentials[read] - wanted) > CLOSE * max(1.0, np.abs(wanted).max()))
    steps = np.flatnonzero(np.any([one.any((0, 2)) for one in differs], axis=0))
    return int(steps[0]) if steps.size else expected.margins.size


def judge(seed: int) -> str:
    """Return "same", "silent" (the same, without spikes), "near" (decided by rounding) or what was refused."""
    drawn = draw_graph(seed)
    expected = run_equations(drawn)
    refused: FrontendError | None = None
    try:
        network = load(drawn.nested, drawn.options)
    except FrontendError as error:
        refused = error
    if refused is not None:
        is_ambiguous = refused.what.startswith("NIR does not say which edge")
        assert expected is None if is_ambiguous else refused.what.startswith(REFUSED), (seed, refused)
        return refused.what
    assert expected is not None, seed
    names = [population.name for population in network.populations]
    found = simulate_network(network, drawn.rasters, counts_of=names, states_of=names)
    first = first_difference(drawn, network, found, expected)
    if first < expected.margins.size:
        assert expected.margins[: first + 1].min() < NEAR, (seed, first)
        return "near"
    return "same" if any(counts.any() for counts in expected.counts.values()) else "silent"


def judge_all(seeds: range) -> Counter[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Counter(map(judge, seeds))


def test_random_graphs_do_what_their_equations_say() -> None:
    verdicts = judge_all(range(60))
    assert verdicts["same"] > 30
    assert verdicts["near"] < 3


@pytest.mark.nightly
def test_thousands_of_random_graphs_do_what_their_equations_say() -> None:
    verdicts = judge_all(range(1000, 4000))
    assert verdicts["same"] > 1800
    assert verdicts["near"] < 60
