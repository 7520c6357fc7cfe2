"""Random programs that force every corner of the arithmetic, on our engines and on XyloSim; a mismatch is made small.

``python tests/xylosim_campaign.py --updates 1e9`` runs seeds from 0 on until so many neuron updates have been compared, and
prints how often each corner was reached.
"""

import sys
import time
from argparse import ArgumentParser
from collections import Counter
from dataclasses import replace

import numpy as np
from minimise import minimise
from random_programs import random_program
from xylosim_bridge import XyloChip

from snnmap.chip import Chip, MemoryKind, load_chip
from snnmap.lif.bitstream import disassemble
from snnmap.lif.program import NeuronCodes, Program, pack
from snnmap.lif.simulator import simulate_image
from snnmap.lif.simulator.batch import run_batch
from snnmap.lif.simulator.run import AREAS, prepare_run
from snnmap.network import Recording

CHIPS = ("xylo-audio-2", "xylo-audio-3", "xylo-imu", "toy-4")
CI_SEEDS, CI_UPDATES = range(24), 10**7
NIGHTLY_UPDATES = 10**9
CORNERS = (
    "current above its word", "current below its word", "potential above its word", "potential below its word",
    "weight wraps", "threshold 1", "threshold below 1", "31 spikes", "spikes held back", "alias capped", "no synaptic memory",
    "no membrane memory", "slowest decay", "negative current", "second synapse", "bias", "alias", "one lane", "several lanes",
)  # fmt: skip


def draw_case(seed: int) -> tuple[Program, np.ndarray]:
    """Draw a program and its raster ``(n_samples, n_steps, n_inputs)``; what is extreme about them is drawn, too."""
    rng = np.random.default_rng(seed)
    chip = load_chip(CHIPS[seed % len(CHIPS)])
    n_inputs, n_hidden, n_outputs = (
        int(rng.integers(1, min(most, count) + 1))
        for most, count in ((16, chip.inputs.count), (250, chip.hidden.count), (8, chip.outputs.count))
    )
    fan_out, threshold = rng.choice([1, 4, 30], p=[0.5, 0.4, 0.1]), rng.choice([2, 30, 3000, 30000], p=[0.1, 0.1, 0.4, 0.4])
    program = random_program(
        chip, rng, n_inputs=n_inputs, n_hidden=n_hidden, n_outputs=n_outputs, density=min(0.5, fan_out / n_hidden),
        shifts=tuple(rng.integers(0, 8, 3).tolist()), with_alias=chip.hidden.alias and rng.random() < 0.6,
        threshold=(int(rng.choice([1, -2 if threshold < 100 else 20])), threshold),
    )  # fmt: skip
    if rng.random() < 0.15:
        program = replace(program, input_shift=int(rng.integers(8, 12)), recurrent_shift=int(rng.integers(8, 12)))
    if rng.random() < 0.3:
        program = _with_one_sign(program, int(rng.choice([-1, 1])))
    program = replace(program, hidden=_draw_codes(program.hidden, chip, rng), outputs=_draw_codes(program.outputs, chip, rng))
    is_loud = fan_out * 1000 > threshold
    shape = (int(rng.choice([1, 3, 33] if is_loud else [1, 33, 64])), int(rng.integers(20, 40 if is_loud else 300)), n_inputs)
    busy = rng.random(shape) < rng.choice([0.02, 0.1, 1.0], p=[0.4, 0.4, 0.2])
    return program, rng.integers(0, chip.inputs.max_count + 1, shape) * busy


def _draw_codes(codes: NeuronCodes, chip: Chip, rng: np.random.Generator) -> NeuronCodes:
    """Draw decays from all codes, and biases up to the largest."""
    top = chip.bits.dash_max
    dash_syn, dash_mem = rng.integers(0, top + 1, codes.dash_syn.shape), rng.integers(0, top + 1, codes.size)
    has_bias = codes.bias.any()
    bias = rng.integers(-(2 ** int(rng.integers(1, 16))), 2 ** int(rng.integers(1, 16)), codes.size)
    return replace(codes, dash_syn=dash_syn, dash_mem=dash_mem, bias=bias * has_bias)


def _with_one_sign(program: Program, sign: int) -> Program:
    changed = {
        kind: tuple(
            m.with_data(np.where(m.data == -128, sign * 127, sign * np.abs(m.data))) for m in program.memory(kind).weights
        )
        for kind in MemoryKind
    }
    return program.with_weights(changed)


def run_ours(program: Program, raster: np.ndarray) -> Recording:
    """Run a program as an image where its weight shifts are ones of the chip, else as it is; count what leaves its word."""
    if max(program.memory(kind).shift for kind in MemoryKind) <= program.chip.bits.shift_max:
        image = pack(program)
        plain = simulate_image(image, raster, counts_of=AREAS, states_of=AREAS)
        counted = simulate_image(image, raster, counts_of=AREAS, states_of=AREAS, count_saturation=True)
    else:
        runs = [prepare_run(program, *raster.shape[:2], AREAS, AREAS, is_counted=is_counted) for is_counted in (False, True)]
        for run in runs:
            run_batch(program, raster, run)
        plain, counted = (run.to_recording() for run in runs)
    assert plain == replace(counted, saturation=None)
    return counted


def count_differences(program: Program, raster: np.ndarray, ours: Recording | None = None) -> int:
    """Return the counts, potentials and currents that are not XyloSim's."""
    found = run_ours(program, raster) if ours is None else ours
    judge, differences = XyloChip(program), 0
    for sample in range(len(raster)):
        theirs = judge.run(raster[sample])
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                differences += int((getattr(theirs, kind)[area] != getattr(found, kind)[area][sample]).sum())
    return differences


def count_corners(program: Program, run: Recording) -> Counter[str]:
    """Return how often a case reached each corner, or how many of its parts are there."""
    chip, hidden, n_samples = program.chip, program.hidden, len(run.counts["hidden"])
    currents, potentials, counts = run.currents["hidden"], run.potentials["hidden"], run.counts["hidden"]
    saturation = run.saturation
    assert saturation is not None
    shifted = np.concatenate([m.data << program.memory(kind).shift for kind in MemoryKind for m in program.memory(kind).weights])
    lowest, highest = -chip.bits.state_max - 1, chip.bits.state_max
    dash = np.broadcast_to(hidden.dash_syn[None, None], currents.shape)
    settled = {end: end - np.where(dash > 0, np.where(end >> dash == 0, 1, end >> dash), end) for end in (highest, lowest)}
    return Counter({
        "current above its word": int((currents == settled[highest])[dash > 0].sum()) and int(saturation.currents.sum()),
        "current below its word": int((currents == settled[lowest])[dash > 0].sum()) and int(saturation.currents.sum()),
        "potential above its word": int((potentials == highest).sum()) and int(saturation.potentials.sum()),
        "potential below its word": int((potentials == lowest).sum()) and int(saturation.potentials.sum()),
        "weight wraps": int((np.abs(shifted) > highest).sum()),
        "threshold 1": int(counts[..., hidden.threshold == 1].sum()),
        "threshold below 1": int(counts[..., hidden.threshold < 1].sum()),
        "31 spikes": int((counts == chip.hidden.max_count).sum()),
        "spikes held back": int(saturation.counts.sum()),
        "alias capped": int((counts[..., program.alias[program.alias >= 0]] == chip.hidden.max_count).sum()),
        "no synaptic memory": int((hidden.dash_syn == 0).sum()),
        "no membrane memory": int((hidden.dash_mem == 0).sum()),
        "slowest decay": int((hidden.dash_mem == chip.bits.dash_max).sum()),
        "negative current": int((currents < 0).sum()),
        "second synapse": int((currents[:, :, 1:] != 0).sum()),
        "bias": int((hidden.bias != 0).sum()),
        "alias": int((program.alias >= 0).sum()),
        "one lane": counts.size * (n_samples == 1),
        "several lanes": counts.size * (n_samples > 1),
    })  # fmt: skip


def run_case(seed: int) -> tuple[int, Counter[str]]:
    """Compare a case with XyloSim; give the neuron updates compared and the corners reached.

    Raises:
        AssertionError: a count or state differs; the smallest program that shows it is told, as text that assembles.
    """
    program, raster = draw_case(seed)
    ours = run_ours(program, raster)
    if count_differences(program, raster, ours):
        raise AssertionError(f"seed {seed}: {describe(*minimise(program, raster, lambda *case: count_differences(*case) > 0))}")
    return raster.shape[0] * raster.shape[1] * (program.hidden.size + program.outputs.size), count_corners(program, ours)


def describe(program: Program, raster: np.ndarray) -> str:
    """Return a small case as text."""
    shifts = {kind: program.memory(kind).shift for kind in MemoryKind}
    limit = program.chip.bits.shift_max
    shown = replace(program, **{kind.shift_name: min(shift, limit) for kind, shift in shifts.items()})
    told = {kind.shift_name: shift for kind, shift in shifts.items() if shift > limit}
    return f"inputs {raster.tolist()}{f', but {told}' if told else ''}\n{disassemble(pack(shown))}"


def main() -> None:
    """Run seeds until enough has been compared."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=float, default=NIGHTLY_UPDATES)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    n_updates, seed, corners, start = 0, options.first, Counter[str](), time.perf_counter()
    while n_updates < options.updates:
        updates, reached = run_case(seed)
        n_updates, corners, seed = n_updates + updates, corners + reached, seed + 1
        if seed % 20 == 0:
            sys.stdout.write(
                f"seeds {options.first}..{seed - 1}: {n_updates:,} updates equal, {time.perf_counter() - start:.0f} s\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"seeds {options.first}..{seed - 1}: {n_updates:,} neuron updates, 0 differences\n")
    for corner in CORNERS:
        sys.stdout.write(f"{corner}: {corners[corner]:,}\n")


if __name__ == "__main__":
    main()
