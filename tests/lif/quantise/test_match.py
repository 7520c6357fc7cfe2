"""Decays that no bit shift gives, rebuilt: kernels against brute force, rates and spikes against the source."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_cases import chain, edit

from snnmap.chip import Chip, load_chip
from snnmap.chip.arithmetic.bit_shift import decay_factors
from snnmap.lif.drc import check_network
from snnmap.lif.quantise import SecondSynapse, match_decays
from snnmap.lif.quantise.response import decay_power, kernel_product, kernel_sum, tail_power, tail_product, tail_sum
from snnmap.network import Network, carry_instant_synapses, simulate_network

decays = st.floats(0.0, 0.99)
TWO, ONE = load_chip("xylo-audio-3"), load_chip("xylo-imu")


def kernel(a: float, b: float) -> np.ndarray:
    steps = np.arange(4000)
    return np.convolve(a**steps, b**steps)[:4000]


@given(decays, decays, decays, decays)
def test_closed_forms_are_the_sums(a: float, b: float, c: float, d: float) -> None:
    powers = np.arange(1, 4001)
    assert kernel_product(a, b, c, d) == pytest.approx(float(kernel(a, b) @ kernel(c, d)), rel=5e-3)
    assert kernel_sum(a, b) == pytest.approx(float(kernel(a, b).sum()), rel=1e-6)
    assert tail_sum(c, d) == pytest.approx(float((c**powers - d**powers).sum()), abs=1e-6)
    brute = float(kernel(a, b) @ (c**powers - d**powers))
    assert tail_product(a, b, c, d) == pytest.approx(brute, rel=5e-3, abs=1e-9)


@given(decays, decays, decays, decays, st.integers(1, 60))
def test_closed_forms_over_a_run_are_the_sums(a: float, b: float, c: float, d: float, n_steps: int) -> None:
    powers = np.arange(1, n_steps + 1)
    first, second, tail = kernel(a, b)[:n_steps], kernel(c, d)[:n_steps], c**powers - d**powers
    assert kernel_product(a, b, c, d, n_steps) == pytest.approx(float(first @ second), rel=5e-3)
    assert kernel_sum(a, b, n_steps) == pytest.approx(float(first.sum()), rel=5e-3)
    assert tail_sum(c, d, n_steps) == pytest.approx(float(tail.sum()), abs=1e-9)
    assert tail_power(c, d, n_steps) == pytest.approx(float(tail @ tail), abs=1e-9)
    assert tail_product(a, b, c, d, n_steps) == pytest.approx(float(first @ tail), rel=5e-3, abs=1e-9)
    assert decay_power(c, n_steps) == pytest.approx(float((c ** (2.0 * (powers - 1))).sum()))


def uncodable(alpha: float, beta: float, size: int = 24) -> Network:
    network = chain(3, size, 4, 2)
    return edit("populations", "h1", network, alpha=np.full((1, size), alpha), beta=np.full(size, beta))


@pytest.mark.parametrize(("alpha", "beta", "limit"), [(0.88, 0.94, 0.02), (0.9153, 0.9575, 0.02), (0.6065, 0.7788, 0.03)])
def test_the_rebuilt_neuron_answers_alike(alpha: float, beta: float, limit: float) -> None:
    source = uncodable(alpha, beta)
    matched, (match,) = match_decays(source, TWO)
    assert not [d for d in check_network(matched, TWO).diagnostics if d.rule == "SNN503"]
    quiet = edit("populations", "h1", matched, threshold=np.full(24, 1e6))
    pulse = np.zeros((1, 300, 3), np.int64)
    pulse[0, 0] = 1
    wanted = simulate_network(edit("populations", "h1", source, threshold=np.full(24, 1e6)), pulse, states_of=["h1"])
    found = simulate_network(quiet, pulse, states_of=["h1"])
    error = found.potentials["h1"] - wanted.potentials["h1"]
    relative = np.linalg.norm(error) / np.linalg.norm(wanted.potentials["h1"])
    assert relative == pytest.approx(match.input_error, rel=0.05, abs=1e-4)
    assert relative < limit
    assert abs(error.sum()) < 1e-3 * np.abs(wanted.potentials["h1"]).sum()


@pytest.mark.parametrize("chip", [TWO, ONE])
def test_rates_are_kept(chip: object) -> None:
    source = uncodable(0.9153, 0.9575)
    raster = np.random.default_rng(1).poisson(0.1, (10, 400, 3))
    found = [
        simulate_network(network, raster, counts_of=["h1"]).counts["h1"].sum()
        for network in (source, match_decays(source, chip)[0], match_decays(source, chip, calibration=raster)[0])
    ]
    assert found[1] / found[0] == pytest.approx(1.0, abs=0.03)
    assert found[2] / found[0] == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("choice", ["decays", "always"])
def test_a_chip_that_codes_one_synaptic_decay_gets_one_synapse(choice: SecondSynapse) -> None:
    narrow = replace(TWO, bits=replace(TWO.bits, decay=1))
    matched, matches = match_decays(uncodable(0.9, 0.8), narrow, second_synapse=choice)
    assert matches[0].n_synapses == 1
    assert {population.n_synapses for population in matched.populations} == {1}
    assert np.array_equal(matched.population("h1").alpha, np.full((1, 24), 0.5))


def test_codable_populations_and_outputs_stay_as_they_are() -> None:
    source = chain(3, 5, 4, 2)
    assert match_decays(source, TWO) == (source, ())
    other = edit("populations", "out", source, beta=np.full(2, 0.94))
    assert match_decays(other, TWO) == (other, ())


def test_always_adds_a_second_synapse_that_does_next_to_nothing() -> None:
    source = edit("populations", "h1", chain(3, 5, 4, 2), alpha=np.full((1, 5), 0.875))
    matched, _ = match_decays(source, TWO, second_synapse="always")
    sizes = {population.name: population.n_synapses for population in matched.populations}
    assert sizes == {"h1": 2, "h2": 2, "out": 1}
    raster = np.random.default_rng(1).poisson(1.0, (4, 50, 3))
    one, other = (simulate_network(net, raster, states_of=["h1"]).potentials["h1"] for net in (source, matched))
    assert np.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_always_adds_nothing_where_no_synapse_can_be_faster() -> None:
    source = chain(3, 5, 4, 2)
    assert {float(decay) for population in source.populations for decay in population.alpha.flat} == {0.5}
    assert match_decays(source, TWO, second_synapse="always") == (source, ())


def test_neurons_of_one_population_may_all_differ() -> None:
    rng = np.random.default_rng(2)
    source = uncodable(0.5, 0.5)
    beta = rng.uniform(0.3, 0.97, 24)
    source = edit("populations", "h1", source, beta=beta, alpha=rng.uniform(0.3, 0.97, (1, 24)))
    matched, (match,) = match_decays(source, TWO)
    found = next(part for part in matched.populations if part.name == "h1")
    assert np.isin(found.beta, decay_factors(np.arange(16))).all()
    assert match.input_error < 0.1


def follow_bias(network: Network, n_steps: int) -> np.ndarray:
    """Return the potentials of ``h1`` that its biases alone lead to, ``(n_steps, n)``, where it never fires."""
    quiet = edit("populations", "h1", network, threshold=np.full(24, 1e6))
    return simulate_network(quiet, np.zeros((1, n_steps, 3), np.int64), states_of=["h1"]).potentials["h1"][0]


def test_a_bias_keeps_its_course_from_the_first_step_on() -> None:
    bias = np.random.default_rng(0).normal(0.0, 0.2, 24)
    source = edit("populations", "h1", uncodable(0.75, 0.95), bias=bias)
    wanted = follow_bias(source, 20)
    for n_steps in (None, 20):
        matched, _ = match_decays(source, TWO, n_steps=n_steps)
        assert [part.name for part in matched.populations if part.source != "" and part.size == 1] == ["pulse"]
        assert np.abs(follow_bias(matched, 20) - wanted).max() < 0.05 * np.abs(wanted).max()
    ends = {end: replace(getattr(TWO, end), reach=replace(getattr(TWO, end).reach, count=28)) for end in ("inputs", "outputs")}
    full = replace(TWO, hidden=replace(TWO.hidden, count=28), **ends)
    alone, _ = match_decays(source, full)
    assert len(alone.populations) == len(source.populations)
    assert np.abs(follow_bias(alone, 20) - wanted).max() > 0.1 * np.abs(wanted).max()


@pytest.mark.parametrize(("chip", "n_synapses"), [(TWO, 1), (TWO, 2), (ONE, 1)])
def test_a_bias_of_a_late_population_is_sent_whole(chip: Chip, n_synapses: int) -> None:
    source = chain(3, 5, 4, 2)
    alpha, bias = np.array([[0.75], [0.5]])[:n_synapses] * np.ones(4), np.array([0.05, -0.05, 0.02, 0.0])
    source = edit("populations", "h2", source, beta=np.full(4, 0.95), alpha=alpha, bias=bias, threshold=np.full(4, 1e6))
    matched, _ = match_decays(source, chip)
    assert not matched.population("h2").bias.any()
    wanted, found = (
        simulate_network(network, np.zeros((1, 200, 3), np.int64), states_of=["h2"]).potentials["h2"][0, -1]
        for network in (source, matched)
    )
    assert np.allclose(found, wanted, rtol=0.01)


def test_one_pulse_serves_all_populations_and_none_is_made_without_a_bias() -> None:
    source = edit("populations", "h2", uncodable(0.75, 0.95), beta=np.full(4, 0.9))
    assert len(match_decays(source, TWO)[0].populations) == 3
    for name, size in (("h1", 24), ("h2", 4)):
        source = edit("populations", name, source, bias=np.full(size, 0.1))
    assert [part.name for part in match_decays(source, TWO)[0].populations] == ["h1", "h2", "out", "pulse"]


def test_short_runs_are_matched_as_far_as_they_go() -> None:
    source = edit("populations", "h1", uncodable(0.75, 0.95), threshold=np.full(24, 1e6))
    pulse = np.zeros((1, 20, 3), np.int64)
    pulse[0, 0] = 1
    wanted = simulate_network(source, pulse, states_of=["h1"]).potentials["h1"]
    errors = []
    for n_steps in (None, 20):
        matched, (match,) = match_decays(source, TWO, n_steps=n_steps)
        found = simulate_network(matched, pulse, states_of=["h1"]).potentials["h1"]
        errors.append(float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)))
    assert errors[1] == pytest.approx(match.input_error, rel=0.05)
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("beta", [0.9, 0.95])
def test_what_takes_a_synapses_memory_back_mends_the_membrane(beta: float) -> None:
    source = edit("populations", "h1", uncodable(0.0, beta), threshold=np.full(24, 1e6))
    carried = carry_instant_synapses(source)
    matched, (match,) = match_decays(carried, TWO, n_steps=20)
    pulse = np.zeros((1, 21, 3), np.int64)
    pulse[0, 0] = 1
    wanted, found = (simulate_network(part, pulse, states_of=["h1"]).potentials["h1"] for part in (source, matched))
    assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) == pytest.approx(match.input_error, rel=0.05)
    assert match.input_error == match.reset_error < 0.03
    assert abs((found - wanted).sum()) < 1e-3 * np.abs(wanted).sum()
    onto = {(part.synapse, part.delay_steps): part.weights.data.size for part in matched.projections if part.pre == "in"}
    assert set(onto) == {(0, 0), (0, 1), (1, 1)}
