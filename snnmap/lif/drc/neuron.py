"""Family 4: are the neurons such as the chip can be?"""

from collections.abc import Iterator

import numpy as np

from snnmap.core import BoolArray, FloatArray
from snnmap.core.diagnostics import Location, Severity
from snnmap.lif.drc.advice import advise_decays, advise_fewer_spikes, advise_more_spikes, advise_reset
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.drc.runs import find_runs, locate_neurons
from snnmap.network import Network, Population, describe_reset, resets_as

__all__: list[str] = []

_POSITIVE = Amount(0.0, words="> 0")
_TAKE_COUNTS = ", or take the chip's limit (`snnmap check --fix`)"


@rule("SNN401", "threshold-not-positive", Network)
def check_threshold(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that thresholds are above 0; an infinite one belongs to a readout of potentials or currents.

    Why it matters: at a threshold of 0 or below, a neuron fires its most spikes in every step for ever.

    Bad: a trained threshold that crossed 0.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, threshold={"h": [1.0, 0.0, 1.0]})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 2}, threshold={"h": [1.0, 0.5, 1.0]})
        check_model(network, "xylo-audio-3")

    How to fix: keep thresholds positive in training.
    """
    network = subject.of
    silent = {name for port in network.outputs if port.readout != "spikes" for name in port.populations}
    for population in network.populations:
        fix = "keep thresholds positive in training (`snnmap explain SNN401`)"
        yield from _runs(
            population, population.threshold, population.threshold <= 0, _POSITIVE, "the threshold is not positive", fix
        )
        if population.name not in silent:
            never = np.isposinf(population.threshold)
            fix = "give it a finite threshold, or read its potential (`snnmap.OutputPort(readout='potential')`)"
            yield from _runs(
                population, population.threshold, never, "finite", "the neuron never fires and its potential is not read", fix
            )


@rule("SNN402", "decay-out-of-range", Network)
def check_decay(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that decay factors alpha and beta lie in 0..1.

    Why it matters: above 1 a state grows without bound, below 0 it swings; bit shifts do neither.

    Bad: beta = exp(+dt/tau) from a negative time constant.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, beta={"h": 1.06})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 2}, beta={"h": 0.9375})
        check_model(network, "xylo-audio-3")

    How to fix: give positive time constants.
    """
    fix = f"give positive time constants ({advise_decays(subject.of.provenance.get('framework', ''))})"
    for population in subject.of.populations:
        rows = {f"alpha[{synapse}]": row for synapse, row in enumerate(population.alpha)} | {"beta": population.beta}
        for name, row in rows.items():
            for wrong, bound in ((row < 0, 0.0), (row > 1, 1.0)):
                limit = Amount(bound, words="0..1")
                yield from _runs(population, row, wrong, limit, f"{name} is not a decay factor", fix)


@rule("SNN403", "reset-not-subtract", Network, stops_folding=True)
def check_reset(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that populations reset as the chip's neurons do: on most chips, by subtracting the threshold.

    Why it matters: where the chip subtracts, a reset to zero forgets what lies above the threshold; where it resets to zero,
    subtraction keeps it.

    Bad: an imported network with reset to zero.

        from dataclasses import replace

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2})
        hidden, output = network.populations
        check_model(replace(network, populations=(replace(hidden, reset="value"), output)), "xylo-audio-3")

    Good:

        check_model(network, "xylo-audio-3")

    How to fix: train with the chip's reset, take a chip with the model's, or the chip's reset (`chip-reset`), which is measured.
    """
    family, framework = subject.chip.family, subject.of.provenance.get("framework", "")
    for population in subject.of.populations:
        if not resets_as(population, family):
            yield Finding(
                location=Location(population=population.name, source=population.source),
                message=f"the chip resets {describe_reset(family)}",
                measured="subtract" if population.reset == "subtract" else f"reset to {population.reset}",
                limit="subtract" if family.reset == "subtract" else "reset to zero",
                fix=f"train with reset {describe_reset(family)}{advise_reset(framework, family.reset)}, take a chip with the"
                " model's (`snnmap chips`), or the chip's reset (`snnmap check --fix`)",
            )


@rule("SNN404", "spike-count-limit", Network)
def check_spike_counts(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: the most spikes a neuron sends in a step against the chip's.

    Why it matters: a model that sends more is cut off on the chip (error); a model that sends fewer may be outdone by the
    chip, which sends a spike for each threshold reached (warning). No neuron sends fewer than none (error).

    Bad: an output layer of two spikes a step where the chip's outputs send one.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, max_count={"out": 2})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 2}, max_count={"out": 1})
        check_model(network, "xylo-audio-3")

    How to fix: train with the chip's limit (`max_count`), or take it (`chip-counts`), which is measured.
    """
    network, chip = subject.of, subject.chip
    for population in network.populations:
        limit = chip.outputs.max_count if population.name in network.output_populations else chip.hidden.max_count
        yield from _compare_counts(population, limit, network.provenance.get("framework", ""))


def _compare_counts(population: Population, limit: int, framework: str) -> Iterator[Finding]:
    counts, finite = population.max_count, np.isfinite(population.threshold)
    fewer, more = advise_fewer_spikes(framework, limit), advise_more_spikes(framework, limit)
    for wrong, bound, message, severity, fix in (
        (counts > limit, limit, "the model sends more spikes a step than the chip", Severity.ERROR, fewer + _TAKE_COUNTS),
        (counts < 0, 0, "the model's most spikes a step are negative", Severity.ERROR, fewer),
        ((counts >= 0) & (counts < limit), limit, "the chip may send more spikes a step than the model", Severity.WARNING, more),
    ):
        for start, stop in find_runs(finite & wrong):
            part = counts[start:stop]
            yield Finding(
                location=locate_neurons(population, start, stop),
                message=message,
                measured=Amount(int(part[np.argmax(np.abs(part - limit))])),
                limit=Amount(bound),
                unit="spikes a step",
                fix=fix,
                severity=severity,
            )


def _runs(
    population: Population, values: FloatArray, wrong: BoolArray, limit: Amount | str, message: str, fix: str
) -> Iterator[Finding]:
    for start, stop in find_runs(wrong):
        part = values[start:stop]
        location = locate_neurons(population, start, stop)
        measured = Amount(float(part[np.argmax(np.abs(part))]))
        yield Finding(location=location, message=message, measured=measured, limit=limit, fix=fix)
