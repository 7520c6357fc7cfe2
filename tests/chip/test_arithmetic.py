import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnmap.chip.arithmetic import saturate, wrap
from snnmap.chip.arithmetic.bit_shift import decay, deliver, fire, integrate

states = st.integers(-32768, 32767)


@given(st.integers(-200_000, 200_000))
def test_saturate_clamps_and_wrap_is_twos_complement(value: int) -> None:
    assert saturate(value, 16) == min(32767, max(-32768, value))
    assert wrap(value, 16) == int.from_bytes((value & 0xFFFF).to_bytes(2, "little"), "little", signed=True)


@given(states, st.integers(0, 15))
def test_decay_moves_every_state_towards_zero(value: int, dash: int) -> None:
    lost = decay(value, dash)
    assert abs(value - lost) < abs(value) or value == 0 == lost
    if abs(value) >= 1 << dash:
        assert lost == value >> dash


@given(states, st.integers(-128, 127), st.integers(0, 7), st.integers(0, 31))
def test_one_clamp_equals_saturating_after_each_spike(current: int, weight: int, shift: int, count: int) -> None:
    expected = current
    for _ in range(count):
        expected = saturate(expected + wrap(weight << shift, 16), 16)
    assert deliver(current, weight, shift, count, 16) == expected


@given(states, states.filter(lambda v: v > 0), st.integers(0, 31))
def test_fire_is_division_with_a_limit(potential: int, threshold: int, already: int) -> None:
    count, left = fire(potential, threshold, already, 31, 16)
    expected = min(max(0, potential) // threshold, 31 - already)
    assert (count, left) == (already + expected, potential - expected * threshold)


def test_a_threshold_of_zero_fires_to_the_limit_for_ever() -> None:
    assert fire(0, 0, 0, 31, 16) == (31, 0)
    assert fire(-1, 0, 0, 31, 16) == (0, -1)


def test_one_spike_through_synapse_and_membrane() -> None:
    """A trace of the vendor's simulator: weight 100, dash_syn 1, dash_mem 2."""
    current, potential = deliver(0, 100, 0, 1, 16), 0
    currents, potentials = [], []
    for _ in range(8):
        current -= decay(current, 1)
        potential = integrate(potential, 2, current, 0, 16)
        currents.append(current)
        potentials.append(potential)
    assert currents == [50, 25, 13, 7, 4, 2, 1, 0]
    assert potentials == [50, 63, 61, 53, 44, 35, 28, 21]


@pytest.mark.parametrize(("potential", "dash", "expected"), [(-32768, 0, -32768), (32767, 0, 0), (100, 2, 75)])
def test_the_negated_decay_is_a_word_of_its_own(potential: int, dash: int, expected: int) -> None:
    assert integrate(potential, dash, 0, 0, 16) == expected
