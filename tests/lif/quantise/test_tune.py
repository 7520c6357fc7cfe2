"""Rates are brought back in order, by what is measured, and the best that was seen is kept."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from snnmap.lif.quantise.tune import Tuner

State = dict[str, float]
N_PAIRS = 10_000


def make_tuner(respond: Callable[[State], Mapping[str, int]], wanted: Mapping[str, int], log: list[State]) -> Tuner[State]:
    def measure(state: State) -> Mapping[str, int]:
        log.append(dict(state))
        return respond(state)

    return Tuner(
        wanted=wanted,
        n_pairs=dict.fromkeys(wanted, N_PAIRS),
        measure=measure,
        turn=lambda state, name, x: {**state, name: x},
        knob=lambda _: "bias",
    )


@pytest.mark.parametrize("gain", [0.2, 1.0, 8.0, 40.0])
def test_any_sensitivity_is_met(gain: float) -> None:
    """The fixed step of before diverged where a population answers strongly."""
    tuner = make_tuner(lambda state: {"a": max(0, int(1500 + gain * N_PAIRS * state.get("a", 0.0)))}, {"a": 1000}, [])
    state, (tuning,) = tuner.tune({}, ["a"])
    assert state["a"] < 0
    assert (tuning.before, tuning.after) == (1.5, pytest.approx(1.0, abs=0.02))


def test_what_does_not_help_is_not_done() -> None:
    harmful = make_tuner(lambda state: {"a": 600 if not state.get("a") else 0}, {"a": 1000}, [])
    assert harmful.tune({}, ["a"]) == ({}, ())
    dead = make_tuner(lambda _: {"a": 0}, {"a": 1000}, [])
    assert dead.tune({}, ["a"]) == ({}, ())


def test_what_helps_one_and_ruins_the_whole_is_not_done() -> None:
    def respond(state: State) -> Mapping[str, int]:
        return {"a": int(1200 + N_PAIRS * state.get("a", 0.0)), "b": 1000 if not state.get("a") else 0}

    assert make_tuner(respond, {"a": 1000, "b": 1000}, []).tune({}, ["a", "b"]) == ({}, ())


def test_what_feeds_is_tuned_before_what_is_fed() -> None:
    log: list[State] = []

    def respond(state: State) -> Mapping[str, int]:
        first = 1300 + N_PAIRS * state.get("a", 0.0)
        return {"a": int(first), "b": int(first * 1.1 + N_PAIRS * state.get("b", 0.0))}

    _, tunings = make_tuner(respond, {"a": 1000, "b": 1000}, log).tune({}, ["a", "b"])
    assert [tuning.population for tuning in tunings] == ["a", "b"]
    assert tunings[1].before == pytest.approx(1.1, abs=0.03)
    assert all("b" not in state or "a" in state for state in log)


def test_populations_that_are_right_or_silent_cost_nothing() -> None:
    log: list[State] = []
    tuner = make_tuner(lambda _: {"a": 1005, "b": 7}, {"a": 1000, "b": 0}, log)
    assert tuner.tune({}, ["a", "b"]) == ({}, ())
    assert len(log) == 1


def test_it_is_deterministic() -> None:
    def respond(state: State) -> Mapping[str, int]:
        return {"a": int(2000 * np.tanh(1 + 20 * state.get("a", 0.0)))}

    runs = [make_tuner(respond, {"a": 1000}, []).tune({}, ["a"]) for _ in range(2)]
    assert runs[0] == runs[1]
