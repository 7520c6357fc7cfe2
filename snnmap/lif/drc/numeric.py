"""Family 5: what numbers and the chip's arithmetic forbid."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from snnmap.chip import Chip
from snnmap.core import BoolArray, FloatArray
from snnmap.core.cached import cached
from snnmap.core.diagnostics import Location, Severity
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.drc.runs import find_runs, locate_neurons, locate_slots
from snnmap.lif.program import MappedNetwork, QuantisedNetwork, find_integer_problems
from snnmap.network import Network, Population

__all__: list[str] = []

_GAIN_TOLERANCE = 0.01
_INPUT_ERROR_LIMIT = 0.25
_SMALLEST_ALPHA = 0.25
_LOST_SHARE_LIMIT = 0.01
_TRAIN_ALPHA, _CARRY = "train with alpha of 0.5 or more", "let `snnmap check --fix` give the neurons one"
_FINER = (
    "calibrate with data (`--calibration`); where that is done, train with smaller weights, or on with the chip's integers"
    " (`snnmap.train.to_chip_exact`)"
)
_LARGEST, _SMALLEST = 1e30, 1e-30


@rule("SNN501", "not-finite", Network)
def check_finite(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that weights, decays, biases and thresholds are no NaN, not infinite, and not beyond 1e30.

    Why it matters: they have no integer; a cast turns them into arbitrary numbers. Sums of such magnitudes overflow. Thresholds
    below 1e-30 are as bad, since everything is measured in thresholds.

    Bad: a weight that diverged in training.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 1, "out": 1}, weights={"in->h": [[1.0], [float("nan")]]})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 1, "out": 1}, weights={"in->h": [[1.0], [0.5]]})
        check_model(network, "xylo-audio-3")

    How to fix: find the step of training that made it.
    """
    network = subject.of
    for projection in network.projections:
        wrong = np.flatnonzero(_is_wild(projection.weights.data))
        if wrong.size:
            row, column = int(projection.weights.rows[wrong[0]]), int(projection.weights.indices[wrong[0]])
            yield Finding(
                location=Location(projection=projection.name, source=projection.source),
                message=f"{wrong.size} weights are not finite, the first at [{row}, {column}]",
                measured=Amount(projection.weights.data[wrong[0]]),
                limit=Amount(_LARGEST, ".0e"),
                fix="find where training made it (`torch.autograd.set_detect_anomaly`)",
            )
    for population in network.populations:
        yield from _wild_parameters(population)


def _wild_parameters(population: Population) -> Iterator[Finding]:
    threshold = population.threshold
    wild_threshold = ~np.isposinf(threshold) & (_is_wild(threshold) | ((threshold > 0) & (threshold < _SMALLEST)))
    fields = {"beta": population.beta, "bias": population.bias} | {f"alpha[{s}]": row for s, row in enumerate(population.alpha)}
    wild = [(name, values, _is_wild(values)) for name, values in fields.items()]
    for name, values, wrong in (*wild, ("threshold", threshold, wild_threshold)):
        for start, stop in find_runs(wrong):
            yield Finding(
                location=locate_neurons(population, start, stop),
                message=f"{name} is not finite",
                measured=Amount(values[start]),
                limit=Amount(
                    _SMALLEST if abs(values[start]) < _SMALLEST else _LARGEST,
                    ".0e",
                    words=f"{_SMALLEST:.0e}..{_LARGEST:.0e}" if name == "threshold" else "",
                ),
                fix="find where training made it (`torch.autograd.set_detect_anomaly`)",
            )


def _is_wild(values: FloatArray) -> BoolArray:
    """Say which values are NaN, infinite or too large to calculate with."""
    return ~(np.abs(values) <= _LARGEST)


@rule("SNN502", "current-vanishes", Network)
def check_current(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that synapses do not forget faster than the chip can code.

    Why it matters: the chip decays a current before the membrane sees it. With a bit shift of 0 the current is gone before it is
    used, so the shortest usable synapse keeps half of its current a step (alpha 0.5). An alpha of 0.25 or more is taken for that.

    Bad: a model without synaptic memory (alpha 0), as plain LIF layers are.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, alpha={"h": 0.0})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 2}, alpha={"h": 0.5})
        check_model(network, "xylo-audio-3")

    How to fix: train with a synapse of alpha 0.5 or more.
    """
    network = subject.of
    if not subject.chip.family.decays_after_input:
        return
    for population in network.populations:
        for synapse, row in enumerate(population.alpha):
            for start, stop in find_runs((row < _SMALLEST_ALPHA) & _find_receivers(network)[population.name, synapse]):
                yield Finding(
                    location=locate_neurons(population, start, stop),
                    message=f"the current of synapse {synapse} would be gone before it is used",
                    measured=Amount(float(row[start:stop].min())),
                    limit=Amount(_SMALLEST_ALPHA),
                    unit="of the current kept a step",
                    fix=f"{network.provenance.get('fix of synapses without memory', _TRAIN_ALPHA)}, or {_CARRY}",
                )


@rule("SNN503", "decay-not-codable", Network, Severity.WARNING)
def check_codable(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: alpha and beta against the nearest that the chip codes, on most chips 1 - 2**-dash.

    Why it matters: a rounded decay changes the neuron's time course. This, not the 8-bit weights, is what quantisation most often
    gets wrong. The build rebuilds the neuron from decays that are coded, with a second synapse where one is free and a synapse
    onto itself; that costs words, and what remains is in the report (`decays`). Output neurons keep only their gain; those read
    by spikes can repeat hidden ones (`snnmap check --fix`).

    Bad: a time constant of 16 ms at 1 ms a step (beta 0.9394), of which the nearest code is 0.9375.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, beta={"h": 0.9394})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 2}, beta={"h": 0.9375})
        check_model(network, "xylo-audio-3")

    How to fix: train with decays of 0.5, 0.75, 0.875, 0.9375, ... (`dash_syn`, `dash_mem` of the layers).
    """
    network, family, top = subject.of, subject.chip.family, subject.chip.bits.dash_max
    for population in network.populations:
        alpha = _take_codable(population.alpha, _SMALLEST_ALPHA if family.decays_after_input else 0.0)
        beta = _take_codable(population.beta, 0.0)
        codes = family.code_synapses(alpha, top), family.code_membranes(beta, top)
        rows = [
            (f"alpha[{s}]", population.alpha[s], alpha[s], coded, _find_receivers(network)[population.name, s])
            for s, coded in enumerate(family.synapse_factors(codes[0]))
        ]
        rows.append(("beta", population.beta, beta, family.membrane_factors(codes[1]), np.ones(population.size, np.bool_)))
        for name, values, codable, coded, used in rows:
            error = _gain_error(codable, coded)
            for start, stop in find_runs(used & (error > _GAIN_TOLERANCE)):
                worst = start + int(np.argmax(error[start:stop]))
                yield Finding(
                    location=locate_neurons(population, start, stop),
                    message=f"{name} is not one that {family.decay_kind} gives",
                    measured=Amount(values[worst], ".6g"),
                    limit=Amount(coded[worst], ".6g"),
                    unit="of the state kept a step",
                    fix=f"train with decays of {family.decay_formula}, or take the nearest (`snnmap check --fix --strict`)",
                )


@rule("SNN504", "weights-lost", QuantisedNetwork, Severity.WARNING)
def check_lost(subject: OnChip[QuantisedNetwork]) -> Iterator[Finding]:
    """What it checks: the weights onto each neuron that became 0 when rounded; a warning where they are more than 1% of all that
    arrives there.

    Why it matters: where weights onto one neuron span more than the chip's 8 bits, the small ones go. The smallest always do, and
    are not missed; many of them together are a lost input. All of a memory's weights are an error.

    Bad: one weight 1000 times as large as the twenty others.

        from snnmap import check_model, sketch_network

        small = [[0.003]] * 20
        network = sketch_network({"in": 1, "a": 21, "b": 1, "out": 1}, weights={"a->b": [[3.0]] + small}, threshold={"b": 3.0})
        check_model(network, "xylo-audio-3")

    Good:

        small = [[0.1]] * 20
        network = sketch_network({"in": 1, "a": 21, "b": 1, "out": 1}, weights={"a->b": [[3.0]] + small}, threshold={"b": 3.0})
        check_model(network, "xylo-audio-3")

    How to fix: regularise weights in training, or prune the small ones yourself. A BatchNorm in front of a model makes weights of
    inputs that hardly change, such as the corners of images, hundreds of times the others: set these to 0.
    """
    for error in subject.of.errors:
        everything = 0 < error.n_values == error.n_lost
        if error.lost_share > _LOST_SHARE_LIMIT or ("weights" in error.name and everything):
            yield Finding(
                location=Location(block=error.name),
                message=f"{error.n_lost} of {error.n_values} non-zero weights became 0, of one neuron more than are not missed",
                measured=Amount(error.lost_share, ".1%"),
                limit=Amount(_LOST_SHARE_LIMIT, ".0%"),
                unit="of what arrives at the neuron",
                fix="train with weights of one order of magnitude: set large ones of inputs that are always 0 to 0, or prune"
                " small ones (`torch.nn.utils.prune.l1_unstructured`)",
                severity=Severity.ERROR if everything else None,
            )


@rule("SNN505", "value-clipped", QuantisedNetwork)
def check_clipped(subject: OnChip[QuantisedNetwork]) -> Iterator[Finding]:
    """What it checks: that the integers of thresholds, biases and weights are in the range that the chip can hold.

    Why it matters: the chip would run with another value.

    Bad: a bias far above the threshold.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, bias={"h": 1e5})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 2}, bias={"h": 0.5})
        check_model(network, "xylo-audio-3")

    How to fix: keep weights and biases near the threshold in training; of biases the finding says how near, and which neurons.
    """
    quantised = subject.of
    for error in quantised.errors:
        if error.n_clipped:
            is_bias = error.name.endswith(".bias")
            place = _locate_biases(quantised, error.name) if is_bias else None
            yield Finding(
                location=replace(place or Location(), block=error.name),
                message="values do not fit the chip's words",
                measured=Amount(error.n_clipped),
                limit=Amount(0),
                unit="values",
                fix=_advise_words(subject.chip, is_bias),
            )


def _locate_biases(quantised: QuantisedNetwork, name: str) -> Location | None:
    """Return the place of the biases beyond the words, where they are of one population."""
    mapped, is_hidden = quantised.mapped, name == "hidden.bias"
    row, scale = (mapped.hidden, quantised.hidden_scale) if is_hidden else (mapped.outputs, quantised.output_scale)
    low, high = mapped.chip.bits.bias_range
    code = np.rint(row.bias * scale)
    found = [place for place, _ in locate_slots(mapped, (code < low) | (code > high), "hidden" if is_hidden else "output")]
    if len({place.population for place in found}) != 1:
        return None
    return found[0].with_ranges([run for place in found for run in place.runs])


def _advise_words(chip: Chip, is_bias: bool) -> str:
    """Say how large biases may be beside the threshold, whose smallest integer is 1, and how values are kept small."""
    near = f"biases within {chip.bits.bias_range[1]} thresholds" if is_bias else "weights nearer to the threshold"
    return f"keep {near} in training (`torch.Tensor.clamp_` after each step), or take a chip with wider words (`snnmap chips`)"


@rule("SNN506", "input-rounding-error", QuantisedNetwork, Severity.WARNING)
def check_input_error(subject: OnChip[QuantisedNetwork]) -> Iterator[Finding]:
    """What it checks: how far rounded weights are expected to move a neuron's potential; a warning beyond a quarter of the
    threshold.

    Why it matters: the neuron fires at other times than trained. The expectation is over the calibration data, or over
    sources that all fire alike.

    Bad: a hundred inputs that are each several thresholds large.

        import numpy as np

        from snnmap import check_model, sketch_network

        weights = np.random.default_rng(0).normal(0, 3, (100, 3))
        check_model(sketch_network({"in": 2, "a": 100, "b": 3, "out": 2}, weights={"a->b": weights}), "xylo-audio-3")

    Good:

        check_model(sketch_network({"in": 2, "a": 100, "b": 3, "out": 2}, weights={"a->b": 0.03 * weights}), "xylo-audio-3")

    How to fix: calibrate with data; where that is done, train with smaller weights, or on with the chip's integers.
    """
    quantised = subject.of
    table = quantised.mapped.table
    areas = (
        (quantised.hidden_input_error, table.hidden_source, table.hidden_neuron),
        (quantised.output_input_error, table.output_source, table.output_neuron),
    )
    for errors, sources, neurons in areas:
        wrong = np.flatnonzero(errors > _INPUT_ERROR_LIMIT)
        for source in np.unique(sources[wrong]).tolist():
            chosen = wrong[sources[wrong] == source]
            name = table.sources[source]
            span = (int(neurons[chosen].min()), int(neurons[chosen].max()) + 1)
            yield Finding(
                location=Location(population=name, neurons=span, source=quantised.mapped.modules.get(name, "")),
                message=f"the potential of {chosen.size} neurons is far off after rounding weights",
                measured=Amount(errors[chosen].max(), ".1%"),
                limit=Amount(_INPUT_ERROR_LIMIT, ".1%"),
                unit="of the threshold",
                fix=_FINER,
            )


@rule("SNN507", "not-the-chips-integer", MappedNetwork)
def check_integers(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: that a network that was trained in the chip's integers consists of integers that the chip holds.

    Why it matters: such a network is written as it is, without rounding; that is what makes it exact. All weights of a memory
    share one weight shift.

    Bad: a threshold that is no integer.

        from dataclasses import replace

        from snnmap import check_model, sketch_network

        network = sketch_network(
            {"in": 2, "h": 3, "out": 2},
            weights={"in->h": 60, "h->out": [[30, 20], [20, 30], [10, 30]]},
            threshold={"h": 99.5, "out": 90},
        )
        check_model(replace(network, integers=True), "xylo-audio-3")

    Good:

        network = sketch_network(
            {"in": 2, "h": 3, "out": 2},
            weights={"in->h": 60, "h->out": [[30, 20], [20, 30], [10, 30]]},
            threshold={"h": 99, "out": 90},
        )
        check_model(replace(network, integers=True), "xylo-audio-3")

    How to fix: train all layers of a memory with one shift, and with the chip's own widths.
    """
    if subject.of.integers:
        for place, measured, limit in find_integer_problems(subject.of):
            yield Finding(
                location=Location(block=place),
                message="this is not an integer that the chip holds",
                measured=measured,
                limit=limit,
                fix="train the layers of a memory with one shift and the chip's widths (`snnmap.train.to_chip_exact`)",
            )


def _take_codable(values: FloatArray, smallest: float) -> FloatArray:
    """Return decays, a half where one is out of range, of which other rules tell."""
    return np.where((values >= smallest) & (values <= 1), values, 0.5)


@cached
def _find_receivers(network: Network) -> Mapping[tuple[str, int], BoolArray]:
    """Say which neurons have weights onto a synapse, ``(size,) bool`` by population and synapse."""
    found = {(p.name, synapse): np.zeros(p.size, np.bool_) for p in network.populations for synapse in range(p.n_synapses)}
    for projection in network.projections:
        used = found.get((projection.post, projection.synapse))
        if used is not None and projection.weights.shape[1] == used.size:
            used[projection.weights.indices] = True
    return found


def _gain_error(trained: FloatArray, coded: FloatArray) -> FloatArray:
    """Return the relative difference of ``1 / (1 - decay)``; 1 for a state that never decays, which no shift gives."""
    lost, lost_coded = 1.0 - trained, 1.0 - coded
    return np.abs(lost_coded - lost) / np.maximum(lost_coded, _SMALLEST)
