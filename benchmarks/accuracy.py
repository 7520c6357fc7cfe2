"""What is lost between training and chip, on random networks and real data; written to docs/measurements.md with ``--write``.

Run with ``make accuracy``. Every figure is measured here; a row says what it is held against.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from builds import enlarge
from datasets import read_fashion_mnist, read_japanese_vowels
from measurements import Row, choose_rows, print_rows, write_table
from random_float_networks import draw_network, draw_raster, run_peer
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from time_series import (
    SVM_RECIPES,
    WATCH_FOLDS,
    WATCH_RECIPES,
    choose_vowels,
    choose_watch,
    score_watch_svm,
    split_watch,
    train_vowels,
    train_watch,
)
from torch import Tensor, nn

from snnmap.chip import Chip, load_chip
from snnmap.convert import Conversion, ConvertOptions, convert_ann
from snnmap.core import CsrMatrix, FloatArray, IntArray
from snnmap.lif.mapping import fold_network, folded_counts
from snnmap.lif.program import unfold_network
from snnmap.lif.quantise import QuantiseOptions, SecondSynapse, match_decays, quantise_network
from snnmap.lif.simulator import simulate_image
from snnmap.network import Network, simulate_network
from snnmap.nn import ChipIntegrator, ChipLIF, Residual
from snnmap.pipeline import CompileOptions, compile_model
from snnmap.train import limit_fan_in, settle_fan_in, verify_model

GENERIC, CONVERTED = load_chip("generic-4096"), CompileOptions(quantise=QuantiseOptions(depth=16.0))


def measure_chip_exact() -> Iterator[Row]:
    """Compare recurrent residual chip-exact models with their bitstreams, counts and readout potentials."""
    compared = differing = 0
    for seed in range(5):
        torch.manual_seed(seed)
        model = nn.Sequential(ChipLIF(16, 48), ChipLIF(48, 32, recurrent=True), Residual(ChipLIF(32, 32)), ChipIntegrator(32, 4))
        seen = verify_model(model, compile_model(model, "xylo-audio-3"), draw_raster(seed, 8))
        compared, differing = compared + seen.n_compared, differing + seen.n_mismatches
    yield "chip-exact models against their bitstreams, values that differ", f"{differing} of {compared}", "0"


FINEST = CompileOptions(quantise=QuantiseOptions(second_synapse="always"), allow=("SNN6",), verify=False)


def count_on_chip(network: Network, calibration: IntArray, raster: IntArray, names: list[str]) -> dict[str, IntArray]:
    """Build the bitstream, weights shared by two synapses where that is free; run it; give counts by population."""
    built = compile_model(network, GENERIC, options=FINEST, calibration=calibration)
    padded = np.pad(raster, ((0, 0), (0, built.mapped.latency_steps), (0, 0)))
    run = simulate_image(built.image, padded, counts_of=("hidden",))
    return {name: folded_counts(run, built.mapped, name)[:, : raster.shape[1]] for name in names}


def measure_rates() -> Iterator[Row]:
    """Compare the last layer's rate on the chip with the float model's, for decays that no bit shift gives."""
    names = [f"h{number}" for number in range(4)]
    for tau_mem_ms, tau_syn_ms in ((16.0, 8.0), (23.0, 11.3), (4.0, 2.0)):
        ratios = []
        for seed in range(3):
            network = draw_network(seed, (48,) * 4, np.exp(-1 / tau_syn_ms), np.exp(-1 / tau_mem_ms))
            raster = draw_raster(seed, 16)
            wanted = simulate_network(network, raster, counts_of=names).counts
            found = count_on_chip(network, draw_raster(seed + 50, 16), raster, names)
            ratios += [found[name].mean() / wanted[name].mean() for name in names]
        what = f"rate on the chip / float, 4 layers of 48, tau {tau_mem_ms:g}/{tau_syn_ms:g} ms, worst of 12 layers"
        yield what, f"{max(ratios, key=lambda ratio: abs(ratio - 1)):.3f}", "0.98..1.02"


MODES = {"bitshifts": (0.875, 0.9375, 3.0, 4.0), "taus 20/10 ms": (np.exp(-0.1), np.exp(-0.05), np.log2(10), np.log2(20))}
LAYERS = ["h0", "h1", "h2"]


def measure_against_peer() -> Iterator[Row]:
    """Compare differing active pairs and spike counts with Rockpool's channel quantisation, on the same networks."""
    for mode, (alpha, beta, dash_syn, dash_mem) in MODES.items():
        pairs, errors = np.zeros((2, 3)), np.zeros((2, 3))
        for seed in range(3):
            network, raster = draw_network(seed, (48,) * 3, alpha, beta), draw_raster(seed, 8)
            wanted = simulate_network(network, raster, counts_of=LAYERS).counts
            runs = (
                count_on_chip(network, draw_raster(seed + 50, 8), raster, LAYERS),
                run_peer(network, raster, dash_mem, dash_syn),
            )
            for who, run in enumerate(runs):
                pairs[who] += [share_differing(run[name], wanted[name]) / 3 for name in LAYERS]
                errors[who] += [abs(run[name].sum() / wanted[name].sum() - 1) / 3 for name in LAYERS]
        for layer in range(3):
            what = f"differing active pairs / error of the spike count, {mode}, layer {layer + 1}"
            peer = f"Rockpool {pairs[1, layer]:.0%} / {errors[1, layer]:.1%}"
            yield what, f"{pairs[0, layer]:.0%} / {errors[0, layer]:.2%}", peer
        yield from measure_bounds(mode, alpha, beta, pairs[1, 1] / 3)


def measure_bounds(mode: str, alpha: float, beta: float, aim: float) -> Iterator[Row]:
    """Say how many pairs of layer 2 differ when one thing alone is rounded, and all else is exact float.

    What 8-bit weights cost by themselves, and decays rebuilt from bit shifts, is below any chip's reach: spikes of recurrent and
    layered networks part company after the smallest error. That the share falls with more bits says that the weights make it.
    """
    found: dict[str, list[float]] = {}
    for seed in range(3):
        network, raster = draw_network(seed, (48,) * 3, alpha, beta), draw_raster(seed, 8)
        wanted = simulate_network(network, raster, counts_of=LAYERS).counts["h1"]
        matched, matches = match_decays(network, GENERIC, second_synapse="always")
        changed = {f"weights nearest in {bits} bits": round_nearest(network, bits) for bits in (8, 9, 10, 12)}
        if matches:
            changed["decays from bit shifts"] = matched
        else:
            for choice, what in (("never", "one weight a source"), ("always", "two weights a source")):
                changed[f"weights as quantised, {what}"] = round_as_quantised(network, choice, draw_raster(seed + 50, 8))
        for what, other in changed.items():
            share = share_differing(simulate_network(other, raster, counts_of=LAYERS).counts["h1"], wanted)
            found.setdefault(what, []).append(share)
    for what, shares in found.items():
        yield (
            f"layer 2, {mode}, nothing rounded but {what}: differing active pairs",
            f"{np.mean(shares):.0%}",
            f"1/3 of Rockpool's: {aim:.0%}",
        )


def share_differing(found: IntArray, wanted: IntArray) -> float:
    active = (found > 0) | (wanted > 0)
    return float((found != wanted)[active].mean())


def round_nearest(network: Network, bits: int) -> Network:
    """Round weights to integers whose range is each neuron's largest weight."""
    top, rounded = 2 ** (bits - 1) - 1, []
    for projection in network.projections:
        dense = projection.weights.to_dense()
        unit = np.abs(dense).max(axis=0) / top
        rounded.append(replace(projection, weights=CsrMatrix.from_dense(np.rint(dense / unit) * unit)))
    return replace(network, projections=tuple(rounded))


def round_as_quantised(network: Network, choice: SecondSynapse, calibration: IntArray) -> Network:
    """Give the network with the chip's own weights, and float for all else."""
    mapped = fold_network(match_decays(network, GENERIC, second_synapse=choice)[0], GENERIC)
    quantised = quantise_network(mapped, calibration=calibration)
    program = quantised.program

    def to_float(matrices: tuple[CsrMatrix, ...], shift: int) -> tuple[CsrMatrix, ...]:
        units = mapped.hidden.alpha * (1 << shift) / quantised.hidden_scale
        return tuple(m.with_data(m.data * unit[m.indices]) for m, unit in zip(matrices, units, strict=True))

    rounded = replace(
        mapped,
        input_weights=to_float(program.input_weights, program.input_shift),
        recurrent_weights=to_float(program.recurrent_weights, program.recurrent_shift),
    )
    return unfold_network(rounded)


def train(model: nn.Module, inputs: Tensor, labels: Tensor, n_epochs: int, rate: float) -> None:
    optimiser = torch.optim.Adam(model.parameters(), rate)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(inputs)).split(128):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
            optimiser.step()


def score(model: nn.Module, inputs: FloatArray, labels: IntArray) -> float:
    with torch.no_grad():
        return float((model(torch.tensor(inputs, dtype=torch.float32)).argmax(1).numpy() == labels).mean())


def score_on_chip(conversion: Conversion, chip: Chip, calibration: FloatArray, inputs: FloatArray, labels: IntArray) -> float:
    """Build the bitstream of a conversion, run it on all inputs, give the share read right."""
    ports = conversion.split(conversion.encode(calibration))
    artifacts = compile_model(conversion.network, chip, options=CONVERTED, calibration=ports)
    return float((conversion.read(artifacts.run(conversion.encode(inputs))["output"]) == labels).mean())


def make_mlp(seed: int, *sizes: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for n_pre, n_post in pairwise(sizes):
        layers += [nn.Linear(n_pre, n_post), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def measure_fashion_mnist() -> Iterator[Row]:
    (inputs, labels), (test, test_labels) = read_fashion_mnist("train"), read_fashion_mnist("t10k")
    model, data, classes = make_mlp(0, 784, 512, 256, 10), torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)
    train(model, data, classes, 5, 1e-3)
    train(model, data, classes, 2, 2e-4)
    trained = score(model, test, test_labels)
    free = enlarge(GENERIC)
    for n_steps, rate, limit in ((4, 8.0, 0.4), (8, 4.0, 0.25), (16, 4.0, 0.15)):
        conversion = convert_ann(model, inputs[:500], options=ConvertOptions(n_steps=n_steps, max_rate=rate))
        found = score_on_chip(conversion, free, inputs[:256], test, test_labels)
        what = f"Fashion-MNIST 784-512-256-10 ReLU ({trained:.2%}), chip without fan-in limit, T = {n_steps}: points lost"
        yield what, f"{100 * (trained - found):.2f}", f"<= {limit}"
    limit_fan_in(model, GENERIC, calibration=data[:2000])
    train(model, data, classes, 2, 3e-4)
    settle_fan_in(model)
    conversion = convert_ann(model, inputs[:500], options=ConvertOptions(n_steps=8, max_rate=4.0))
    found = score_on_chip(conversion, GENERIC, inputs[:256], test, test_labels)
    what = f"the same inside N_F = 256 ({score(model, test, test_labels):.2%} after training on), bitstream, T = 8: points lost"
    yield what, f"{100 * (trained - found):.2f}", "<= 0.6"


def measure_digits() -> Iterator[Row]:
    digits = load_digits()
    lost, trained = [], []
    for seed in range(5):
        split = train_test_split(digits.data / 16.0, digits.target, test_size=0.2, random_state=seed, stratify=digits.target)
        inputs, test, labels, test_labels = split
        model = fit_digits(inputs, labels, seed)
        conversion = convert_ann(model, inputs[:500], options=ConvertOptions(n_steps=8))
        trained.append(score(model, test, test_labels))
        lost.append(100 * (trained[-1] - score_on_chip(conversion, GENERIC, inputs[:256], test, test_labels)))
    what = f"digits 64-128-64-10 ReLU ({np.mean(trained):.2%}), bitstream, T = 8: points lost, mean of 5 seeds"
    yield what, f"{np.mean(lost):.2f} ({', '.join(f'{points:.2f}' for points in lost)})", "<= 0.3"


def fit_digits(inputs: FloatArray, labels: IntArray, seed: int) -> nn.Sequential:
    """Train for as many epochs as serve a fifth of the data best, which a first network does not see; the second sees all."""
    fitted, validation, known, validated = train_test_split(inputs, labels, test_size=0.2, random_state=seed, stratify=labels)

    def fit(data: FloatArray, classes: IntArray, n_epochs: int) -> nn.Sequential:
        model = make_mlp(seed, 64, 128, 64, 10)
        train(model, torch.tensor(data, dtype=torch.float32), torch.tensor(classes), n_epochs, 1e-3)
        return model

    best = max((30, 60), key=lambda n_epochs: score(fit(fitted, known, n_epochs), validation, validated))
    return fit(inputs, labels, best)


def measure_japanese_vowels() -> Iterator[Row]:
    torch.set_num_threads(1)
    recipe = choose_vowels()
    known, unknown = read_japanese_vowels("TRAIN"), read_japanese_vowels("TEST")
    found = [train_vowels(seed, recipe, known, unknown) for seed in range(5)]
    what = f"JapaneseVowels, 12-128-120r-9 on XyloAudio 3, from the bitstream, 5 seeds, {recipe} chosen on utterances put aside"
    yield what, format_shares(found), ">= 97%"


def measure_watch() -> Iterator[Row]:
    torch.set_num_threads(1)
    found, machines = [], []
    for fold, people in enumerate(WATCH_FOLDS):
        split = split_watch(people)
        recipe = choose_watch(fold, WATCH_RECIPES, partial(train_watch, seed=100))
        found.append(train_watch(recipe, *split, seed=fold))
        machines.append(score_watch_svm(choose_watch(fold, SVM_RECIPES, score_watch_svm), *split))
    what = (
        "smart-watch exercises, 12-128-120r-7 on XyloAudio 3, from the bitstream, each two of ten people left out,"
        " the recipe chosen on two others"
    )
    yield what, format_shares(found), f"an SVM on statistics of the same windows and folds: {format_shares(machines)}"


def format_shares(shares: Sequence[float]) -> str:
    """Give mean, standard deviation, and each."""
    return f"{np.mean(shares):.2%} +- {np.std(shares):.2%} ({', '.join(f'{share:.1%}' for share in shares)})"


MEASURES = {
    "exact": measure_chip_exact,
    "rates": measure_rates,
    "peer": measure_against_peer,
    "digits": measure_digits,
    "vowels": measure_japanese_vowels,
    "watch": measure_watch,
    "fashion": measure_fashion_mnist,
}


def main(words: list[str]) -> None:
    lines = print_rows(row for name in choose_rows(words, MEASURES) for row in MEASURES[name]())
    if "--write" in words:
        write_table("accuracy", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
