"""Random deep float LIF networks at a given rate, and Rockpool's channel quantisation of the same."""

from dataclasses import replace

import numpy as np
from rockpool.transform.quantize_methods import channel_quantize
from xylosim_bridge import XyloChip

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix, IntArray
from snnmap.lif.program import NeuronCodes, Program
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, simulate_network

N_INPUTS, N_OUTPUTS = 16, 4


def draw_raster(seed: int, n_samples: int, n_steps: int = 200) -> IntArray:
    return np.random.default_rng(seed).poisson(0.3, (n_samples, n_steps, N_INPUTS)).clip(0, 15)


def draw_network(seed: int, sizes: tuple[int, ...], alpha: float, beta: float, rate: float = 0.1) -> Network:
    """Draw Gaussian weights, layer by layer scaled so that each fires ``rate`` spikes a step on average."""
    rng, raster = np.random.default_rng(seed), draw_raster(seed + 1000, 8)
    network = Network(
        name=f"random-{seed}", inputs=(InputPort(name="in", size=N_INPUTS),), populations=(), projections=(), outputs=()
    )
    previous, n_pre = "in", N_INPUTS
    for number, size in enumerate((*sizes, N_OUTPUTS)):
        name = "out" if number == len(sizes) else f"h{number}"
        network = _add_layer(network, previous, name, rng.normal(0.2, 1.0, (n_pre, size)), alpha, beta, rate, raster)
        previous, n_pre = name, size
    return network


def _add_layer(
    network: Network, pre: str, name: str, weights: np.ndarray, alpha: float, beta: float, rate: float, raster: IntArray
) -> Network:
    low, high = 1e-5, 10.0
    for _ in range(25):
        gain = (low * high) ** 0.5
        population = Population.create(name, weights.shape[1], alpha=alpha, beta=beta, max_count=1 if name == "out" else 31)
        projection = Projection(name=f"{pre}->{name}", pre=pre, post=name, weights=CsrMatrix.from_dense(gain * weights))
        grown = replace(
            network,
            populations=(*network.populations, population),
            projections=(*network.projections, projection),
            outputs=(OutputPort(name="o", populations=(name,)),),
        )
        found = simulate_network(grown, raster, counts_of=[name]).counts[name].mean()
        low, high = (low, gain) if found > rate else (gain, high)
    return grown


def run_peer(network: Network, raster: IntArray, dash_mem: float, dash_syn: float) -> dict[str, IntArray]:
    """Quantise by Rockpool's ``channel_quantize``, dashes unrounded as its mapper gives them; run on XyloSim; counts by layer."""
    hidden = [population for population in network.populations if population.name != "out"]
    first = dict(zip((p.name for p in hidden), np.cumsum([0, *(p.size for p in hidden)])[:-1].tolist(), strict=True))
    n = sum(population.size for population in hidden)
    alpha = float(hidden[0].alpha[0, 0])
    w_in, w_rec, w_out = np.zeros((N_INPUTS, n)), np.zeros((n, n)), np.zeros((n, N_OUTPUTS))
    for projection in network.projections:
        dense = projection.weights.to_dense() / alpha  # Xylo decays after the input
        if projection.pre == "in":
            w_in[:, : dense.shape[1]] = dense
        else:
            rows = slice(first[projection.pre], first[projection.pre] + dense.shape[0])
            if projection.post == "out":
                w_out[rows] = dense
            else:
                w_rec[rows, first[projection.post] : first[projection.post] + dense.shape[1]] = dense
    program = _make_program(w_in, w_rec, w_out, dash_mem, dash_syn)
    chip, runs = XyloChip(program), []
    for sample in np.pad(raster, ((0, 0), (0, len(hidden)), (0, 0))):
        runs.append(chip.run(sample).counts["hidden"])
    counts, n_steps = np.stack(runs), raster.shape[1]
    return {p.name: counts[:, lag : lag + n_steps, first[p.name] : first[p.name] + p.size] for lag, p in enumerate(hidden)}


def _make_program(w_in: np.ndarray, w_rec: np.ndarray, w_out: np.ndarray, dash_mem: float, dash_syn: float) -> Program:
    n = w_rec.shape[0]
    codes = channel_quantize(
        weights_in=w_in[:, :, np.newaxis], weights_rec=w_rec[:, :, np.newaxis], weights_out=w_out,
        threshold=np.ones(n), threshold_out=np.ones(N_OUTPUTS),
        dash_mem=np.full(n, dash_mem), dash_mem_out=np.full(N_OUTPUTS, dash_mem),
        dash_syn=np.full(n, dash_syn), dash_syn_2=np.full(n, dash_syn), dash_syn_out=np.full(N_OUTPUTS, dash_syn),
    )  # fmt: skip
    empty_in, empty_rec = (CsrMatrix.from_dense(np.zeros(shape, np.int64)) for shape in ((N_INPUTS, n), (n, n)))
    return Program(
        chip=load_chip("xylo-audio-2"),
        input_weights=(CsrMatrix.from_dense(codes["weights_in"].reshape(N_INPUTS, n)), empty_in),
        recurrent_weights=(CsrMatrix.from_dense(codes["weights_rec"].reshape(n, n)), empty_rec),
        output_weights=(CsrMatrix.from_dense(codes["weights_out"]),),
        input_shift=0,
        recurrent_shift=0,
        output_shift=0,
        hidden=NeuronCodes(
            dash_syn=np.stack([codes["dash_syn"]] * 2),
            dash_mem=codes["dash_mem"],
            threshold=codes["threshold"],
            bias=np.zeros(n, np.int64),
        ),
        outputs=NeuronCodes(
            dash_syn=codes["dash_syn_out"][np.newaxis],
            dash_mem=codes["dash_mem_out"],
            threshold=codes["threshold_out"],
            bias=np.zeros(N_OUTPUTS, np.int64),
        ),
        alias=np.full(n, -1),
    )
