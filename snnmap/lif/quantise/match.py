"""Neurons whose decays no code gives, rebuilt from those that one gives, so that they answer alike.

Rounding a decay is what quantisation gets most wrong: spike for spike, and in the mean rate. The chip offers more than
the nearest code. A second synapse with another decay lets two kernels add up to the trained one, and a synapse of a
neuron onto itself, one step after each spike, mends the course of the reset. What a bias adds in each step decays as a reset
does, so a neuron that spikes in each step mends it through the same synapses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, Family
from snnmap.core import CsrMatrix, FloatArray, IntArray, record
from snnmap.lif.quantise.response import LARGEST_DECAY, kernel_product, match_input, match_reset
from snnmap.lif.quantise.tune import Tuner
from snnmap.network import (
    Network,
    Population,
    Projection,
    expand_terms,
    find_fresh_name,
    order_populations,
    read_rasters,
    simulate_network,
)

__all__ = ["DecayMatch", "SecondSynapse", "is_codable", "match_decays"]

SecondSynapse = Literal["decays", "always", "never", "unmatched"]
_Share = Literal["none", "some", "all"]
"""Of a population's inputs, those whose memory is taken back a step later."""

_Pulses: TypeAlias = dict[tuple[int, int], FloatArray]
"""Weights ``(n,) float64`` of the neuron that spikes in each step, by synapse and delay in steps."""
_CODABLE = 1e-9
"""Difference of decay factors that is none: between codes there are gaps of 1e-5 and more."""
_ROUNDING_COST: Mapping[_Share, float] = {"none": 0.4, "some": 2.4, "all": 4.0}
"""Cost of a synapse's weights in errors of the kernel: a step of the largest weight, times the kernel of the synapse; more where
weights are taken back a step later, since little is left of the two and both are rounded."""
_RESET_COST = 0.5
"""Cost of a reset's error in errors of the kernel."""
_SHORT_RUN = 2.5
"""Slowest time constants up to which it counts that a run ends; in longer ones it is the gain that counts."""
_PULSE = "a spike in each step, for biases whose decay is not coded"
"""Source of the neuron that sends it."""
_PLACE_HOLDER = 2.0**-24
"""A weight that does nothing but hold a word for the rounding to use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecayMatch:
    """How well a population's response was rebuilt.

    Attributes:
        population: its name.
        n_synapses: synapses it now has.
        input_error: largest root-mean-square error of a neuron's kernel after an input spike, as a share of the kernel.
        reset_error: the same for what a spike of its own leaves.
    """

    population: str
    n_synapses: int
    input_error: float
    reset_error: float


@record
class _Fit:
    """The best codes found so far for each neuron, with the coefficients of synapses and self-synapses."""

    cost: FloatArray
    dash_mem: IntArray
    dash_syn: IntArray
    factor: FloatArray
    self_weight: FloatArray
    input_error: FloatArray
    reset_error: FloatArray


def match_decays(
    network: Network,
    chip: Chip,
    *,
    second_synapse: SecondSynapse = "decays",
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    n_steps: int | None = None,
) -> tuple[Network, tuple[DecayMatch, ...]]:
    """Rebuild hidden populations from decays that the chip codes; populations that are codable stay as they are.

    The gain of input and reset is kept exactly; within that, the kernels' squared error is least, over all codes, with what the
    chip's weights would be rounded by. A bias takes one neuron more, which spikes in each step, for the whole network.

    Args:
        network: well-formed.
        chip: gives the codes and whether neurons have two synapses.
        second_synapse: ``decays`` uses a free second synapse where decays cannot be coded; ``always`` also where they can,
            so that two integers share the rounding of each weight; ``never`` keeps to one, with a synapse of each neuron onto
            itself; ``unmatched`` changes nothing, so that rounding the decays keeps no more than the gain. A second synapse
            doubles the population's weights.
        calibration: input rasters on which a bias a population brings back the mean spike count that remains off. A build
            does without: it brings rates back on the chip.
        n_steps: of a run, beyond which no kernel counts; without, it runs on for ever.

    Returns:
        The network, and what was matched how well.
    """
    if second_synapse == "unmatched" or not chip.family.has_few_decays:
        return network, ()
    matches: list[DecayMatch] = []
    matched, outputs = network, set(network.output_populations)
    adds_vernier = second_synapse == "always" and any(_is_slow(population, chip) for population in network.populations)
    for population in network.populations:
        if population.name in outputs or population.reset != "subtract":
            continue
        free = population.n_synapses == 1 and chip.hidden.synapses == 2 and chip.bits.dash_max > 1  # two codes to choose from
        if not is_codable(population, chip):
            matched, match = _rebuild(matched, population, chip, n_steps, pair=free and second_synapse != "never")
            matches.append(match)
        elif free and adds_vernier:
            matched = _add_vernier(matched, population, chip)
    if matches and calibration is not None and chip.hidden.bias:
        matched = _tune_rates(network, matched, [match.population for match in matches], calibration)
    return matched, tuple(matches)


def _tune_rates(
    source: Network, matched: Network, names: list[str], calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike]
) -> Network:
    """Shift the biases of populations that fire too much or too little, until their mean spike counts are the source's."""

    def turn(network: Network, name: str, x: float) -> Network:
        shifted = (replace(p, bias=p.bias + x * p.threshold) if p.name == name else p for p in network.populations)
        return replace(network, populations=tuple(shifted))

    def measure(network: Network) -> dict[str, int]:
        counts = simulate_network(network, calibration, counts_of=names).counts
        return {name: int(counts[name].sum()) for name in names}

    size = np.prod(next(iter(read_rasters(source.inputs, calibration).values())).shape[:2])
    n_pairs = {name: int(size * source.population(name).size) for name in names}
    tuner: Tuner[Network] = Tuner(wanted=measure(source), n_pairs=n_pairs, measure=measure, turn=turn, knob=lambda _: "bias")
    order = [name for name in order_populations(matched) if name in names]
    return tuner.tune(matched, order)[0]


def is_codable(population: Population, chip: Chip) -> bool:
    """Say whether the chip codes all decays of a population."""
    top, family = chip.bits.dash_max, chip.family
    alpha = family.synapse_factors(family.code_synapses(population.alpha, top))
    beta = family.membrane_factors(family.code_membranes(population.beta, top))
    return bool((np.abs(alpha - population.alpha) < _CODABLE).all() and (np.abs(beta - population.beta) < _CODABLE).all())


def _rebuild(
    network: Network, population: Population, chip: Chip, n_steps: int | None, *, pair: bool
) -> tuple[Network, DecayMatch]:
    kinds, which = np.unique(np.vstack([population.alpha, population.beta]), axis=1, return_inverse=True)
    n_steps = n_steps if n_steps is not None and n_steps * (1.0 - kinds.max()) <= _SHORT_RUN else None
    tails = _find_tails(network, population)
    carried = _share_carried(network, population, tails)
    fit = _fit_pair(kinds[0], kinds[1], carried, chip, n_steps) if pair else _fit_single(kinds[:-1], kinds[-1], chip, n_steps)
    which = which.reshape(-1)
    factor, self_weight = fit.factor[:, which], fit.self_weight[:, which]
    alpha, beta = chip.family.synapse_factors(fit.dash_syn[:, which]), chip.family.membrane_factors(fit.dash_mem[which])
    head, tail = _carry(population, alpha[0], self_weight) if pair and carried == "all" else (factor, factor)
    factors = dict.fromkeys(tails.values(), head) | dict.fromkeys(tails, tail)
    rewire = partial(_rewire, network, factor=factor, factors=factors, self_weight=self_weight, pair=pair)
    rebuilt = replace(population, alpha=alpha, beta=beta)
    match = DecayMatch(
        population=population.name,
        n_synapses=rebuilt.n_synapses,
        input_error=float(fit.input_error.max()),
        reset_error=float(fit.reset_error.max()),
    )
    if not (population.bias * self_weight).any():
        return rewire(rebuilt), match
    if not _has_room(network, chip):
        bias, pulses = population.bias * (1.0 - beta) / np.maximum(1.0 - population.beta, 1.0 - LARGEST_DECAY), {}
    elif _is_late(network, population):
        sent = slice(None if pair else 1)
        bias, pulses = np.zeros(population.size), _send_bias(population, head[sent], tail[sent])
    else:
        bias, pulses = population.bias, _mend_bias(population, self_weight)
    return _add_pulses(rewire(replace(rebuilt, bias=bias)), population, pulses), match


def _find_tails(network: Network, population: Population) -> dict[str, str]:
    """Return the projections that take back a step later what others left in a synapse, each with the one it follows.

    See :func:`snnmap.network.carry_instant_synapses`.
    """
    tails: dict[str, str] = {}
    onto = [part for part in network.projections if part.post == population.name and part.weights.data.any()]
    later = {(part.pre, part.synapse, part.delay_steps - 1): part for part in onto}
    for part in onto:
        tail, kept = later.get((part.pre, part.synapse, part.delay_steps)), population.alpha[part.synapse][part.weights.indices]
        if part.name in tails or tail is None or not kept.all():
            continue
        is_same = np.array_equal(tail.weights.indices, part.weights.indices)
        if is_same and np.array_equal(tail.weights.data, -kept * part.weights.data):
            tails[tail.name] = part.name
    return tails


def _share_carried(network: Network, population: Population, tails: Mapping[str, str]) -> _Share:
    """Say how many of a population's inputs have tails."""
    if not tails:
        return "none"
    onto = {part.name for part in network.projections if part.post == population.name and part.weights.data.any()}
    return "some" if onto - set(tails) - set(tails.values()) else "all"


def _carry(population: Population, alpha: FloatArray, self_weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the factors, ``(2, n)`` each, on weights whose memory is taken back a step later, and on those that take it back.

    What is left of a weight decays as a reset does, and is mended by the same synapses.
    """
    head = np.stack([np.ones(population.size), np.zeros(population.size)])
    return head, (self_weight + head * alpha) / np.maximum(population.alpha[0], _CODABLE)


def _rewire(
    network: Network,
    population: Population,
    *,
    factor: FloatArray,
    factors: Mapping[str, FloatArray],
    self_weight: FloatArray,
    pair: bool,
) -> Network:
    """Put a population in the place of its namesake; scale the weights onto it, and add its synapses onto itself.

    ``factor``, in its place those by projection in ``factors``, and ``self_weight`` are ``(n_synapses, n) float64``, the latter
    in thresholds.
    """
    projections: list[Projection] = []
    taken = {projection.name for projection in network.projections}
    for projection in network.projections:
        if projection.post != population.name:
            projections.append(projection)
            continue
        scale = factors.get(projection.name, factor)
        for synapse in np.flatnonzero(scale.any(axis=1)).tolist() if pair else (projection.synapse,):
            data = projection.weights.data * scale[synapse][projection.weights.indices]
            name = _take_name(f"{projection.name}[{synapse}]", taken) if pair else projection.name
            projections.append(replace(projection, name=name, synapse=synapse, weights=projection.weights.with_data(data)))
    for synapse, weights in enumerate(self_weight * population.threshold):
        if (weights != 0).any():
            neurons = np.arange(population.size)
            diagonal = CsrMatrix.from_triplets(neurons, neurons, weights, (population.size, population.size))
            name = _take_name(f"{population.name} reset[{synapse}]", taken)
            own = {"pre": population.name, "post": population.name, "source": population.source}
            projections.append(Projection(name=name, weights=diagonal, synapse=synapse, delay_steps=1, **own))
    kept = tuple(population if other.name == population.name else other for other in network.populations)
    return replace(network, populations=kept, projections=tuple(projections))


def _has_room(network: Network, chip: Chip) -> bool:
    """Say whether a hidden neuron is left, and whether it can be made to spike in each step."""
    n_hidden = sum(part.size for part in network.populations if part.name not in network.output_populations)
    return chip.hidden.bias and n_hidden < chip.hidden.count


def _is_late(network: Network, population: Population) -> bool:
    """Say whether a population runs behind the inputs, so that its bias would act on it before its input does.

    One whose bias is larger than its weights is not taken for that, since it would take these their digits.
    """
    onto, ports = [part for part in network.projections if part.post == population.name], {port.name for port in network.inputs}
    heaviest = max((np.abs(part.weights.data).max(initial=0.0) for part in onto), default=0.0)
    return bool(np.abs(population.bias).max() <= heaviest) and not any(
        part.delay_steps == 0 and ports & set(expand_terms(network, part.pre)) for part in onto
    )


def _send_bias(population: Population, head: FloatArray, tail: FloatArray) -> _Pulses:
    """Return what sends the whole bias, from the first step of the input on, as inputs of a synapse without memory arrive.

    Args:
        population: as it was.
        head: ``(n, size) float64``, on weights of each synapse by which its first one is rebuilt.
        tail: the same, a step later, on weights that take back what the first one keeps.
    """
    first, later = population.bias, -population.alpha[0] * population.bias
    return {(s, d): share * bias for d, bias, shares in ((0, first, head), (1, later, tail)) for s, share in enumerate(shares)}


def _mend_bias(population: Population, self_weight: FloatArray) -> _Pulses:
    """Return what makes up for a bias that decays by another ``beta`` than the trained one.

    A spike of a neuron's own leaves ``-threshold``, which its synapses onto itself mend; a bias leaves ``bias``, a step alike.
    """
    return {(synapse, 1): -weights * population.bias for synapse, weights in enumerate(self_weight)}


def _add_pulses(network: Network, population: Population, pulses: _Pulses) -> Network:
    """Let the neuron that spikes in each step send these weights to a population."""
    if not pulses:
        return network
    network, pulse = _take_pulse(network)
    projections, taken = list(network.projections), {projection.name for projection in network.projections}
    for (synapse, delay_steps), weights in pulses.items():
        neurons = np.flatnonzero(weights)
        if neurons.size:
            data = CsrMatrix.from_triplets(np.zeros_like(neurons), neurons, weights[neurons], (1, population.size))
            name = _take_name(f"{population.name} bias[{synapse}]", taken)
            own = {"pre": pulse, "post": population.name, "source": population.source}
            projections.append(Projection(name=name, weights=data, synapse=synapse, delay_steps=delay_steps, **own))
    return replace(network, projections=tuple(projections))


def _take_pulse(network: Network) -> tuple[Network, str]:
    """Return a network with a neuron that spikes once in each step, and its name; the same for all populations."""
    made = next((part.name for part in network.populations if part.source == _PULSE), None)
    if made is not None:
        return network, made
    name = find_fresh_name("pulse", set(network.source_sizes))
    neuron = Population.create(name, 1, alpha=0.5, beta=0.0, threshold=1.0, bias=1.5, max_count=1, source=_PULSE)
    return replace(network, populations=(*network.populations, neuron)), name


def _take_name(name: str, taken: set[str]) -> str:
    """Return a projection's name, with as many marks behind it as it takes to be the only one, and note it as taken."""
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def _is_slow(population: Population, chip: Chip) -> bool:
    """Say whether any neuron's synapse leaves room for a faster one beside it; where none does, there is nothing to add."""
    return bool((chip.family.code_synapses(population.alpha[0], chip.bits.dash_max) > 1).any())


def _add_vernier(network: Network, population: Population, chip: Chip) -> Network:
    """Give a codable population a second, faster synapse with weights of next to nothing, for the rounding to use."""
    dashes = chip.family.code_synapses(population.alpha[0], chip.bits.dash_max)
    faster = np.maximum(dashes - 1, 1)
    rebuilt = replace(population, alpha=chip.family.synapse_factors(np.stack([dashes, faster])))
    factor = np.stack([np.ones(population.size), np.where(dashes > 1, _PLACE_HOLDER, 0.0)])
    return _rewire(network, rebuilt, factor=factor, factors={}, self_weight=np.zeros((0, population.size)), pair=True)


def _fit_pair(alpha: FloatArray, beta: FloatArray, carried: _Share, chip: Chip, n_steps: int | None) -> _Fit:
    """Find, for each neuron, membrane and two synapses that rebuild its kernels best.

    Where synapses are carried, the membrane keeps the nearest code, so that resets are left to thresholds, which have more bits.
    """
    best: _Fit | None = None
    top = _largest_dash(np.vstack([alpha, beta]), chip)
    for dash_mem in range(top + 1):
        for first, second in combinations(range(1, top + 1), 2):
            fit = _solve_pair(alpha, beta, carried, dash_mem, first, second, chip, n_steps)
            best = fit if best is None else _better(best, fit)
    if best is None:
        raise ValueError("the chip codes no two decays")
    return best


def _solve_pair(
    alpha: FloatArray, beta: FloatArray, carried: _Share, dash_mem: int, first: int, second: int, chip: Chip, n_steps: int | None
) -> _Fit:
    family = chip.family
    b, codes = float(family.membrane_factors(dash_mem)), [float(family.synapse_factors(dash)) for dash in (first, second)]
    factor, input_error = match_input(alpha, beta, b, codes, n_steps)
    self_weight, reset_error = match_reset(beta, b, codes, n_steps)
    power = sum(float(kernel_product(code, b, code, b, n_steps)) for code in codes)
    share = np.sqrt(power / kernel_product(alpha, beta, alpha, beta, n_steps))
    step = _ROUNDING_COST[carried] / chip.bits.weight_range[1]
    if carried == "all":
        input_error = reset_error
    rounded = step * share * (1.0 if carried == "all" else np.abs(factor).max(axis=0))
    is_open = (carried == "none") | (family.code_membranes(beta, chip.bits.dash_max) == dash_mem)
    cost = np.sqrt(input_error * input_error + rounded * rounded) + _RESET_COST * reset_error
    return _Fit(
        cost=np.where(is_open, cost, np.inf),
        dash_mem=np.full(alpha.size, dash_mem),
        dash_syn=np.repeat([[first], [second]], alpha.size, axis=1),
        factor=factor,
        self_weight=self_weight,
        input_error=input_error,
        reset_error=reset_error,
    )


def _fit_single(alpha: FloatArray, beta: FloatArray, chip: Chip, n_steps: int | None) -> _Fit:
    """Find, for each neuron, one code for each synapse and the membrane, and a self-synapse on the first."""
    best: _Fit | None = None
    top, family = _largest_dash(np.vstack([alpha, beta]), chip), chip.family
    for dash_mem in range(top + 1):
        b = float(family.membrane_factors(dash_mem))
        others = [
            _least_error([_solve_single(row, beta, b, dash, family, n_steps) for dash in range(1, top + 1)]) for row in alpha[1:]
        ]
        for first in range(1, top + 1):
            code = float(family.synapse_factors(first))
            factor, input_error = match_input(alpha[0], beta, b, [code], n_steps)
            self_weight, reset_error = match_reset(beta, b, [code], n_steps)
            input_error = np.maximum.reduce([input_error, *(error for _, _, error in others)])
            fit = _Fit(
                cost=input_error + reset_error,
                dash_mem=np.full(beta.size, dash_mem),
                dash_syn=np.stack([np.full(beta.size, first), *(dash for dash, _, _ in others)]),
                factor=np.stack([factor[0], *(value for _, value, _ in others)]),
                self_weight=self_weight,
                input_error=input_error,
                reset_error=reset_error,
            )
            best = fit if best is None else _better(best, fit)
    if best is None:
        raise ValueError("the chip codes no decay")
    return best


def _solve_single(
    alpha: FloatArray, beta: FloatArray, b: float, dash: int, family: Family, n_steps: int | None
) -> tuple[IntArray, FloatArray, FloatArray]:
    factor, error = match_input(alpha, beta, b, [float(family.synapse_factors(dash))], n_steps)
    return np.full(alpha.size, dash), factor[0], error


def _least_error(options: list[tuple[IntArray, FloatArray, FloatArray]]) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return, neuron for neuron, the option with the smallest error."""
    dash, factor, error = options[0]
    for other_dash, other_factor, other_error in options[1:]:
        better = other_error < error
        dash, factor = np.where(better, other_dash, dash), np.where(better, other_factor, factor)
        error = np.where(better, other_error, error)
    return dash, factor, error


def _largest_dash(decays: FloatArray, chip: Chip) -> int:
    """Return the largest code worth trying: one above the slowest decay's."""
    top = chip.bits.dash_max
    return min(top, int(chip.family.code_synapses(decays, top).max()) + 1)


def _better(one: _Fit, other: _Fit) -> _Fit:
    """Choose neuron for neuron."""
    chosen = other.cost < one.cost
    return _Fit(**{field: np.where(chosen, getattr(other, field), getattr(one, field)) for field in _Fit.__dataclass_fields__})
