import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network

from snnmap.chip import load_chip
from snnmap.chip.arithmetic.bit_shift import decay_factors
from snnmap.core import CsrMatrix
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import pack, unpack
from snnmap.lif.quantise import quantise_network
from snnmap.network import InputPort, Network, OutputPort, Population, Projection

XYLO = load_chip("xylo-audio-3")


def dense_layer(weights: np.ndarray, **parameters: object) -> Network:
    """In -> hidden with these weights -> one output neuron."""
    n_pre, n_post = weights.shape
    return Network(
        name="dense",
        inputs=(InputPort(name="in", size=n_pre),),
        populations=(
            Population.create("h", n_post, **{"alpha": 0.5, "beta": 0.75, **parameters}),
            Population.create("o", 1, alpha=0.5),
        ),
        projections=(
            Projection(name="w", pre="in", post="h", weights=CsrMatrix.from_dense(weights)),
            Projection(name="q", pre="h", post="o", weights=CsrMatrix.from_dense(np.ones((n_post, 1)))),
        ),
        outputs=(OutputPort(name="y", populations=("o",)),),
    )


@pytest.mark.parametrize("seed", range(10))
def test_scales_are_exact_freedom_and_nothing_is_clipped(seed: int) -> None:
    network = random_network(seed)
    mapped = fold_network(network, XYLO)
    silence = {port.name: np.zeros((1, 1, port.size), np.int64) for port in network.inputs}  # so that no state sets a scale
    quantised = quantise_network(mapped, calibration=silence)
    program = quantised.program
    neurons = mapped.table.hidden_hop == 0
    assert np.allclose(program.hidden.threshold[neurons], (mapped.hidden.threshold * quantised.hidden_scale)[neurons], rtol=1e-12)
    assert not any(error.n_clipped for error in quantised.errors)
    assert np.array_equal(decay_factors(program.hidden.dash_mem)[neurons], mapped.hidden.beta[neurons])
    assert unpack(pack(program)) == program
    for error in quantised.errors:
        if error.name.startswith(("input_weights", "recurrent_weights", "output_weights")):
            assert error.relative_rms < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_integer_weights_follow_scale_decay_and_shift(seed: int) -> None:
    mapped = fold_network(random_network(seed), XYLO)
    quantised = quantise_network(mapped)
    program = quantised.program
    step = 1 << program.recurrent_shift
    paired = np.logical_and(*(matrix.to_dense() != 0 for matrix in mapped.recurrent_weights))
    for synapse, (trained, coded) in enumerate(zip(mapped.recurrent_weights, program.recurrent_weights, strict=True)):
        real = (mapped.table.hidden_hop == 0)[trained.indices]
        source, target = trained.rows[real], trained.indices[real]
        exact = trained.data[real] / mapped.hidden.alpha[synapse][target] * quantised.hidden_scale[target]
        error = np.abs(coded.to_dense()[source, target] * step - exact)
        assert (error < np.where(paired[source, target], 9, 1) * step).all()


def test_an_output_decay_that_cannot_be_coded_keeps_the_gain() -> None:
    weights = np.full((3, 4), 0.7)
    quantised = quantise_network(fold_network(dense_layer(weights, alpha=0.6, beta=0.83), XYLO))
    codes, program = quantised.program.hidden, quantised.program
    alpha, beta = decay_factors(codes.dash_syn[0]), decay_factors(codes.dash_mem)
    stored = program.input_weights[0].to_dense() * (1 << program.input_shift) * alpha / quantised.hidden_scale
    gain = stored / ((1 - alpha) * (1 - beta))
    assert np.allclose(gain, weights / ((1 - 0.6) * (1 - 0.83)), rtol=0.01)
    assert not np.allclose(alpha, 0.6)


def test_calibration_sets_scales_by_the_states_that_occur() -> None:
    network = dense_layer(np.abs(np.random.default_rng(0).normal(1, 0.2, (8, 6))), threshold=4.0)
    mapped = fold_network(network, XYLO)
    quiet, loud = (np.full((2, 30, 8), count) for count in (0, 15))
    quiet[:, 3, 0] = 1
    small, large = (quantise_network(mapped, calibration=raster).program.hidden.threshold for raster in (quiet, loud))
    assert (small > 4 * large).all()


def test_an_infinite_threshold_becomes_the_highest() -> None:
    network = dense_layer(np.ones((2, 2)))
    readout = Population.create("o", 1, alpha=0.5, beta=0.75, threshold=np.inf)
    network = replace(
        network,
        populations=(network.populations[0], readout),
        outputs=(OutputPort(name="y", populations=("o",), readout="potential"),),
    )
    assert quantise_network(fold_network(network, XYLO)).program.outputs.threshold.tolist() == [32767]


def test_relays_are_the_chips_relay_cell_in_the_units_of_their_memories() -> None:
    for seed in range(12):
        mapped = fold_network(random_network(seed), XYLO)
        program = quantise_network(mapped).program
        for relay in np.flatnonzero(mapped.table.hidden_hop):
            unit = program.hidden.threshold[relay]
            into = [
                (m.to_dense()[:, relay] * (1 << shift))
                for m, shift in (
                    (program.input_weights[0], program.input_shift),
                    (program.recurrent_weights[0], program.recurrent_shift),
                )
            ]
            assert sorted(np.concatenate(into)[np.concatenate(into) != 0]) == [-unit, 2 * unit]


DIGEST_OF_QUANTISATION = """
import sys; sys.path.insert(0, 'tests')
import hashlib
from random_networks import random_network
from snnmap.chip import load_chip
from snnmap.lif.program import pack
from snnmap.lif.mapping import draw_rasters, fold_network
from snnmap.lif.quantise import quantise_network
network = random_network(5)
quantised = quantise_network(fold_network(network, load_chip('xylo-audio-3')), calibration=draw_rasters(network))
print(hashlib.sha256(b''.join(block.words.tobytes() for block in pack(quantised.program).blocks)).hexdigest())
"""


@pytest.mark.parametrize(
    "environment", [{"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}, {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F"}]
)
def test_other_processes_and_simd_levels_round_alike(environment: dict[str, str]) -> None:
    def run(extra: dict[str, str]) -> str:
        command = [sys.executable, "-W", "ignore", "-c", DIGEST_OF_QUANTISATION]
        return subprocess.run(command, env={**os.environ, **extra}, capture_output=True, text=True, check=True).stdout

    assert run(environment) == run({})


def test_partial_sums_have_room_in_any_order() -> None:
    """Large weights that cancel: their sum is small, what is added up on the way is not."""
    weights = np.repeat([[30.0], [-30.0]], 8, axis=0) @ np.ones((1, 4))
    network = dense_layer(weights)
    raster = np.full((1, 20, 16), 15)
    raster[0, :, 0] = np.arange(20) % 16  # so that something fires
    program = quantise_network(fold_network(network, XYLO), calibration=raster).program
    arriving = np.abs(program.input_weights[0].to_dense() << program.input_shift).T @ raster[0].max(axis=0)
    assert (arriving <= 32767).all()
    assert (arriving > 3000).all()


def test_neurons_of_one_source_take_a_scale_that_suits_their_weight() -> None:
    """Each would be off by up to half a step, and no other weight would make up for it."""
    weights = np.diag(np.random.default_rng(0).uniform(0.4, 0.6, 12))
    network = dense_layer(weights, beta=1.0 - 2.0**-15)
    raster = np.full((2, 40, 12), 15)
    quantised = quantise_network(fold_network(network, XYLO), calibration=raster)
    program = quantised.program
    stored = program.input_weights[0].to_dense() * float(1 << program.input_shift)
    found = stored.diagonal() * 0.5 / program.hidden.threshold[:12]
    assert np.abs(found / weights.diagonal() - 1.0).max() < 0.001
    assert stored.max() < 32767 / 15
