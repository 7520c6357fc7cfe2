"""What each fix does to a network that it is made for, and what keeps one from being applied."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rule_cases import (
    CASES,
    CLEAN,
    GENERIC,
    XYLO,
    chain,
    check,
    draw,
    edit,
    extend,
    limit,
    make_projection,
    residual,
    with_constants,
    with_weights,
)

from snnmap.chip import Chip, load_chip
from snnmap.core.errors import InputError
from snnmap.lif.drc import RULES, check_network
from snnmap.lif.drc.engine import Finding
from snnmap.lif.fixes import FIXES, Change, Fixed, FixOptions, fix_network
from snnmap.lif.fixes.engine import _find_harm
from snnmap.lif.fixes.fix import Case, Fix
from snnmap.lif.fixes.trial import read_trial
from snnmap.network import InputPort, Network, SpikeSum, draw_inputs, simulate_network, sketch_network
from snnmap.pipeline import check_model, compile_model, fix_model

MESSAGES = Path(__file__).parents[1] / "drc" / "messages"
STRICT = FixOptions(strict=True)
OFFERED = [rule for rule in CASES if "`snnmap check --fix" in (MESSAGES / f"{rule}.txt").read_text()]
OTHERS = {"SNN109", "SNN302"}
"""Their first cases have no fix: one spike a step is sent, of which no clone is hidden; the chip has no relays."""
FIXABLE = [rule for rule in OFFERED if rule not in OTHERS]


def fix(rule: str, options: FixOptions = STRICT) -> Fixed:
    network, chip = CASES[rule][0]
    return fix_network(network, chip, options=options)


def names(fixed: Fixed) -> list[str]:
    return [step.name for step in fixed.applied]


def require_same_outputs(before: Network, after: Network) -> None:
    rasters = draw_inputs(before.inputs, max_count=4, seed=7)
    wanted, found = (simulate_network(network, rasters).counts for network in (before, after))
    assert all(np.array_equal(wanted[name], found[name]) for name in before.output_populations)


@pytest.mark.parametrize("rule", FIXABLE)
def test_what_a_finding_says_that_fix_does_it_does(rule: str) -> None:
    fixed = fix(rule)
    assert fixed.applied
    assert rule not in {found.rule for found in fixed.report.diagnostics}
    assert fixed.report.errors == ()
    assert check_model(fixed.network, CASES[rule][0][1]).report.is_clean
    if all(step.exact for step in fixed.applied):
        require_same_outputs(CASES[rule][0][0], fixed.network)


def test_every_fix_answers_a_rule_that_says_so_and_is_documented() -> None:
    assert {rule for found in FIXES.values() for rule in found.answers} == {*FIXABLE, *OTHERS}
    assert all(len(found.text.split("\n\n")) == 2 for found in FIXES.values())


@pytest.mark.parametrize("rule", FIXABLE)
def test_with_exact_fixes_only_no_count_changes(rule: str) -> None:
    fixed = fix(rule, FixOptions(strict=True, exact_only=True))
    assert all(step.exact and step.difference.n_differing == 0 for step in fixed.applied)
    require_same_outputs(CASES[rule][0][0], fixed.network)


def test_warnings_are_mended_by_exact_fixes_unless_strict() -> None:
    assert names(fix("SNN503", FixOptions())) == []
    assert names(fix("SNN503")) == ["code-decays"]
    assert names(fix("SNN106", FixOptions())) == ["drop-neurons"]


def test_a_clean_network_stays_as_it_is() -> None:
    fixed = fix_network(CLEAN, XYLO)
    assert (fixed.network, fixed.applied, fixed.refused) == (CLEAN, (), ())


@pytest.mark.parametrize("rule", ["SNN101", "SNN103", "SNN401", "SNN402", "SNN501"])
def test_a_network_without_a_meaning_stays_as_it_is(rule: str) -> None:
    network, chip = CASES[rule][0]
    fixed = fix_network(network, chip)
    assert (fixed.network is network, fixed.applied) == (True, ())


def test_neurons_of_a_sum_are_dropped() -> None:
    network = residual()
    silenced = with_weights("h1->h2", lambda weights: np.where(np.arange(5) == 2, -weights, weights), network)
    fixed = fix_network(silenced, XYLO)
    assert names(fixed) == ["drop-neurons"]
    assert fixed.network.population("h2").size == 4
    require_same_outputs(silenced, fixed.network)


def test_a_dead_output_stays() -> None:
    dead = with_weights("h2->out", lambda weights: np.where(np.arange(2) == 1, -weights, weights))
    fixed = fix_network(dead, XYLO)
    assert fixed.network == dead
    assert "snnmap check --fix" not in next(found.fix for found in fixed.report.diagnostics if found.rule == "SNN106")


def test_the_last_hidden_population_stays() -> None:
    """A fix that breaks another rule is taken back, and that is told."""
    still = with_weights("in->h1", lambda weights: -weights)
    fixed = fix_network(still, XYLO)
    assert [part.name for part in fixed.network.populations] == ["h2", "out"]
    assert [step.refused.partition(" (")[0] for step in fixed.refused] == ["it breaks SNN110"]


def test_neurons_take_the_chips_reset_and_its_counts() -> None:
    """And what that changes is counted: nothing where no neuron ever sent more than the limit."""
    free = edit("populations", "h1", max_count=65536)
    fixed = fix_network(free, XYLO, calibration=draw_inputs(free.inputs, max_count=1, seed=0))
    assert names(fixed) == ["chip-counts"]
    assert fixed.network.population("h1").max_count.tolist() == [XYLO.hidden.max_count] * 5
    assert fixed.applied[0].difference.n_differing == 0
    forgetful = edit("populations", "h1", reset="value", v_reset=np.full(5, 0.25))
    fixed = fix_network(forgetful, XYLO)
    assert names(fixed) == ["chip-reset"]
    assert fixed.network == edit("populations", "h1", v_reset=np.zeros(5))
    assert fixed.applied[0].difference.n_differing > 0
    other = fix_network(CLEAN, load_chip("generic-1024-factor"), options=FixOptions(fix_only=("chip-reset",)))
    assert {part.reset for part in other.network.populations} == {"value"}


def narrow_outputs(n: int) -> Chip:
    return limit(GENERIC, "output_weights", max_fan_in=n)


def test_kept_weights_are_those_that_contribute_most() -> None:
    """Outputs have one synapse, so that weights must go; one input of ten times the weight but of a silent source is no loss."""
    quiet = with_weights("in->h1", lambda weights: np.where(np.arange(5) == 4, 1e-6, weights), chain(3, 5, 2))
    loud = with_weights("h1->out", lambda weights: np.where(np.arange(5)[:, np.newaxis] == 4, 10.0, weights), quiet)
    fixed = fix_network(loud, narrow_outputs(4), options=FixOptions(fix_only=("prune",)))
    (out,) = [part for part in fixed.network.projections if part.post == "out"]
    assert sorted(set(out.weights.rows.tolist())) == [0, 1, 2, 3]
    assert fixed.applied[0].difference.n_differing == 0


def test_the_refit_makes_up_for_what_is_dropped() -> None:
    """Two sources that fire alike: the kept one takes the other's weight, and no output changes."""
    twins = with_weights("in->h1", lambda weights: np.where(np.arange(5) == 1, weights[:, :1], weights), chain(3, 5, 2))
    alone = np.where(np.isin(np.arange(5), (0, 1))[:, np.newaxis], 0.3, 0.0) * np.ones((5, 2))
    fixed = fix_network(
        with_weights("h1->out", lambda _: alone, twins), narrow_outputs(1), options=FixOptions(fix_only=("prune",))
    )
    (out,) = [part for part in fixed.network.projections if part.post == "out"]
    np.testing.assert_allclose(out.weights.data, 0.6, rtol=0.01)
    assert "refitted" in fixed.applied[0].done


def test_as_many_weights_are_pruned_as_the_finding_says() -> None:
    for chip in (narrow_outputs(3), limit(GENERIC, "output_weights", max_words=6), limit(XYLO, "input_weights", max_fan_out=4)):
        (found,) = check_model(CLEAN, chip).report.errors
        fixed = fix_network(CLEAN, chip, options=FixOptions(fix_only=("prune",)))
        n_before, n_after = (sum(part.weights.nnz for part in network.projections) for network in (CLEAN, fixed.network))
        assert found.least is not None
        assert n_before - n_after == found.least.n


def test_more_than_two_synapses_hold_is_moved_as_far_as_it_goes_and_pruned() -> None:
    fixed = fix_network(CLEAN, limit(GENERIC, "recurrent_weights", max_fan_in=2))
    assert names(fixed) == ["second-synapse", "prune"]
    lengths = [part.weights.column_lengths for part in fixed.network.projections if part.post == "h2"]
    assert np.array_equal(lengths, [[2] * 4, [2] * 4])


@pytest.mark.parametrize("max_words", [4, 8, 12])
def test_weights_move_only_to_words_that_are_left(max_words: int) -> None:
    chip = limit(GENERIC, "recurrent_weights", max_words=max_words)
    fixed = fix_network(CLEAN, chip, options=FixOptions(fix_only=("second-synapse",)))
    assert names(fixed) == ["second-synapse"]
    moved = [part.weights.nnz for part in fixed.network.projections if part.post == "h2" and part.synapse == 1]
    assert sum(moved) <= max_words
    assert fix_network(fixed.network, chip, options=FixOptions(fix_only=("second-synapse",))).applied == ()


def test_clones_share_the_targets_of_several_populations() -> None:
    chip = limit(XYLO, "recurrent_weights", max_fan_out=4)
    network = chain(3, 4, 4, 4, 4, 2)
    wider = extend(make_projection("h1", "h3", draw(4, 4), delay_steps=2), network=network)
    fixed = fix_network(wider, chip)
    assert set(names(fixed)) == {"clone"}
    assert fixed.report.errors == ()
    require_same_outputs(wider, fixed.network)


def test_clones_without_end_are_not_begun() -> None:
    recurrent = extend(make_projection("h1", "h1", 0.1 * draw(5, 5), delay_steps=1))
    fixed = fix_network(recurrent, limit(XYLO, "recurrent_weights", max_fan_out=4))
    assert names(fixed) == ["prune"]
    assert fixed.report.errors == ()


def test_an_output_that_feeds_back_is_cloned_where_hidden_neurons_send_as_many_spikes() -> None:
    back = extend(make_projection("out", "h1", 0.1 * draw(2, 5), delay_steps=3))
    assert names(fix_network(back, XYLO)) == []
    single = replace(back, populations=tuple(replace(part, max_count=np.ones(part.size, int)) for part in back.populations))
    chip = load_chip("generic-4096-single")
    (found,) = check_network(single, chip).errors
    assert "`snnmap check --fix`" in found.fix
    fixed = fix_network(single, chip)
    assert names(fixed) == ["clone-outputs"]
    assert fixed.report.errors == ()
    require_same_outputs(single, fixed.network)


def test_outputs_whose_decays_are_not_coded_repeat_hidden_neurons() -> None:
    """Those that feed back as well; of those without a synaptic memory `carry-instant` does both."""
    chip = load_chip("generic-4096-single")
    back = extend(make_projection("out", "out", -0.3 * np.eye(2), delay_steps=2))
    for alpha, fix_name in ((0.5, "repeat-outputs"), (0.0, "carry-instant")):
        changed = {"out": {"beta": np.full(2, 0.8), "alpha": np.full((1, 2), alpha)}}
        single = replace(
            back,
            populations=tuple(
                replace(part, max_count=np.ones(part.size, int), **changed.get(part.name, {})) for part in back.populations
            ),
        )
        fixed = fix_network(single, chip)
        assert names(fixed) == [fix_name]
        assert fixed.report.errors == ()
        assert {part.name for part in fixed.network.populations} == {"h1", "h2", "out", "out hidden"}
        assert {part.pre for part in fixed.network.projections if part.post == "out"} == {"out hidden"}
        require_same_outputs(single, fixed.network)
    (port,) = single.outputs
    read = replace(single, outputs=(replace(port, readout="potential"),), projections=CLEAN.projections)
    assert "repeat-outputs" not in names(fix_network(read, chip))


def test_outputs_that_feed_back_are_cloned_before_their_synapses_get_a_memory() -> None:
    """As snnTorch's late reset does: each of the two exact fixes alone breaks the rule that the other one mends."""
    back = extend(make_projection("out", "out", -0.3 * np.eye(2), delay_steps=1))
    plain = replace(
        back,
        populations=tuple(
            replace(part, max_count=np.ones(part.size, int), alpha=np.zeros_like(part.alpha)) for part in back.populations
        ),
    )
    fixed = fix_network(plain, edit_inputs(load_chip("generic-4096-single")))
    assert names(fixed) == ["carry-instant"]
    assert {found.rule for found in fixed.report.errors} == set()
    require_same_outputs(plain, fixed.network)


def test_inputs_that_send_more_than_a_relay_repeats_are_smoothed_and_others_carried() -> None:
    """What waits in no relay needs none; what does wait may, as long as the calibration data hold no more than relays repeat."""
    one = {"h": 1, "out": 1}
    plain = sketch_network({"in": 3, "h": 8, "out": 2}, alpha={"h": 0.0, "out": 0.0}, max_count=one)
    for most, fix_name, severities in ((1, "carry-instant", ["warning"]), (5, "smooth-inputs", [])):
        raster = np.random.default_rng(0).integers(0, most + 1, (20, 30, 3))
        fixed = fix_model(plain, "generic-4096-single", calibration=raster)
        assert [step.name for step in fixed.applied] == [fix_name]
        told = [found.severity.value for found in fixed.checked.report.diagnostics if found.rule == "SNN302"]
        assert told == severities
    assert fixed.applied[0].difference.n_differing > 0
    behind = sketch_network({"in": 3, "h": 8, "out": 2}, alpha={"out": 0.0}, max_count=one)
    fixed = fix_model(behind, "generic-4096-single", calibration=raster)
    assert [step.name for step in fixed.applied] == ["carry-instant"]


def test_inputs_do_not_wait_for_constants_that_come_a_step_late() -> None:
    """Those of other populations, which no input reaches, keep their time."""
    fixed = fix_model(with_constants(), "generic-4096-single")
    (step,) = fixed.applied
    assert step.done == "constants come a step late: 'one'"
    assert 0.0 < step.difference.n_differing < 0.2 * step.difference.n_active
    assert not fixed.checked.report.errors
    assert compile_model(fixed.network, "generic-4096-single").mapped.n_relays == 0


def read_potentials(network: Network) -> Network:
    """Let outputs be read by their potentials, which no spike resets."""
    (port,) = network.outputs
    output = replace(network.population("out"), threshold=np.full(4, np.inf))
    return replace(network, populations=(output,), outputs=(replace(port, readout="potential"),))


ALONE = sketch_network({"in": 12, "out": 4}, weights={"in->out": draw(12, 4)}, max_count={"out": 1})


INSTANT = edit("populations", "out", alpha=np.zeros((1, 4)), network=ALONE)


@pytest.mark.parametrize(
    ("network", "chip", "fix_names", "neurons"),
    [
        (ALONE, "generic-4096-single", ["repeat-outputs"], {"out hidden": 4, "out": 4}),
        (INSTANT, "generic-4096-single", ["carry-instant"], {"out hidden": 4, "out": 4}),
        (ALONE, "generic-4096", ["repeat-inputs"], {"in repeat": 12, "out": 4}),
        (read_potentials(ALONE), "generic-4096-single", ["clip-inputs"], {"in repeat": 12, "out": 4}),
        (read_potentials(ALONE), "generic-1024-factor", ["clip-inputs"], {"in repeat": 12, "out": 4}),
    ],
)  # fmt: skip
def test_a_single_layer_reaches_a_chip(network: Network, chip: str, fix_names: list[str], neurons: dict[str, int]) -> None:
    """By hidden neurons that do what outputs would, or that repeat inputs, whichever are fewer and exact; one spike a step."""
    raster = np.random.default_rng(0).integers(0, 2, (20, 30, 12))
    fixed = fix_model(network, chip, calibration=raster)
    assert [step.name for step in fixed.applied] == fix_names
    assert all(step.difference.n_differing == 0 for step in fixed.applied)
    assert {part.name: part.size for part in fixed.network.populations} == neurons
    wanted, found = (simulate_network(one, raster, states_of={"out": None}) for one in (network, fixed.network))
    assert np.array_equal(wanted.counts["out"], found.counts["out"])
    assert np.allclose(wanted.potentials["out"], found.potentials["out"]) or "out hidden" in neurons
    assert fixed.checked.report.is_clean
    assert compile_model(fixed.network, chip, calibration=raster).bitstream


def test_only_the_channels_that_reach_outputs_are_repeated_from_sums_and_several_ports() -> None:
    network = sketch_network({"in": 5, "h": 5, "out": 4})
    network = replace(
        network,
        inputs=(*network.inputs, InputPort(name="more", size=3)),
        sums=(SpikeSum(name="both", terms=("in", "h")),),
    )
    skip = np.where(np.isin(np.arange(5), (1, 4))[:, np.newaxis], draw(5, 4), 0.0)
    parts = [make_projection("both", "out", skip, delay_steps=2), make_projection("more", "out", draw(3, 4))]
    network = extend(*parts, network=network)
    fixed = fix_network(network, XYLO)
    assert names(fixed) == ["repeat-inputs"]
    sizes = {part.name: part.size for part in fixed.network.populations}
    assert sizes == {"more repeat": 3, "in repeat": 2, "h": 5, "out": 4}
    assert fixed.report.errors == ()
    require_same_outputs(network, fixed.network)


def test_a_connection_without_weights_from_inputs_to_outputs_is_left_out() -> None:
    empty = extend(make_projection("in", "out", np.zeros((3, 2))))
    fixed = fix_network(empty, XYLO)
    assert [step.done for step in fixed.applied] == ["connections without weights are left out"]
    assert fixed.network == CLEAN


def edit_inputs(chip: Chip) -> Chip:
    """Let channels carry no more spikes than a relay of the chip repeats."""
    return replace(chip, inputs=replace(chip.inputs, max_count=1))


def test_a_fix_that_calls_itself_exact_and_is_not_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(case: Case) -> Change | None:
        change = FIXES["drop-neurons"].apply(case)
        assert change is not None
        scaled = tuple(
            replace(part, weights=part.weights.with_data(1.5 * part.weights.data)) for part in change.network.projections
        )
        return replace(change, network=replace(change.network, projections=scaled))

    network, chip = CASES["SNN106"][0]
    wrong = Fix(name="wrong", answers=("SNN106",), exact=True, apply=spoil, text="")
    monkeypatch.setitem(FIXES, "wrong", wrong)
    fixed = fix_network(network, chip, options=FixOptions(fix_only=("wrong",)))
    assert (fixed.network, fixed.applied) == (network, ())
    (step,) = fixed.refused
    assert (step.refused, step.difference.n_differing > 100) == ("it is not exact here", True)


def test_potentials_that_are_read_are_compared_too() -> None:
    network, chip = CASES["SNN106"][0]
    read = edit(
        "outputs", "port", readout="potential", network=edit("populations", "out", threshold=np.full(2, np.inf), network=network)
    )
    fixed = fix_network(read, chip)
    assert names(fixed) == ["drop-neurons"]
    assert fixed.applied[0].difference.readout < 1e-12


def test_an_unknown_fix_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'prune'"):
        FixOptions(fix_only=("prun",))


def test_a_model_is_fixed_on_its_calibration_data_and_the_network_says_what_was_done() -> None:
    network, chip = CASES["SNN204"][0]
    data = np.random.default_rng(0).poisson(1.0, (20, 30, 3)).clip(max=15)
    made = fix_model(network, chip, calibration=data, fixes=FixOptions(fix_only=("prune",)))
    assert made.source is network
    assert made.checked.report.is_clean
    assert "on the calibration data, 20 samples of 30 steps" in made.network.provenance["fixes"]
    assert str(made.applied[0]) == made.network.provenance["fixes"]


def test_a_fix_tells_the_violations_of_other_rules_that_it_makes_worse() -> None:
    """Clones share the targets of a neuron, on a chip that has too few neurons without them."""
    wide = sketch_network({"in": 2, "a": 2, "b": 65, "out": 2}, weights={"b->out": 0.1})
    few = load_chip("xylo-audio-2")
    reach = replace(few.inputs.reach, count=60)
    chip = replace(
        few,
        hidden=replace(few.hidden, count=60),
        inputs=replace(few.inputs, reach=reach),
        outputs=replace(few.outputs, reach=reach),
    )
    options = FixOptions(fix_only=("clone",))
    fixed = fix_network(wide, chip, options=options)
    assert names(fixed) == ["clone"]
    assert "SNN202 at network is further off, 69 of 60 neurons" in fixed.applied[0].shown
    assert "further off" not in fix_network(wide, load_chip("xylo-audio-2"), options=options).applied[0].shown


def test_a_fix_behind_which_a_rule_crashes_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    network = with_weights("in->h1", lambda weights: np.where(np.arange(5) == 2, -np.abs(weights), weights))
    assert "drop-neurons" in names(fix_network(network, XYLO))

    def crash(subject: Any) -> Iterator[Finding]:
        if subject.of.population("h1").size < 5:
            raise ValueError("too few")
        yield from ()

    monkeypatch.setitem(RULES, "SNN105", replace(RULES["SNN105"], check=crash))
    fixed = fix_network(network, XYLO)
    assert "drop-neurons" not in names(fixed)
    assert [step.refused.partition(" (")[0] for step in fixed.refused] == ["it breaks SNN001"]


def test_a_fix_that_mends_one_of_two_findings_that_read_alike_mends_something() -> None:
    """They differ in their numbers alone, by which a finding is not known again."""
    network = sketch_network({"in": 2, "h": 3, "out": 2}, alpha={"h": [[0.0] * 3, [0.1] * 3]})
    both = replace(network, projections=(*network.projections, replace(network.projections[0], name="again", synapse=1)))
    before = check((both, XYLO)).errors
    assert len({found.fingerprint for found in before}) == 1 < len(before)
    half = replace(both, populations=(replace(both.population("h"), alpha=np.array([[0.5] * 3, [0.1] * 3])), both.populations[1]))
    case = Case(network=both, chip=XYLO, mapped=None, findings=before, trial=read_trial(both, XYLO, None))
    fix = FIXES["carry-instant"]
    assert _find_harm(fix, case, check((both, XYLO)), check((half, XYLO))) == ""
    assert _find_harm(fix, case, check((both, XYLO)), check((both, XYLO))) == "it mends nothing"
