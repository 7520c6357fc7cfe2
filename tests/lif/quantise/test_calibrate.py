"""What calibration data tell the quantiser."""

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network

from snnmap.chip import load_chip
from snnmap.core import Allowance, CsrMatrix
from snnmap.core.errors import InputError
from snnmap.lif.mapping import draw_rasters, fold_network
from snnmap.lif.quantise import QuantiseOptions, calibrate, quantise_network, swing
from snnmap.lif.quantise.response import Response
from snnmap.lif.quantise.rounding import measure_together
from snnmap.lif.quantise.windows import SourceCounts
from snnmap.lif.simulator import simulate_quantised
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, simulate_network

CHIP = load_chip("generic-4096")
UNDELAYED = replace(
    CHIP, output_weights=replace(CHIP.output_weights, delay_steps=0), input_weights=replace(CHIP.input_weights, delay_steps=1)
)


@pytest.mark.parametrize("seed", range(4))
def test_samples_may_be_measured_part_by_part(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(seed)
    mapped, rasters = fold_network(network, CHIP), draw_rasters(network)
    whole = calibrate.measure_statistics(mapped, rasters)
    monkeypatch.setattr(calibrate, "MOST_STATES", 1)
    monkeypatch.setattr(swing, "_FEWEST_KEPT", 10**6)
    parts = calibrate.measure_statistics(mapped, rasters)
    for one, other in ((whole.hidden, parts.hidden), (whole.outputs, parts.outputs)):
        assert np.allclose(one.peak, other.peak, rtol=1e-12)
        assert np.allclose(one.potential_levels, other.potential_levels)
        assert np.allclose(one.current_levels, other.current_levels)
    assert np.array_equal(whole.hidden_sources.variance, parts.hidden_sources.variance)


@pytest.mark.parametrize("chip", ["generic-4096", "xylo-imu", "generic-1024-factor", "undelayed"])
@pytest.mark.parametrize("depth", [np.inf, 4.0])
def test_compiled_or_not_all_is_measured_the_same(chip: str, depth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(8):
        network = random_network(seed)
        if chip == "generic-1024-factor":
            network = replace(network, populations=tuple(replace(p, reset="value") for p in network.populations))
        mapped = fold_network(network, UNDELAYED if chip == "undelayed" else load_chip(chip))
        rasters, found = draw_rasters(network), []
        for left, near in ((10**9, 10**9), (0, 10**9), (0, 0)):
            monkeypatch.setattr(calibrate, "_arrays_suffice", Allowance(left))
            monkeypatch.setattr(calibrate, "MOST_NEAR", near)
            found.append(calibrate.measure_statistics(mapped, rasters, depth=depth))
        arrays, *compiled = found
        for run in compiled:
            for one, other in ((arrays.hidden, run.hidden), (arrays.outputs, run.outputs)):
                for name in ("peak", "potential_levels", "current_levels"):
                    assert np.array_equal(getattr(one, name), getattr(other, name)), (seed, name)
            assert np.array_equal(arrays.hidden_sources.add_up(4).windows, run.hidden_sources.add_up(4).windows)


def test_moments_are_of_counts_over_as_many_steps_as_the_potential_adds_up() -> None:
    rng = np.random.default_rng(1)
    counts = np.repeat(rng.poisson(1.0, (500, 8, 1)), 3, axis=2)  # three sources of one rhythm
    sources = SourceCounts(counts)
    of_four = Response(power=np.full((1, 1), 4.0), total=np.array([4.0]))
    assert sources.choose_length(of_four.length) == 4
    found = measure_together(np.arange(2), sources.add_up(4), np.empty(4)).products
    windows = counts[:, :, 0].reshape(-1, 4).mean(axis=1)
    assert found[0, 1] == pytest.approx(np.mean(windows**2), rel=0.02)
    assert found[0, 0] == pytest.approx(np.mean(windows**2), rel=0.02)
    alone = measure_together(
        np.arange(2), SourceCounts(counts[:1, :4]).add_up(4), np.empty(4)
    ).products  # one window: chance alone
    assert alone[0, 1] == pytest.approx(counts[0, :4, 0].mean() ** 2)


def sink_and_return(weight_back: float) -> tuple[Network, np.ndarray]:
    """Give neurons that 40 inhibiting spikes drive far down; as many exciting ones follow, of this share of the weight."""
    weights = np.vstack([-np.ones(4), weight_back * np.ones(4)])
    network = Network(
        name="sink",
        inputs=(InputPort(name="in", size=2),),
        populations=(Population.create("h", 4, alpha=0.5, beta=1.0 - 2.0**-15), Population.create("o", 1, alpha=0.5)),
        projections=(
            Projection(name="w", pre="in", post="h", weights=CsrMatrix.from_dense(weights)),
            Projection(name="q", pre="h", post="o", weights=CsrMatrix.from_dense(np.ones((4, 1)))),
        ),
        outputs=(OutputPort(name="y", populations=("o",)),),
    )
    raster = np.zeros((2, 120, 2), np.int64)
    raster[:, :40, 0], raster[:, 50:90, 1] = 1, 1
    return network, raster


@pytest.mark.parametrize(("weight_back", "holds"), [(1.2, True), (1.01, True), (0.9, True), (0.2, False)])
def test_potentials_are_held_as_deep_as_their_spikes_need(weight_back: float, holds: bool) -> None:
    network, raster = sink_and_return(weight_back)
    shallow, deep = (
        quantise_network(fold_network(network, CHIP), calibration=raster, options=QuantiseOptions(depth=depth))
        for depth in (100.0, np.inf)
    )
    finer = shallow.program.hidden.threshold[:4] / deep.program.hidden.threshold[:4]
    assert (finer < 1.2).all() if holds else (finer > 2.0).all()
    wanted = simulate_network(network, raster, counts_of=["h"]).counts["h"]
    found = simulate_quantised(shallow, raster, counts_of=["h"]).counts["h"]
    assert np.abs(found.sum(axis=1) - wanted.sum(axis=1)).max() <= 1
    assert (found.sum() > 0) == (weight_back > 1.0)


def test_a_depth_that_is_asked_for_is_the_most_that_is_held() -> None:
    network, raster = sink_and_return(1.2)
    populations = tuple(replace(p, threshold=np.full(p.size, 0.5)) for p in network.populations)
    mapped = fold_network(replace(network, populations=populations), CHIP)
    held = [
        quantise_network(mapped, calibration=raster, options=QuantiseOptions(depth=depth)).program.hidden.threshold[0]
        for depth in (8.0, 16.0, 32.0)
    ]
    assert held[0] > held[1] > held[2]


def test_counts_that_the_chip_would_clamp_are_refused_with_their_place() -> None:
    network, raster = sink_and_return(1.2)
    raster[1, 7, 1] = 200
    mapped = fold_network(network, CHIP)
    with pytest.raises(InputError, match="calibration counts") as refused:
        quantise_network(mapped, calibration=raster)
    assert refused.value.where == "input port 'in', channel 1, first in sample 1, step 7"
    assert "1 counts, largest 200" in str(refused.value)
    raster[1, 7, 1] = CHIP.inputs.max_count
    quantise_network(mapped, calibration=raster)
