"""The order of the stages, from library calls."""

import numpy as np
import pytest
from random_networks import random_network
from rule_cases import CLEAN, chain, feedback, residual

import snnmap
from snnmap.bitstream import decode
from snnmap.drc import RULES
from snnmap.errors import DesignRuleError, FrontendError, InputError
from snnmap.ir import as_folded_network, simulate_network
from snnmap.mapping import FoldOptions, folded_counts
from snnmap.pipeline import CompileOptions, check_model, compile_model


def test_three_lines() -> None:
    artifacts = snnmap.compile_model(CLEAN, "xylo-audio-3")
    counts = snnmap.simulate_image(artifacts.image, np.ones((2, 10, 3), np.int64)).counts["outputs"]
    assert counts.shape == (2, 10, 2)


@pytest.mark.parametrize("seed", range(6))
def test_the_image_is_what_the_bytes_say(seed: int) -> None:
    artifacts = compile_model(random_network(seed, biases=False), "generic-4096")
    assert decode(artifacts.bitstream) == artifacts.image
    assert artifacts.verification is not None
    assert artifacts.verification.n_mismatches == 0
    assert artifacts.verification.n_compared > 0


def test_the_same_call_gives_the_same_bytes() -> None:
    network = random_network(5)
    first, second = (compile_model(network, "xylo-audio-3") for _ in range(2))
    assert first.bitstream == second.bitstream
    assert first.to_plain() == second.to_plain()


def test_the_model_is_not_changed() -> None:
    before = snnmap.simulate_network(CLEAN, np.ones((1, 9, 3), np.int64), counts_of=["h1"]).counts["h1"]
    compile_model(CLEAN, "xylo-audio-3", calibration=np.ones((1, 9, 3), np.int64))
    after = snnmap.simulate_network(CLEAN, np.ones((1, 9, 3), np.int64), counts_of=["h1"]).counts["h1"]
    assert np.array_equal(before, after)


def test_stretched_loops_are_compared_with_the_stretched_source() -> None:
    options = CompileOptions(fold=FoldOptions(stretch_loops=True))
    artifacts = compile_model(feedback(1), "xylo-audio-3", options=options)
    assert sum(artifacts.mapped.stretched.values()) == 1
    assert artifacts.verification is not None
    assert artifacts.verification.n_mismatches == 0
    with pytest.raises(DesignRuleError, match="SNN301"):
        compile_model(feedback(1), "xylo-audio-3")


def test_lags_are_the_hops() -> None:
    mapped = compile_model(residual(), "xylo-audio-3").mapped
    raster = np.random.default_rng(0).poisson(2.0, (1, 12, 3))
    source = simulate_network(residual(), raster, counts_of=["h1", "h2"])
    folded = simulate_network(as_folded_network(mapped), np.pad(raster, ((0, 0), (0, 3), (0, 0))), counts_of=["hidden"])
    assert (mapped.lags["h1"], mapped.lags["h2"], mapped.latency_steps) == (0, 1, 2)
    for name in ("h1", "h2"):
        assert np.array_equal(folded_counts(folded, mapped, name)[:, :12], source.counts[name])
        assert source.counts[name].any()


def test_calibration_of_the_wrong_shape() -> None:
    with pytest.raises(InputError, match="3"):
        compile_model(CLEAN, "xylo-audio-3", calibration=np.ones((1, 9, 5), np.int64))


def test_every_rule_is_run_and_every_stage_is_told() -> None:
    stages: list[str] = []
    artifacts = compile_model(chain(3, 5, 4, 2), "xylo-audio-3", on_stage=stages.append)
    assert set(artifacts.report.rules_run) == set(RULES)
    assert len(stages) == 5


@pytest.mark.parametrize("model", [3, None, "model", object()])
def test_what_is_not_a_model(model: object) -> None:
    with pytest.raises(FrontendError, match=type(model).__name__):
        check_model(model, "toy-4")
