"""Nengo's neuron types: which of them can live on a deterministic chip of LIF neurons, and why the others cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snnmap.core.errors import FrontendError
from snnmap.frontends.nengo.rates import WRAPPERS

__all__ = ["NENGO_NEURONS", "NengoNeurons", "check_on_chip", "explain_neurons"]


@dataclass(frozen=True, slots=True)
class NengoNeurons:
    """Whether a neuron type of nengo can live on a deterministic chip of LIF neurons.

    Attributes:
        name: of the class in nengo.
        on_chip: whether :func:`read_nengo` takes it.
        why: the reason.
        instead: what to do where it does not.
    """

    name: str
    on_chip: bool
    why: str
    instead: str = ""


_RETRAIN = "train with RectifiedLinear"
_AS_LIF = "train the network with snnmap.nn.LIF, whose arithmetic is the chip's"
_DRAWS = "are random draws, and the chip is deterministic: equal inputs give equal spikes"
_EVALUATE = "keep the weights and evaluate with RegularSpiking(RectifiedLinear()), which is deterministic"
_STATE = "an SNN with states of its own, not a rate that a spike count could stand for"

NENGO_NEURONS: Mapping[str, NengoNeurons] = {
    row.name: row
    for row in (
        NengoNeurons("RectifiedLinear", True, "its rate is the spike count of an integrate-and-fire neuron"),
        NengoNeurons("SpikingRectifiedLinear", True, "it is an integrate-and-fire neuron that forgets negative currents"),
        NengoNeurons("RegularSpiking", True, "around RectifiedLinear it is the same as SpikingRectifiedLinear"),
        NengoNeurons("PoissonSpiking", False, f"its spikes {_DRAWS}", _EVALUATE),
        NengoNeurons("StochasticSpiking", False, f"its spikes {_DRAWS}", _EVALUATE),
        NengoNeurons(
            "LIFRate",
            False,
            "its rate is a nonlinear function of the current; a chip's LIF neuron has a leak and no refractory time, and only "
            "approximates it",
            f"{_RETRAIN}, or {_AS_LIF}",
        ),
        NengoNeurons("Sigmoid", False, "its rate is a bounded curve that no integrate-and-fire neuron has", _RETRAIN),
        NengoNeurons("Tanh", False, "its rate is a bounded curve with negative values, and a spike has no sign", _RETRAIN),
        NengoNeurons("AdaptiveLIFRate", False, "its rate adapts: it depends on the time, not on the current alone", _AS_LIF),
        NengoNeurons("LIF", False, f"it is {_STATE}, with a refractory time that the chip does not have", _AS_LIF),
        NengoNeurons("AdaptiveLIF", False, f"it is {_STATE}, with an adaptation that the chip does not have", _AS_LIF),
        NengoNeurons("Izhikevich", False, f"it is {_STATE}, with quadratic dynamics that the chip does not have", _AS_LIF),
        NengoNeurons("Direct", False, "it computes without neurons", "give the ensemble RectifiedLinear neurons"),
    )
}
"""By class name; a wrapper lives on the chip only where what it wraps does."""


def explain_neurons() -> str:
    """Return a line for each neuron type of nengo: whether it lives on the chip, why, and what to do instead."""
    width = max(map(len, NENGO_NEURONS))
    lines = []
    for name, row in NENGO_NEURONS.items():
        instead = f"; {row.instead}" if row.instead else ""
        lines.append(f"{name:<{width}}  {'yes' if row.on_chip else 'no ':<3}  {row.why}{instead}")
    return "\n".join(lines)


def check_on_chip(neuron_type: Any, where: str) -> None:
    """Refuse a neuron type that the table does not let on the chip, or that wraps one."""
    name = type(neuron_type).__name__
    row = NENGO_NEURONS.get(name) or NengoNeurons(name, False, "snnmap does not know it", _RETRAIN)
    if not row.on_chip:
        raise FrontendError(
            f"{name} neurons cannot live on a deterministic LIF chip: {row.why}",
            where=where,
            measured=str(neuron_type),
            fix=row.instead,
        )
    if name in WRAPPERS.values():
        check_on_chip(neuron_type.base_type, where)
