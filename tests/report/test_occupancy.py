"""Occupancy counts what the program stores."""

import numpy as np
from random_programs import random_program
from rule_cases import residual

import snnmap
from snnmap.chip import load_chip
from snnmap.report import measure_occupancy


def test_occupancy_against_counting() -> None:
    chip = load_chip("xylo-audio-3")
    program = random_program(chip, np.random.default_rng(0), n_inputs=6, n_hidden=150, n_outputs=4)
    found = {entry.block: entry for entry in measure_occupancy(program)}
    assert (found["hidden neurons"].used, found["hidden neurons"].capacity) == (150, 992)
    dense = program.recurrent_weights[1].to_dense()
    entry = found["recurrent_weights[1]"]
    assert (entry.used, entry.capacity) == (int((dense != 0).sum()), 31744)
    assert entry.largest_fan_in == (dense != 0).sum(axis=0).max()
    assert entry.largest_fan_out == (dense != 0).sum(axis=1).max()
    assert 0 < entry.share < 1


def test_a_folded_network_takes_what_its_program_will_relays_and_their_own_synapses_included() -> None:
    artifacts = snnmap.compile_model(residual(), "xylo-audio-3")
    assert artifacts.mapped.n_relays == 5
    assert measure_occupancy(artifacts.mapped) == measure_occupancy(artifacts.quantised.program)
