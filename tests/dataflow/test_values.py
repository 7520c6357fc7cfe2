"""Values of pipelines against onnxruntime's int8: no value of any tensor differs."""

from typing import Any

import numpy as np
import pytest
from odd_quantised import ODD_NETWORKS
from pipeline_cases import LARGE, build, count_differences, draw_inputs, make_device, make_skip
from quantised_networks import make_mobilenet, make_resnet, make_small
from random_quantised import make_random
from random_wide import Wide, make_digital, make_wide
from signed_networks import make_signed

from snnmap.dataflow import find_differences, format_pipeline, simulate_timing, simulate_values
from snnmap.dataflow.pack import pack_pipeline
from snnmap.dataflow.templates import Parallelism

NETWORKS: dict[str, Any] = {
    "small": make_small,
    "skip": make_skip,
    "digital": make_digital,
    "mobilenet": lambda: make_mobilenet(32, 8, 10),
    "resnet-18": lambda: make_resnet(18, 32, 8, 10),
    "resnet-50": lambda: make_resnet(50, 32, 8, 10),
}


@pytest.mark.parametrize("multipliers", [30, 250])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_equals_onnxruntimes(name: str, multipliers: int) -> None:
    if name == "resnet-50" and multipliers < 60:
        multipliers = 60
    model = NETWORKS[name]()
    differences = count_differences(model, build(model, make_device(multipliers)))
    assert len(differences) > 4
    assert not any(differences.values())


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["mobilenet", "resnet-18"])
def test_at_full_size(name: str) -> None:
    model = make_mobilenet() if name == "mobilenet" else make_resnet(18)
    pipeline = build(model, LARGE, memory_blocks=4000)
    for order in ("template", "matrix"):
        assert not any(count_differences(model, pipeline, 1, order).values())


@pytest.mark.parametrize("seed", [*range(30), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(30, 200))])
def test_random_networks(seed: int) -> None:
    model = (make_random, make_wide)[seed % 2](seed)
    pipeline = build(model, make_device(20 + seed * 7 % 90))
    assert not any(count_differences(model, pipeline).values())
    assert not any(find_differences(pipeline, draw_inputs(pipeline, 1, seed), order="matrix").values())


@pytest.mark.parametrize("name", ODD_NETWORKS)
def test_what_is_seldom_met(name: str) -> None:
    model = ODD_NETWORKS[name]()
    pipeline = build(model, LARGE, multipliers=60)
    assert not any(count_differences(model, pipeline).values())
    assert "0 cycles of stalls" in format_pipeline(pipeline, simulate_timing(pipeline))


@pytest.mark.parametrize("seed", range(8))
def test_signed_activations(seed: int) -> None:
    pipeline = build(make_signed(seed))
    assert not any(find_differences(pipeline, draw_inputs(pipeline)).values())


def test_a_resize_to_the_nearest() -> None:
    net = Wide((3, 6, 5), 2)
    x = net.conv("q", 4, (1, 1))
    scales = np.array([1, 1, 2, 3], np.float32)
    y = net.between(
        *("Resize", [x], (4, 12, 15), net.steps[x], np.zeros(0, np.float32), scales),
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    model = net.model(net.conv(y, 3, pads=[1] * 4))
    pipeline = build(model)
    assert "resize" in {stage.template.name for stage in pipeline.stages}
    assert not any(count_differences(model, pipeline).values())
    assert simulate_timing(pipeline).stalls == 0


def test_both_orders_read_the_packed_words() -> None:
    """A weight that is changed in its word changes the values, in both orders alike."""
    pipeline = build(make_small())
    packed = pack_pipeline(pipeline)
    words = packed["conv3"].words.copy()
    words[0, 0] ^= 0x40
    changed = {**packed, "conv3": type(packed["conv3"])(words=words, bias=packed["conv3"].bias, factor=packed["conv3"].factor)}
    inputs = draw_inputs(pipeline)
    one, other = (simulate_values(pipeline, inputs, packed=changed, order=order) for order in ("template", "matrix"))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert find_differences(pipeline, inputs, packed=changed)["conv3"] > 0


def test_names_of_parallelism() -> None:
    assert str(Parallelism(outputs=2, channels=3, kernel=9)) == "2x3x9"
    assert str(Parallelism(outputs=2, places=4)) == "2x1x1x4"
