"""The contract after quantisation: an image counts what its quantised network counts, each population's lag later."""

import numpy as np
import pytest
from random_networks import random_network

from snnmap.chip import load_chip
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.mapping import draw_rasters, fold_network, folded_counts
from snnmap.lif.program import pack
from snnmap.lif.quantise import quantise_network
from snnmap.lif.simulator import simulate_image, simulate_quantised
from snnmap.network import join_rasters


@pytest.mark.parametrize("chip", ["xylo-audio-3", "generic-4096"])
@pytest.mark.parametrize("seed", range(25))
def test_images_count_what_quantised_networks_count(seed: int, chip: str) -> None:
    network = random_network(seed)
    quantised = quantise_network(fold_network(network, load_chip(chip)))
    mapped = quantised.mapped
    rasters = draw_rasters(network, seed=seed)
    names = [population.name for population in network.populations]
    source = simulate_quantised(quantised, rasters, counts_of=names)
    raster = np.pad(join_rasters(network.inputs, rasters), ((0, 0), (0, max(mapped.lags.values())), (0, 0)))
    image = decode(encode(pack(quantised.program)))
    folded = simulate_image(image, raster, counts_of=("hidden", "outputs"))
    assert sum(counts.sum() for counts in source.counts.values()) > 100
    for name in names:
        expected = source.counts[name]
        assert np.array_equal(folded_counts(folded, mapped, name)[:, : expected.shape[1]], expected), name


def test_saturating_sums_follow_the_chips_order() -> None:
    """Loud inputs: partial sums leave the state's range, and the slow path must have been needed."""
    network = random_network(11)
    quiet = quantise_network(
        fold_network(network, load_chip("xylo-audio-3")), calibration=draw_rasters(network, n_samples=1, n_steps=3)
    )
    rasters = {port.name: np.full((2, 40, port.size), 15) for port in network.inputs}
    names = [population.name for population in network.populations]
    mapped = quiet.mapped
    raster = np.pad(join_rasters(network.inputs, rasters), ((0, 0), (0, max(mapped.lags.values())), (0, 0)))
    run = simulate_image(pack(quiet.program), raster, counts_of=("hidden", "outputs"), states_of=("hidden",))
    assert (np.abs(run.potentials["hidden"]) >= 32767).any() or (run.currents["hidden"] <= -16384).any()
    source = simulate_quantised(quiet, rasters, counts_of=names)
    for name in names:
        assert np.array_equal(folded_counts(run, mapped, name)[:, :40], source.counts[name])
