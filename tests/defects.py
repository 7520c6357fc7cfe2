"""A sound network, and defects that each break one design rule in one place of it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rule_cases import edit, extend, limit, make_population, make_projection

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.drc import check_network
from snnmap.network import MOVED_POOLS, InputPort, Network, OutputPort

CHIP = limit(load_chip("xylo-audio-2"), "outputs", readouts=("spikes",))
N_BRANCHES = 10


def branches() -> Network:
    """An input, ten populations of three beside each other, an output."""
    drawn = np.random.default_rng(0).uniform(0.3, 0.6, (2 * N_BRANCHES, 3, 3))
    names = [f"h{k}" for k in range(N_BRANCHES)]
    return Network(
        name="branches",
        inputs=(InputPort(name="in", size=3),),
        populations=(*(make_population(name, 3) for name in names), make_population("out", 3, max_count=1)),
        projections=(
            *(make_projection("in", name, drawn[k]) for k, name in enumerate(names)),
            *(make_projection(name, "out", drawn[N_BRANCHES + k]) for k, name in enumerate(names)),
        ),
        outputs=(OutputPort(name="y", populations=("out",)),),
    )


def set_weights(network: Network, name: str, where: tuple[object, ...], value: float) -> Network:
    (found,) = [projection for projection in network.projections if projection.name == name]
    dense = found.weights.to_dense().copy()
    dense[where] = value
    return edit("projections", name, network, weights=CsrMatrix.from_dense(dense))


def add_island(network: Network) -> Network:
    """Add neurons that only wait for themselves."""
    grown = extend(
        make_projection("island", "island", np.full((2, 2), 0.2), delay_steps=1),
        make_projection("island", "out", np.full((2, 3), 0.2)),
        network=network,
    )
    return replace(grown, populations=(*network.populations, make_population("island", 2)))


def close_short_loop(network: Network) -> Network:
    there, back = (make_projection(*pair, np.full((3, 3), 0.1)) for pair in (("h2", "h3"), ("h3", "h2")))
    return extend(there, replace(back, delay_steps=1), network=network)


DEFECTS: dict[str, Callable[[Network], Network]] = {
    "SNN105": add_island,
    "SNN106": lambda n: set_weights(n, "in->h8", (slice(None), 1), -0.5),
    "SNN107": lambda n: set_weights(n, "h9->out", (1, slice(None)), 0.0),
    "SNN108": lambda n: extend(make_projection("in", "out", np.full((3, 3), 0.3)), network=n),
    "SNN109": lambda n: extend(make_projection("out", "h0", np.full((3, 3), 0.1), delay_steps=5), network=n),
    "SNN110": lambda n: replace(n, outputs=(*n.outputs, OutputPort(name="none", populations=()))),
    "SNN111": lambda n: edit("projections", "h1->out", n, delay_steps=5000),
    "SNN201": lambda n: replace(n, inputs=(*n.inputs, InputPort(name="more", size=14))),
    "SNN207": lambda n: edit("populations", "h0", n, alpha=np.full((3, 3), 0.5)),
    "SNN210": lambda n: edit("populations", "h1", n, bias=np.full(3, 0.1)),
    "SNN212": lambda n: edit("outputs", "y", n, readout="potential"),
    "SNN301": close_short_loop,
    "SNN401": lambda n: edit("populations", "h2", n, threshold=np.array([1.0, 0.0, 1.0])),
    "SNN402": lambda n: edit("populations", "h3", n, beta=np.full(3, 1.5)),
    "SNN403": lambda n: edit("populations", "h9", n, reset="value"),
    "SNN404": lambda n: edit("populations", "h4", n, max_count=np.full(3, 40)),
    "SNN501": lambda n: set_weights(n, "in->h5", (0, 0), np.nan),
    "SNN502": lambda n: edit("populations", "h6", n, alpha=np.zeros((1, 3))),
    "SNN613": lambda n: replace(n, provenance={MOVED_POOLS: "MaxPool of currents was put behind the neurons: 'h1'; 4% differ"}),
    "SNN503": lambda n: edit("populations", "h7", n, beta=np.full(3, 0.93)),
}
"""By the rule that each breaks."""


def seed_defects(seed: int) -> tuple[Network, set[str]]:
    """Draw defects and put them into the network, in drawn order; give also the rules that they break."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(list(DEFECTS))[: rng.integers(1, len(DEFECTS) + 1)].tolist()
    network = branches()
    for rule in chosen:
        network = DEFECTS[rule](network)
    return network, set(chosen)


def describe_defects(seed: int) -> str:
    """Return all that is found, as text."""
    return "\n".join(str(diagnostic) for diagnostic in check_network(seed_defects(seed)[0], CHIP).diagnostics)
