"""From NIR's differential equations to decays, gains and thresholds of a step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.nir.arrays import read_array
from snnmap.frontends.nir.exporters import exported_gain, require_known_gain
from snnmap.frontends.nir.graph import type_name
from snnmap.frontends.nir.options import NirOptions
from snnmap.network import Reset

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
        late: what a spike takes off in the step after it instead of in its own; 0 where nothing.
    """

    alpha: FloatArray
    beta: FloatArray
    gain: FloatArray
    bias: FloatArray
    threshold: FloatArray
    reset: Reset
    v_reset: FloatArray
    max_count: int
    late: FloatArray | float = 0.0


def neuron_shape(node: Any, where: str) -> Shape:
    """Return the shape of a node's parameters; () where all are scalars, which fits any input.

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


def discretise(node: Any, shape: Shape, options: NirOptions, where: str, *, is_recurrent: bool = False) -> Dynamics:
    """Turn a neuron node into the factors of a step.

    Args:
        node: of :data:`NEURONS`.
        shape: of the population.
        options: what NIR leaves open.
        where: what errors name.
        is_recurrent: whether the neurons' own spikes are a part of their input.

    Raises:
        FrontendError: a missing choice, or a value without a meaning: tau or threshold not above 0, a step longer than
            tau under Euler, a v_reset that the chosen reset ignores, a start above the threshold.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        dynamics, p = _read_equation(node, shape, options, where)
    if is_recurrent and options.written_by == "spyx":
        raise FrontendError(
            "spyx writes that the input of a recurrent layer goes through its recurrent weights, which it does not", where=where,
            fix="export layers without recurrent weights (IF, LIF, CuBaLIF)",
        )  # fmt: skip
    if "v_threshold" in p and options.reset_delay_steps and not _resets_at_once(node, options):
        dynamics = _reset_later(dynamics, p, options, where, is_recurrent)
    return _start_at(_start_potential(type_name(node), p, options), dynamics, where)


def _read_equation(node: Any, shape: Shape, options: NirOptions, where: str) -> tuple[Dynamics, Mapping[str, FloatArray]]:
    size = int(np.prod(shape))
    p = {name: np.broadcast_to(read_array(node, name, where), shape).ravel() for name in _given(node)}
    ones, zeros = np.ones(size), np.zeros(size)
    kind = type_name(node)
    if kind == "Threshold":
        threshold = _threshold(p["threshold"], "above", where)
        return Dynamics(zeros, zeros, ones, zeros, threshold, "value", zeros, 1), {}
    options.require("floor", where)
    max_count = options.max_count if "v_threshold" in p else 0
    threshold = _threshold(p["v_threshold"], options.fires, where) if max_count else np.full(size, np.inf)
    reset, v_reset = _reset(p, options, where) if max_count else ("subtract", zeros)  # a neuron that never fires is never reset
    if kind in ("I", "IF"):
        step = options.step(where) if options.require("if_gain", where) == "dt" else 1.0
        if kind == "IF" and options.if_gain == "step":
            require_known_gain(p["r"], options, where)
        return Dynamics(zeros, ones, p["r"] * step, zeros, threshold, reset, v_reset, max_count), p
    beta, gain, leak = _decay(p, "tau_mem" if "tau_mem" in p else "tau", options, where)
    alpha, gain_in = zeros, ones
    if "tau_syn" in p:
        alpha, gain_in, _ = _decay(p, "tau_syn", options, where)
        gain_in = gain_in * p["w_in"]
    exported = exported_gain(kind, p, (alpha, beta), options, where)
    whole = gain_in * gain * p["r"] if exported is None else exported
    return Dynamics(alpha, beta, whole, leak * p["v_leak"], threshold, reset, v_reset, max_count), p


def _reset_later(
    dynamics: Dynamics, p: Mapping[str, FloatArray], options: NirOptions, where: str, is_recurrent: bool
) -> Dynamics:
    """Let the reset come a step later: what a spike takes off at once too much comes back from the neuron itself."""
    if dynamics.reset == "subtract":
        theta = np.where(np.isinf(p["v_threshold"]), 0.0, p["v_threshold"])
        return replace(dynamics, late=(dynamics.beta - 1.0) * theta)
    if dynamics.alpha.any() or dynamics.v_reset.any() or is_recurrent:
        raise FrontendError(
            "a reset to a value that comes a step late drops the input of that step, synapses and recurrent weights included",
            where=where,
            measured=f"reset='{options.reset}', reset_delay_steps=1", limit="reset_delay_steps=0, or reset='subtract'",
            fix="give reset_delay_steps=0 for neurons of reset_delay=False, or reset='subtract'",
        )  # fmt: skip
    return dynamics  # to zero before the next input is to zero at once


def _resets_at_once(node: Any, options: NirOptions) -> bool:
    """Say whether neurons are reset before they decay: of spyx those with a synapse, while its others are reset after."""
    return options.written_by == "spyx" and type_name(node) == "CubaLIF"


def _start_potential(kind: str, p: Mapping[str, FloatArray], options: NirOptions) -> FloatArray | float:
    name = {"leak": "v_leak", "reset": "v_reset"}.get(options.initial_potential, "")
    return p.get(name, 0.0) if kind != "Threshold" else 0.0


def _start_at(start: FloatArray | float, dynamics: Dynamics, where: str) -> Dynamics:
    """Count potentials from where they start, since a network starts at 0."""
    if not np.any(start):
        return dynamics
    wrong = ""
    if not dynamics.max_count:
        wrong = "a potential that is read does not start at 0"
    elif dynamics.reset == "subtract":
        wrong = "neurons that start elsewhere than at 0 take their threshold off"
    elif dynamics.max_count > 1:
        wrong = "neurons that start elsewhere than at 0 send several spikes in a step"
    elif (dynamics.threshold <= start).any():
        wrong = "neurons start above their threshold"
    if wrong:
        raise FrontendError(
            f"{wrong}, where a network starts at 0", where=where, measured=f"start at {np.max(start):g}", limit="0",
            fix="give initial_potential='zero' if the model is run so, or train with v_leak and v_reset of 0",
        )  # fmt: skip
    return replace(
        dynamics, threshold=dynamics.threshold - start, v_reset=dynamics.v_reset - start,
        bias=dynamics.bias - (1.0 - dynamics.beta) * start,
    )  # fmt: skip


def _given(node: Any) -> list[str]:
    """Return the parameters of a node; only a reset potential may be left out."""
    return [name for name in NEURONS[type_name(node)] if name != "v_reset" or getattr(node, name, None) is not None]


def _decay(p: Mapping[str, FloatArray], name: str, options: NirOptions, where: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return decay, gain of the input and gain of the leak potential in a step."""
    step, unit = options.step(where), options.time_unit
    integrator = options.require("integrator", where)
    tau = p[name]
    _require_all(tau > 0, tau, f"'{name}' is not above 0", where, f"more than 0 {unit}")
    ratio = step / tau
    if integrator == "euler":
        fix = "check dt_s and time_unit; Norse's to_nir multiplies tau by its own dt: export with to_nir(..., dt=1)"
        what = f"'{name}' is shorter than a step, which Euler cannot do"
        _require_all(ratio <= 1 + ROUNDING, tau, what, where, f"{step:g} {unit}", fix)
        return np.where(np.abs(1.0 - ratio) <= ROUNDING, 0.0, 1.0 - ratio), ratio, ratio
    decay, remainder = np.exp(-ratio), -np.expm1(-ratio)
    return decay, {"zoh": remainder, "exp_euler": ratio, "exp_jump": np.ones_like(ratio)}[integrator], remainder


def _threshold(given: FloatArray, fires: str, where: str) -> FloatArray:
    """Return the potential from which on a neuron fires."""
    _require_all(given > 0, given, "the threshold is not above 0", where, "more than 0")
    return np.nextafter(given, np.inf) if fires == "above" else given


def _reset(p: Mapping[str, FloatArray], options: NirOptions, where: str) -> tuple[Reset, FloatArray]:
    choice = options.require("reset", where)
    v_reset = p.get("v_reset", np.zeros_like(p["r"]))
    if choice == "value":
        return "value", v_reset
    _require_all(v_reset == 0, v_reset, f"reset='{choice}' would ignore the node's v_reset", where, "0, or reset='value'")
    return ("value" if choice == "zero" else "subtract"), np.zeros_like(v_reset)


def _require_all(
    holds: Any, values: FloatArray, what: str, where: str, limit: str, fix: str = "correct the value, or check the options"
) -> None:
    wrong = np.flatnonzero(~holds)
    if wrong.size:
        raise FrontendError(
            what, where=where, measured=f"{values[wrong[0]]:g} at neuron {wrong[0]} ({wrong.size} in all)", limit=limit,
            fix=fix,
        )  # fmt: skip
