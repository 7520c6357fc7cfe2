"""Nengo's spiking neurons as populations: which are the chip's, spike for spike, and by what the others differ."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from snnmap.core import BoolArray, FloatArray
from snnmap.core.errors import FrontendError
from snnmap.network import Reset

__all__ = ["APPROXIMATIONS", "Approximation", "NeuronModel", "check_currents", "read_neurons", "replaced_methods"]

Approximation = Literal["negative currents", "voltage floor", "refractory time", "reset to zero"]

APPROXIMATIONS: Mapping[Approximation, str] = {
    "negative currents": "nengo forgets a step's negative current, the chip's neuron subtracts it",
    "voltage floor": "nengo lifts the membrane to min_voltage, the chip's neuron goes below",
    "refractory time": "nengo's neuron rests for tau_ref after a spike, the chip's does not",
    "reset to zero": "nengo's LIF goes to 0 after a spike, the chip's subtracts its threshold",
}
"""By name for ``allow_approximate``: what differs."""

_UNLIMITED = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuronModel:
    """A neuron type of nengo at one length of step.

    Attributes:
        kind: the class.
        input_factor: from nengo's current to what the membrane takes up in a step.
        output_value: nengo's output where the neuron spikes once.
        beta: membrane decay factor.
        threshold: of the membrane.
        reset: what a spike does.
        max_count: the most spikes a step.
        floor: nengo's lowest membrane (LIF) or current (rectified) that is kept, minus infinity for none.
        approximation: what a value below the floor makes inexact.
        approximated: what else is, for the provenance.
        subtracts_instead: whether its reset is one to zero in nengo.
    """

    kind: str
    input_factor: float
    output_value: float
    beta: float
    threshold: float
    reset: Reset
    max_count: int
    floor: float
    approximation: Approximation
    approximated: tuple[str, ...] = ()
    subtracts_instead: bool = False


def read_neurons(neuron_type: Any, dt_s: float, where: str, allowed: Collection[Approximation]) -> NeuronModel:
    """Return the model of a spiking neuron type.

    ``LIF``: ``v += (J - v)(1 - exp(-dt/tau_rc))``, a spike where ``v > 1``, then 0: exact for ``tau_ref = 0`` (nengo/neurons.py,
    ``LIF.step``: the time within the step at which the spike falls then plays no part). ``FastLIF`` of nengo_extras is the
    same for ``tau_ref = 0``. ``SpikingRectifiedLinear`` and ``RegularSpiking(RectifiedLinear)``: ``v += max(J, 0) dt``,
    ``floor(v)`` spikes, which are subtracted.

    Args:
        neuron_type: of the ensemble.
        dt_s: length of a step.
        where: the ensemble's place, for errors.
        allowed: approximations that the user asked for.

    Raises:
        FrontendError: the neuron type has no counterpart, or a refractory time that was not allowed.
    """
    name = type(neuron_type).__name__
    if own := replaced_methods(neuron_type):
        raise _refuse(neuron_type, where, f"its {own[0]} was replaced on the instance", "use the type as it is")
    if name == "FastLIF" and type(neuron_type).__module__.startswith("nengo_extras"):
        return _read_lif(neuron_type, dt_s, where, allowed)
    if not type(neuron_type).__module__.startswith("nengo.neurons"):
        raise _refuse(neuron_type, where, "snnmap does not know its arithmetic", _SPIKING)
    if name == "LIF":
        return _read_lif(neuron_type, dt_s, where, allowed)
    if name == "SpikingRectifiedLinear":
        return _make_rectified(name, 1.0, float(neuron_type.amplitude), dt_s)
    if name == "RegularSpiking" and type(neuron_type.base_type).__name__ == "RectifiedLinear":
        return _make_rectified(name, float(neuron_type.base_type.amplitude), float(neuron_type.amplitude), dt_s)
    raise _refuse(neuron_type, where, *_explain(neuron_type))


def replaced_methods(thing: Any) -> list[str]:
    """List the methods of its class that an object of nengo hides by its own."""
    return [name for name, value in vars(thing).items() if callable(value) and callable(getattr(type(thing), name, None))]


def _make_rectified(kind: str, slope: float, amplitude: float, dt_s: float) -> NeuronModel:
    return NeuronModel(
        kind=kind,
        input_factor=slope * dt_s,
        output_value=amplitude / dt_s,
        beta=1.0,
        threshold=1.0,
        reset="subtract",
        max_count=_UNLIMITED,
        floor=0.0,
        approximation="negative currents",
    )


def _read_lif(neuron_type: Any, dt_s: float, where: str, allowed: Collection[Approximation]) -> NeuronModel:
    name, tau_ref = type(neuron_type).__name__, float(neuron_type.tau_ref)
    if tau_ref > 0 and "refractory time" not in allowed:
        raise FrontendError(
            f"{APPROXIMATIONS['refractory time']}: without it, each interval between spikes is {tau_ref / dt_s:g} steps shorter",
            where=where,
            measured=f"tau_ref={tau_ref:g} s, {tau_ref / dt_s:g} steps",
            limit="0",
            fix="train with LIF(tau_ref=0), or give allow_approximate=('refractory time',)",
        )
    approximated = [f"refractory time {tau_ref:g} s left out"] if tau_ref > 0 else []
    approximated += ["reset to zero replaced by subtraction"] if "reset to zero" in allowed else []
    return NeuronModel(
        kind=name,
        input_factor=float(-np.expm1(-dt_s / neuron_type.tau_rc)),
        output_value=(1.0 if name == "FastLIF" else float(neuron_type.amplitude)) / dt_s,  # FastLIF leaves its amplitude out
        beta=float(np.exp(-dt_s / neuron_type.tau_rc)),
        threshold=float(np.nextafter(1.0, 2.0)),  # nengo compares v > 1
        reset="subtract" if "reset to zero" in allowed else "value",
        max_count=1,
        floor=float(neuron_type.min_voltage),
        approximation="voltage floor",
        approximated=tuple(approximated),
        subtracts_instead="reset to zero" in allowed,
    )


def check_currents(
    model: NeuronModel,
    columns: list[tuple[str, Any]],
    bias: FloatArray,
    where: str,
    allowed: Collection[Approximation],
) -> str:
    """Find neurons whose currents may fall below the floor, which a linear membrane does not have.

    Spike counts are never negative: with no negative weight, a current is never below the bias, and neither is a LIF
    membrane; with no positive weight and bias the neuron is silent with and without the floor. All others may differ.

    Args:
        model: of the neurons.
        columns: place and ``(n_pre, n_neurons)`` sparse weights of each path of currents, in nengo's units a spike.
        bias: ``(n_neurons,) float64``.
        where: the ensemble's place.
        allowed: approximations that the user asked for.

    Returns:
        What is approximate, for the provenance; empty where nothing is.

    Raises:
        FrontendError: some may differ, and that was not allowed.
    """
    lowest, highest = _bounds(columns, bias.size)
    above = (lowest >= 0) & (bias >= model.floor)
    silent = (highest <= 0) & (bias <= 0)
    exposed: BoolArray = ~(above | silent) & np.full(bias.size, np.isfinite(model.floor))
    if not exposed.any():
        return ""
    charge = float((lowest[exposed] * model.input_factor).min())
    offset = float((bias[exposed] * model.input_factor).min())
    measured = (
        f"{exposed.sum()} of {exposed.size} neurons; a spike takes up to {max(-charge, 0.0):.3g}, "
        f"a step's bias {max(-offset, 0.0):.3g}, of a threshold of 1"
    )
    if model.approximation in allowed:
        return f"{where}: {model.approximation}, {measured}"
    first = next((place for place, weights in columns if weights.nnz and weights.data.min() < 0), f"bias of {where}")
    fix = "LIF(tau_ref=0, min_voltage=-np.inf), which is exact"
    raise FrontendError(
        f"{APPROXIMATIONS[model.approximation]}: the spikes may differ ({model.kind}, first negative in {first})",
        where=where,
        measured=measured,
        limit="no negative weight or bias, or none positive",
        fix=f"train with {fix}, or give allow_approximate=('{model.approximation}',)",
    )


def _bounds(columns: list[tuple[str, Any]], size: int) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest weight of each neuron, 0 included."""
    lowest, highest = np.zeros(size), np.zeros(size)
    for _, weights in columns:
        if weights.shape[0] and weights.nnz:
            lowest = np.minimum(lowest, weights.min(axis=0).toarray().reshape(-1))
            highest = np.maximum(highest, weights.max(axis=0).toarray().reshape(-1))
    return lowest, highest


_SPIKING = "use LIF(tau_ref=0, min_voltage=-np.inf), or SpikingRectifiedLinear where no current is negative"
_CONVERT = f"convert the network, an ANN, with snnmap.convert.convert_ann(net, inputs), or {_SPIKING}"
_RATES = ("RectifiedLinear", "LIFRate", "AdaptiveLIFRate", "Sigmoid", "Tanh")


def _explain(neuron_type: Any) -> tuple[str, str]:
    name = type(neuron_type).__name__
    if name in _RATES:
        return "its output is a rate and not spikes", _CONVERT if name == "RectifiedLinear" else _SPIKING
    if name in ("PoissonSpiking", "StochasticSpiking"):
        return "its spikes are random draws, and the chip is deterministic", "use SpikingRectifiedLinear"
    if name == "RegularSpiking":
        return f"the rate of {type(neuron_type.base_type).__name__} is not linear in the current", "wrap RectifiedLinear"
    if name == "Direct":
        return "it computes without neurons", _SPIKING
    return "it has states that the chip's LIF neuron does not have", _SPIKING


def _refuse(neuron_type: Any, where: str, why: str, fix: str) -> FrontendError:
    name = type(neuron_type).__name__
    return FrontendError(
        f"{name} neurons have no counterpart on the chip: {why}", where=where, measured=str(neuron_type), fix=fix
    )
