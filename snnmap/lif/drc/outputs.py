"""Family 6: does the bitstream give what the model gives? What is read of its outputs, and what is decided by that."""

from collections.abc import Iterator

from snnmap.core.diagnostics import Location, Severity
from snnmap.lif.drc.advice import CALIBRATE, EITHER, TRAIN_ON, advise, locate
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.program import Agreement, Comparison
from snnmap.network import MOVED_POOLS, N_MOVED_POOLS, Network

__all__: list[str] = []

_SURE = 0.01
"""Chance below which too few agreeing samples are no accident."""
_NEAR = 1 / 3
"""Share of a limit on an error, up to which outputs of other classes may be near ties."""
_MORE_STEPS = "convert with `snnmap.convert.ConvertOptions(overshoot='hold', n_steps=...)`, or with more steps"
_ROUNDED = "mend what SNN504 and SNN506 tell of rounding (`snnmap check`, `snnmap.check_model`): more steps would round the same"


@rule("SNN603", "readout-lost", Comparison, requantised=EITHER)
def check_readouts(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: that neurons that are read by their potentials or currents neither fire nor saturate on the chip.

    Why it matters: the chip has no neurons that never fire. One whose potential reaches the highest threshold loses it, and what
    is read is no longer what was computed; one whose state is at the limit of 16 bits stands still. Of a network in the chip's
    own integers, whose scales are fixed, drawn inputs that do so are a warning: they may never come.

    Bad: inputs that are stronger in use than in the data that the quantiser sees.

        import numpy as np

        from snnmap import check_model, sketch_network

        network = sketch_network(
            {"in": 2, "h": 2, "out": 1},
            weights={"in->h": [[0.5, 0], [0, 0.5]], "h->out": [[0.1], [10.0]]},
            readout="potential",
            threshold={"out": np.inf},
        )
        inputs = np.random.default_rng(0).poisson(0.5, (400, 50, 2))
        quiet = inputs.copy()
        quiet[np.arange(400) % 4 != 3, :, 1] = 0
        check_model(network, "xylo-audio-3", calibration=quiet)

    Good:

        check_model(network, "xylo-audio-3", calibration=inputs)

    How to fix: calibrate with data as strong as those that it will be used on.
    """
    comparison = subject.of
    for port in comparison.ports:
        if port.readout != "spikes" and (port.spikes or port.saturated):
            yield Finding(
                location=Location(port=port.name),
                message=f"neurons that are read by their {port.readout} fire or saturate, on {comparison.inputs}",
                measured=Amount(
                    port.spikes + port.saturated, words=f"{port.spikes} spikes, {port.saturated} values at the limit"
                ),
                limit=Amount(0),
                fix=_advise_readout(comparison),
                severity=Severity.WARNING if comparison.drawn and comparison.integers else None,
            )


@rule("SNN604", "decisions-differ", Comparison, requantised=(Severity.ERROR,))
def check_decisions(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: the classes that are read from bitstream and model: they should agree on 95% of the samples.

    Why it matters: it is what a classifier is for. Unless the way of reading is given (`CompileOptions.decision`, `--decision`),
    it is measured by the last, mean and largest potential (or by the count of spikes), and an error only where all of them
    differ. Too few samples to be sure, or drawn inputs, on which classes mean little, are a warning; and so are potentials whose
    values are right within 30% of their spread, unless labels or a way of reading say that they are classes at all.

    Bad: two classes that differ in the fourth digit of the weights.

        import numpy as np

        from snnmap import CompileOptions, check_model, sketch_network

        wires = {"in->h": [[1, 0], [0, 1]], "h->out": [[1.0, 1.0002], [1.0002, 1.0]]}
        read = {"readout": "potential", "threshold": {"out": np.inf}}
        inputs = np.random.default_rng(0).poisson(0.5, (400, 50, 2))
        network = sketch_network({"in": 2, "h": 2, "out": 2}, weights=wires, **read)
        check_model(network, "xylo-audio-3", calibration=inputs, options=CompileOptions(decision="mean"))

    Good:

        wires["h->out"] = [[1.0, 0.5], [0.5, 1.0]]
        network = sketch_network({"in": 2, "h": 2, "out": 2}, weights=wires, **read)
        check_model(network, "xylo-audio-3", calibration=inputs, options=CompileOptions(decision="mean"))

    How to fix: train on with the chip's own spikes (`snnmap.train.to_chip_exact`), calibrate with more samples, or accept it with
    `--allow SNN604`.
    """
    comparison = subject.of
    n, least = comparison.n_samples, comparison.limits.decisions
    for port in comparison.ports:
        low = [a for a in port.agreements if a.agreeing < least * n]
        if low:
            sure = all(_chance(a.agreeing, n, least) < _SURE for a in port.agreements)
            means = comparison.classifies or port.readout == "spikes" or port.error > comparison.limits.readout_error
            yield Finding(
                location=Location(port=port.name),
                message=f"the chip decides otherwise than the model, on {comparison.inputs}",
                measured=Amount(
                    min(a.agreeing for a in low) / n,
                    words=", ".join(f"{_describe(a)} agrees on {a.agreeing} of {n}" for a in low),
                ),
                limit=Amount(least, ".0%"),
                fix=advise(comparison),
                severity=None if sure and means and not comparison.drawn else Severity.WARNING,
            )


@rule("SNN608", "readout-error", Comparison, requantised=EITHER)
def check_error(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: how far outputs that are read by potential or current are off, as a share of their spread in the model.

    Why it matters: an output that is used as a value (a regression, a reconstruction) is as good as its error. Above 30% of one
    output it is a warning, at the spread itself of all of them an error: then the chip's values say nothing about the model's.

    Bad: an output that is the small difference of two large weights.

        import numpy as np

        from snnmap import check_model, sketch_network

        wires = {"in->h": [[0.4, 0.5], [0.5, 0.4]], "h->out": [[1.0], [-1.001]]}
        read = {"readout": "potential", "threshold": {"out": np.inf}}
        inputs = np.random.default_rng(0).poisson(1, (100, 50, 2))
        inputs[:, :, 1] = inputs[:, :, 0]
        check_model(sketch_network({"in": 2, "h": 2, "out": 1}, weights=wires, **read), "xylo-audio-3", calibration=inputs)

    Good:

        wires["h->out"] = [[1.0], [-0.5]]
        check_model(sketch_network({"in": 2, "h": 2, "out": 1}, weights=wires, **read), "xylo-audio-3", calibration=inputs)

    How to fix: calibrate with data; train on with the chip's own spikes (`snnmap.train.to_chip_exact`).
    """
    comparison = subject.of
    for port in comparison.ports:
        if port.readout != "spikes" and port.worst_error > comparison.limits.readout_error:
            lost = port.error >= 1.0 and not comparison.drawn
            yield Finding(
                location=Location(port=port.name),
                message=f"what is read is far off, on {comparison.inputs}",
                measured=Amount(port.worst_error, words=f"{port.worst_error:.0%}, of all outputs {port.error:.0%}"),
                limit=Amount(comparison.limits.readout_error, ".0%"),
                unit="of the spread of the model's values, of the worst output",
                fix=advise(comparison),
                severity=None if lost else Severity.WARNING,
            )


@rule("SNN610", "conversion-differs", Comparison)
def check_conversion(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: the bitstream's outputs against those of the network that was converted, on the calibration data.

    Why it matters: a conversion is an approximation; with few steps, deep networks lose much. Other classes at a tenth of the
    spread or less (outputs that are no classes have near ties) are a warning, unless labels or a way of reading say that outputs
    are classes at all.

    Bad: a deep network converted with 1 step and `overshoot="allow"`.

        import torch
        from torch import nn

        from snnmap import check_model
        from snnmap.convert import ConvertOptions, convert_ann

        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 3))
        images = torch.rand(400, 8).numpy()
        check_model(convert_ann(model, images, options=ConvertOptions(n_steps=1, overshoot="allow")), "generic-4096")

    Good:

        check_model(convert_ann(model, images, options=ConvertOptions(n_steps=16)), "generic-4096")

    How to fix: convert with `ConvertOptions(overshoot="hold")`, or with more steps (`n_steps`); where the chip is as far from the
    network that the conversion made, mend what SNN504 and SNN506 tell.
    """
    comparison, converted = subject.of, subject.of.converted
    if converted is None:
        return
    limits, n = comparison.limits, converted.n_samples
    disagrees = converted.agreeing < limits.decisions * n
    far = converted.error > limits.conversion_error
    if far or disagrees:
        means = comparison.classifies or converted.error > _NEAR * limits.conversion_error
        surely = means and _chance(converted.agreeing, n, limits.decisions) < _SURE
        sure = surely or converted.error > 2.0 * limits.conversion_error
        yield Finding(
            location=Location(port=comparison.ports[0].name),
            message=f"the bitstream is far from the network that was converted ({converted.what}), on {comparison.inputs}",
            measured=Amount(
                converted.error if far else converted.agreeing / n,
                words=f"error {converted.error:.0%} of the outputs' spread, the same class in {converted.agreeing} of {n}",
            ),
            limit=Amount(
                limits.conversion_error if far else limits.decisions,
                words=f"{limits.conversion_error:.0%}, {limits.decisions:.0%}",
            ),
            fix=_ROUNDED if comparison.ports[0].error > 0.5 * converted.error else _MORE_STEPS,
            severity=None if sure else Severity.WARNING,
        )


@rule("SNN612", "read-otherwise", Comparison)
def check_reading(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: where the user let a model be read as neurons that do something else beyond two thresholds than the model's
    own (`max_count=` for Rockpool, `overshoot="ignore"` for snnTorch), how often potentials get there.

    Why it matters: the comparison is of the bitstream with the network that was read. Where potentials get there, that network is
    not the model; in more than 5% of the active pairs it is an error, unless the inputs were drawn.

    Bad: a network of several spikes a step, read with `max_count=1`.

        from dataclasses import replace

        import numpy as np

        from snnmap import check_model, sketch_network
        from snnmap.network import OTHERWISE

        inputs = np.random.default_rng(0).poisson(0.5, (400, 50, 2))
        network = sketch_network({"in": 2, "h": 3, "out": 2}, max_count={"h": 1})
        check_model(replace(network, provenance={OTHERWISE: "max_count=1"}), "generic-4096-single", calibration=inputs)

    Good:

        check_model(network, "generic-4096-single", calibration=inputs)

    How to fix: read it without the option, or train it with the chip's limit (`max_spikes_per_dt` in Rockpool), or train on with
    the chip's own spikes (`snnmap.train.to_chip_exact`) and compare accuracies.
    """
    comparison = subject.of
    choice, _, names = comparison.otherwise.partition(": ")
    for population in comparison.populations:
        if choice and (not names or population.name in names.split(", ")) and population.fires and population.beyond:
            share = population.beyond / max(1, population.active)
            yield Finding(
                location=locate(population),
                message=f"the network is not the model ({choice}) where potentials are beyond a further threshold",
                measured=Amount(share, words=f"{population.beyond} of {population.active} active pairs, on {comparison.inputs}"),
                limit=Amount(comparison.limits.otherwise_share, ".0%"),
                fix=f"read it without that, train it with the chip's limit, or {TRAIN_ON}",
                severity=None if share > comparison.limits.otherwise_share and not comparison.drawn else Severity.WARNING,
            )


@rule("SNN613", "pools-moved", Network, Severity.WARNING)
def check_pools(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that no MaxPool of currents was put behind the neurons that it stood in front of (`pools="after"`).

    Why it matters: the comparison is of the bitstream with the network that was read, whose pools are behind the neurons: the
    greatest of the spikes, not the spikes of the greatest current. How far it is from the model was measured in reading.

    Bad: a network of a module of convolution, pool, neurons, read with `pools="after"`.

        from dataclasses import replace

        from snnmap import check_model, sketch_network
        from snnmap.network import MOVED_POOLS, N_MOVED_POOLS

        network = sketch_network({"in": 2, "h": 3, "out": 2})
        told = "MaxPool of currents was put behind the neurons: '1'; 4.0% of their active counts differ, on 20 drawn samples"
        check_model(replace(network, provenance={MOVED_POOLS: told, N_MOVED_POOLS: "1"}), "xylo-audio-3")

    Good:

        check_model(network, "xylo-audio-3")

    How to fix: train on with the MaxPool behind the neurons; give calibration data, which also tells the decisions that stay.
    """
    told, number = (subject.of.provenance.get(key, "") for key in (MOVED_POOLS, N_MOVED_POOLS))
    if told:
        yield Finding(
            location=Location(),
            message=told,
            measured=Amount(int(number)) if number.isdecimal() else "",
            limit=Amount(0),
            unit="pools",
            fix="train on with the MaxPool behind the neurons; calibration data (`--calibration`) tell what it changes in use",
        )


def _advise_readout(comparison: Comparison) -> str:
    if comparison.drawn:
        return CALIBRATE
    options = "`snnmap.CompileOptions(quantise=snnmap.QuantiseOptions(readout_margin=64))`"
    if comparison.integers:
        return f"start training with more room: `snnmap.train.to_chip_exact` with {options}"
    return f"give more room ({options}, `--readout-margin 64`), or data as strong as in use"


def _describe(agreement: Agreement) -> str:
    return {"count": "most spikes", "last": "the last value", "mean": "the mean value", "max": "the largest value"}[
        agreement.decision
    ]


def _chance(agreeing: int, n: int, share: float) -> float:
    """Return the chance of so few agreeing samples, or fewer, of ``n``, where a share of all samples agrees."""
    from scipy.special import bdtr  # only where samples disagree

    return float(bdtr(agreeing, n, share))
