"""The engine on torch tensors gives what the others give, bit for bit, in every family."""

import numpy as np
import pytest
import torch
from random_programs import random_program, with_delays
from xylosim_campaign import draw_case

from snnmap.chip import MemoryKind, list_chips, list_families, load_chip
from snnmap.core.errors import InputError
from snnmap.lif.program import Program, pack
from snnmap.lif.simulator import simulate_image
from snnmap.nn import torch_engine

AREAS = ("hidden", "outputs")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here"))]


def require_equal(program: Program, raster: np.ndarray, device: str) -> None:
    image = pack(program)
    for count_saturation in (False, True):
        runs = [
            simulate_image(
                image, raster, counts_of=AREAS, states_of=AREAS, engine=engine, clamp=True, count_saturation=count_saturation
            )
            for engine in (torch_engine(device), "batch")
        ]  # fmt: skip
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                np.testing.assert_array_equal(getattr(runs[0], kind)[area], getattr(runs[1], kind)[area])
        assert runs[0] == runs[1]


def test_every_family_is_on_a_chip() -> None:
    assert {load_chip(name).arithmetic for name in list_chips()} == set(list_families())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", list_chips())
def test_random_programs_give_the_same(name: str, seed: int, device: str) -> None:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    program = random_program(
        chip, rng, n_inputs=min(16, chip.inputs.count), n_hidden=min(chip.hidden.count, 40), n_outputs=min(6, chip.outputs.count),
        shifts=tuple(rng.integers(0, 8, 3).tolist()), with_alias=chip.hidden.alias and seed < 2, threshold=(-2, 300),
    )  # fmt: skip
    raster = rng.integers(0, 20, (5, 25, program.n_inputs)) * (rng.random((5, 25, program.n_inputs)) < 0.3)
    require_equal(program, raster, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("delay", [0, 1])
def test_delays_are_the_chip_s(delay: int, device: str) -> None:
    rng = np.random.default_rng(5)
    program = random_program(with_delays(load_chip("xylo-audio-3"), delay), rng, n_inputs=4, n_hidden=20, n_outputs=3)
    require_equal(program, rng.integers(0, 9, (2, 30, 4)), device)


@pytest.mark.parametrize("device", DEVICES)
def test_the_corners_give_the_same(device: str) -> None:
    for seed in range(24):
        program, raster = draw_case(seed)
        if max(program.memory(kind).shift for kind in MemoryKind) <= program.chip.bits.shift_max:
            require_equal(program, raster[:4, :40], device)


def test_a_device_that_is_not_there_is_told() -> None:
    for device in ("tpu", "cuda:99", "", "cuda" if not torch.cuda.is_available() else "xpu"):
        with pytest.raises(InputError, match="torch has no such device"):
            torch_engine(device)
