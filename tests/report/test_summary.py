"""The summary of a model counts what the model and its folded network have."""

import numpy as np
import pytest
from random_networks import random_network
from rule_cases import chain, feedback, residual

import snnmap
from snnmap.chip import MemoryKind, load_chip
from snnmap.lif.mapping import fold_network
from snnmap.lif.quantise import match_decays


def read_rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")] for line in text.splitlines() if "│" in line]


def test_a_model_is_summarised_without_a_chip() -> None:
    summary = snnmap.model_summary(residual())
    rows = {row[0]: row[1:] for row in read_rows(str(summary))}
    assert rows["h2"] == ["population", "5", "5", "25", ""]
    assert rows["sum -> out"] == ["projection", "5 x 2", "5", "10", "0"]
    assert str(summary).splitlines()[-1] == "3 input channels, 12 neurons, 50 synapses"
    assert repr(summary) == str(summary)


@pytest.mark.parametrize("seed", range(8))
def test_words_are_those_of_the_folded_network(seed: int) -> None:
    network, chip = random_network(seed), load_chip("generic-4096")
    summary = snnmap.model_summary(network, chip)
    mapped = fold_network(match_decays(network, chip)[0], chip)
    assert summary.mapped == mapped
    used = {entry.block: entry.used for entry in summary.occupancy}
    assert used["hidden neurons"] == mapped.hidden.size
    for kind in (MemoryKind.INPUT, MemoryKind.OUTPUT):
        for synapse, matrix in enumerate(mapped.weights(kind)):
            assert used[f"{kind.weights_name}[{synapse}]"] == np.count_nonzero(matrix.to_dense())
    assert f"{mapped.n_relays} relays" in str(summary)


def test_a_sum_takes_words_for_each_summand() -> None:
    rows = {row[0]: row for row in read_rows(str(snnmap.model_summary(residual(), "xylo-audio-3")))}
    assert rows["sum -> out"][-1] == "output_weights: 20"
    assert rows["h1"][-1] == "5 relays"
    assert rows["output_weights[0]"][1] == "20"


def test_too_much_is_told_against_the_limit_and_what_cannot_be_folded_as_well() -> None:
    large = str(snnmap.model_summary(chain(3, 1000, 2), "xylo-audio-3"))
    assert ["hidden neurons", "1000", "992", "100.8%"] in [row[:4] for row in read_rows(large)]
    broken = snnmap.model_summary(feedback(0), "xylo-audio-3")
    assert broken.mapped is None
    assert "which cannot be folded: " in str(broken)
