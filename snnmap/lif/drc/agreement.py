"""Family 6: does the bitstream do what the model does? Measured, by running both."""

import math
from collections.abc import Iterator

from snnmap.core.diagnostics import Location, Severity
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.program import Agreement, Comparison, PopulationComparison

__all__: list[str] = []

_FEW_STEPS = 100
"""Steps of calibration data, below which they show little."""
_SURE = 0.01
"""Chance below which too few agreeing samples are no accident."""
_SHOWN = 0.05
"""Chance that samples all agree where no more than the limit's share of all does, below which they show that more does."""
_NEAR = 1 / 3
"""Share of a limit on an error, up to which outputs of other classes may be near ties."""
_DEVIATIONS = 3.0
"""Square roots of the spikes by which two counts must differ to be more than an accident."""
_EITHER = (Severity.ERROR, Severity.WARNING)
_CALIBRATE = "give calibration data of typical use (`--calibration`, `snnmap.compile_model(calibration=...)`)"
_TRAIN_ON = "train on with the chip's own spikes (`snnmap.train.to_chip_exact`)"


@rule("SNN601", "rate-differs", Comparison, requantised=_EITHER)
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
                location=_at(population),
                message=f"the population fires at another rate on the chip, on {comparison.inputs}",
                measured=Amount(
                    population.rate,
                    words=f"{population.chip_spikes} spikes, {population.rate:.3g} of the model's {population.model_spikes}",
                ),
                limit=_band(limits.rate_low, limits.rate_high, population.rate, f"{limits.rate_low:g}..{limits.rate_high:g}"),
                fix=_advise(comparison),
                severity=Severity.WARNING if accident else None,
            )
        elif comparison.drawn and not (low <= lowest and highest <= high):
            worst = lowest if lowest < low else highest
            yield Finding(
                location=_at(population),
                message=f"the population fires at other rates on the chip in some samples of {comparison.inputs}",
                measured=Amount(worst, words=f"{lowest:.3g} to {highest:.3g} times the model's"),
                limit=_band(low, high, worst, f"{low:.3g}..{high:.3g}"),
                fix=_CALIBRATE,
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
            location=_at(population),
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
            fix=_advise_counts(comparison.framework, most) if met else "",
            severity=None if severe else Severity.WARNING,
        )


@rule("SNN603", "readout-lost", Comparison, requantised=_EITHER)
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
                fix=_advise(comparison),
                severity=None if sure and means and not comparison.drawn else Severity.WARNING,
            )


@rule("SNN605", "neurons-died", Comparison, Severity.WARNING, requantised=_EITHER)
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
                location=_at(population),
                message=f"neurons that fire in the model never fire on the chip, on {comparison.inputs}",
                measured=Amount(population.died, words=f"{population.died} of {population.firing}"),
                limit=Amount(comparison.limits.died_share * population.firing, words=f"{comparison.limits.died_share:.0%}"),
                unit="neurons",
                fix=_advise(comparison),
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
                location=_at(population),
                message=f"states are at the chip's limit, on {comparison.inputs}",
                measured=Amount(population.saturated / population.pairs, ".2%"),
                limit=Amount(comparison.limits.saturated_share, ".2%"),
                unit="of the steps",
                fix=_CALIBRATE if comparison.drawn else f"train with smaller weights or shorter time constants, or {_TRAIN_ON}",
            )


@rule("SNN607", "nothing-shown", Comparison, Severity.WARNING)
def check_silence(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: that the inputs of the comparison show something: populations that never fire in the model, inputs that
    never come or never change, outputs that never decide, and inputs that cannot show that decisions are the same: too few
    samples, and drawn ones. Where nothing differs on drawn ones that is advice: there is nothing to mend, but nothing is shown
    of use.

    Why it matters: about what stays silent nothing was shown. A model that does nothing at all on its own calibration data is an
    error: those are other data than it was trained on, or it does nothing. That all of 8 samples agree happens to a chip that
    decides otherwise in every tenth, too; 59 show with 95% confidence that at least 95% agree. Of 500 random networks that were
    quantised without data about one in twenty was off on data of use, with no other finding. Of warnings it is advice: nothing is
    wrong, but nothing was shown.

    Bad: calibration data in another unit than the training data, so that all of them were rounded to 0.

        import numpy as np

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2})
        check_model(network, "xylo-audio-3", calibration=np.zeros((100, 50, 2), int))

    Good:

        check_model(network, "xylo-audio-3", calibration=np.random.default_rng(0).poisson(0.5, (400, 50, 2)))

    How to fix: give calibration data of typical use, coded as in training.
    """
    comparison = subject.of
    kind = comparison.inputs
    fix = "give calibration data of typical use, coded as in training (`--calibration`)"
    if not comparison.input_spikes:
        yield Finding(
            location=Location(),
            message=f"no spike came in, on {kind}",
            measured=Amount(0),
            limit=Amount(1),
            unit="spikes",
            fix=fix,
        )
    if comparison.is_constant and comparison.input_spikes:
        yield Finding(
            location=Location(),
            message=f"every input count is the same, on {kind}",
            measured=Amount(1),
            limit=Amount(2),
            unit="values",
            fix=fix,
        )
    silent = [p for p in comparison.populations if p.fires and not p.model_spikes]
    everything = len(silent) == sum(p.fires for p in comparison.populations)
    for population in silent:
        yield Finding(
            location=_at(population),
            message=f"the population never fires in the model, so that nothing was shown about it, on {kind}",
            measured=Amount(0),
            limit=Amount(1),
            unit="spikes",
            fix=fix,
            severity=Severity.ERROR if everything and not comparison.drawn else None,
        )
    for port in comparison.ports:
        n = comparison.n_samples
        if n and port.agreements and all(a.undecided == n for a in port.agreements):
            yield Finding(
                location=Location(port=port.name),
                message=f"the output never decides in the model, on {kind}",
                measured=Amount(n, words=f"{n} of {n} samples with all outputs equal"),
                limit=Amount(n - 1, words="some that decide"),
                fix="train the model on (`snnmap.train.train_model`), or give data that it decides on (`--calibration`)"
                if not comparison.drawn
                else fix,
            )
    unshown = list(_find_unshown(comparison))
    yield from unshown
    if comparison.drawn and not unshown and not comparison.is_exact:
        yield Finding(
            location=Location(),
            message="what the chip does in use is not shown by drawn inputs",
            measured=f"{comparison.n_samples} drawn samples",
            limit="samples of use",
            fix=_CALIBRATE,
            severity=Severity.ADVICE,
        )
    if not comparison.drawn and comparison.n_given * comparison.n_steps < _FEW_STEPS:
        yield Finding(
            location=Location(),
            message="the calibration data are few: rates and ranges of longer use are not seen in them",
            measured=Amount(
                comparison.n_given * comparison.n_steps, words=f"{comparison.n_given} samples of {comparison.n_steps} steps"
            ),
            limit=Amount(_FEW_STEPS, words=f"{_FEW_STEPS} steps in all"),
            fix="give some dozens of samples, as long as in use (`--calibration`)",
        )


def _find_unshown(comparison: Comparison) -> Iterator[Finding]:
    """Find outputs whose decisions agree, on inputs that cannot show it."""
    n, least = comparison.n_samples, comparison.limits.decisions
    if not 0.0 < least < 1.0:  # none need agree, or each that does not is told
        return
    needed = math.floor(math.log(_SHOWN) / math.log(least)) + 1
    for port in [port for port in comparison.ports if port.agreements]:
        agreeing = min(a.agreeing for a in port.agreements)
        is_same = comparison.integers or port.error == 0.0
        if agreeing >= least * n and not is_same and (agreeing < n if comparison.drawn else n < needed):
            inputs = "drawn inputs" if comparison.drawn else "so few samples"
            yield Finding(
                location=Location(port=port.name),
                message=f"that the chip decides as the model is not shown by {inputs}",
                measured=f"{agreeing} of {n} agree, on {comparison.inputs}",
                limit=f"{needed} samples of use, to show {least:.0%}",
                fix=_CALIBRATE if comparison.drawn else _advise_samples(comparison),
            )


@rule("SNN608", "readout-error", Comparison, requantised=_EITHER)
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
                fix=_advise(comparison),
                severity=None if lost else Severity.WARNING,
            )


@rule("SNN609", "inputs-clamped", Comparison)
def check_clamped(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: that no input count of the calibration data is above what a channel of the chip carries in a step.

    Why it matters: the chip clamps them; the model was trained on other inputs than the chip will get.

    Bad: analogue values given as counts.

        import numpy as np

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2})
        inputs = np.random.default_rng(0).poisson(0.5, (400, 50, 2))
        inputs[0, 0] = 16
        check_model(network, "xylo-audio-3", calibration=inputs)

    Good:

        check_model(network, "xylo-audio-3", calibration=np.minimum(inputs, 15))

    How to fix: clamp them where the model is trained (`np.minimum`), or spread them over more steps.
    """
    comparison = subject.of
    if comparison.clamped:
        yield Finding(
            location=Location(),
            message="input counts of the calibration data are more than a channel carries in a step",
            measured=Amount(comparison.clamped),
            limit=Amount(0),
            unit="counts",
            fix="clamp them (`numpy.minimum`) where the model is trained, or spread them over more steps",
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

    How to fix: convert with `ConvertOptions(overshoot="hold")`, or with more steps (`n_steps`).
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
            fix="convert with `snnmap.convert.ConvertOptions(overshoot='hold', n_steps=...)`, or with more steps",
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
                location=_at(population),
                message=f"the network is not the model ({choice}) where potentials are beyond a further threshold",
                measured=Amount(share, words=f"{population.beyond} of {population.active} active pairs, on {comparison.inputs}"),
                limit=Amount(comparison.limits.otherwise_share, ".0%"),
                fix=f"read it without that, train it with the chip's limit, or {_TRAIN_ON}",
                severity=None if share > comparison.limits.otherwise_share and not comparison.drawn else Severity.WARNING,
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
                location=_at(population),
                message=f"counts differ from the model in the chip's own integers, on {comparison.inputs}",
                measured=Amount(population.differing, words=f"{population.differing} of {population.active}"),
                limit=Amount(0),
                unit="active pairs",
                fix="wrap a model with biases: `snnmap.align_model(model, chip)`",
            )


def _band(low: float, high: float, value: float, words: str) -> Amount:
    """Return the limit of a value that has one on either side: the one that it is beyond."""
    return Amount(low if value < low else high, words=words)


def _at(population: PopulationComparison) -> Location:
    return Location(population=population.name, source=population.source)


def _advise(comparison: Comparison) -> str:
    return _CALIBRATE if comparison.drawn else _TRAIN_ON


def _advise_samples(comparison: Comparison) -> str:
    if comparison.n_samples < comparison.n_given and not comparison.held_back:  # more would take too long to compare
        return "score the bitstream on test data (`snnmap.Artifacts.run`)"
    part = ", of which a quarter is compared" if comparison.held_back else ""
    return f"give more calibration data of typical use (`--calibration`){part}"


def _advise_readout(comparison: Comparison) -> str:
    if comparison.drawn:
        return _CALIBRATE
    options = "`snnmap.CompileOptions(quantise=snnmap.QuantiseOptions(readout_margin=64))`"
    if comparison.integers:
        return f"start training with more room: `snnmap.train.to_chip_exact` with {options}"
    return f"give more room ({options}, `--readout-margin 64`), or data as strong as in use"


def _advise_counts(framework: str, most: int) -> str:
    """Say in the framework's words how its neurons get the chip's spikes."""
    if "rockpool" in framework.lower():
        return f"train with max_spikes_per_dt={most}, or {_TRAIN_ON}"
    if "snntorch" in framework.lower():
        return f"snnTorch has no such option: {_TRAIN_ON}, or take a chip of one spike a step (generic-4096-single)"
    if framework.startswith("torch"):
        return f"train with max_count={most}, or {_TRAIN_ON}"
    return f"{_TRAIN_ON}, or take a chip of one spike a step (generic-4096-single)"


def _describe(agreement: Agreement) -> str:
    return {"count": "most spikes", "last": "the last value", "mean": "the mean value", "max": "the largest value"}[
        agreement.decision
    ]


def _chance(agreeing: int, n: int, share: float) -> float:
    """Return the chance of so few agreeing samples, or fewer, of ``n``, where a share of all samples agrees."""
    from scipy.special import bdtr  # only where samples disagree

    return float(bdtr(agreeing, n, share))
