"""The rules about connections, where their cases do not go."""

from dataclasses import replace

import numpy as np
import pytest
from rule_cases import CLEAN, XYLO, chain, edit, with_weights, without_column

from snnmap.core import CsrMatrix
from snnmap.core.diagnostics import Diagnostic
from snnmap.lif.drc import check_network
from snnmap.network import Network


def find(network: Network, rule: str) -> list[Diagnostic]:
    return [diagnostic for diagnostic in check_network(network, XYLO).diagnostics if diagnostic.rule == rule]


@pytest.mark.parametrize("awake", [[0.5, 0, 0, 0, 0], [0, 0, 0, 0, 0.5], [0.5] * 5])
def test_inputs_wake_neurons_beside_those_that_a_bias_wakes(awake: list[float]) -> None:
    biased = edit("populations", "h1", bias=np.array(awake))
    assert find(biased, "SNN105") == []
    apart = with_weights("in->h1", without_column, biased)
    assert [found.location.neurons for found in find(apart, "SNN105")] == ([] if awake[1] else [(1, 2)])


def test_a_path_from_each_neuron_may_end_where_that_of_another_did() -> None:
    network = with_weights("h1->h2", lambda weights: np.where(np.arange(5)[:, np.newaxis] == 1, 0.0, weights))
    assert [found.location.neurons for found in find(network, "SNN107")] == [(1, 2)]
    assert find(CLEAN, "SNN107") == []


@pytest.mark.parametrize(("rule", "do"), [("SNN105", "connect"), ("SNN106", "retrain")])
def test_what_is_read_is_not_to_be_removed(rule: str, do: str) -> None:
    (read,) = find(with_weights("h2->out", without_column), rule)
    assert (read.location.population, read.fix) == ("out", f"{do} them (`snnmap.Projection`)")
    (inner,) = find(with_weights("in->h1", without_column), rule)
    assert inner.fix == f"{do} or remove them (`snnmap check --fix` removes them)"


def test_a_readout_of_potentials_needs_no_positive_weight() -> None:
    silent = edit("populations", "out", threshold=np.full(2, np.inf))
    read = edit("outputs", "port", silent, readout="potential")
    assert find(with_weights("h2->out", np.negative, read), "SNN106") == []
    assert [found.location.population for found in find(with_weights("h2->out", np.negative), "SNN106")] == ["out"]


def test_deep_networks_are_followed_once_not_once_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    rows = CsrMatrix.rows.fget
    monkeypatch.setattr(CsrMatrix, "rows", property(lambda matrix: looks.append(1) or rows(matrix)))
    seen = []
    for n_layers in (30, 60):
        looks.clear()
        network = chain(2, *[2] * n_layers, 2)
        check_network(replace(network, projections=network.projections[::-1]), XYLO)
        seen.append(len(looks))
    assert seen[1] < 2.2 * seen[0]
