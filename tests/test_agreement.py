"""What anybody trained is what the bitstream does, or the build says that it is not: end to end, by an independent count."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from random_networks import random_network
from rule_cases import CLEAN, chain, edit
from torch import nn
from trained_networks import CHIPS, build_and_measure, draw_trained

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.core.diagnostics import Severity
from snnmap.core.errors import DesignRuleError
from snnmap.lif.compare import compare_image
from snnmap.lif.program import AgreementLimits, Comparison
from snnmap.loading import load
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, simulate_network
from snnmap.nn import LIF, ChipLIF, LeakyIntegrator, Residual
from snnmap.pipeline import CompileOptions, check_model, compile_model
from snnmap.train import align_model, to_chip_exact

ALLOW = CompileOptions(allow=("SNN6",), verify=False)
AUDIO = "xylo-audio-3"


def agreement_rules(network: Network | nn.Module, chip: str, **data: Any) -> dict[str, Severity]:
    """Rules of agreement that have something to say, each with its worst severity."""
    found: dict[str, Severity] = {}
    for diagnostic in check_model(network, chip, **data).report.diagnostics[::-1]:
        if diagnostic.rule.startswith("SNN6"):
            found[diagnostic.rule] = diagnostic.severity
    return found


def rates_of(comparison: Comparison) -> list[float]:
    return [population.rate for population in comparison.populations if population.fires]


def single(weights: list[list[float]], *, beta: float, out: float) -> Network:
    """Inputs -> one neuron -> one output neuron."""
    return Network(
        name="single",
        inputs=(InputPort(name="x", size=len(weights)),),
        populations=(
            Population.create("h", 1, alpha=0.5, beta=beta),
            Population.create("o", 1, alpha=0.5, beta=0.5, max_count=1),
        ),
        projections=(
            Projection(name="a", pre="x", post="h", weights=CsrMatrix.from_dense(np.array(weights))),
            Projection(name="b", pre="h", post="o", weights=CsrMatrix.from_dense(np.array([[out]]))),
        ),
        outputs=(OutputPort(name="y", populations=("o",)),),
    )


def layers(n_layers: int, size: int, alpha: float, beta: float, gain: float, seed: int = 0) -> Network:
    """A deep network of mixed signs with a spiking output."""
    rng, sizes = np.random.default_rng(seed), [12, *[size] * n_layers, 4]
    names = ["in", *(f"h{k}" for k in range(n_layers)), "out"]
    hidden = [Population.create(name, size, alpha=alpha, beta=beta) for name in names[1:-1]]
    weights = [gain * rng.normal(0.25, 1.0, (a, b)) for a, b in pairwise(sizes)]
    return Network(
        name="layers",
        inputs=(InputPort(name="in", size=12),),
        populations=(*hidden, Population.create("out", 4, alpha=0.5, beta=0.75, max_count=1)),
        projections=tuple(
            Projection(name=f"p{k}", pre=names[k], post=names[k + 1], weights=CsrMatrix.from_dense(w))
            for k, w in enumerate(weights)
        ),
        outputs=(OutputPort(name="y", populations=("out",)),),
    )


def draw(rate: float, seed: int = 0, n_samples: int = 6, n_steps: int = 120, n_inputs: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).poisson(rate, (n_samples, n_steps, n_inputs)).clip(0, 15)


def test_bursts_without_calibration_are_held() -> None:
    """29 spikes a step of each 15 that come: a scale for 16 thresholds made 8 of them."""
    network, raster = single([[1.0]], beta=0.0, out=0.05), np.full((1, 100, 1), 15)
    built = compile_model(network, AUDIO)
    seen = compare_image(network, built.quantised, built.image, raster).populations[0]
    assert seen.model_spikes > 2500
    assert seen.rate == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("dash", [4, 6, 8])
def test_deep_inhibition_without_calibration_is_remembered(dash: int) -> None:
    network, raster = single([[-1.0], [1.0]], beta=1 - 2.0**-dash, out=0.5), np.zeros((1, 120, 2), np.int64)
    raster[0, :60, 0], raster[0, 60:, 1] = 3, 2
    built = compile_model(network, AUDIO, options=ALLOW)
    seen = compare_image(network, built.quantised, built.image, raster).populations[0]
    assert abs(seen.chip_spikes - seen.model_spikes) <= max(2, 0.1 * seen.model_spikes)


def test_the_readmes_model_without_calibration() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(12, 64, bias=False), LIF(64, dash_syn=1, dash_mem=2, recurrent=True),
        Residual(nn.Linear(64, 64, bias=False), LIF(64, dash_syn=1, dash_mem=2)),
        nn.Linear(64, 4, bias=False), LeakyIntegrator(4, dash_syn=1, dash_mem=4),
    )  # fmt: skip
    built = compile_model(model, AUDIO)
    seen = compare_image(built.network, built.quantised, built.image, draw(1.0))
    assert (seen.ports[0].spikes, seen.ports[0].saturated) == (0, 0)
    assert seen.ports[0].error < 0.05
    assert rates_of(seen) == [pytest.approx(1.0, abs=0.03)] * 2


@pytest.mark.parametrize("chip", ["xylo-imu", "generic-4096", "xylo-audio-2"])
def test_deep_networks_of_odd_decays_keep_their_rates(chip: str) -> None:
    """Ten layers: the drift bias for sources that fire once a step silenced them, and tuning all layers at once diverged."""
    network = layers(10, 14, float(np.exp(-1 / 20)), float(np.exp(-1 / 4)), 0.024)
    raster = draw(0.6)
    counts = simulate_network(network, raster, counts_of=["h9"]).counts["h9"]
    assert counts.mean() > 0.02
    assert all(0.9 < rate < 1.1 for rate in rates_of(compile_model(network, chip, calibration=raster, options=ALLOW).comparison))
    uncalibrated = compile_model(network, chip, options=ALLOW)
    seen = compare_image(network, uncalibrated.quantised, uncalibrated.image, raster)
    told = {d.rule for d in uncalibrated.report.diagnostics}
    assert "SNN601" in told or all(0.8 < rate < 1.25 for rate in rates_of(seen))


def test_one_spike_a_step_is_an_error_where_it_matters() -> None:
    network, quiet, loud = chain(3, 12, 8, 2), draw(0.05, n_inputs=3), draw(3.0, n_inputs=3)
    single_spike = edit("populations", "h1", network, max_count=np.ones(12, np.int64))
    harmless = edit("populations", "h1", single_spike, threshold=np.full(12, 8.0))
    assert agreement_rules(single_spike, AUDIO, calibration=loud)["SNN602"] is Severity.ERROR
    assert agreement_rules(harmless, AUDIO, calibration=quiet)["SNN602"] is Severity.WARNING
    with pytest.raises(DesignRuleError, match=r"SNN602.*h1"):
        compile_model(single_spike, AUDIO, calibration=loud)


def test_a_chip_of_one_spike_is_exact_for_such_models() -> None:
    network = chain(3, 12, 8, 2)
    for name, size in (("h1", 12), ("h2", 8)):
        network = edit("populations", name, network, max_count=np.ones(size, np.int64))
    built = compile_model(network, "generic-4096-single", calibration=draw(1.0, n_inputs=3))
    assert not [d for d in built.report.diagnostics if d.rule in ("SNN404", "SNN602")]
    seen = built.comparison.populations[0]
    assert seen.excess == 0
    assert seen.beyond > 0
    assert seen.differing < 0.05 * seen.active


def test_calibration_of_another_distribution_is_told() -> None:
    silence, most, beyond = np.zeros((2, 20, 3), np.int64), np.full((2, 20, 3), 15), np.full((2, 20, 3), 16)
    assert agreement_rules(CLEAN, AUDIO, calibration=silence)["SNN607"] is Severity.ERROR
    assert agreement_rules(CLEAN, AUDIO, calibration=most)["SNN607"] is Severity.WARNING
    assert agreement_rules(CLEAN, AUDIO, calibration=beyond)["SNN609"] is Severity.ERROR
    with pytest.raises(DesignRuleError, match=r"SNN607.*never fires"):
        compile_model(CLEAN, AUDIO, calibration=silence)


def test_an_output_that_never_decides_is_told() -> None:
    network = edit("populations", "out", threshold=np.full(2, 1e4))
    found = agreement_rules(network, AUDIO, calibration=draw(0.5, n_inputs=3))
    assert found["SNN607"] is Severity.WARNING


def test_what_is_allowed_is_a_warning_and_limits_can_be_set() -> None:
    network, raster = chain(3, 12, 8, 2), draw(3.0, n_inputs=3)
    network = edit("populations", "h1", network, max_count=np.ones(12, np.int64))
    for key in ("SNN602", "more-spikes-than-the-model", "SNN6"):
        options = CompileOptions(allow=(key, "SNN601", "SNN604"))
        report = compile_model(network, AUDIO, calibration=raster, options=options).report
        assert {d.severity for d in report.diagnostics if d.rule == "SNN602"} == {Severity.WARNING}
    strict = CompileOptions(limits=AgreementLimits(rate_low=0.9999, rate_high=1.0001))
    odd = edit("populations", "h1", beta=np.full(5, 0.93))
    assert "SNN601" in agreement_rules(odd, AUDIO, calibration=draw(0.4, n_inputs=3), options=strict)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("calibrated", [True, False])
def test_check_and_build_find_the_same(seed: int, calibrated: bool) -> None:
    drawn = draw_trained(seed, n_layers=2)
    data = {"calibration": drawn.raster} if calibrated else {}
    checked = check_model(drawn.network, drawn.chip, options=ALLOW, **data)
    built = compile_model(drawn.network, drawn.chip, options=ALLOW, **data)
    assert checked.report == built.report
    assert checked.comparison == built.comparison
    assert checked.bitstream == built.bitstream


def find_silent(seed: int, *, calibrated: bool) -> str:
    """Say how a network's bitstream is off without a finding, on held-out data of its use; '' where it is not."""
    outcome = build_and_measure(draw_trained(seed), calibrated=calibrated)
    return f"{seed}: {outcome}" if outcome.is_off and not outcome.is_told else ""


@pytest.mark.parametrize("seed", range(300, 308))
def test_no_random_network_is_off_without_a_finding(seed: int) -> None:
    assert find_silent(seed, calibrated=True) == ""


@pytest.mark.nightly
@pytest.mark.parametrize("start", range(1000, 1500, 25))
def test_no_random_network_is_off_without_a_finding_at_length(start: int) -> None:
    found = [find_silent(seed, calibrated=calibrated) for seed in range(start, start + 25) for calibrated in (True, False)]
    assert [text for text in found if text] == []


def in_integers(seed: int, chip: str) -> Network | None:
    """A random network in the chip's own integers, which quantising left exact."""
    network = random_network(seed, biases=False)
    try:
        return load(to_chip_exact(network, chip))
    except DesignRuleError:
        return None


def require_exact(seed: int, chip: str) -> bool:
    network = in_integers(seed, chip)
    if network is None:
        return False
    built = compile_model(network, chip)
    assert sum(population.differing for population in built.comparison.populations) == 0
    assert [d for d in built.report.diagnostics if d.rule.startswith("SNN6") and d.severity is Severity.ERROR] == []
    return True


@pytest.mark.parametrize("seed", range(6))
def test_networks_in_the_chips_integers_are_never_refused(seed: int) -> None:
    assert require_exact(seed, "generic-4096")


@pytest.mark.nightly
@pytest.mark.parametrize("start", range(0, 300, 20))
def test_networks_in_the_chips_integers_are_never_refused_at_length(start: int) -> None:
    built = [require_exact(seed, chip) for seed in range(start, start + 20) for chip in CHIPS]
    assert sum(built) > 15


def test_chips_without_biases_are_tuned_by_thresholds() -> None:
    chip = load_chip("generic-4096")
    plain = replace(chip, name="no bias", hidden=replace(chip.hidden, bias=False), outputs=replace(chip.outputs, bias=False))
    network = layers(4, 14, float(np.exp(-1 / 20)), float(np.exp(-1 / 30)), 0.012)
    built = compile_model(network, plain, calibration=draw(0.6))
    assert all(0.9 < rate < 1.1 for rate in rates_of(built.comparison))
    assert {tuning.knob for tuning in built.tunings} <= {"threshold"}
    assert math.isfinite(built.comparison.ports[0].error)


def test_biases_in_integers_that_start_with_their_input_are_told() -> None:
    """The chip's neurons run before their input comes; a model that is not aligned does not."""
    torch.manual_seed(0)
    model = nn.Sequential(ChipLIF(6, 10), ChipLIF(10, 8), ChipLIF(8, 3, max_count=1))
    with torch.no_grad():
        model[1].bias.fill_(0.11)
    raster = draw(0.5, n_inputs=6)
    assert agreement_rules(model, AUDIO, calibration=raster)["SNN611"] is Severity.WARNING
    aligned = align_model(model, AUDIO)
    assert "SNN611" not in agreement_rules(aligned, AUDIO, calibration=raster)
