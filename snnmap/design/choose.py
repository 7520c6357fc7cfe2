"""Which candidate comes next: Optuna's samplers, each choice a function of the seed and of the candidates before it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snnmap.core.record import record
from snnmap.design.candidate import Outcome
from snnmap.design.objectives import OBJECTIVES
from snnmap.design.optimiser import open_optuna
from snnmap.design.parameters import Parameter, Value, list_active
from snnmap.design.space import Sampler, Space

__all__ = ["Candidate", "choose_next", "find_distribution"]

_ATTEMPTS = {"tpe": 8, "gp": 2, "random": 1}
"""Draws of the sampler that may repeat a candidate, before others are drawn."""
_MOST_DRAWS = 500
_N_STARTUP = 10


@record
class Candidate:
    """What was chosen, and what became of it.

    Attributes:
        number: from 0.
        drawn: a value for each parameter.
        values: those of use.
        outcome: None while it runs.
    """

    number: int
    drawn: Mapping[str, Value]
    values: Mapping[str, Value]
    outcome: Outcome | None = None


def choose_next(space: Space, before: Sequence[Candidate]) -> Candidate | None:
    """Choose the candidate that comes after others; None where there is none that was not chosen.

    The last ``parallel - 1`` are taken for running, whether they are or not.
    """
    number = len(before)
    known = {_to_key(candidate.values) for candidate in before}
    with open_optuna() as optuna:
        for attempt in range(_MOST_DRAWS):
            sampler: Sampler = space.sampler if attempt < _ATTEMPTS[space.sampler] else "random"
            seed = np.random.SeedSequence([space.seed, number, attempt]).generate_state(1)[0]
            drawn = _draw(optuna, space, before if sampler != "random" else (), _make_sampler(optuna, sampler, int(seed)))
            values = list_active(space.parameters, drawn)
            if _to_key(values) not in known:
                return Candidate(number=number, drawn=drawn, values=values)
    return None


def _to_key(values: Mapping[str, Value]) -> str:
    return repr(sorted(values.items()))


def _make_sampler(optuna: Any, name: Sampler, seed: int) -> Any:
    samplers = optuna.samplers
    if name == "random":
        return samplers.RandomSampler(seed=seed)
    if name == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=_N_STARTUP, warn_independent_sampling=False)
    return samplers.TPESampler(seed=seed, n_startup_trials=_N_STARTUP, multivariate=True)


def _draw(optuna: Any, space: Space, before: Sequence[Candidate], sampler: Any) -> dict[str, Value]:
    """Let a sampler draw, with what it may know in a study of its own."""
    directions = ["maximize" if OBJECTIVES[name].better == "higher" else "minimize" for name in space.objectives]
    study = optuna.create_study(directions=directions, sampler=sampler)
    distributions = {name: _spread(optuna, parameter) for name, parameter in space.parameters.items()}
    for candidate in before:
        running = candidate.number > len(before) - space.parallel
        study.add_trial(_to_trial(optuna, space, candidate, distributions, None if running else candidate.outcome))
    params = study.ask(distributions).params
    return {name: _from_param(parameter, params[name]) for name, parameter in space.parameters.items()}


def find_distribution(optuna: Any, parameter: Parameter) -> Any:
    """Return how Optuna writes what a parameter can be."""
    kinds = optuna.distributions
    if parameter.choices:
        return kinds.CategoricalDistribution(parameter.choices)
    if parameter.is_whole:
        return kinds.IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step or 1)
    return kinds.FloatDistribution(float(parameter.low), float(parameter.high), log=parameter.log, step=parameter.step)


def _spread(optuna: Any, parameter: Parameter) -> Any:
    """Return what a sampler draws from: numbers of a list are drawn by their place, so that it knows which are alike."""
    if parameter.is_ordered:
        return optuna.distributions.IntDistribution(0, len(parameter.choices) - 1)
    return find_distribution(optuna, parameter)


def _from_param(parameter: Parameter, param: Any) -> Value:
    value: Value = sorted(parameter.choices)[param] if parameter.is_ordered else param
    return value


def _to_param(parameter: Parameter, value: Value) -> Any:
    return sorted(parameter.choices).index(value) if parameter.is_ordered else value


def _to_trial(optuna: Any, space: Space, candidate: Candidate, distributions: Mapping[str, Any], outcome: Outcome | None) -> Any:
    """Return a candidate as a trial; costs as their logarithms, for it is ratios that tell designs apart."""
    params = {name: _to_param(space.parameters[name], value) for name, value in candidate.drawn.items()}
    make, states = optuna.trial.create_trial, optuna.trial.TrialState
    if outcome is None:
        return make(state=states.RUNNING, params=params, distributions=distributions)
    if outcome.state == "finished":
        values = [_to_score(name, outcome.measures[name]) for name in space.objectives]
        return make(values=values, params=params, distributions=distributions, constraints={"rules": 0.0})
    broken = {"rules": 1.0} if outcome.state == "broken" else {"rules": 0.0}
    state = states.FAIL if outcome.state == "failed" else states.PRUNED
    return make(state=state, params=params, distributions=distributions, constraints=broken)


def _to_score(name: str, value: float) -> float:
    return value if OBJECTIVES[name].better == "higher" else math.log(value + 1e-30)
