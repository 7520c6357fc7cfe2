"""What leaves its word is counted alike by all engines, and counting changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import list_chips, load_chip
from snnmap.core import CsrMatrix
from snnmap.core.errors import InputError
from snnmap.lif.program import Image, NeuronCodes, Program, pack
from snnmap.lif.simulator import Engine, simulate_image
from snnmap.network import Recording, Saturation

AREAS = ("hidden", "outputs")
ENGINES: tuple[Engine, ...] = ("batch", "reference")


def run_counted(image: Image, raster: np.ndarray, engine: Engine = "batch") -> Recording:
    return simulate_image(image, raster, counts_of=AREAS, states_of=AREAS, engine=engine, clamp=True, count_saturation=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", list_chips())
def test_engines_count_alike_and_counting_changes_nothing(name: str, seed: int) -> None:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    program = random_program(
        chip, rng, n_inputs=min(16, chip.inputs.count), n_hidden=min(chip.hidden.count, 30), n_outputs=min(6, chip.outputs.count),
        shifts=tuple(rng.integers(0, 8, 3).tolist()), with_alias=chip.hidden.alias, threshold=(-2, 300),
    )  # fmt: skip
    raster = rng.integers(0, 20, (5, 25, program.n_inputs)) * (rng.random((5, 25, program.n_inputs)) < 0.3)
    counted, reference = (run_counted(pack(program), raster, engine) for engine in ENGINES)
    assert counted == reference
    assert counted.saturation is not None
    assert counted.saturation.inputs.tolist() == (raster > 15).sum(axis=(1, 2)).tolist()
    uncounted = simulate_image(pack(program), raster, counts_of=AREAS, states_of=AREAS, clamp=True)
    assert uncounted.saturation is None
    assert uncounted == replace(counted, saturation=None)


def toy_image(*, weight: int = 100, threshold: int = 30000, dash_mem: int = 2, shift: int = 0, bias: int = 0) -> Image:
    """One input, one neuron with a synapse of weight ``weight``, and an output that nothing reaches."""
    nothing = CsrMatrix.from_dense(np.zeros((1, 1), np.int64))
    codes = {"dash_syn": np.array([[1], [1]]), "dash_mem": np.array([dash_mem]), "bias": np.array([bias])}
    silent = NeuronCodes(dash_syn=np.array([[1]]), dash_mem=np.array([1]), threshold=np.array([1]), bias=np.array([0]))
    program = Program(
        chip=load_chip("toy-4"), input_weights=(CsrMatrix.from_dense(np.array([[weight]])), nothing),
        recurrent_weights=(nothing, nothing), output_weights=(nothing,), input_shift=shift, recurrent_shift=0, output_shift=0,
        hidden=NeuronCodes(**codes, threshold=np.array([threshold])), outputs=silent, alias=np.array([-1]),
    )  # fmt: skip
    return pack(program)


def count_toy(image: Image, *arriving: int) -> Saturation:
    found = {engine: run_counted(image, np.array(arriving)[:, np.newaxis], engine).saturation for engine in ENGINES}
    assert found["batch"] == found["reference"]
    assert found["batch"] is not None
    return found["batch"]


def test_a_current_is_counted_where_it_leaves_16_bits() -> None:
    loud = toy_image(weight=100, shift=7)  # 12,800 a spike
    assert str(count_toy(loud, 2)) == "none"
    assert count_toy(loud, 3).currents.tolist() == [[1, 0]]  # 38,400
    assert count_toy(loud, 3, 0, 3).currents.tolist() == [[2, 0]]


def test_a_potential_is_counted_where_it_leaves_16_bits() -> None:
    held = toy_image(weight=125, shift=7, dash_mem=15)  # 16,000 a spike, half of it at once, the other half soon
    steps = (2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert str(count_toy(held, *steps)) == "none"
    assert count_toy(toy_image(weight=-125, shift=7, dash_mem=15), *steps, *steps).potentials[0, 0] > 0


def test_a_count_is_counted_where_more_spikes_were_due() -> None:
    assert count_toy(toy_image(weight=62, threshold=1, dash_mem=0), 1).counts.tolist() == [[0, 0]]  # 31 spikes
    assert count_toy(toy_image(weight=64, threshold=1, dash_mem=0), 1).counts.tolist() == [[1, 0]]  # 32 would be
    assert count_toy(toy_image(threshold=0), 0, 0).counts.tolist() == [[2, 0]]


def test_counts_beyond_the_chip_s_are_refused_with_their_place_or_clamped_and_counted() -> None:
    raster = np.zeros((2, 4, 1), int)
    raster[1, 2, 0] = 200
    for engine in ENGINES:
        with pytest.raises(InputError, match="sample 1, step 2, channel 0"):
            simulate_image(toy_image(), raster, engine=engine)
    clamped = run_counted(toy_image(), raster)
    assert clamped.saturation is not None
    assert clamped.saturation.by_sample.tolist() == [0, 1]
    assert str(clamped.saturation) == "1 input counts clamped"
    raster[1, 2, 0] = 15
    assert clamped.counts["hidden"].tolist() == run_counted(toy_image(), raster).counts["hidden"].tolist()
