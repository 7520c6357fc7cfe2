"""NIR graphs, run step by step from the NIR paper's equations and the choices of ``NirOptions``, on dense arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
import torch
from torch.nn import functional

from snnmap.frontends.nir import NirOptions

Wire = tuple[str, int | None]
"""Where spikes come from, and how many steps Delay nodes hold them; None where there are none."""

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")


@dataclass
class Sum:
    """Weighted spikes of several sources, ``(n_source, *shape)`` by wire, and a constant ``shape``."""

    shape: tuple[int, ...]
    weights: dict[Wire, np.ndarray] = field(default_factory=dict)
    constant: np.ndarray | float = 0.0

    def add(self, wire: Wire, weights: np.ndarray) -> None:
        self.weights[wire] = self.weights.get(wire, 0.0) + weights


@dataclass
class Run:
    """What a graph does: ``(n_samples, n_steps, size)`` by node, and how near a potential came to its threshold by step."""

    counts: dict[str, np.ndarray]
    potentials: dict[str, np.ndarray]
    margins: np.ndarray


class AmbiguousLoopError(Exception):
    """A loop whose late edge the graph does not say."""


def kind_of(node: Any) -> str:
    return type(node).__name__


def run_graph(graph: Any, shapes: Mapping[str, tuple[int, ...]], options: NirOptions, rasters: Mapping[str, np.ndarray]) -> Run:
    """Run a flat graph.

    Args:
        graph: without nested graphs.
        shapes: of what each node sends, without batch.
        options: the choices; written_by "other".
        rasters: spike counts by Input.
    """
    return _Equations(graph, shapes, options).run(rasters)


class _Equations:
    def __init__(self, graph: Any, shapes: Mapping[str, tuple[int, ...]], options: NirOptions) -> None:
        self.graph, self.shapes, self.options = graph, shapes, options
        self.before: dict[str, list[str]] = {name: [pre for pre, post in graph.edges if post == name] for name in graph.nodes}
        self.sent: dict[str, Sum] = {}
        self.neurons = [name for name, node in graph.nodes.items() if kind_of(node) in NEURONS]
        self.read = [name for name, node in graph.nodes.items() if kind_of(node) == "Output"]
        self.arriving = {name: self.collect(name) for name in self.neurons + self.read}
        self.delays = self.delay_wires()

    # what arrives where

    def collect(self, name: str) -> Sum:
        total = Sum(self.shapes[self.before[name][0]] if self.before[name] else self.shapes[name])
        for pre in self.before[name]:
            part = self.send(pre)
            for wire, weights in part.weights.items():
                total.add(wire, weights.reshape(-1, *total.shape))
            total.constant = total.constant + np.reshape(np.broadcast_to(part.constant, part.shape), total.shape)
        return total

    def send(self, name: str) -> Sum:
        if name not in self.sent:
            self.sent[name] = self.source(name) if self.is_source(name) else self.pass_linear(name, self.collect(name))
        return self.sent[name]

    def is_source(self, name: str) -> bool:
        return kind_of(self.graph.nodes[name]) in (*NEURONS, "Input")

    def source(self, name: str) -> Sum:
        shape = self.shapes[name]
        size = int(np.prod(shape))
        return Sum(shape, {(name, None): np.eye(size).reshape(size, *shape)})

    def pass_linear(self, name: str, signal: Sum) -> Sum:
        node, shape = self.graph.nodes[name], self.shapes[name]
        if kind_of(node) == "Delay":
            return self.pass_delay(node, signal)
        passed = Sum(shape)
        for wire, weights in signal.weights.items():
            passed.add(wire, apply_node(node, weights).reshape(-1, *shape))
        constant = np.broadcast_to(signal.constant, signal.shape)[np.newaxis]
        passed.constant = (apply_node(node, constant) + bias_of(node)).reshape(shape)
        return passed

    def pass_delay(self, node: Any, signal: Sum) -> Sum:
        steps = np.rint(numbers(node.delay) * self.unit() / (1.0 if self.options.time_unit == "step" else self.options.dt_s))
        steps = np.broadcast_to(steps.ravel(), int(np.prod(signal.shape))).reshape(signal.shape)
        passed = Sum(signal.shape, constant=signal.constant)
        for (source, before), weights in signal.weights.items():
            for step in np.unique(steps):
                passed.add((source, int(step) + (before or 0)), np.where(steps == step, weights, 0.0))
        return passed

    def unit(self) -> float:
        return 1.0 if self.options.time_unit in (None, "step") else SECONDS[self.options.time_unit]

    # when it arrives

    def delay_wires(self) -> dict[tuple[str, Wire], int]:
        wires = [(post, wire) for post, signal in self.arriving.items() for wire in signal.weights]
        delays = {(post, wire): self.latency(wire) for post, wire in wires}
        flow, at_once = nx.DiGraph(), nx.DiGraph()
        flow.add_edges_from((wire[0], post) for post, wire in wires)
        flow.add_nodes_from(self.neurons)
        roots = {name for name in flow if kind_of(self.graph.nodes[name]) == "Input" or flow.in_degree(name) == 0}
        flow.add_edges_from(("", name) for name in roots)
        at_once.add_edges_from((wire[0], post) for post, wire in wires if not delays[post, wire])
        dominators = nx.immediate_dominators(flow, "") if roots else {}
        late = [
            (post, wire)
            for post, wire in wires
            if wire[1] is None
            and not delays[post, wire]
            and closes(at_once, wire[0], post)
            and dominates(dominators, post, wire[0])
        ]
        delays.update(dict.fromkeys(late, 1))
        left = nx.DiGraph((wire[0], post) for (post, wire), delay in delays.items() if delay == 0)
        if not nx.is_directed_acyclic_graph(left):
            raise AmbiguousLoopError
        ordered = [name for name in nx.topological_sort(left) if name in self.arriving]
        self.order = ordered + [name for name in self.arriving if name not in ordered]
        return delays

    def latency(self, wire: Wire) -> int:
        source, delay = wire
        if kind_of(self.graph.nodes[source]) == "Input":
            return (delay or 0) + self.options.input_latency_steps
        return self.options.layer_latency_steps if delay is None else delay

    # the run

    def run(self, rasters: Mapping[str, np.ndarray]) -> Run:
        n_samples, n_steps = next(iter(rasters.values())).shape[:2]
        sent = {name: np.zeros((n_samples, n_steps, int(np.prod(self.shapes[name])))) for name in self.neurons + self.read}
        sent |= {name: raster.astype(float) for name, raster in rasters.items()}
        potentials = {name: np.zeros_like(sent[name]) for name in self.neurons + self.read}
        margins = np.full(n_steps, np.inf)
        cells = {name: Cell(self.graph.nodes[name], sent[name][:, 0].shape, self.options) for name in self.neurons}
        for step in range(n_steps):
            for name in self.order:
                current = self.current(name, sent, step)
                if name in self.read:
                    potentials[name][:, step] = current
                    continue
                potentials[name][:, step], sent[name][:, step], margin = cells[name].step(current)
                margins[step] = min(margins[step], margin)
        counts = {name: sent[name] for name in self.neurons}
        return Run(counts, potentials, margins)

    def current(self, name: str, sent: Mapping[str, np.ndarray], step: int) -> np.ndarray:
        signal = self.arriving[name]
        total = np.zeros_like(next(iter(sent.values()))[:, 0, :1]) + np.broadcast_to(signal.constant, signal.shape).ravel()
        for wire, weights in signal.weights.items():
            then = step - self.delays[name, wire]
            if then >= 0:
                total = total + self.options.spike_scale * sent[wire[0]][:, then] @ weights.reshape(weights.shape[0], -1)
        return total


def closes(graph: Any, pre: str, post: str) -> bool:
    return pre in graph and post in graph and nx.has_path(graph, post, pre)


def dominates(dominators: Mapping[str, str], name: str, other: str) -> bool:
    """Say whether every way from the root to ``other`` goes through ``name``."""
    if name == other:
        return True
    while other and dominators.get(other, other) != other:
        other = dominators[other]
        if name == other:
            return True
    return False


def numbers(value: Any) -> np.ndarray:
    return np.asarray(value.detach().numpy() if torch.is_tensor(value) else value, np.float64)


def pair(value: Any) -> tuple[int, int]:
    values = np.atleast_1d(value)
    return int(values[0]), int(values[-1])


def bias_of(node: Any) -> np.ndarray | float:
    if kind_of(node) not in ("Affine", "Conv1d", "Conv2d"):
        return 0.0
    return numbers(node.bias).reshape(-1, *[1] * {"Affine": 0, "Conv1d": 1, "Conv2d": 2}[kind_of(node)])


def apply_node(node: Any, x: np.ndarray) -> np.ndarray:
    """Pass ``(n, *shape)`` values through a node, without its bias."""
    kind = kind_of(node)
    if kind in ("Affine", "Linear"):
        return x.reshape(len(x), -1) @ numbers(node.weight).T
    if kind == "Scale":
        return x.reshape(len(x), -1) * numbers(node.scale).ravel()
    if kind in ("Conv1d", "Conv2d"):
        return convolve(node, x)
    if kind in ("SumPool2d", "AvgPool2d"):
        return pool(node, x)
    assert kind in ("Flatten", "Input", "Output"), kind
    return x


def convolve(node: Any, x: np.ndarray) -> np.ndarray:
    weight = torch.tensor(numbers(node.weight))
    n = weight.ndim - 2
    size = [int(np.atleast_1d(node.stride)[k % np.size(node.stride)]) for k in range(n)]
    spread = [int(np.atleast_1d(node.dilation)[k % np.size(node.dilation)]) for k in range(n)]
    images = torch.tensor(x.reshape(len(x), *x.shape[-n - 1 :]))
    if isinstance(node.padding, str):
        padding: Any = str(node.padding)
    else:
        padding = [int(np.atleast_1d(node.padding)[k % np.size(node.padding)]) for k in range(n)]
    run = functional.conv1d if n == 1 else functional.conv2d
    return run(images, weight, None, size, padding, spread, int(node.groups)).numpy()


def pool(node: Any, x: np.ndarray) -> np.ndarray:
    """Add up windows one by one; padding counts as zeros in the average."""
    (height, width), (down, right), (top, left) = pair(node.kernel_size), pair(node.stride), pair(node.padding)
    images = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(top, top), (left, left)])
    rows, columns = (images.shape[-2] - height) // down + 1, (images.shape[-1] - width) // right + 1
    out = np.zeros((*images.shape[:-2], rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = images[..., row * down : row * down + height, column * right : column * right + width]
            out[..., row, column] = window.sum((-2, -1))
    return out / (height * width) if kind_of(node) == "AvgPool2d" else out


class Cell:
    """Neurons of one node: NIR's equations under the chosen integrator and reset."""

    def __init__(self, node: Any, shape: tuple[int, ...], options: NirOptions) -> None:
        self.node, self.options, self.kind = node, options, kind_of(node)
        self.current, self.fired = np.zeros(shape), np.zeros(shape)
        start = {"leak": "v_leak", "reset": "v_reset"}.get(options.initial_potential, "")
        self.v = np.zeros(shape) + (self.value(start) if getattr(node, start or "none", None) is not None else 0.0)

    def value(self, name: str) -> np.ndarray:
        return numbers(getattr(self.node, name)).ravel()

    def factors(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return decay, gain of the input and gain of the leak."""
        unit = self.options.time_unit
        tau = self.value(name) * (1.0 if unit == "step" else SECONDS[str(unit)] / float(self.options.dt_s or 0))
        if self.options.integrator == "euler":
            return 1 - 1 / tau, 1 / tau, 1 / tau
        decay = np.exp(-1 / tau)
        return decay, {"zoh": 1 - decay, "exp_euler": 1 / tau, "exp_jump": 1.0}[str(self.options.integrator)], 1 - decay

    def step(self, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return potentials after the reset, spikes and the distance from the threshold."""
        if self.kind == "Threshold":
            margin = float(np.abs(signal - self.value("threshold")).min(initial=np.inf))
            return signal, (signal > self.value("threshold")).astype(float), margin
        if self.kind.startswith("Cuba"):
            keep, gain, _ = self.factors("tau_syn")
            self.current = keep * self.current + gain * self.value("w_in") * signal
            signal = self.current
        if self.kind in ("I", "IF"):
            scale = 1.0 if self.options.if_gain == "step" else self.step_in_units()
            self.v = self.v + scale * self.value("r") * signal
        else:
            keep, gain, leak = self.factors("tau_mem" if self.kind.startswith("Cuba") else "tau")
            self.v = keep * self.v + leak * self.value("v_leak") + gain * self.value("r") * signal
        return self.fire() if self.kind.endswith("F") else (self.v, np.zeros_like(self.v), np.inf)

    def step_in_units(self) -> float:
        unit = self.options.time_unit
        return 1.0 if unit == "step" else float(self.options.dt_s or 0) / SECONDS[unit or "s"]

    def fire(self) -> tuple[np.ndarray, np.ndarray, float]:
        threshold = self.value("v_threshold") + np.zeros_like(self.v)
        subtracts = self.options.reset == "subtract"
        if self.options.reset_delay_steps and subtracts:
            self.v = self.v - self.taken(threshold)
        ratio = self.v / threshold
        whole = np.ceil(ratio) - 1 if self.options.fires == "above" else np.floor(ratio)
        self.fired = np.clip(whole, 0.0, self.options.max_count)
        near = np.where(np.rint(ratio) > 0, np.abs(ratio - np.rint(ratio)), np.inf)
        margin = float(near.min(initial=np.inf))
        if not subtracts:
            target = self.value("v_reset") if self.options.reset == "value" else 0.0
            self.v = np.where(self.fired > 0, target, self.v)
        elif not self.options.reset_delay_steps:
            self.v = self.v - self.taken(threshold)
        return self.v, self.fired, margin

    def taken(self, threshold: np.ndarray) -> np.ndarray:
        return self.fired * np.where(np.isinf(threshold), 0.0, threshold)
