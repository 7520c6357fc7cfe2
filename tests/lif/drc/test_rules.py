"""Each rule fires on its case, says what its golden file says, and is silent at its limit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agreement_cases import AGREEMENT_CASES
from golden import require_golden
from random_networks import random_network
from rule_cases import (
    CASES,
    CLEAN,
    GENERIC,
    XYLO,
    Case,
    chain,
    check,
    check_aliases,
    draw,
    edit,
    extend,
    limit,
    make_population,
    make_projection,
    residual,
    set_first,
    with_constants,
    with_weights,
)

from snnmap.chip import Chip, load_chip
from snnmap.core import Report
from snnmap.core.diagnostics import Diagnostic
from snnmap.core.errors import InputError
from snnmap.lif.drc import RULES, explain_rule, format_rules
from snnmap.network import InputPort, Network, OutputPort, SpikeSum
from snnmap.pipeline import compile_model

MESSAGES = Path(__file__).parent / "messages"
NO_BIAS = limit(XYLO, "hidden", bias=False)
FED_BACK = CASES["SNN109"][0][0]
NARROW = replace(XYLO, bits=replace(XYLO.bits, state=8, threshold=8, bias=8))


def add_sum(*terms: str) -> Network:
    return extend(sums=(SpikeSum(name="sum", terms=terms, source="model.add"),))


def set_parameter(name: str, value: float, *, population: str = "h1") -> Network:
    """Set one parameter of one neuron, the second."""
    values = getattr(CLEAN.population(population), name).copy()
    values[..., 1] = value
    return edit("populations", population, **{name: values})


def set_count(value: int) -> Network:
    return edit("populations", "h1", max_count=np.full(5, value))


def one_spike(network: Network) -> Network:
    """Let no neuron send more than one spike a step."""
    return replace(network, populations=tuple(replace(p, max_count=np.ones(p.size, int)) for p in network.populations))


# further ways to break a rule that has more than one thing to say; all are in its golden file, behind the case
VARIANTS: dict[str, tuple[Case, ...]] = {
    "SNN101": (
        (edit("projections", "h1->h2", pre="h9"), XYLO),
        (edit("outputs", "port", populations=("out", "h9")), XYLO),
        (add_sum("h1", "h9"), XYLO),
    ),
    "SNN102": (
        (edit("projections", "h1->h2", delay_steps=-1), XYLO),
        (edit("projections", "h1->h2", synapse=1), XYLO),
        (add_sum("h1", "h2"), XYLO),
    ),
    "SNN104": ((add_sum(), XYLO),),
    "SNN108": (
        (
            extend(
                make_projection("sum", "out", np.ones((5, 2))),
                network=chain(5, 5, 4, 2),
                sums=(SpikeSum(name="sum", terms=("h1", "in")),),
            ),
            XYLO,
        ),
    ),
    "SNN109": tuple((edit("populations", "out", FED_BACK, max_count=np.array(most)), XYLO) for most in ([31, 31], [31, 1])),
    "SNN110": (
        (extend(inputs=()), XYLO),
        (extend(inputs=(*CLEAN.inputs, InputPort(name="none", size=0))), XYLO),
        (extend(populations=(*CLEAN.populations, make_population("none", 0))), XYLO),
        (extend(outputs=(*CLEAN.outputs, OutputPort(name="none", populations=()))), XYLO),
    ),
    "SNN204": (
        (CLEAN, limit(GENERIC, "input_weights", max_fan_in=2)),
        (CLEAN, limit(GENERIC, "output_weights", max_fan_in=3)),
    ),
    "SNN205": ((CLEAN, limit(XYLO, "output_weights", max_fan_out=1)),),
    "SNN206": (
        (CLEAN, limit(GENERIC, "input_weights", max_words=14)),
        (CLEAN, limit(GENERIC, "output_weights", max_words=7)),
    ),
    "SNN207": ((edit("populations", "out", alpha=np.full((2, 2), 0.5)), XYLO),),
    "SNN210": ((edit("populations", "out", bias=np.array([0.0, -0.25])), limit(XYLO, "outputs", bias=False)),),
    "SNN302": (
        (extend(make_projection("in", "h2", draw(3, 4)), network=one_spike(CLEAN)), load_chip("generic-4096-single")),
        (with_constants(), load_chip("generic-4096-single")),
    ),
    "SNN401": ((set_parameter("threshold", np.inf), XYLO),),
    "SNN402": ((set_parameter("alpha", -0.5), XYLO),),
    "SNN403": ((CLEAN, load_chip("generic-1024-factor")),),
    "SNN404": ((set_parameter("max_count", 1), XYLO), (set_parameter("max_count", -1), XYLO)),
    "SNN501": (
        (with_weights("h1->h2", lambda weights: np.where(weights > 0.3, np.inf, weights)), XYLO),
        (set_parameter("alpha", np.nan), XYLO),
        (set_parameter("beta", np.nan), XYLO),
        (set_parameter("bias", -np.inf), XYLO),
        (set_parameter("threshold", 1e-31), XYLO),
    ),
    "SNN503": ((set_parameter("alpha", 0.6), XYLO), (set_parameter("beta", 1.0), XYLO)),
    "SNN504": ((with_weights("h1->h2", lambda weights: 1e-9 * weights), XYLO),),
}


def find_all(report: Report, rule: str) -> list[str]:
    return [str(diagnostic) for diagnostic in report.diagnostics if diagnostic.rule == rule]


def find(network: Network, rule: str, chip: Chip = XYLO) -> list[Diagnostic]:
    return [diagnostic for diagnostic in check((network, chip)).diagnostics if diagnostic.rule == rule]


def skip_around_one(size: int) -> Network:
    """One neuron, one neuron, then many that the first also reaches, through a relay."""
    return extend(make_projection("h1", "h3", draw(1, size)), network=chain(1, 1, 1, size, 2))


def one_to_one() -> Network:
    """A residual block in which each neuron has one input."""
    return with_weights("h1->h2", lambda weights: np.eye(*weights.shape), residual())


def require_silence(report: Report, rule: str) -> None:
    """Check that a rule looked, without crashing, and had nothing to say, and that nothing else stops the build."""
    assert rule in report.rules_run
    assert find_all(report, rule) == []
    assert report.errors == ()


def test_every_rule_has_a_case() -> None:
    assert set(CASES) | {"SNN211", "SNN213"} | set(AGREEMENT_CASES) == set(RULES)
    assert set(VARIANTS) <= set(CASES)


def test_the_clean_network_is_clean() -> None:
    for chip in (XYLO, GENERIC):
        assert [(d.severity, d.rule) for d in check((CLEAN, chip)).diagnostics] == [("advice", "SNN607")]  # inputs are drawn


@pytest.mark.parametrize("rule", CASES)
def test_rule_fires_with_its_message(rule: str) -> None:
    found = [find_all(check(case), rule) for case in (CASES[rule][0], *VARIANTS.get(rule, ()))]
    assert all(found)
    require_golden(MESSAGES / f"{rule}.txt", "".join(text + "\n" for texts in found for text in texts))


@pytest.mark.parametrize("rule", CASES)
def test_rule_is_silent_at_its_limit(rule: str) -> None:
    require_silence(check(CASES[rule][1]), rule)


def test_alias_on_a_chip_without() -> None:
    found = find_all(check_aliases(GENERIC), "SNN211")
    require_golden(MESSAGES / "SNN211.txt", "\n".join(found) + "\n")
    require_silence(check_aliases(XYLO), "SNN211")


def test_aliases_that_conflict() -> None:
    """Of no neuron, of the neuron itself, of two neurons."""
    found = [find_all(check_aliases(XYLO, alias), "SNN213") for alias in ({0: 9}, {0: -2}, {3: 3}, {0: 5, 2: 5, 4: 1})]
    assert all(found)
    require_golden(MESSAGES / "SNN213.txt", "".join(text + "\n" for texts in found for text in texts))
    require_silence(check_aliases(XYLO, {0: 8, 1: 0}), "SNN213")
    assert find_all(check_aliases(GENERIC, {0: 5, 2: 5}), "SNN213") == []


@pytest.mark.parametrize("port", ["port", "second"])
def test_an_infinite_threshold_is_a_readout(port: str) -> None:
    """The exception of SNN401: the potential is read, by this port or by another one."""
    outputs = (OutputPort(name="port", populations=("out",)), OutputPort(name="second", populations=("out",)))
    network = edit("populations", "out", threshold=np.full(2, np.inf), network=extend(outputs=outputs))
    assert find_all(check((network, XYLO)), "SNN401")
    require_silence(check((edit("outputs", port, network, readout="potential"), XYLO)), "SNN401")


def test_relays_count_as_neurons_and_as_targets() -> None:
    """A residual block of 5 + 5 needs 5 relays; each is one more target of the neuron that it repeats."""
    assert find_all(check((residual(), limit(XYLO, "recurrent_weights", max_fan_out=5))), "SNN205")
    require_silence(check((residual(), limit(XYLO, "recurrent_weights", max_fan_out=6))), "SNN205")


@pytest.mark.parametrize(
    ("rule", "network", "chip"),
    [
        ("SNN204", one_to_one(), limit(GENERIC, "recurrent_weights", max_fan_in=1)),
        ("SNN205", skip_around_one(64), load_chip("xylo-audio-2")),
        ("SNN206", residual(), limit(XYLO, "recurrent_weights", max_words=34)),
    ],
)
def test_a_relays_own_synapse_is_counted(rule: str, network: Network, chip: Chip) -> None:
    assert find(network, rule, chip)


def test_relays_of_neurons_and_of_inputs_that_send_as_few_are_no_matter() -> None:
    single = load_chip("generic-4096-single")
    require_silence(check((one_spike(residual()), single)), "SNN302")
    waits = extend(make_projection("in", "h2", draw(3, 4)), network=one_spike(CLEAN))
    require_silence(check((waits, limit(single, "inputs", max_count=1))), "SNN302")


def test_words_of_relays_fit_exactly() -> None:
    """25 weights, 5 onto relays, 5 of relays onto themselves."""
    chip = limit(XYLO, "recurrent_weights", max_words=35)
    assert compile_model(residual(), chip).quantised.program.recurrent_weights[0].nnz == 35


def test_relays_are_built_at_a_weight_shift_that_has_a_cell() -> None:
    """Where states are narrow, the chip has a relay cell for weight shift 0 only; the weights alone would take another."""
    network = with_weights("h1->h2", lambda weights: 20 * weights, residual())
    assert compile_model(network, NARROW).quantised.program.recurrent_shift == 0


def test_relays_are_built_at_a_weight_shift_whose_threshold_is_a_word() -> None:
    chip = limit(XYLO, "bits", threshold=4)
    network = with_weights("h1->h2", lambda weights: 300 * weights, residual())
    assert compile_model(network, chip).quantised.program.recurrent_shift == 2
    assert find_all(check((network, limit(XYLO, "bits", threshold=3))), "SNN505")


def test_biases_within_the_thresholds_that_are_told_fit_and_those_beyond_are_named() -> None:
    (found,) = find(edit("populations", "h1", bias=np.array([0.0, 40_000.0, 0.0, 50_000.0, 1.0])), "SNN505")
    assert str(found.location).startswith("population 'h1' block 'hidden.bias' neurons 1, 3")
    most = int(found.fix.split("within ")[1].split(" ")[0])
    threshold = CLEAN.population("h1").threshold
    assert not find(edit("populations", "h1", bias=most * threshold), "SNN505")
    assert find(edit("populations", "h1", bias=(most + 1) * threshold), "SNN505")


def test_a_negative_spike_count_is_an_error() -> None:
    assert not check((edit("populations", "h1", max_count=np.full(5, -1)), XYLO)).is_clean


def test_a_loop_without_weights_is_no_loop() -> None:
    assert find(extend(make_projection("h2", "h1", np.zeros((4, 5)), delay_steps=1)), "SNN301") == []


def test_a_loop_within_a_step_is_told_in_its_order() -> None:
    edges = [("in", "h1", 3), ("h1", "h3", 5), ("h3", "h2", 5), ("h2", "h1", 5)]
    projections = tuple(make_projection(pre, post, draw(size, 5)) for pre, post, size in edges)
    network = replace(chain(3, 5, 5, 5, 2), projections=(*projections, make_projection("h2", "out", draw(5, 2))))
    (loop,) = find(network, "SNN103")
    assert "h1 -> h3 -> h2 -> h1" in loop.message


def test_spike_counts_above_and_below_are_told_apart() -> None:
    found = find(edit("populations", "h1", max_count=np.array([40, 40, 5, 5, 31])), "SNN404")
    assert [diagnostic.location.neurons for diagnostic in found] == [(0, 2), (2, 4)]


def test_scattered_biases_are_one_finding_with_its_runs_and_the_worst() -> None:
    (found,) = find(edit("populations", "h1", bias=np.array([0.5, 0, 0, 0, -0.75])), "SNN210", NO_BIAS)
    assert (found.location.runs, found.location.n_neurons) == (((0, 1), (4, 5)), 2)
    assert (found.measured, found.measured_value, found.limit_value) == ("0.75", 0.75, 0)


def test_scattered_unreachable_neurons_are_one_finding_with_their_number() -> None:
    def without(weights: np.ndarray) -> np.ndarray:
        return np.where(np.arange(weights.shape[1]) % 3 == 0, 0.0, weights)

    found = find(with_weights("in->h1", without, chain(3, 50, 4, 2)), "SNN105")
    assert [str(diagnostic).splitlines()[:2] for diagnostic in found] == [
        [
            "warning SNN105 [unreachable-neuron] population 'h1' neurons 0, 3, 6, 9, 12, 15 and 11 more (module model.h1): "
            "no input or bias leads to these neurons",
            "    measured 17 neurons, limit 0 neurons",
        ]
    ]


@pytest.mark.parametrize(
    "rule", sorted(set(CASES) - {"SNN101", "SNN102", "SNN104", "SNN108", "SNN109", "SNN212", "SNN403", "SNN507"})
)
def test_what_is_measured_and_its_limit_are_numbers(rule: str) -> None:
    """Of all rules but those about names, shapes and kinds."""
    for diagnostic in find(*CASES[rule][0][:1], rule, CASES[rule][0][1]):
        assert diagnostic.measured == "nan" or isinstance(diagnostic.measured_value, int | float)
        if diagnostic.limit != "finite":
            assert isinstance(diagnostic.limit_value, int | float)
            assert diagnostic.measured_value != diagnostic.limit_value


def test_a_population_of_nan_biases_crashes_no_rule() -> None:
    assert find(edit("populations", "h1", bias=np.full(5, np.nan)), "SNN001", NO_BIAS) == []


def test_both_synapses_are_told() -> None:
    assert len(find(edit("populations", "h1", alpha=np.full((2, 5), 2.0)), "SNN402")) == 2


def test_a_decay_just_above_1_is_measured_as_such() -> None:
    (found,) = find(edit("populations", "h1", beta=np.full(5, 1 + 1e-9)), "SNN402")
    assert float(found.measured) > 1


def test_the_limit_of_a_vanishing_current_is_where_the_rule_fires() -> None:
    (found,) = find(edit("populations", "h1", alpha=np.full((1, 5), 0.2)), "SNN502")
    below = np.full((1, 5), float(found.limit) - 0.01)
    assert find(edit("populations", "h1", alpha=below), "SNN502")


def test_scattered_thresholds_that_are_never_reached_are_one_finding() -> None:
    (found,) = find(edit("populations", "h1", threshold=np.array([np.inf, 1, 1, np.inf, 1])), "SNN401")
    assert (found.location.runs, found.limit, found.limit_value) == (((0, 1), (3, 4)), "finite", None)


def test_a_current_that_decays_before_its_input_comes_does_not_vanish() -> None:
    assert find(edit("populations", "h1", alpha=np.zeros((1, 5))), "SNN502", load_chip("generic-1024-factor")) == []


def test_any_positive_bias_wakes_a_neuron() -> None:
    network = with_weights("in->h1", lambda weights: np.where(np.arange(5) == 1, 0.0, weights))
    assert find(network, "SNN105")
    biased = edit("populations", "h1", network, bias=np.full(5, 0.01))
    assert find(biased, "SNN105") == []
    assert find(network, "SNN106")
    assert find(biased, "SNN106") == []


def test_neurons_that_send_nothing_are_no_error() -> None:
    (found,) = find(set_count(0), "SNN404")
    assert (found.severity, found.measured_value) == ("warning", 0)


def test_parts_of_one_are_not_empty() -> None:
    assert find(chain(1, 1, 1, 1), "SNN110") == []


@pytest.mark.parametrize(("value", "told"), [(1e30, 0), (1.01e30, 1), (-1e30, 0), (-np.inf, 1)])
def test_the_largest_weight_is_no_wild_one(value: float, told: int) -> None:
    assert len(find(with_weights("h1->h2", set_first(value)), "SNN501")) == told


def test_the_article_fits() -> None:
    network = extend(outputs=(replace(CLEAN.outputs[0], populations=("h1", "h2", "out")),))
    assert [diagnostic.fix for diagnostic in find(network, "SNN110")] == [
        "add a hidden population (a layer of neurons before the last; `snnmap.Population.create`)"
    ]


def test_relays_are_told_with_the_users_module() -> None:
    reach = replace(XYLO, outputs=replace(XYLO.outputs, reach=replace(XYLO.outputs.reach, count=8)))
    places = [diagnostic.location for diagnostic in find(residual(), "SNN209", reach)]
    assert [(place.population, place.source) for place in places] == [("h1 (relay 1)", "model.h1")]


def test_a_port_is_told_as_a_port() -> None:
    (found,) = find(CLEAN, "SNN205", limit(XYLO, "input_weights", max_fan_out=4))
    assert (found.location.port, found.location.population) == ("in", "")


def test_a_chip_with_a_single_decay_can_be_checked() -> None:
    """And what that does to the neurons is told."""
    report = check((edit("populations", "h1", beta=np.full(5, 0.94)), limit(XYLO, "bits", decay=1)))
    assert {diagnostic.rule for diagnostic in report.errors} <= {"SNN601"}


def test_unknown_rule() -> None:
    with pytest.raises(InputError, match="SNN101"):
        explain_rule("SNN999")


def test_the_rule_table_is_up_to_date() -> None:
    require_golden(Path(__file__).parents[3] / "snnmap" / "lif" / "drc" / "RULES.md", format_rules())


def test_messages_belong_to_rules() -> None:
    assert {path.stem for path in MESSAGES.glob("*.txt")} == set(RULES)


def test_a_warning_about_decays_does_not_become_an_error_about_fan_out() -> None:
    chip = limit(XYLO, "recurrent_weights", max_fan_out=4)
    network = edit("populations", "h1", beta=np.full(5, 0.94))
    assert check((CLEAN, chip)).is_clean
    assert check((network, chip)).is_clean


def test_a_network_without_biases_is_not_refused_for_its_biases() -> None:
    assert find(random_network(1, biases=False), "SNN505", limit(XYLO, "bits", bias=2)) == []
