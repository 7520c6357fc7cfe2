"""Family 6: do the inputs on which bitstream and model were compared show anything?"""

import math
from collections.abc import Iterator

from snnmap.core.diagnostics import Location, Severity
from snnmap.core.nouns import count_nouns, count_samples
from snnmap.lif.drc.advice import CALIBRATE, locate
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.program import Comparison

__all__: list[str] = []

_GIVE_TYPICAL = "give calibration data of typical use, coded as in training (`--calibration`)"
_MOST_NAMED = 8
"""Channels that a finding names."""
_FEW_STEPS = 100
"""Steps of calibration data, below which they show little."""
_SHOWN = 0.05
"""Chance that samples all agree where no more than the limit's share of all does, below which they show that more does."""


@rule("SNN607", "nothing-shown", Comparison, Severity.WARNING)
def check_silence(subject: OnChip[Comparison]) -> Iterator[Finding]:
    """What it checks: that the inputs of the comparison show something: populations that never fire in the model, inputs that
    never come or never change, channels that never come though their weights set the scale of the others, outputs that never
    decide, and inputs that cannot show that decisions are the same: too few samples, and drawn ones. Where nothing differs on
    drawn ones that is advice: there is nothing to mend, but nothing is shown of use.

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
    yield from _judge_inputs(comparison)
    yield from _find_silent_inputs(comparison)
    yield from _find_silent(comparison)
    yield from _find_undecided(comparison)
    yield from _find_unshown(comparison)
    if not comparison.drawn and comparison.n_given * comparison.n_steps < _FEW_STEPS:
        yield Finding(
            location=Location(),
            message="the calibration data are few: rates and ranges of longer use are not seen in them",
            measured=Amount(
                comparison.n_given * comparison.n_steps,
                words=count_samples(comparison.n_given, comparison.n_steps),
            ),
            limit=Amount(_FEW_STEPS, words=f"{_FEW_STEPS} steps in all"),
            fix="give some dozens of samples, as long as in use (`--calibration`)",
        )


def _judge_inputs(comparison: Comparison) -> Iterator[Finding]:
    """Find inputs that never come, or never change."""
    if not comparison.input_spikes:
        yield Finding(
            location=Location(),
            message=f"no spike came in, on {comparison.inputs}",
            measured=Amount(0),
            limit=Amount(1),
            unit="spikes",
            fix=_GIVE_TYPICAL,
        )
    elif comparison.is_constant:
        yield Finding(
            location=Location(),
            message=f"every input count is the same, on {comparison.inputs}",
            measured=Amount(1),
            limit=Amount(2),
            unit="values",
            fix=_GIVE_TYPICAL,
        )


def _find_silent_inputs(comparison: Comparison) -> Iterator[Finding]:
    """Find channels that never come, though their weights set how finely the others are stored."""
    for found in comparison.silent_inputs:
        if found.coarser > found.LIMIT:
            named = ", ".join(map(str, found.channels[:_MOST_NAMED])) + (", ..." if len(found.channels) > _MOST_NAMED else "")
            yield Finding(
                location=Location(port=found.port),
                message=f"channels that never come in the calibration data ({named}) have the largest weights onto"
                f" {count_nouns(found.n_neurons, 'neuron')}, beside which the others are stored the coarser",
                measured=Amount(found.coarser, ".3g"),
                limit=Amount(found.LIMIT, ".3g"),
                unit="times coarser than without them",
                fix="set their weights to 0 if they never come in use (`torch.nn.utils.prune.custom_from_mask`), or give"
                " calibration data in which they come (`--calibration`)",
            )


def _find_silent(comparison: Comparison) -> Iterator[Finding]:
    """Find populations that never fire in the model."""
    silent = [p for p in comparison.populations if p.fires and not p.model_spikes]
    everything = len(silent) == sum(p.fires for p in comparison.populations)
    for population in silent:
        yield Finding(
            location=locate(population),
            message=f"the population never fires in the model, so that nothing was shown about it, on {comparison.inputs}",
            measured=Amount(0),
            limit=Amount(1),
            unit="spikes",
            fix=_GIVE_TYPICAL,
            severity=Severity.ERROR if everything and not comparison.drawn else None,
        )


def _find_undecided(comparison: Comparison) -> Iterator[Finding]:
    """Find outputs that never decide in the model."""
    n = comparison.n_samples
    train = "train the model on (`snnmap.train.train_model`), or give data that it decides on (`--calibration`)"
    for port in comparison.ports:
        if n and port.agreements and all(a.undecided == n for a in port.agreements):
            yield Finding(
                location=Location(port=port.name),
                message=f"the output never decides in the model, on {comparison.inputs}",
                measured=Amount(n, words=f"{n} of {n} samples with all outputs equal"),
                limit=Amount(n - 1, words="some that decide"),
                fix=_GIVE_TYPICAL if comparison.drawn else train,
            )


def _find_unshown(comparison: Comparison) -> Iterator[Finding]:
    """Find what the inputs cannot show: decisions that agree, or on drawn ones any use."""
    decisions = list(_find_unshown_decisions(comparison))
    yield from decisions
    if comparison.drawn and not decisions and not comparison.is_exact:
        yield Finding(
            location=Location(),
            message="what the chip does in use is not shown by drawn inputs",
            measured=f"{comparison.n_samples} drawn samples",
            limit="samples of use",
            fix=CALIBRATE,
            severity=Severity.ADVICE,
        )


def _find_unshown_decisions(comparison: Comparison) -> Iterator[Finding]:
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
                fix=CALIBRATE if comparison.drawn else _advise_samples(comparison),
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


def _advise_samples(comparison: Comparison) -> str:
    if comparison.n_samples < comparison.n_given and not comparison.held_back:  # more would take too long to compare
        return "score the bitstream on test data (`snnmap.Artifacts.run`)"
    part = ", of which a quarter is compared" if comparison.held_back else ""
    return f"give more calibration data of typical use (`--calibration`){part}"
