"""Random networks that a chip takes, and the same broken in one way that a fix mends."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from random_networks import random_network, random_weights

from snnmap.chip import Chip, MemoryKind, load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.drc import check_mapped, check_network
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import memories_of
from snnmap.network import Network, Population, Projection

__all__ = ["BREAKS", "break_network"]

Broken = tuple[Network, Chip]
GENERIC = load_chip("generic-4096")
SINGLE_SPIKE = replace(load_chip("generic-4096-single"), inputs=replace(GENERIC.inputs, max_count=1))
SINGLE_SYNAPSE = replace(GENERIC, hidden=replace(GENERIC.hidden, synapses=1))


def _edit_weights(network: Network, change: Callable[[Projection, np.ndarray], np.ndarray]) -> Network:
    return replace(
        network,
        projections=tuple(
            replace(part, weights=CsrMatrix.from_dense(change(part, part.weights.to_dense()))) for part in network.projections
        ),
    )


def _edit_population(network: Network, name: str, **fields: object) -> Network:
    edited = (replace(part, **fields) if part.name == name else part for part in network.populations)  # type: ignore[arg-type]
    return replace(network, populations=tuple(edited))


def _pick(network: Network, rng: np.random.Generator) -> Population:
    """Choose a hidden population, not the first, which may have biases."""
    hidden = [part for part in network.populations if part.name not in network.output_populations]
    return hidden[int(rng.integers(1, len(hidden)))]


def kill(network: Network, rng: np.random.Generator) -> Broken:
    """Let some neurons have negative weights only."""
    chosen = _pick(network, rng)
    dead = rng.random(chosen.size) < 0.4

    def change(part: Projection, weights: np.ndarray) -> np.ndarray:
        return np.where(dead, -np.abs(weights), weights) if part.post == chosen.name else weights

    return _edit_weights(network, change), GENERIC


def cut_inputs(network: Network, rng: np.random.Generator) -> Broken:
    chosen = _pick(network, rng)
    cut = rng.random(chosen.size) < 0.4
    return _edit_weights(
        network, lambda part, weights: np.where(cut, 0.0, weights) if part.post == chosen.name else weights
    ), GENERIC


def cut_outputs(network: Network, rng: np.random.Generator) -> Broken:
    """Let some neurons have no targets, also where they are in a sum."""
    chosen = _pick(network, rng)
    cut = (rng.random(chosen.size) < 0.4)[:, np.newaxis]
    reading = {chosen.name} | {part.name for part in network.sums if chosen.name in part.terms}
    return _edit_weights(network, lambda part, weights: np.where(cut, 0.0, weights) if part.pre in reading else weights), GENERIC


def _most(network: Network, chip: Chip, kind: MemoryKind, axis: str) -> int:
    """Return the largest fan-in or fan-out, or the words of the first memory, of a kind."""
    (matrices,) = [found for name, _, found in memories_of(fold_network(network, chip)) if name == kind.weights_name]
    if axis == "max_words":
        return int(matrices[0].nnz)
    if axis == "max_fan_in":
        return max(int(matrix.column_lengths.max(initial=0)) for matrix in matrices)
    return int(np.sum([matrix.row_lengths for matrix in matrices], axis=0).max(initial=0))


def limit(chip: Chip, kind: MemoryKind, axis: str, value: int) -> Chip:
    memory = replace(chip.memory(kind), **{axis: value})  # type: ignore[arg-type]
    return replace(chip, **{kind.weights_name: memory})  # type: ignore[arg-type]


def narrow(kind: MemoryKind, axis: str, chip: Chip) -> Callable[[Network, np.random.Generator], Broken]:
    """Make a limit of a memory smaller than what the network needs."""

    def harm(network: Network, rng: np.random.Generator) -> Broken:
        most = _most(network, chip, kind, axis)
        return network, limit(chip, kind, axis, max(2, int(most * rng.uniform(0.6, 0.95))))

    return harm


def add_synapses(network: Network, rng: np.random.Generator) -> Broken:
    """Share the weights onto a population between several synapses of the same decay."""
    chosen = _pick(network, rng)
    n = int(rng.integers(3, 6))
    wide = _edit_population(network, chosen.name, alpha=np.repeat(chosen.alpha[:1], n, axis=0))
    onto = [part.name for part in network.projections if part.post == chosen.name]
    projections = (replace(part, synapse=onto.index(part.name) % n) if part.name in onto else part for part in wide.projections)
    return replace(wide, projections=tuple(projections)), GENERIC


def forget(network: Network, rng: np.random.Generator) -> Broken:
    chosen = _pick(network, rng)
    return _edit_population(network, chosen.name, alpha=np.zeros(chosen.alpha.shape)), GENERIC


def hurry(network: Network, rng: np.random.Generator) -> Broken:
    """Let a synapse forget faster than the chip codes."""
    chosen = _pick(network, rng)
    return _edit_population(network, chosen.name, alpha=np.full(chosen.alpha.shape, rng.uniform(0.05, 0.2))), GENERIC


def shorten_loop(network: Network, rng: np.random.Generator) -> Broken:
    """Feed a population back to the one before it within a step."""
    chosen = _pick(network, rng)
    before = network.populations[[part.name for part in network.populations].index(chosen.name) - 1]
    weights = random_weights(rng, chosen.size, before.size, gain=0.3)
    loop = Projection(name="loop", pre=chosen.name, post=before.name, weights=weights, delay_steps=1)
    return replace(network, projections=(*network.projections, loop)), GENERIC


def feed_back_output(network: Network, rng: np.random.Generator) -> Broken:
    chosen, read = _pick(network, rng), network.population(network.output_populations[0])
    weights = random_weights(rng, read.size, chosen.size, gain=0.3)
    loop = Projection(name="back", pre=read.name, post=chosen.name, weights=weights, delay_steps=int(rng.integers(8, 12)))
    single = tuple(replace(part, max_count=np.ones(part.size, np.int64)) for part in network.populations)
    return replace(network, populations=single, projections=(*network.projections, loop)), SINGLE_SPIKE


BREAKS: dict[str, tuple[str, Callable[[Network, np.random.Generator], Broken]]] = {
    "dead": ("SNN106", kill),
    "without inputs": ("SNN105", cut_inputs),
    "unread": ("SNN107", cut_outputs),
    "fan-in, a second synapse free": ("SNN204", narrow(MemoryKind.RECURRENT, "max_fan_in", GENERIC)),
    "fan-in, no second synapse": ("SNN204", narrow(MemoryKind.RECURRENT, "max_fan_in", SINGLE_SYNAPSE)),
    "fan-in of outputs": ("SNN204", narrow(MemoryKind.OUTPUT, "max_fan_in", GENERIC)),
    "fan-out": ("SNN205", narrow(MemoryKind.RECURRENT, "max_fan_out", GENERIC)),
    "fan-out of inputs": ("SNN205", narrow(MemoryKind.INPUT, "max_fan_out", GENERIC)),
    "words": ("SNN206", narrow(MemoryKind.RECURRENT, "max_words", GENERIC)),
    "words, no second synapse": ("SNN206", narrow(MemoryKind.RECURRENT, "max_words", SINGLE_SYNAPSE)),
    "many synapses": ("SNN207", add_synapses),
    "no memory": ("SNN502", forget),
    "too fast": ("SNN502", hurry),
    "short loop": ("SNN301", shorten_loop),
    "output feeds back": ("SNN109", feed_back_output),
}
"""The rule that is broken, and how."""


def break_network(way: str, seed: int) -> Broken:
    """Draw a network that the chip takes, and break it; others are drawn until one is broken, and in this way only."""
    rule, harm = BREAKS[way]
    for attempt in range(200):
        rng = np.random.default_rng([seed, attempt])
        network = random_network(int(rng.integers(10**6)), n_synapses=1)
        broken, chip = harm(network, rng)
        if rule not in _find_rules(network, GENERIC) and _is_broken(broken, chip, rule):
            return broken, chip
    raise AssertionError(f"no network is broken by {way}")


def _find_rules(network: Network, chip: Chip, *, errors: bool = False) -> set[str]:
    report = check_network(network, chip)
    if not report.errors:
        report = report.merge(check_mapped(fold_network(network, chip)))
    return {found.rule for found in (report.errors if errors else report.diagnostics)}


def _is_broken(network: Network, chip: Chip, rule: str) -> bool:
    report = check_network(network, chip)
    reached = all(d.location.population not in network.output_populations for d in report.diagnostics if d.rule == "SNN105")
    return reached and rule in _find_rules(network, chip) and _find_rules(network, chip, errors=True) <= {rule}
