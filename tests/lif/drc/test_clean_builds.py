"""Clean means that the build succeeds, and a build that is refused lists what the check lists."""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_networks import odd_network
from random_networks import random_network
from rule_cases import GENERIC, XYLO, feedback, limit, with_reach

from snnmap.chip import Chip, list_chips, load_chip
from snnmap.core import CsrMatrix
from snnmap.core.diagnostics import Severity
from snnmap.core.errors import DesignRuleError
from snnmap.lif.mapping import FoldOptions
from snnmap.network import InputPort, Network, OutputPort, Population, Projection
from snnmap.pipeline import CompileOptions, check_model, compile_model

Harm = Callable[[Network], Network]

CHIPS: dict[str, Chip] = {
    **{name: load_chip(name) for name in list_chips()},
    "few slots": with_reach(replace(XYLO, hidden=replace(XYLO.hidden, count=128)), inputs=12, outputs=9),
    "few words": limit(limit(GENERIC, "input_weights", max_words=30), "output_weights", max_words=12),
    "small fan-in": limit(limit(GENERIC, "input_weights", max_fan_in=4), "output_weights", max_fan_in=6),
    "one synapse": limit(XYLO, "hidden", synapses=1),
    "no hidden bias": limit(XYLO, "hidden", bias=False),
    "short decays": limit(XYLO, "bits", decay=2),
    "narrow bias": limit(XYLO, "bits", bias=6),
    "narrow weights": limit(XYLO, "bits", weight=3),
    "one spike in and out": limit(load_chip("generic-4096-single"), "inputs", max_count=1),
}


def harm_population(**fields: float) -> Harm:
    """Set one value of a parameter of the second population."""

    def harm(network: Network) -> Network:
        first, second, *rest = network.populations
        return replace(network, populations=(first, _set_values(second, fields), *rest))

    return harm


def _set_values(population: Population, fields: dict[str, float]) -> Population:
    arrays = {name: getattr(population, name).copy() for name in fields}
    for name, value in fields.items():
        arrays[name][..., 0] = value
    return replace(population, **arrays)


def harm_projection(change: Callable[[Projection], Projection]) -> Harm:
    """Change the last projection, which leads to an output."""
    return lambda network: replace(network, projections=(*network.projections[:-1], change(network.projections[-1])))


def set_weight(value: float) -> Callable[[Projection], Projection]:
    def change(projection: Projection) -> Projection:
        data = projection.weights.data.copy()
        data[:1] = value
        return replace(projection, weights=projection.weights.with_data(data))

    return change


def close_loop(network: Network) -> Network:
    """Feed the second population back to itself within a step."""
    population = network.populations[1]
    weights = CsrMatrix.from_dense(np.eye(population.size))
    loop = Projection(name="loop", pre=population.name, post=population.name, weights=weights)
    return replace(network, projections=(*network.projections, loop))


def read_potential(network: Network) -> Network:
    return replace(network, outputs=tuple(replace(port, readout="potential") for port in network.outputs))


def reset_to_value(network: Network) -> Network:
    return replace(network, populations=(replace(network.populations[0], reset="value"), *network.populations[1:]))


HARMS: dict[str, Harm] = {
    "zero threshold": harm_population(threshold=0.0),
    "infinite threshold": harm_population(threshold=np.inf),
    "tiny threshold": harm_population(threshold=1e-9),
    "beta above 1": harm_population(beta=1.5),
    "beta 1": harm_population(beta=1.0),
    "alpha 0": harm_population(alpha=0.0),
    "alpha 0.6": harm_population(alpha=0.6),
    "NaN bias": harm_population(bias=np.nan),
    "huge bias": harm_population(bias=1e6),
    "many spikes": harm_population(max_count=99),
    "few spikes": harm_population(max_count=1),
    "NaN weight": harm_projection(set_weight(np.nan)),
    "large weight": harm_projection(set_weight(1e12)),
    "small weight": harm_projection(set_weight(1e-12)),
    "no weight": harm_projection(set_weight(0.0)),
    "unknown target": harm_projection(lambda projection: replace(projection, post="nowhere")),
    "unknown synapse": harm_projection(lambda projection: replace(projection, synapse=7)),
    "negative delay": harm_projection(lambda projection: replace(projection, delay_steps=-2)),
    "long delay": harm_projection(lambda projection: replace(projection, delay_steps=9)),
    "loop within a step": close_loop,
    "no outputs": lambda network: replace(network, outputs=()),
    "no inputs": lambda network: replace(network, inputs=()),
    "potential read": read_potential,
    "reset to value": reset_to_value,
}


def suited_network(seed: int, chip: Chip, **options: Any) -> Network:
    """Draw a network whose hidden neurons reset as the chip's and send no more spikes a step."""
    network = random_network(seed, **options)
    most, reset = np.int64(chip.hidden.max_count), chip.family.reset
    return replace(
        network,
        populations=tuple(replace(p, max_count=np.minimum(p.max_count, most), reset=reset) for p in network.populations),
    )


def require_agreement(network: Network, chip: Chip, options: CompileOptions | None = None) -> None:
    """Check and build: both find the same, as texts (two places that differ in neurons only compare equal)."""
    report = check_model(network, chip, options=options).report
    assert "SNN001" not in {diagnostic.rule for diagnostic in report.diagnostics}
    if report.is_clean:
        artifacts = compile_model(network, chip, options=options)
        assert [str(d) for d in artifacts.report.diagnostics] == [str(d) for d in report.diagnostics]
        return
    with pytest.raises(DesignRuleError) as caught:
        compile_model(network, chip, options=options)
    assert [str(d) for d in caught.value.diagnostics] == [str(d) for d in report.errors]
    assert all(diagnostic.severity is Severity.ERROR for diagnostic in caught.value.diagnostics)
    assert all(str(diagnostic) in str(caught.value) for diagnostic in report.errors)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("seed", range(3))
def test_clean_means_that_the_build_succeeds(seed: int, chip: str) -> None:
    require_agreement(suited_network(seed, CHIPS[chip]), CHIPS[chip])


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_network_is_refused_as_checked_or_builds(harm: str) -> None:
    require_agreement(HARMS[harm](random_network(5)), XYLO)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(sorted(CHIPS)), st.lists(st.sampled_from(sorted(HARMS)), max_size=3, unique=True))
def test_any_harms_on_any_chip(seed: int, chip: str, harms: list[str]) -> None:
    harmed = reduce(lambda network, harm: HARMS[harm](network), harms, suited_network(seed, CHIPS[chip]))
    require_agreement(harmed, CHIPS[chip])


@pytest.mark.parametrize("seed", range(40))
def test_an_odd_network_is_refused_as_checked_or_builds(seed: int) -> None:
    require_agreement(odd_network(seed), [XYLO, GENERIC][seed % 2])


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1000, 3000))
def test_many_odd_networks_are_refused_as_checked_or_build(seed: int) -> None:
    require_agreement(odd_network(seed), CHIPS[sorted(CHIPS)[seed % len(CHIPS)]])


def renamed(names: dict[str, str]) -> Network:
    """Two parallel branches of two populations each, under names of one's own; decays that no chip codes."""
    parts = {name: names.get(name, name) for name in ("in", "a1", "a2", "b1", "b2", "out")}
    sizes = dict.fromkeys(parts, 2)
    populations = [Population.create(parts[name], 2, alpha=0.5, beta=0.9) for name in ("a1", "a2", "b1", "b2")]
    wires = [("in", "a1"), ("in", "b1"), ("a1", "a2"), ("b1", "b2"), ("a2", "out"), ("b2", "out")]
    return Network(
        name="renamed",
        inputs=(InputPort(name=parts["in"], size=2),),
        populations=(*populations, Population.create(parts["out"], 2, alpha=0.5, beta=0.75, max_count=1)),
        projections=tuple(
            Projection(
                name=names.get(f"{pre} to {post}", f"{pre} to {post}"),
                pre=parts[pre],
                post=parts[post],
                weights=CsrMatrix.from_dense(np.full((sizes[pre], sizes[post]), 0.4)),
            )
            for pre, post in wires
        ),
        outputs=(OutputPort(name="y", populations=(parts["out"],)),),
    )


@pytest.mark.parametrize(
    "names",
    [
        {"a1": "x", "a2": "y->z", "b1": "x->y", "b2": "z"},
        {"a1": "->", "a2": "", "b1": "->->", "b2": " "},
        {"a1": '"x', "a2": "x", "b1": 'x"->"y', "b2": "y"},
        {"in to a1": "w", "in to b1": "w[0]", "a1 to a2": "w[1]"},
        {"in to a1": "a1 reset[0]", "in to b1": "a1 reset[0]'"},
        {"in to a1": "w", "in to b1": "w[0]", "a1 to a2": "w[0]'", "b1 to b2": "w[0]''"},
    ],
)
def test_names_that_look_like_others_joined_build_as_plain_ones_do(names: dict[str, str]) -> None:
    assert compile_model(renamed(names), XYLO).image.memories == compile_model(renamed({}), XYLO).image.memories


def test_an_empty_port_is_told() -> None:
    network = random_network(0)
    report = check_model(replace(network, inputs=(*network.inputs, InputPort(name="more", size=0))), XYLO).report
    assert [(d.rule, d.location.port) for d in report.errors] == [("SNN110", "more")]


def test_a_delay_beyond_all_bounds_is_told_at_once() -> None:
    network = harm_projection(lambda projection: replace(projection, delay_steps=10**12))(random_network(0))
    assert "SNN111" in {diagnostic.rule for diagnostic in check_model(network, XYLO).report.errors}


@pytest.mark.parametrize("stretch_loops", [False, True])
def test_the_options_are_those_of_the_build(stretch_loops: bool) -> None:
    options = CompileOptions(fold=FoldOptions(stretch_loops=stretch_loops))
    assert check_model(feedback(1), XYLO, options=options).report.is_clean == stretch_loops
    require_agreement(feedback(1), XYLO, options)


@pytest.mark.parametrize(
    "chip", [name for name in CHIPS if name not in ("toy-4", "xylo-imu", "generic-4096-single", "generic-1024-factor")]
)
def test_the_random_networks_show_both_outcomes(chip: str) -> None:
    """Neither branch of the property is empty: some networks are clean on this chip, harmed ones are not."""
    networks = [suited_network(seed, CHIPS[chip], biases=False, n_synapses=1) for seed in range(4)]
    assert any(check_model(network, CHIPS[chip]).report.is_clean for network in networks)
    assert not any(check_model(HARMS["zero threshold"](network), CHIPS[chip]).report.is_clean for network in networks)
