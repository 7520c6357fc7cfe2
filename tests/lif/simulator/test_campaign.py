"""Every corner of the arithmetic against XyloSim, and how a mismatch is made small."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from minimise import keep_few, minimise
from xylosim_campaign import CI_SEEDS, CI_UPDATES, CORNERS, NIGHTLY_UPDATES, describe, draw_case, run_case

from snnmap.chip import MemoryKind, find_family
from snnmap.chip.arithmetic import IntegerRules, table, wrap
from snnmap.core import CsrMatrix
from snnmap.lif.bitstream import assemble
from snnmap.lif.program import Program, unpack
from snnmap.lif.simulator.reference import run_reference
from snnmap.lif.simulator.run import AREAS, prepare_run


def test_ten_million_updates_in_every_corner_equal_xylosim() -> None:
    cases = [run_case(seed) for seed in CI_SEEDS]
    reached = sum((corners for _, corners in cases), Counter[str]())
    assert sum(updates for updates, _ in cases) >= CI_UPDATES
    assert [corner for corner in CORNERS if reached[corner] < 20] == []


@pytest.mark.nightly
def test_a_thousand_million_updates_equal_xylosim() -> None:
    n_updates, seed = 0, len(CI_SEEDS)
    while n_updates < NIGHTLY_UPDATES:
        n_updates, seed = n_updates + run_case(seed)[0], seed + 1


def stay_in_word(current: int, weight: int, shift: int, count: int, bits: int) -> int:
    """Add without saturation."""
    return wrap(current + count * find_family("bit-shift").integers.count_weight(weight, shift, bits), bits)


def fire_above(potential: int, threshold: int, count: int, max_count: int, bits: int) -> tuple[int, int]:
    """Fire above the threshold only."""
    return find_family("bit-shift").integers.fire(potential, threshold + 1, count, max_count, bits)


def hold_lowest(current: int, dash: int) -> int:
    """Let a current below 0 stay."""
    return current if current < 0 else find_family("bit-shift").integers.settle(current, dash)


Broken = Callable[[Program, np.ndarray], bool]


@pytest.fixture
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Broken:
    """Return what tells whether an engine with other rules gives other states than ours."""
    rules: IntegerRules = find_family("bit-shift").integers._replace(**request.param)
    family = replace(find_family("bit-shift"), name="broken", integers=rules)
    families = {**table._read_families(), "broken": family}
    monkeypatch.setattr(table, "_read_families", lambda: families)

    def differs(program: Program, raster: np.ndarray) -> bool:
        runs = [prepare_run(program, *raster.shape[:2], AREAS, AREAS) for _ in range(2)]
        run_reference(program, raster, runs[0])
        run_reference(replace(program, chip=replace(program.chip, arithmetic="broken")), raster, runs[1])
        return runs[0].to_recording() != runs[1].to_recording()

    return differs


def draw_failing(broken: Broken, seeds: range = range(100)) -> tuple[Program, np.ndarray]:
    """Return the first case that shows the fault, cut down to what plain Python runs soon."""
    cases = ((program, raster[:2, :20]) for program, raster in map(draw_case, seeds))
    return next(case for case in cases if broken(*case))


@pytest.mark.parametrize("broken", [{"deliver": stay_in_word}], indirect=True)
def test_a_sum_that_does_not_saturate_is_shown_by_one_weight(broken: Broken) -> None:
    program, raster = minimise(*draw_failing(broken), broken)
    matrices = [matrix for _, _, matrices in program.memories for matrix in matrices]
    assert (raster.shape, program.hidden.size, program.outputs.size, sum(m.nnz for m in matrices)) == ((1, 1, 1), 1, 1, 1)
    weight = next(int(m.data[0]) for m in matrices if m.nnz)
    word = find_family("bit-shift").integers.count_weight(weight, program.input_shift, 16)
    assert not -32768 <= int(raster[0, 0, 0]) * word <= 32767
    assert -32768 <= (int(raster[0, 0, 0]) - 1) * word <= 32767
    assert unpack(assemble(describe(program, raster).partition("\n")[2])).input_weights == program.input_weights


@pytest.mark.parametrize("broken", [{"fire": fire_above}], indirect=True)
def test_a_threshold_that_is_off_by_one_is_shown_by_one_neuron(broken: Broken) -> None:
    program, raster = minimise(*draw_failing(broken), broken)
    assert raster.shape[0] == 1
    assert (program.hidden.size, program.outputs.size) == (1, 1)


@pytest.mark.parametrize("broken", [{"settle": hold_lowest}], indirect=True)
def test_no_weight_count_or_step_of_a_small_case_can_be_left_out(broken: Broken) -> None:
    program, raster = minimise(*draw_failing(broken, seeds=range(3, 100, 4)), broken)  # four neurons
    assert broken(program, raster)
    for place in np.flatnonzero(raster):
        fewer = raster.copy()
        fewer.flat[place] = 0
        assert not broken(program, fewer)
    for step in range(raster.shape[1] if raster.shape[1] > 1 else 0):
        assert not broken(program, np.delete(raster, step, axis=1))
    for kind in MemoryKind:
        for synapse, matrix in enumerate(program.memory(kind).weights):
            for place in range(matrix.nnz):
                kept = np.delete(np.arange(matrix.nnz), place)
                less = CsrMatrix.from_triplets(matrix.rows[kept], matrix.indices[kept], matrix.data[kept], matrix.shape)
                matrices = list(program.memory(kind).weights)
                matrices[synapse] = less
                assert not broken(program.with_weights({kind: tuple(matrices)}), raster)


@pytest.mark.parametrize("needed", [(), (3,), (0, 99), (5, 50, 51, 98)])
def test_what_is_kept_is_what_is_needed(needed: tuple[int, ...]) -> None:
    assert keep_few(range(100), lambda some: set(needed) <= set(some)) == list(needed)
