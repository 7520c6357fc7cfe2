from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from random_networks import random_network

from snnmap.chip import load_chip
from snnmap.core.errors import InputError
from snnmap.lif.mapping import fold_network, verify_fold
from snnmap.lif.simulator import simulate_image, simulate_quantised
from snnmap.network import InputPort, read_raster, read_rasters, simulate_network
from snnmap.pipeline import compile_model

COUNTS = np.array([[[0, 1, 2], [3, 0, 1]], [[5, 0, 0], [0, 0, 9]]])

FORMS: dict[str, Callable[[], Any]] = {
    "int8": lambda: COUNTS.astype(np.int8),
    "uint64": lambda: COUNTS.astype(np.uint64),
    "float16": lambda: COUNTS.astype(np.float16),
    "float64": lambda: COUNTS.astype(np.float64),
    "nested lists": lambda: COUNTS.tolist(),
    "tuple of arrays": lambda: tuple(COUNTS),
    "integer tensor": lambda: torch.tensor(COUNTS),
    "float tensor": lambda: torch.tensor(COUNTS, dtype=torch.float32),
    "bfloat16 tensor": lambda: torch.tensor(COUNTS, dtype=torch.bfloat16),
    "tensor with gradients": lambda: torch.tensor(COUNTS, dtype=torch.float32, requires_grad=True) * 1.0,
    "parameter": lambda: torch.nn.Parameter(torch.tensor(COUNTS, dtype=torch.float32)),
    "list of tensors with gradients": lambda: [torch.tensor(c, dtype=torch.float64, requires_grad=True) for c in COUNTS],
}


@pytest.mark.parametrize("form", FORMS)
def test_counts_are_read_from_whatever_holds_them(form: str) -> None:
    read = read_raster(FORMS[form](), 3, where="input port 'x'")
    assert read.dtype == np.int64
    assert np.array_equal(read, COUNTS)


def test_booleans_are_counts_of_one_and_one_sample_needs_no_axis() -> None:
    assert np.array_equal(read_raster(torch.tensor(COUNTS[0] > 0), 3, where="x"), (COUNTS[:1] > 0).astype(int))


@pytest.mark.parametrize(
    ("raster", "message"),
    [
        ([[1, 2, 3], [1]], "not an array of numbers"),
        (torch.zeros(1, 2, 3, device="meta"), "not an array of numbers"),
        (torch.zeros(2, 3).to_sparse(), "not an array of numbers"),
        ([torch.zeros(2, 3), torch.zeros(1, 3)], "not an array of numbers"),
        (None, "wrong shape"),
        ("spikes", "wrong shape"),
        ([], "wrong shape"),
        ([[None, None, None]], "non-negative integers"),
        (torch.full((1, 2, 3), 0.5), "non-negative integers"),
        (torch.full((1, 2, 3), torch.inf, dtype=torch.float16), "non-negative integers"),
        (np.full((1, 2, 3), 2.0**40), "non-negative integers"),
    ],
)
def test_what_holds_no_counts_is_refused_with_its_place(raster: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_raster(raster, 3, where="input port 'x'")
    assert caught.value.where == "input port 'x'"


@pytest.mark.parametrize(
    ("shape", "fix"),
    [
        ((4, 6, 2, 3, 2), "counts.reshape(n_samples, n_steps, 12)"),
        ((4, 3, 4), "counts.reshape(n_steps, 12)"),
        ((4, 12, 6), "counts.transpose(0, 2, 1)"),
        ((12, 4, 6), "numpy.moveaxis(counts, 0, 2)"),
        ((4, 6, 5), "one column a channel"),
    ],
)
def test_another_layout_is_told_the_way_to_ours(shape: tuple[int, ...], fix: str) -> None:
    counts = np.zeros(shape, np.int64)
    with pytest.raises(InputError, match="wrong shape") as caught:
        read_raster(counts, 12, where="x")
    assert fix in caught.value.fix
    if "counts." in fix or "counts," in fix:
        known = {"counts": counts, "numpy": np, "n_samples": shape[0], "n_steps": shape[0] if len(shape) == 3 else shape[1]}
        assert read_raster(eval(caught.value.fix.split(": ")[1], known), 12, where="x").shape[2] == 12


def test_grey_levels_are_told_the_way_to_counts() -> None:
    values = np.random.default_rng(0).random((2, 5, 3))
    with pytest.raises(InputError) as caught:
        read_raster(values, 3, where="x")
    code = caught.value.fix.split("of values from 0 to 1 ")[1].removesuffix(", a rate code")
    assert read_raster(eval(code, {"numpy": np, "values": values}), 3, where="x").shape == (2, 5, 3)
    with pytest.raises(InputError) as other:
        read_raster(values - 2, 3, where="x")
    assert other.value.fix == "encode the signal as spike counts a step"


@pytest.mark.parametrize(
    ("given", "measured"), [(COUNTS, "one unnamed raster"), ({"a": COUNTS, 1: COUNTS}, "'a', 1"), ({"a": COUNTS}, "'a'")]
)
def test_rasters_of_other_ports_are_named(given: Any, measured: str) -> None:
    ports = (InputPort(name="a", size=3), InputPort(name="", size=3))
    with pytest.raises(InputError, match="do not match") as caught:
        read_rasters(ports, given)
    assert (caught.value.measured, caught.value.limit) == (measured, "'', 'a'")


def test_every_stage_takes_tensors_with_gradients_as_it_takes_arrays() -> None:
    network = next(candidate for candidate in map(random_network, range(20)) if len(candidate.inputs) == 1)
    counts = np.random.default_rng(0).poisson(0.5, (2, 12, network.inputs[0].size))
    tensor = torch.tensor(counts, dtype=torch.float32, requires_grad=True) * 1.0
    artifacts = compile_model(network, "xylo-audio-3", calibration=counts)
    assert compile_model(network, "xylo-audio-3", calibration=tensor).bitstream == artifacts.bitstream
    for run in (
        lambda raster: simulate_network(network, raster).counts,
        lambda raster: simulate_network(network, {network.inputs[0].name: raster}).counts,
        lambda raster: simulate_image(artifacts.image, raster).counts,
        lambda raster: simulate_quantised(artifacts.quantised, raster).counts,
        lambda raster: {"compared": verify_fold(artifacts.network, fold_network(network, load_chip("xylo-imu")), raster)},
        artifacts.run,
    ):
        expected, found = run(counts), run(tensor)
        assert expected.keys() == found.keys()
        assert all(np.array_equal(expected[name], found[name]) for name in expected)
