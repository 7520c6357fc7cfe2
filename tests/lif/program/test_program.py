from dataclasses import replace

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import MemoryKind, load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.program import Program, StoredWeights, find_program_defects


@pytest.fixture
def program() -> Program:
    rng = np.random.default_rng(3)
    return random_program(load_chip("xylo-audio-3"), rng, n_inputs=3, n_hidden=200, n_outputs=2, density=0.05, shifts=(1, 2, 3))


def test_a_memory_gives_its_weights_and_its_shift(program: Program) -> None:
    assert [program.memory(kind).shift for kind in MemoryKind] == [1, 2, 3]
    weights = [program.memory(kind).weights for kind in MemoryKind]
    assert weights == [program.input_weights, program.recurrent_weights, program.output_weights]
    assert [len(matrices) for matrices in weights] == [2, 2, 1]
    assert program.n_inputs == 3


def test_a_program_is_built_from_its_memories(program: Program) -> None:
    stored = {kind: program.memory(kind) for kind in MemoryKind}
    codes = {"hidden": program.hidden, "outputs": program.outputs, "alias": program.alias}
    assert Program.from_memories(program.chip, stored, **codes) == program
    stored[MemoryKind.OUTPUT] = StoredWeights(program.output_weights, 0)
    assert Program.from_memories(program.chip, stored, **codes) == replace(program, output_shift=0)


def test_weights_of_one_memory_are_replaced_alone(program: Program) -> None:
    doubled = tuple(matrix.with_data(2 * matrix.data) for matrix in program.input_weights)
    assert program.with_weights({MemoryKind.INPUT: doubled}) == replace(program, input_weights=doubled)


@pytest.mark.parametrize(
    ("kind", "source", "target", "said"),
    [
        (MemoryKind.INPUT, 0, 128, "input_weights: an input reaches hidden slots outside 0..127"),
        (MemoryKind.OUTPUT, 71, 0, "output_weights: an output reads hidden slots outside 72..199"),
    ],
)
def test_slots_out_of_reach_are_told(program: Program, kind: MemoryKind, source: int, target: int, said: str) -> None:
    assert list(find_program_defects(program)) == []
    first, *others = program.memory(kind).weights
    stray = CsrMatrix.from_triplets([source], [target], np.array([5]), first.shape)
    assert list(find_program_defects(program.with_weights({kind: (stray, *others)}))) == [said]
