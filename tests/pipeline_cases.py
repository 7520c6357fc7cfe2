"""Devices, layers and choices of pipelines for tests."""

from dataclasses import replace
from typing import Any

import numpy as np
from quantised_networks import Quantised

from snnmap.dataflow import Device, Pipeline, PipelineOptions, build_pipeline, load_device
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
