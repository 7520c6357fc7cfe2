"""Networks of integers decide on the chip as the model does, also where a sum just reaches a threshold."""

import numpy as np
import pytest

from snnmap.chip import Chip, load_chip
from snnmap.core import CsrMatrix, IntArray
from snnmap.lif.mapping import fold_network, folded_counts
from snnmap.lif.program import QuantisedNetwork, pack
from snnmap.lif.quantise import match_decays, quantise_network
from snnmap.lif.simulator import simulate_image
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, carry_instant_synapses, simulate_network

CHIPS = ("generic-4096-single", "generic-4096", "xylo-audio-3", "generic-1024-factor")


def make_integer_network(seed: int, chip: Chip) -> tuple[Network, IntArray]:
    """Two layers of whole numbers of some unit, thresholds at, just above or between its multiples; and inputs."""
    rng, is_factor = np.random.default_rng(seed), chip.family.reset != "subtract"
    n_in, n_hidden, n_out = int(rng.integers(2, 9)), int(rng.integers(1, 9)), int(rng.integers(1, 4))
    unit, top = float(rng.choice([1.0, 0.5, 3.0, 0.25, 0.375])), int(rng.choice([1, 2, 5, 20]))
    place = int(rng.integers(3))

    def draw(name: str, pre: str, post: str, *shape: int, **timing: int) -> Projection:
        weights = rng.integers(-top, top + 1, shape).astype(float) * unit
        return Projection(name=name, pre=pre, post=post, weights=CsrMatrix.from_dense(weights), **timing)

    def make(name: str, size: int, most: int) -> Population:
        at = rng.integers(1, 4 * top + 1, size) * unit
        threshold = (at, np.nextafter(at, np.inf), at - unit / 2)[place]
        kept = {"reset": "value", "beta": 1.0} if is_factor else {}
        bias = rng.integers(-1, 2, size) * unit * (name == "h")  # one of neurons behind others acts before their input does
        return Population.create(name, size, threshold=threshold, bias=bias, max_count=most, **kept)

    parts = [draw("in", "x", "h", n_in, n_hidden), draw("out", "h", "o", n_hidden, n_out)]
    if rng.integers(2):
        parts.append(draw("own", "h", "h", n_hidden, n_hidden, delay_steps=1))
    most = chip.hidden.max_count
    network = Network(
        name="integers",
        inputs=(InputPort(name="x", size=n_in),),
        populations=(make("h", n_hidden, most), make("o", n_out, chip.outputs.max_count)),
        projections=tuple(parts),
        outputs=(OutputPort(name="y", populations=("o",)),),
    )
    return network if is_factor else carry_instant_synapses(network), rng.integers(0, 2 if most == 1 else 4, (6, 20, n_in))


def count_differing(network: Network, raster: IntArray, chip: Chip, *, calibrated: bool) -> int:
    """Count the spike counts on the chip that are not the model's."""
    n_steps = raster.shape[1]
    wanted = simulate_network(network, raster, counts_of=("h", "o")).counts
    mapped = fold_network(match_decays(network, chip, n_steps=n_steps)[0], chip)
    quantised = quantise_network(mapped, calibration=raster if calibrated else None)
    padded = np.pad(raster, ((0, 0), (0, max(mapped.lags.values())), (0, 0)))
    run = simulate_image(pack(quantised.program), padded, counts_of=("hidden", "outputs"), clamp=True)
    return sum(int((folded_counts(run, mapped, name)[:, :n_steps] != wanted[name]).sum()) for name in ("h", "o"))


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("seed", range(20))
def test_spikes_of_integer_networks_are_the_models(seed: int, chip: str, calibrated: bool) -> None:
    record = load_chip(chip)
    network, raster = make_integer_network(seed, record)
    assert count_differing(network, raster, record, calibrated=calibrated) == 0


def quantise_one(weights: list[float], threshold: float, max_count: int = 1, **parameters: float) -> QuantisedNetwork:
    """One neuron without a memory on the chip of integers, and an output."""
    network = Network(
        name="one",
        inputs=(InputPort(name="x", size=len(weights)),),
        populations=(
            Population.create("h", 1, threshold=threshold, max_count=max_count, **parameters),
            Population.create("o", 1, alpha=0.5, max_count=1),
        ),
        projections=(
            Projection(name="in", pre="x", post="h", weights=CsrMatrix.from_dense(np.array(weights)[:, np.newaxis])),
            Projection(name="out", pre="h", post="o", weights=CsrMatrix.from_dense([[1.0]])),
        ),
        outputs=(OutputPort(name="y", populations=("o",)),),
    )
    chip = load_chip("generic-4096-single" if max_count == 1 else "generic-4096")
    return quantise_network(fold_network(carry_instant_synapses(network, names=["h"]), chip))


def read_codes(quantised: QuantisedNetwork) -> tuple[list[int], int, int]:
    """Return what each input adds to the potential of the neuron, its threshold and its bias."""
    (slot,) = quantised.mapped.table.locate("h")[1].tolist()
    memory, codes = quantised.program.input_weights, quantised.program.hidden
    words = memory[0].to_dense()[:, slot] << quantised.program.input_shift
    return (words // 2).tolist(), int(codes.threshold[slot]), int(codes.bias[slot])


def test_a_strict_threshold_is_one_state_above_the_sum() -> None:
    (one, two), threshold, bias = read_codes(quantise_one([1.0, 2.0], np.nextafter(3.0, 4.0)))
    assert (two, threshold, bias) == (2 * one, 3 * one + 1, 0)


def test_a_threshold_that_is_reached_is_the_sum() -> None:
    (one, two), threshold, bias = read_codes(quantise_one([1.0, 2.0], 3.0))
    assert (two, threshold, bias) == (2 * one, 3 * one, 0)


def test_a_strict_threshold_passed_more_often_than_a_unit_has_states_lowers_the_sums() -> None:
    (one, many), threshold, bias = read_codes(quantise_one([1.0, 30.0], np.nextafter(3.0, 4.0), max_count=31))
    assert one < 31
    assert (many, threshold, bias) == (30 * one, 3 * one, -1)


def test_trained_weights_keep_the_scale_that_fits() -> None:
    (first, second), threshold, _ = read_codes(quantise_one([1.0, 0.7310585786300049], 1.5))
    assert threshold / first == pytest.approx(1.5, rel=0.01)
    assert second / first == pytest.approx(0.731, rel=0.02)


def test_weights_too_far_apart_for_one_unit_are_rounded_as_others_are() -> None:
    (large, _), threshold, _ = read_codes(quantise_one([1.0, 2.0**-12], 1.5))
    assert threshold / large == pytest.approx(1.5, rel=0.02)


def test_a_leaky_neuron_of_integers_keeps_at_least_half_of_its_scale() -> None:
    quantised = quantise_one([1.0, 2.0], 3.0, beta=0.75)
    assert read_codes(quantised)[1] >= 0.5 * read_codes(quantise_one([1.0, 1.99], 3.0, beta=0.75))[1]
