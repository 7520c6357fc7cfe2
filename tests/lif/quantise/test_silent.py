"""Input channels that calibration never uses, whose weights set the scale of the others: told, with what that costs."""

from typing import Any

import numpy as np
import pytest

from snnmap.network import Network, sketch_network
from snnmap.pipeline import CheckResult, check_model

N_CHANNELS = 8


def make(large: float, *, n_large: int = 1) -> Network:
    """Give a network in which the last channels have one large weight each."""
    rng = np.random.default_rng(1)
    weights = rng.normal(0.1, 0.3, (N_CHANNELS, 20)).clip(-0.8, 0.8)
    weights[0] = 0.8
    weights[-n_large:, :5] = large
    onward = rng.normal(0.05, 0.2, (20, 4))
    return sketch_network({"in": N_CHANNELS, "h": 20, "out": 4}, weights={"in->h": weights, "h->out": onward})


def draw(*silent: int) -> np.ndarray:
    raster = np.random.default_rng(3).poisson(0.4, (80, 60, N_CHANNELS)).clip(max=15)
    raster[:, :, list(silent)] = 0
    return raster


def build(network: Network, raster: Any) -> CheckResult:
    return check_model(network, "xylo-audio-3", calibration=raster)


def tell(result: CheckResult) -> list[str]:
    return [found.message for found in result.report.diagnostics if "never come in the calibration data" in found.message]


def count_differing(result: CheckResult) -> float:
    assert result.comparison is not None
    (hidden,) = [one for one in result.comparison.populations if one.name == "h"]
    return hidden.differing / hidden.active


def test_the_weight_of_a_channel_that_never_comes_is_kept_and_what_that_costs_is_told() -> None:
    found = build(make(20.0), draw(7))
    assert found.comparison is not None
    (silent,) = found.comparison.silent_inputs
    assert (silent.port, silent.channels, silent.n_neurons) == ("in", (7,), 5)
    assert silent.coarser == pytest.approx(25.0, rel=0.2)  # 20.0 beside 0.8, as they are rounded
    (told,) = tell(found)
    assert "(7) have the largest weights onto 5 neurons" in told
    assert found.quantised is not None
    assert found.quantised.program.input_weights[0].to_dense()[7, :5].all()


def test_a_weight_beside_which_the_others_become_0_is_told() -> None:
    """The others are lost, of which the rule on weights tells where they are many."""
    (told,) = tell(build(make(3000.0), draw(7)))
    assert "onto 5 neurons" in told


def test_without_that_weight_the_others_are_finer() -> None:
    assert count_differing(build(make(0.0), draw(7))) < 0.5 * count_differing(build(make(20.0), draw(7)))


@pytest.mark.parametrize(("large", "silent"), [(20.0, ()), (20.0, (6,)), (2.0, (7,)), (0.0, (7,))])
def test_channels_that_come_or_have_no_larger_weights_are_no_matter(large: float, silent: tuple[int, ...]) -> None:
    assert tell(build(make(large), draw(*silent))) == []


def test_only_the_channels_with_large_weights_are_named() -> None:
    (told,) = tell(build(make(20.0, n_large=2), draw(3, 6, 7)))
    assert "(6, 7)" in told
