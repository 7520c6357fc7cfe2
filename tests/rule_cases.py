"""For each design rule a network and chip that break it, and a pair at the limit that does not."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from snnmap.chip import Chip, load_chip
from snnmap.core import CsrMatrix, Report
from snnmap.lif.drc import check_quantised
from snnmap.network import MOVED_POOLS, N_MOVED_POOLS, InputPort, Network, OutputPort, Population, Projection, SpikeSum
from snnmap.pipeline import check_model

Case = tuple[Network, Chip]

XYLO = load_chip("xylo-audio-3")
GENERIC = load_chip("generic-4096")


def make_population(name: str, size: int, **parameters: Any) -> Population:
    parameters = {"alpha": 0.5, "beta": 0.75, "source": f"model.{name}", **parameters}
    return Population.create(name, size, **parameters)


def make_projection(pre: str, post: str, weights: np.ndarray, **options: Any) -> Projection:
    name = f"{pre}->{post}"
    return Projection(name=name, pre=pre, post=post, weights=CsrMatrix.from_dense(weights), source=f"model.{name}", **options)


def draw(n_pre: int, n_post: int) -> np.ndarray:
    """Positive weights of one order of magnitude, so that no rule about numbers has anything to say."""
    return np.random.default_rng(n_pre * 1000 + n_post).uniform(0.2, 0.6, (n_pre, n_post))


def chain(*sizes: int) -> Network:
    """A clean network: input, hidden populations h1, h2, ..., output."""
    names = ["in", *(f"h{k}" for k in range(1, len(sizes) - 1)), "out"]
    hidden = [make_population(name, size) for name, size in zip(names[1:-1], sizes[1:-1], strict=True)]
    return Network(
        name="chain",
        inputs=(InputPort(name="in", size=sizes[0]),),
        populations=(*hidden, make_population("out", sizes[-1], max_count=1)),
        projections=tuple(make_projection(names[k], names[k + 1], draw(sizes[k], sizes[k + 1])) for k in range(len(sizes) - 1)),
        outputs=(OutputPort(name="port", populations=("out",)),),
        dt_s=1e-3,
    )


CLEAN = chain(3, 5, 4, 2)


def edit(what: str, name: str, network: Network = CLEAN, **fields: Any) -> Network:
    """Replace fields of one part: ``edit("populations", "h1", beta=...)``."""
    parts = tuple(replace(part, **fields) if part.name == name else part for part in getattr(network, what))
    assert name in [part.name for part in parts]
    return replace(network, **{what: parts})


def extend(*projections: Projection, network: Network = CLEAN, **fields: Any) -> Network:
    return replace(network, projections=(*network.projections, *projections), **fields)


def with_weights(name: str, change: Callable[[np.ndarray], np.ndarray], network: Network = CLEAN) -> Network:
    (found,) = [projection for projection in network.projections if projection.name == name]
    return edit("projections", name, network, weights=CsrMatrix.from_dense(change(found.weights.to_dense())))


def without_column(weights: np.ndarray) -> np.ndarray:
    return np.where(np.arange(weights.shape[1]) == 1, 0.0, weights)


def without_row(weights: np.ndarray) -> np.ndarray:
    return np.where(np.arange(weights.shape[0])[:, np.newaxis] == 1, 0.0, weights)


def set_first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(weights: np.ndarray) -> np.ndarray:
        weights = weights.copy()
        weights[0, 0] = value
        return weights

    return change


def limit(chip: Chip, part: str, **fields: Any) -> Chip:
    return replace(chip, **{part: replace(getattr(chip, part), **fields)})


def feedback(delay_steps: int) -> Network:
    return extend(make_projection("h2", "h1", 0.1 * draw(4, 5), delay_steps=delay_steps))


def with_constants() -> Network:
    """Neurons of one spike a step: one holds a constant for h1, which the input reaches, one for h2."""
    held = [make_population(name, 1, beta=0.0, bias=1.0) for name in ("one", "two")]
    wires = [make_projection(name, post, 0.1 * draw(1, size)) for name, post, size in (("one", "h1", 5), ("two", "h2", 4))]
    populations = tuple(replace(p, max_count=np.ones(p.size, int)) for p in (*CLEAN.populations, *held))
    return extend(*wires, populations=populations)


def residual(size: int = 5) -> Network:
    """A sum of two populations before the output, so that relays are needed."""
    network = chain(3, size, size, 2)
    outgoing = make_projection("sum", "out", draw(size, 2))
    return replace(network, sums=(SpikeSum(name="sum", terms=("h1", "h2")),), projections=(*network.projections[:-1], outgoing))


def loop_of_sums() -> Network:
    sums = (SpikeSum(name="a", terms=("h1", "b")), SpikeSum(name="b", terms=("a",)))
    return replace(CLEAN, sums=sums)


def with_slots(count: int) -> Chip:
    """XyloAudio 3 with so many hidden neurons, all within reach."""
    chip = replace(
        XYLO,
        inputs=replace(XYLO.inputs, reach=replace(XYLO.inputs.reach, count=1)),
        outputs=replace(XYLO.outputs, reach=replace(XYLO.outputs.reach, count=1)),
        hidden=replace(XYLO.hidden, count=count),
    )
    return with_reach(chip, inputs=count, outputs=count)


def with_reach(chip: Chip, *, inputs: int = 128, outputs: int = 128) -> Chip:
    return replace(
        chip,
        inputs=replace(chip.inputs, reach=replace(chip.inputs.reach, count=inputs)),
        outputs=replace(chip.outputs, reach=replace(chip.outputs.reach, count=outputs)),
    )


def silence(weights: np.ndarray) -> np.ndarray:
    """Turn all weights onto the third neuron negative."""
    return np.where(np.arange(weights.shape[1]) == 2, -weights, weights)


def spread_weights(gain: float) -> Network:
    """Make one weight onto each neuron so much larger than the others."""

    def change(weights: np.ndarray) -> np.ndarray:
        return np.where(np.arange(weights.shape[0])[:, np.newaxis] == 3, gain * weights, weights)

    return with_weights("h1->h2", change, chain(3, 20, 10, 2))


def with_huge_weights(gain: float) -> Network:
    return with_weights("h1->h2", lambda weights: gain * weights, chain(3, 100, 4, 2))


def reads_potential(chip_reads: bool) -> Case:
    network = edit("outputs", "port", readout="potential")
    readouts = ("spikes", "potential") if chip_reads else ("spikes",)
    return network, limit(XYLO, "outputs", readouts=readouts)


def integers(threshold: float) -> Network:
    """The clean network with weights of whole numbers (over alpha), called the chip's own."""
    network = replace(CLEAN, integers=True)
    for projection in CLEAN.projections:
        network = with_weights(projection.name, lambda weights: np.rint(100 * weights) / 2, network)
    whole = tuple(replace(part, threshold=np.full(part.size, threshold)) for part in network.populations)
    return replace(network, populations=whole)


def moved_pools() -> Network:
    told = "MaxPool of currents was put behind the neurons: 'h1'; 4.0% of their active counts differ, on 20 drawn samples"
    return replace(CLEAN, provenance={MOVED_POOLS: told, N_MOVED_POOLS: "1"})


# rule id: (breaks it, at its limit and clean); rules on aliases and crashes have tests of their own
CASES: dict[str, tuple[Case, Case]] = {
    "SNN101": ((edit("projections", "h1->h2", post="h9"), XYLO), (CLEAN, XYLO)),
    "SNN102": ((with_weights("in->h1", lambda weights: weights[:, :-1]), XYLO), (CLEAN, XYLO)),
    "SNN103": ((feedback(0), XYLO), (feedback(2), XYLO)),
    "SNN104": ((loop_of_sums(), XYLO), (residual(), XYLO)),
    "SNN105": ((with_weights("in->h1", without_column), XYLO), (CLEAN, XYLO)),
    "SNN106": ((with_weights("h1->h2", silence), XYLO), (CLEAN, XYLO)),
    "SNN107": ((with_weights("h2->out", without_row), XYLO), (CLEAN, XYLO)),
    "SNN108": (
        (extend(make_projection("in", "out", draw(3, 2))), XYLO),
        (extend(make_projection("in", "h2", draw(3, 4))), XYLO),
    ),
    "SNN109": ((extend(make_projection("out", "h1", draw(2, 5), delay_steps=3)), XYLO), (feedback(3), XYLO)),
    "SNN110": ((replace(CLEAN, outputs=()), XYLO), (CLEAN, XYLO)),
    "SNN111": (
        (edit("projections", "h1->h2", delay_steps=10), limit(with_slots(6), "hidden", count=6)),
        (edit("projections", "h1->h2", delay_steps=4), XYLO),
    ),
    "SNN201": ((chain(17, 5, 4, 2), XYLO), (chain(16, 5, 4, 2), XYLO)),
    "SNN202": ((residual(5), with_slots(14)), (residual(5), with_slots(15))),
    "SNN203": ((chain(3, 5, 4, 33), XYLO), (chain(3, 5, 4, 32), XYLO)),
    "SNN204": (
        (CLEAN, limit(GENERIC, "recurrent_weights", max_fan_in=4)),
        (CLEAN, limit(GENERIC, "recurrent_weights", max_fan_in=5)),
    ),
    "SNN205": (
        (CLEAN, limit(XYLO, "recurrent_weights", max_fan_out=3)),
        (CLEAN, limit(XYLO, "recurrent_weights", max_fan_out=4)),
    ),
    "SNN206": (
        (CLEAN, limit(XYLO, "recurrent_weights", max_words=19)),
        (CLEAN, limit(XYLO, "recurrent_weights", max_words=20)),
    ),
    "SNN207": (
        (edit("populations", "h1", alpha=np.full((3, 5), 0.5)), XYLO),
        (edit("populations", "h1", alpha=np.full((2, 5), 0.5)), XYLO),
    ),
    "SNN208": ((CLEAN, with_reach(XYLO, inputs=4)), (CLEAN, with_reach(XYLO, inputs=5))),
    "SNN209": ((CLEAN, with_reach(XYLO, outputs=3)), (CLEAN, with_reach(XYLO, outputs=4))),
    "SNN210": (
        (edit("populations", "h1", bias=np.full(5, 0.5)), limit(XYLO, "hidden", bias=False)),
        (edit("populations", "h1", bias=np.full(5, 0.5)), XYLO),
    ),
    "SNN212": (reads_potential(chip_reads=False), reads_potential(chip_reads=True)),
    "SNN301": ((feedback(1), XYLO), (feedback(2), XYLO)),
    "SNN302": ((residual(), limit(XYLO, "bits", weight=2)), (residual(), XYLO)),
    "SNN401": (
        (edit("populations", "h1", threshold=np.array([1.0, 0.0, -1.0, 1.0, 1.0])), XYLO),
        (edit("populations", "h1", threshold=np.full(5, 1e-3)), XYLO),
    ),
    "SNN402": (
        (edit("populations", "h1", beta=np.array([0.5, 1.01, 0.5, 0.5, 0.5])), XYLO),
        (edit("populations", "h1", beta=np.array([0.5, 1.0, 0.0, 0.5, 0.5])), XYLO),
    ),
    "SNN403": ((edit("populations", "h1", reset="value"), XYLO), (CLEAN, XYLO)),
    "SNN404": (
        (edit("populations", "out", max_count=np.full(2, 2)), XYLO),
        (CLEAN, XYLO),
    ),
    "SNN501": ((with_weights("h1->h2", set_first(np.nan)), XYLO), (CLEAN, XYLO)),
    "SNN502": (
        (edit("populations", "h1", alpha=np.zeros((1, 5))), XYLO),
        (edit("populations", "h1", alpha=np.full((1, 5), 0.25)), XYLO),
    ),
    "SNN503": (
        (edit("populations", "h1", beta=np.full(5, 0.94)), XYLO),
        (edit("populations", "h1", beta=np.full(5, 0.9375)), XYLO),
    ),
    "SNN504": ((spread_weights(300.0), XYLO), (spread_weights(60.0), XYLO)),
    "SNN505": (
        (edit("populations", "h1", bias=np.full(5, 1e5)), XYLO),
        (edit("populations", "h1", bias=np.full(5, 1e4)), XYLO),
    ),
    "SNN507": ((integers(99.5), XYLO), (integers(99.0), XYLO)),
    "SNN506": ((with_huge_weights(100.0), XYLO), (with_huge_weights(0.05), XYLO)),
    "SNN613": ((moved_pools(), XYLO), (CLEAN, XYLO)),
}


def check(case: Case) -> Report:
    network, chip = case
    return check_model(network, chip).report


def check_aliases(chip: Chip, aliases: Mapping[int, int] = MappingProxyType({0: 1})) -> Report:
    """Judge the clean network with aliases by slot, which only a program written elsewhere has."""
    quantised = check_model(CLEAN, replace(chip, name="aliases")).quantised
    assert quantised is not None
    alias = np.full(quantised.program.hidden.size, -1)
    alias[list(aliases)] = list(aliases.values())
    return check_quantised(replace(quantised, program=replace(quantised.program, alias=alias)))
