"""Break the core in one place at a time: programs on a chip that uses all of it see each break."""

from pathlib import Path

import numpy as np
import pytest
from rtl_programs import draw_counts, draw_program, predict_cycles

from snnmap.chip import load_chip
from snnmap.lif.program import pack
from snnmap.lif.rtl import VerilatedChip, build
from snnmap.lif.rtl.sources import list_sources
from snnmap.lif.simulator import simulate_image

AREAS = ("hidden", "outputs")
MIXED = str(Path(__file__).with_name("mixed.toml"))
MUTATIONS = {
    "no forwarding in a column": ("lif_walker.v", "s3_follows ? result : s3_current", "s3_current"),
    "forwarding over rows": ("lif_walker.v", "s3_follows <= by_target && s3_valid;", "s3_follows <= s3_valid;"),
    "the count of the row to come": ("lif_walker.v", "by_target ? count : s1_count", "count"),
    "one spike for many": ("lif_walker.v", "$signed({1'b0, s2_count})", "$signed({1'b0, s2_count != 0})"),
    "the first of a group is skipped": ("lif_walker.v", "left_rows <= rows;", "left_rows <= rows & ~16'd1;"),
    "the end of a range is not masked": ("lif_walker.v", "(ahead == last[A-1:4] ? last_mask : 16'hffff)", "16'hffff"),
    "the start of a range is not masked": ("lif_walker.v", "(ahead == first_row[A-1:4] ? first_mask : 16'hffff)", "16'hffff"),
    "the last group is not walked": ("lif_walker.v", "at_end <= ahead == last[A-1:4];", "at_end <= ahead + 1'b1 >= last[A-1:4];"),
    "rows start one behind": ("lif_weights.v", "total <= next + length_q;", "total <= next + length_q + 1'b1;"),
    "wraps instead of saturating": ("words.v", "assign result = fits ?", "assign result = 1 ?"),
    "a decay stalls": ("bit_shift.v", "shifted == 0 && value != 0 ?", "0 ?"),
    "the lowest state does not wrap": ("bit_shift.v", "assign leak = -lost;", "assign leak = -lost == lost ? ~lost : -lost;"),
    "half a bias": ("bit_shift.v", ".value(raised)", ".value(raised >>> 1)"),
    "spikes above the most": ("bit_shift.v", "sent <= max_count", "sent <= max_count + 1"),
    "above the threshold instead of at it": ("bit_shift.v", "!rest[X+K] &&", "!rest[X+K] && rest != 0 &&"),
    "thresholds below 0 by powers of two": ("bit_shift.v", "(K == 0 || !threshold[T-1])", "1"),
    "no further spikes": ("lif_evolve.v", "f_count_in, again,", "f_count_in, 1'b0,"),
    "no alias of a later slot": ("lif_evolve.v", "is_hidden ? waiting_q : {CNT{1'b0}}", "{CNT{1'b0}}"),
    "a later slot does not wait for its alias": ("lif_evolve.v", "(|p_alias_waits || (f_valid && f_alias != 0))", "1'b0"),
    "no alias of an earlier slot": ("lif_evolve.v", "assign count_we = done || to_alias;", "assign count_we = done;"),
    "the sum of an alias is not clamped": ("lif_evolve.v", "alias_sum > max_count ?", "0 ?"),
    "an alias of a silent slot is not on the map": ("lif_core.v", "= count_bit | (", "= (to_alias ? 16'd0 : count_bit) | ("),
    "outputs see the step before": ("lif_core.v", "memory == 1 || OUT_DELAY ? bank : !bank", "bank"),
    "inputs come at once": ("lif_core.v", "(IN_DELAY ? !bank : bank)", "bank"),
    "inputs are not clamped": ("lif_core.v", "in_count > IN_MAX ? IN_MAX : in_count", "in_count"),
}  # fmt: skip


def differs(seed: int) -> bool:
    program = draw_program(load_chip(MIXED), seed)
    raster = draw_counts(program, seed, 60)
    run = simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS, clamp=True)
    steps = VerilatedChip(program).run(raster)
    pairs = [
        (steps.counts, np.concatenate([run.counts[area][0] for area in AREAS], axis=1)),
        (steps.potentials, np.concatenate([run.potentials[area][0] for area in AREAS], axis=1)),
        (steps.currents, np.concatenate([run.currents[area][0] for area in AREAS], axis=2)),
        (steps.cycles, predict_cycles(program, raster, run)),
    ]
    return not all(np.array_equal(found, expected) for found, expected in pairs)


def test_the_core_as_it_is_is_not_broken() -> None:
    assert not any(differs(seed) for seed in range(12))


@pytest.mark.nightly
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_break_is_seen(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, sound, broken = MUTATIONS[name]
    sources = list_sources(load_chip(MIXED))
    assert sources[file].count(sound) == 1
    sources[file] = sources[file].replace(sound, broken)
    monkeypatch.setattr(build, "list_sources", lambda _: sources)
    assert any(differs(seed) for seed in range(12))
