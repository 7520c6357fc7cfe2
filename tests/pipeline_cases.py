"""Devices, layers and choices of pipelines for tests."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from quantised_networks import Quantised, run_onnxruntime
from random_quantised import make_random

from snnmap.dataflow import Device, Pipeline, PipelineOptions, build_pipeline, load_device, simulate_values
from snnmap.dataflow.allocate import Choices, list_choices
from snnmap.dataflow.lower import lower_graph
from snnmap.frontends.onnx import read_layer_graph

SMALL, LARGE = load_device("dsp-256"), load_device("dsp-830")
"""The shipped devices."""


def make_device(multipliers: int = 40, blocks: int = 10_000, block_bytes: int = 64, port_bytes: int = 4) -> Device:
    """A device of small blocks, on which parallelism costs memory."""
    memory = replace(SMALL.memory, blocks=blocks, block_bytes=block_bytes, port_bytes=port_bytes)
    return replace(SMALL, multipliers=multipliers, memory=memory)


def build(model: Any, device: str | Device = SMALL, **choices: Any) -> Pipeline:
    """Build an ONNX model."""
    return build_pipeline(read_layer_graph(model), device, options=PipelineOptions(**choices))


def make_skip() -> Any:
    """A network whose skip connection is three convolutions of 3 x 3 shorter than the path around it."""
    net = Quantised((4, 10, 10), 1)
    x = net.conv("q", 8, pads=[1] * 4)
    y = x
    for _ in range(3):
        y = net.conv(y, 8, pads=[1] * 4)
    return net.model(net.conv(net.add(x, y), 4, (1, 1)))


def draw_inputs(pipeline: Pipeline, n_samples: int = 2, seed: int = 0) -> Any:
    """Samples for the first input."""
    shape = next(iter(pipeline.network.graph.inputs.values())).shape
    return np.random.default_rng(seed).normal(0, 1, (n_samples, *shape)).astype(np.float32)


def list_all(model: Any, device: Device, **given: Any) -> list[Choices]:
    return [list_choices(layer, device, **given) for layer in lower_graph(read_layer_graph(model), device).layers]


def find_interval(choices: Sequence[Choices], numbers: list[int] | None) -> int | None:
    return None if numbers is None else max(int(choice.cycles[one]) for choice, one in zip(choices, numbers, strict=True))


def add_costs(choices: Sequence[Choices], numbers: Sequence[int]) -> Any:
    return np.sum([choice.costs[one] for choice, one in zip(choices, numbers, strict=True)], axis=0)


def solve_by_merging(choices: Sequence[Choices], budget: Any) -> int | None:
    """The least interval that fits: for every interval, all sums of multipliers and blocks that none beats."""
    intervals = np.unique(np.concatenate([choice.cycles for choice in choices]))
    for interval in intervals:
        sums = {(0, 0)}
        for choice in choices:
            kept = {(int(m), int(b)) for m, b, _ in choice.costs[choice.cycles <= interval]}
            merged = {(m + a, b + c) for m, b in sums for a, c in kept if m + a <= budget[0] and b + c <= budget[1]}
            sums = {one for one in merged if not any(o[0] <= one[0] and o[1] <= one[1] and o != one for o in merged)}
        if sums:
            return int(interval)
    return None


def draw_budget(seed: int) -> tuple[list[Choices], Any]:
    """The choices of a random graph, and budgets of multipliers and memory of which some allow nothing."""
    rng = np.random.default_rng(seed)
    device = make_device(int(rng.integers(8, 60)))
    choices = list_all(make_random(seed), device)
    least = sum(choice.costs.min(axis=0) for choice in choices)
    return choices, np.array([device.multipliers, int(least[1] * rng.uniform(0.95, 1.6)), 0])


def count_differences(model: Any, pipeline: Pipeline, n_samples: int = 2, order: Any = "template") -> dict[str, int]:
    """Values that differ from onnxruntime's, by tensor; every tensor of integers is compared."""
    inputs, graph = draw_inputs(pipeline, n_samples), pipeline.network.graph
    found = simulate_values(pipeline, inputs, order=order)
    names = {node.tensor: node.name for node in graph.nodes if node.tensor and graph.types[node.name].dtype == "uint8"}
    assert set(names.values()) <= found.keys()
    wanted = run_onnxruntime(model, inputs, names=sorted(names))
    return {tensor: int((found[name].reshape(wanted[tensor].shape) != wanted[tensor]).sum()) for tensor, name in names.items()}
