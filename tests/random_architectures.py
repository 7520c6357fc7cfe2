"""Random records of accelerators with crossbars, within what is legal: elements, switches, cells, memories, meshes, prices."""

from typing import Any

import numpy as np

from snnmap.core.errors import ChipError
from snnmap.crossbar import Architecture
from snnmap.crossbar.record.architecture import Converters, Costs, Elements, Fsm, Memories, Noc, Switches, WeightCells

PRICES = ("program", "drive", "convert", "digital", "hop")


def make_architecture(seed: int) -> Architecture:
    """A record of 1 to 17 cores; one whose weights need more joined elements than it has is drawn again."""
    try:
        return _draw(np.random.default_rng(seed))
    except ChipError:
        return make_architecture(seed + 10_000)


def _draw(rng: Any) -> Architecture:
    rows, columns, grid_rows, grid_columns = (int(rng.integers(1, most)) for most in (60, 60, 15, 15))
    cores = int(rng.integers(1, 18))
    divisors = [count for count in range(1, 33) if grid_columns * columns % count == 0]
    return Architecture(
        name=f"random {rows} x {columns}",
        description="",
        source="",
        cores=cores,
        clock_mhz=float(rng.integers(1, 500)),
        elements=Elements(rows=rows, columns=columns, grid_rows=grid_rows, grid_columns=grid_columns),
        switches=Switches(vertical=int(rng.integers(1, grid_rows + 1)), horizontal=int(rng.integers(1, grid_columns + 1))),
        weights=WeightCells(
            bits=8,
            cell_bits=int(rng.integers(1, 9)),
            encoding="signed" if rng.random() < 0.5 else "differential",
            bias="digital" if rng.random() < 0.5 else "row",
        ),
        converters=Converters(dac_bits=8, adc_bits=int(rng.integers(1, 33)), columns_per_adc=int(rng.choice(divisors))),
        memories=Memories(
            activation_bytes=1 << 20,
            accumulator_words=int(rng.choice([1000, 2000, 5000, 100_000])),
            program_bytes=1 << 24,
            constant_bytes=1 << 20,
        ),
        noc=Noc(columns=int(rng.integers(1, cores + 1)), bytes_per_cycle=int(rng.integers(1, 64))),
        fsm=Fsm(loop_bits=int(rng.choice([16, 24, 32])), address_bits=int(rng.choice([24, 32]))),
        costs=_draw_costs(rng),
    )


def _draw_costs(rng: Any) -> Costs:
    cycles = {f"{name}_cycles": int(rng.integers(0, 20)) for name in PRICES if rng.random() < 0.8}
    energies = {f"{name}_pj": float(rng.integers(0, 20)) for name in (*PRICES, "memory") if rng.random() < 0.8}
    return Costs(**cycles, **energies)
