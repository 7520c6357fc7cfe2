"""Family 6: does the bitstream do what the model does? Its neurons: their spikes and states, measured by running both.

``outputs`` and ``evidence`` are of the same family.
"""

import math
from collections.abc import Iterator

from snnmap.core.diagnostics import Severity
from snnmap.lif.drc.advice import CALIBRATE, EITHER, TRAIN_ON, advise, advise_more_spikes, locate
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.program import Comparison

__all__: list[str] = []

_DEVIATIONS = 3.0
"""Square roots of the spikes by which two counts must differ to be more than an accident."""


@rule("SNN601", "rate-differs", Comparison, requantised=EITHER)
def check_rates(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: the spikes of each population on the chip against the model's: they should be 0.8 to 1.25 times as many.

    Why it matters: a layer that fires much more or less than it was trained to feeds the next one wrongly; deep networks die or
    burst. A difference that few spikes can make is a warning. Drawn inputs go from few spikes to many and are not those of use:
    there half the difference (in logarithms, 0.89 to 1.12) in any sample is a warning.

    Bad: a limit of 1% where rounded weights move a layer's rate by more.

        from snnmap import CompileOptions, check_model, sketch_network
        from snnmap.lif.program import AgreementLimits

        network = sketch_network({"in": 2, "a": 5, "b": 5, "out": 2})
        strict = CompileOptions(limits=AgreementLimits(rate_low=0.99, rate_high=1.01))
        check_model(network, "xylo-audio-3", options=strict)

    Good:

        check_model(network, "xylo-audio-3")

    How to fix: calibrate with data of typical use; train on with the chip's own spikes (`snnmap.train.to_chip_exact`); accept it
    with `--allow SNN601`, or other limits (`--limit rate_low=0.7`).
    """
    comparison = subject.of
    limits = comparison.limits
    low, high = math.sqrt(limits.rate_low), math.sqrt(limits.rate_high)
    for population in comparison.populations:
        if not population.fires:
            continue
        lowest, highest = population.lowest_rate, population.highest_rate
        if not limits.rate_low <= population.rate <= limits.rate_high:
            difference = abs(population.chip_spikes - population.model_spikes)
            accident = difference <= _DEVIATIONS * math.sqrt(population.chip_spikes + population.model_spikes)
            yield Finding(
                location=locate(population),
                message=f"the population fires at another rate on the chip, on {comparison.inputs}",
                measured=Amount(
                    population.rate,
                    words=f"{population.chip_spikes} spikes, {population.rate:.3g} of the model's {population.model_spikes}",
                ),
                limit=_band(limits.rate_low, limits.rate_high, population.rate, f"{limits.rate_low:g}..{limits.rate_high:g}"),
                fix=advise(comparison),
                severity=Severity.WARNING if accident else None,
            )
        elif comparison.drawn and not (low <= lowest and highest <= high):
            worst = lowest if lowest < low else highest
            yield Finding(
                location=locate(population),
                message=f"the population fires at other rates on the chip in some samples of {comparison.inputs}",
                measured=Amount(worst, words=f"{lowest:.3g} to {highest:.3g} times the model's"),
                limit=_band(low, high, worst, f"{low:.3g}..{high:.3g}"),
                fix=CALIBRATE,
                severity=Severity.WARNING,
            )


@rule("SNN602", "more-spikes-than-the-model", Comparison)
def check_excess(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: where a model's neurons send fewer spikes a step than the chip's can, whether any would send more.

    Why it matters: a neuron of snnTorch, Norse or SpikingJelly sends one spike a step, however far its potential is above the
    threshold; the chip's sends one for each threshold, up to 31. Where no potential reaches two thresholds that makes no
    difference, which is told as a warning, since it was seen on these inputs only; where one does, the bitstream is another
    network. No scale and no added neuron makes up for it exactly: what a neuron keeps above its threshold differs too.

    Bad: neurons of one spike a step on a chip that sends up to 31.

        import numpy as np

        from snnmap import check_model, sketch_network

        inputs = np.random.default_rng(0).poisson(0.3, (400, 50, 2))
        network = sketch_network({"in": 2, "h": 3, "out": 1}, max_count={"h": 1})
        check_model(network, "generic-4096", calibration=inputs)

    Good:

        check_model(network, "generic-4096-single", calibration=inputs)

    How to fix: train on with the chip's own spikes (`snnmap.train.to_chip_exact`), or take a chip whose neurons send one spike a
    step (`generic-4096-single`), or, where the framework can, train with the chip's limit (`max_spikes_per_dt=31` in Rockpool,
    `max_count=31` in `snnmap.nn`).
    """
    comparison = subject.of
    for population in comparison.populations:
        most = subject.chip.outputs.max_count if population.is_output else subject.chip.hidden.max_count
        if not population.fires or population.max_count >= most:
            continue
        met, share = population.excess or population.beyond, comparison.limits.excess_share
        severe = population.excess > share * population.chip_spikes or population.beyond > share * population.active
        yield Finding(
            location=locate(population),
            message=f"the chip sends several spikes a step where the model sends at most {population.max_count}"
            if met
            else f"the model sends at most {population.max_count} spikes a step and the chip more, but none did",
            measured=Amount(
                population.excess,
                words=f"{population.excess} spikes too many, {population.beyond} potentials beyond a further threshold, "
                f"on {comparison.inputs}",
            ),
            limit=Amount(
                share * population.chip_spikes,
                words=f"{share:.1%} of {population.chip_spikes} spikes",
            ),
            fix=advise_more_spikes(comparison.framework, most) if met else "",
            severity=None if severe else Severity.WARNING,
        )


@rule("SNN605", "neurons-died", Comparison, Severity.WARNING, requantised=EITHER)
def check_dead(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: the neurons that fire several times in the model and never on the chip; a warning beyond a tenth of those
    that fire.

    Why it matters: what they told is lost, even where the population's rate is right.

    Bad: a weight that is small beside one that seldom counts became 0.

        import numpy as np

        from snnmap import check_model, sketch_network

        inputs = np.random.default_rng(0).poisson(4, (100, 50, 2))
        inputs[:, :, 1] = np.arange(50) == 25
        network = sketch_network({"in": 2, "h": 2, "out": 1}, weights={"in->h": [[0.03, 0.3], [-9.0, -0.9]]})
        check_model(network, "xylo-audio-3", calibration=inputs)

    Good:

        network = sketch_network({"in": 2, "h": 2, "out": 1}, weights={"in->h": [[0.1, 0.3], [-0.9, -0.9]]})
        check_model(network, "xylo-audio-3", calibration=inputs)

    How to fix: calibrate, or train on with the chip's own spikes (`snnmap.train.to_chip_exact`).
    """
    comparison = subject.of
    for population in comparison.populations:
        if population.died > comparison.limits.died_share * population.firing:
            yield Finding(
                location=locate(population),
                message=f"neurons that fire in the model never fire on the chip, on {comparison.inputs}",
                measured=Amount(population.died, words=f"{population.died} of {population.firing}"),
                limit=Amount(comparison.limits.died_share * population.firing, words=f"{comparison.limits.died_share:.0%}"),
                unit="neurons",
                fix=advise(comparison),
            )


@rule("SNN606", "states-saturate", Comparison, Severity.WARNING)
def check_saturation(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: the steps in which a state of a neuron is at the limit of the chip's words.

    Why it matters: what is beyond is forgotten: deep inhibition ends too early, bursts are shorter.

    A converted ReLU that is off sinks without end, and is let saturate; of a conversion that is near its source nothing is said.

    Bad: layers that drive each other at all rates, as drawn inputs do, without calibration data.

        import numpy as np

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "a": 8, "b": 8, "c": 8, "out": 2})
        check_model(network, "xylo-audio-2")

    Good:

        inputs = np.random.default_rng(0).poisson(0.3, (400, 50, 2))
        check_model(network, "xylo-audio-2", calibration=inputs)

    How to fix: calibrate with data of typical use; train with smaller weights or shorter time constants.
    """
    comparison = subject.of
    for population in comparison.populations:
        by_design = comparison.converted is not None and comparison.converted.error <= comparison.limits.conversion_error
        if population.fires and not by_design and population.saturated > comparison.limits.saturated_share * population.pairs:
            yield Finding(
                location=locate(population),
                message=f"states are at the chip's limit, on {comparison.inputs}",
                measured=Amount(population.saturated / population.pairs, ".2%"),
                limit=Amount(comparison.limits.saturated_share, ".2%"),
                unit="of the steps",
                fix=CALIBRATE if comparison.drawn else f"train with smaller weights or shorter time constants, or {TRAIN_ON}",
            )


@rule("SNN611", "integers-differ", Comparison, Severity.WARNING)
def check_exactness(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: that all counts are the same where the network was trained in the chip's own integers.

    Why it matters: it is the promise of training in integers. On the chip all neurons run from the first step, some before
    their input comes; with biases they have moved by then. A sum that leaves 16 bits on its way is the other reason.

    Bad: a model of layers with biases, each of which starts with its input, that is not aligned with the chip.

        from dataclasses import replace

        import numpy as np

        from snnmap import check_model, sketch_network

        inputs = np.random.default_rng(0).poisson(0.5, (400, 50, 2))
        network = sketch_network(
            {"in": 2, "a": 3, "b": 3, "out": 2},
            weights={"in->a": 60, "a->b": 20, "b->out": [[30, 20], [20, 30], [10, 30]]},
            threshold={"a": 99, "b": 99, "out": 90},
            bias={"b": 20},
        )
        unaligned = replace(network, integers=True, provenance={"starts": "with its input"})
        check_model(unaligned, "xylo-audio-3", calibration=inputs)

    Good:

        check_model(replace(network, integers=True), "xylo-audio-3", calibration=inputs)

    How to fix: wrap the model before it is trained, `snnmap.align_model(model, chip)`; or make it by
    `snnmap.train.to_chip_exact` with calibration data, which leaves room for sums.
    """
    comparison = subject.of
    for population in comparison.populations:
        if comparison.integers and population.differing:
            yield Finding(
                location=locate(population),
                message=f"counts differ from the model in the chip's own integers, on {comparison.inputs}",
                measured=Amount(population.differing, words=f"{population.differing} of {population.active}"),
                limit=Amount(0),
                unit="active pairs",
                fix="wrap a model with biases: `snnmap.align_model(model, chip)`",
            )


def _band(low: float, high: float, value: float, words: str) -> Amount:
    """Return the limit of a value that has one on either side: the one that it is beyond."""
    return Amount(low if value < low else high, words=words)
