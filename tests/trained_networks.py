"""Random float networks as training leaves them: layers fire at usual rates, with all that quantisation finds hard."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import DesignRuleError
from snnmap.lif.compare import compare_image
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, simulate_network
from snnmap.pipeline import CompileOptions, compile_model

KINDS = ("plain", "recurrent", "skip", "inhibitory", "outliers", "fan-in 1", "biases", "sparse")
CHIPS = ("xylo-audio-2", "xylo-audio-3", "xylo-imu", "generic-4096")
N_INPUTS = 12
N_HELD_OUT = 64
"""Samples that a bitstream is judged on."""
ENOUGH = 100
"""Spikes of a population, from which on its rate tells something."""


@dataclass(frozen=True)
class Drawn:
    """A network, rasters of the kind that it is used on, and what it was drawn as."""

    network: Network
    raster: IntArray
    held_out: IntArray
    chip: str
    what: str


def draw_trained(seed: int, *, n_layers: int | None = None) -> Drawn:
    """Draw a network of 1 to 8 layers whose gains are set, layer by layer, for a rate."""
    rng = np.random.default_rng(seed)
    kind, chip = KINDS[seed % len(KINDS)], str(rng.choice(CHIPS))
    depth = n_layers or int(rng.choice([1, 2, 3, 4, 6, 8]))
    size, rate = int(rng.integers(8, 32)), float(rng.uniform(0.03, 0.4))
    usual = float(rng.choice([0.1, 0.3, 0.6, 1.5]))
    raster = draw_counts(rng, usual, 8, 160)
    layers = []
    network = Network(
        name=f"{kind}-{seed}", inputs=(InputPort(name="in", size=N_INPUTS),), populations=(), projections=(), outputs=()
    )
    previous, n_pre = "in", N_INPUTS
    exact = bool(rng.random() < 0.3)
    for k in range(depth):
        population = Population.create(f"h{k}", size, **_draw_decays(rng, size, exact), **_draw_bias(rng, kind, size))
        into = [_project(rng, kind, previous, f"h{k}", n_pre, size)]
        if kind == "recurrent":
            into.append(_project(rng, kind, f"h{k}", f"h{k}", size, size, delay_steps=1, gain=0.3))
        if kind == "skip" and k >= 2:
            into.append(_project(rng, kind, f"h{k - 2}", f"h{k}", size, size, gain=0.7))
        network = _add_at_rate(network, population, into, rate, raster)
        layers.append(f"h{k}")
        previous, n_pre = f"h{k}", size
    potential = bool(rng.random() < 0.5)
    n_out = int(rng.integers(2, 6))
    decays = _draw_decays(rng, n_out, exact=True)
    out = Population.create("out", n_out, **decays, threshold=np.inf if potential else 1.0, max_count=1)
    into = [_project(rng, "plain" if kind == "inhibitory" else kind, previous, "out", n_pre, n_out)]
    network = replace(
        network, outputs=(OutputPort(name="output", populations=("out",), readout="potential" if potential else "spikes"),)
    )
    if potential:
        network = replace(network, populations=(*network.populations, out), projections=(*network.projections, *into))
    else:
        network = _add_at_rate(network, out, into, min(rate, 0.3), raster)
    exactly = "codable" if exact else "any decays"
    return Drawn(
        network,
        raster,
        draw_counts(rng, usual, N_HELD_OUT, 160),
        chip,
        f"{kind}, {depth} layers of {size}, rate {rate:.2f}, {exactly}, {chip}, {'potential' if potential else 'spikes'}",
    )


@dataclass(frozen=True)
class Outcome:
    """How a build ended, and what its bitstream does on held-out data.

    ``is_refused`` by a rule, ``is_told`` of by a finding that it is off, ``is_open`` by one that nothing is shown of its
    decisions; ``rates`` of populations, chip over model;
    ``agreement``: largest share of the same decisions among the ways of reading; ``lost``: spikes of readouts.
    """

    what: str
    is_refused: bool
    told: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    agreement: float = 1.0
    lost: int = 0

    @property
    def is_off(self) -> bool:
        return bool(self.lost) or any(not 0.8 <= rate <= 1.25 for rate in self.rates)

    @property
    def is_told(self) -> bool:
        return self.is_refused or bool({"SNN601", "SNN603", "SNN604"} & set(self.told))

    @property
    def is_open(self) -> bool:
        return "SNN607" in self.told


def build_and_measure(drawn: Drawn, *, calibrated: bool) -> Outcome:
    """Build a network, and compare its bitstream with it on data that the build has not seen."""
    options = CompileOptions(allow=("SNN6",), verify=False)
    try:
        built = compile_model(drawn.network, drawn.chip, calibration=drawn.raster if calibrated else None, options=options)
    except DesignRuleError as error:
        return Outcome(what=drawn.what, is_refused=True, told=tuple(sorted({d.rule for d in error.diagnostics})))
    seen = compare_image(drawn.network, built.quantised, built.image, drawn.held_out)
    agreements = [agreement.agreeing / seen.n_samples for port in seen.ports for agreement in port.agreements]
    enough = [p for p in seen.populations if p.fires and p.model_spikes >= ENOUGH]
    return Outcome(
        what=drawn.what,
        is_refused=False,
        told=tuple(sorted({d.rule for d in built.report.diagnostics})),
        rates=tuple(p.rate for p in enough),
        agreement=max(agreements, default=1.0),
        lost=sum(port.spikes for port in seen.ports if port.readout != "spikes"),
    )


def draw_counts(rng: np.random.Generator, rate: float, n_samples: int, n_steps: int) -> IntArray:
    """Draw counts whose channels have rates of their own in each sample."""
    rates = rate * rng.uniform(0.0, 2.0, (n_samples, 1, N_INPUTS))
    return rng.poisson(rates, (n_samples, n_steps, N_INPUTS)).clip(0, 15)


def _draw_decays(rng: np.random.Generator, size: int, exact: bool) -> dict[str, np.ndarray]:
    n = size if rng.random() < 0.3 else 1
    if exact:
        return {"alpha": 1 - 2.0 ** -rng.integers(1, 5, n), "beta": 1 - 2.0 ** -rng.integers(0, 6, n)}
    return {"alpha": np.exp(-1 / rng.uniform(1.5, 30, n)), "beta": np.exp(-1 / rng.uniform(1.5, 40, n))}


def _draw_bias(rng: np.random.Generator, kind: str, size: int) -> dict[str, np.ndarray]:
    return {"bias": rng.uniform(-0.05, 0.1, size)} if kind == "biases" else {}


def _project(
    rng: np.random.Generator, kind: str, pre: str, post: str, n_pre: int, n_post: int, *, delay_steps: int = 0, gain: float = 1.0
) -> Projection:
    weights = rng.normal(0.2, 1.0, (n_pre, n_post))
    if kind == "inhibitory":  # all but a few sources inhibit
        weights = -np.abs(weights) * 0.3
        weights[rng.random((n_pre, n_post)) < 0.25] *= -6
    if kind == "outliers":
        weights[rng.random((n_pre, n_post)) < 0.02] *= 30
    if kind == "fan-in 1":
        weights = np.where(np.arange(n_pre)[:, np.newaxis] == rng.integers(0, n_pre, n_post), np.abs(weights) + 0.2, 0)
    if kind == "sparse":
        weights[rng.random((n_pre, n_post)) < 0.7] = 0
    return Projection(
        name=f"{pre}->{post}", pre=pre, post=post, weights=CsrMatrix.from_dense(gain * weights), delay_steps=delay_steps
    )


def _add_at_rate(network: Network, population: Population, into: Sequence[Projection], rate: float, raster: IntArray) -> Network:
    """Add a layer, its weights scaled together so that it fires at a rate on the raster."""
    low, high = 1e-5, 30.0
    grown = network
    for _ in range(20):
        gain = (low * high) ** 0.5
        scaled = tuple(replace(p, weights=p.weights.with_data(p.weights.data * gain)) for p in into)
        grown = replace(network, populations=(*network.populations, population), projections=(*network.projections, *scaled))
        found = simulate_network(grown, raster[:4, :100], counts_of=[population.name]).counts[population.name].mean()
        low, high = (low, gain) if found > rate else (gain, high)
    return grown
