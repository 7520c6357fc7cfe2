"""From NIR's differential equations to decays, gains and thresholds of a step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnmap.errors import FrontendError
from snnmap.frontends.nir_arrays import read_array
from snnmap.frontends.nir_graph import type_name
from snnmap.frontends.nir_options import NirOptions
from snnmap.ir import FloatArray, Reset

__all__ = ["NEURONS", "Dynamics", "discretise", "neuron_shape"]

NEURONS: Mapping[str, tuple[str, ...]] = {
    "I": ("r",),
    "IF": ("r", "v_threshold", "v_reset"),
    "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "w_in", "v_threshold", "v_reset"),
    "Threshold": ("threshold",),
}
"""Nodes that become populations, with their parameters."""

Shape = tuple[int, ...]

ROUNDING = 2.0**-22
"""How far dt/tau may be from 1 to count as 1: a tau of one step, stored in float32, is not quite dt."""


@dataclass(frozen=True, slots=True)
class Dynamics:
    """What one step does; all ``(size,) float64``.

    Attributes:
        alpha: decay of the synapse, 0 without one.
        beta: decay of the membrane.
        gain: what a signal of 1 adds to the current in its step.
        bias: what the leak adds to the membrane in each step.
        threshold: from which potential on the neuron fires; infinite where it never does.
        reset: what a spike does.
        v_reset: potential after a spike, for reset "value".
        max_count: most spikes in a step; 0 where the output is the potential.
    """

    alpha: FloatArray
    beta: FloatArray
    gain: FloatArray
    bias: FloatArray
    threshold: FloatArray
    reset: Reset
    v_reset: FloatArray
    max_count: int


def neuron_shape(node: Any, where: str) -> Shape:
    """Give the shape of a node's parameters; () where all are scalars, which fits any input.

    Raises:
        FrontendError: parameters differ in shape.
    """
    shapes = {name: read_array(node, name, where).shape for name in _given(node)}
    whole = sorted({shape for shape in shapes.values() if shape})
    if len(whole) > 1:
        raise FrontendError(
            "the parameters differ in shape", where=where, measured=", ".join(f"{k} {v}" for k, v in shapes.items()),
            limit="one shape", fix="give every parameter one value a neuron",
        )  # fmt: skip
    if whole and min(whole[0]) < 1:
        raise FrontendError("the node has no neurons", where=where, measured=str(whole[0]), fix="remove it")
    return whole[0] if whole else ()


def discretise(node: Any, shape: Shape, options: NirOptions, where: str) -> Dynamics:
    """Turn a neuron node into the factors of a step.

    Raises:
        FrontendError: a missing choice, or a value without a meaning: tau or threshold not above 0, a step longer than
            tau under Euler, a v_reset that the chosen reset ignores.
    """
    size = int(np.prod(shape))
    p = {name: np.broadcast_to(read_array(node, name, where), shape).ravel() for name in _given(node)}
    ones, zeros = np.ones(size), np.zeros(size)
    kind = type_name(node)
    if kind == "Threshold":
        threshold = _threshold(p["threshold"], "above", where)
        return Dynamics(zeros, zeros, ones, zeros, threshold, "value", zeros, 1)
    max_count = options.max_count if "v_threshold" in p else 0
    threshold = _threshold(p["v_threshold"], options.fires, where) if max_count else np.full(size, np.inf)
    reset, v_reset = _reset(p, options, where) if max_count else ("value", zeros)
    if kind in ("I", "IF"):
        step_s = options.require("dt_s", where) if options.require("if_gain", where) == "dt" else 1.0
        return Dynamics(zeros, ones, p["r"] * step_s, zeros, threshold, reset, v_reset, max_count)
    beta, gain, leak = _decay(p, "tau_mem" if "tau_mem" in p else "tau", options, where)
    alpha, gain_in = zeros, ones
    if "tau_syn" in p:
        alpha, gain_in, _ = _decay(p, "tau_syn", options, where)
        gain_in = gain_in * p["w_in"]
    return Dynamics(alpha, beta, gain_in * gain * p["r"], leak * p["v_leak"], threshold, reset, v_reset, max_count)


def _given(node: Any) -> list[str]:
    return [name for name in NEURONS[type_name(node)] if getattr(node, name, None) is not None]


def _decay(p: Mapping[str, FloatArray], name: str, options: NirOptions, where: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give decay, gain of the input and gain of the leak potential in a step."""
    dt_s, unit = options.require("dt_s", where), options.require("time_unit", where)
    integrator = options.require("integrator", where)
    tau = p[name]
    _require_all(tau > 0, tau, f"'{name}' is not above 0", where, f"more than 0 {unit}")
    ratio = dt_s / (tau * options.seconds)
    if integrator == "euler":
        _require_all(ratio <= 1 + ROUNDING, tau, f"'{name}' is shorter than a step, which Euler cannot do", where, f"{dt_s:g} s")
        return np.where(np.abs(1.0 - ratio) <= ROUNDING, 0.0, 1.0 - ratio), ratio, ratio
    decay, remainder = np.exp(-ratio), -np.expm1(-ratio)
    return decay, remainder if integrator == "zoh" else ratio, remainder


def _threshold(given: FloatArray, fires: str, where: str) -> FloatArray:
    """Give the potential from which on a neuron fires."""
    _require_all(given > 0, given, "the threshold is not above 0", where, "more than 0")
    return np.nextafter(given, np.inf) if fires == "above" else given


def _reset(p: Mapping[str, FloatArray], options: NirOptions, where: str) -> tuple[Reset, FloatArray]:
    choice = options.require("reset", where)
    v_reset = p.get("v_reset", np.zeros_like(p["r"]))
    if choice == "value":
        return "value", v_reset
    _require_all(v_reset == 0, v_reset, f"reset='{choice}' would ignore the node's v_reset", where, "0, or reset='value'")
    return ("value" if choice == "zero" else "subtract"), np.zeros_like(v_reset)


def _require_all(holds: Any, values: FloatArray, what: str, where: str, limit: str) -> None:
    wrong = np.flatnonzero(~holds)
    if wrong.size:
        raise FrontendError(
            what, where=where, measured=f"{values[wrong[0]]:g} at neuron {wrong[0]} ({wrong.size} in all)", limit=limit,
            fix="correct the value, or check time_unit, dt_s and the other options",
        )  # fmt: skip
