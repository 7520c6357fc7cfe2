"""What the exporters of frameworks write otherwise than NIR's equations say, and how to tell that they did.

Rockpool 3.1.0 (``nn/modules/torch/nir.py``) writes ``r = tau/dt * exp(-dt/tau)`` and leaves ``w_in`` at 1, whatever the neurons
do; LIFTorch multiplies its input by the decay of the synapse, LIFNeuronTorch by 1. Sinabs 3.1.3 (``sinabs/nir.py``) writes
``r = 1``: its LIF multiplies the input by 1 - decay (``norm_input=True``), its ExpLeak by 1. Norse 1.1.0
(``utils/export_nir.py``) writes ``r = 1`` and no ``w_in`` for LIFCell, whose input reaches the current undiminished.
spyx 1.0.0 (``nir.py``) writes ``r = beta`` and no ``w_in``, while its neurons take their input whole.
"""

from collections.abc import Collection, Mapping

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.nir.options import NirOptions

__all__ = ["describe_lost", "exported_gain", "require_known_gain"]

CLOSE = 1e-4
"""Relative; exporters compute in float32."""


_FIRING = frozenset({"IF", "LIF", "CubaLIF"})
_LOST: Mapping[str, tuple[frozenset[str], str, str]] = {
    "rockpool": (
        frozenset({"LI", "LIF", "CubaLIF"}),
        "Rockpool's to_nir writes no w_in, no biases of LIFTorch and no recurrent weights; the graph is read with the gain of "
        "its modules, without biases and recurrence",
        "load the module itself where it has them: snnmap.load(module)",
    ),
    "sinabs": (
        frozenset({"LI", "LIF"}),
        "Sinabs' to_nir writes no tau_syn; the graph is read as of neurons without a synapse",
        "load the module itself where it has one: snnmap.load(module)",
    ),
    "snntorch": (
        _FIRING,
        "snnTorch's export_to_nir does not write when neurons reset; the graph is read as they do by default, a step late",
        "give reset_delay_steps=0 for neurons of reset_delay=False",
    ),
}
"""By exporter: the nodes that it concerns, what the file cannot hold and how it is read, and what to do."""


def describe_lost(kinds: Collection[str], options: NirOptions) -> tuple[str, str] | None:
    """Return what the framework's exporter could not write of nodes of some kinds, and what to do; None where that is nothing.

    What has to be chosen, such as Norse's ``w_in`` and Sinabs' ``floor``, is asked for and not told here.
    """
    concerned, told, fix = _LOST.get(options.written_by, (frozenset(), "", ""))
    if concerned.isdisjoint(kinds) or (options.written_by == "snntorch" and options.reset_delay_steps == 0):
        return None
    return told, fix


def exported_gain(
    kind: str, p: Mapping[str, FloatArray], decays: tuple[FloatArray, FloatArray], options: NirOptions, where: str
) -> FloatArray | None:
    """Return what an input of 1 adds to a neuron of the framework that wrote the node; None where NIR's equation says it.

    Args:
        kind: of the node, one with a time constant.
        p: its parameters.
        decays: of synapse and membrane.
        options: say who wrote the node.
        where: what errors name.

    Raises:
        FrontendError: the node is ambiguous, or not as the framework writes it.
    """
    alpha, beta = decays
    if options.written_by == "sinabs":
        return np.ones_like(beta) * p["r"] if kind == "LI" and options.integrator == "zoh" else None
    if options.written_by == "norse":
        return _norse_gain(kind, p, 1.0 - beta, options, where)
    if options.written_by == "spyx":
        return _spyx_gain(kind, p, beta, where)
    if options.written_by == "rockpool":
        return _rockpool_gain(kind, p, alpha, options, where)
    return None


def _norse_gain(kind: str, p: Mapping[str, FloatArray], gain: FloatArray, options: NirOptions, where: str) -> FloatArray | None:
    if kind not in ("CubaLIF", "CubaLI") or (p["w_in"] != 1).any() or (p["r"] != 1).any():
        return None
    return gain if options.require("w_in", where) == "left_out" else None


def _rockpool_gain(
    kind: str, p: Mapping[str, FloatArray], alpha: FloatArray, options: NirOptions, where: str
) -> FloatArray | None:
    dt_s = options.require("dt_s", where)
    tau = p["tau_mem" if "tau_mem" in p else "tau"] * options.seconds
    mark = tau / dt_s * np.exp(-dt_s / tau)
    is_marked = bool(np.allclose(p["r"], mark, rtol=CLOSE, atol=0.0)) and bool((p.get("w_in", np.ones(1)) == 1).all())
    if is_marked:
        return {"LIF": np.ones_like(tau), "LI": np.exp(-dt_s / tau), "CubaLIF": alpha}.get(kind)
    if (p["r"] != 1).any() and (p.get("w_in", np.ones(1)) == 1).all():
        raise FrontendError(
            "the gain r is neither 1 nor what Rockpool's to_nir writes, tau/dt * exp(-dt/tau)", where=where,
            measured=f"{p['r'].flat[0]:g}", limit=f"{mark.flat[0]:g} at dt_s={dt_s:g}",
            fix="give the dt of the Rockpool module as dt_s; for a graph of another tool, written_by='other'",
        )  # fmt: skip
    return None


def _spyx_gain(kind: str, p: Mapping[str, FloatArray], beta: FloatArray, where: str) -> FloatArray:
    ones = np.ones_like(beta)
    mark = ones if kind == "LI" else beta
    if not np.allclose(p["r"], mark, rtol=CLOSE, atol=CLOSE):
        raise FrontendError(
            "the gain r is not the decay of the membrane, which spyx's to_nir writes", where=where,
            measured=f"{p['r'].flat[0]:g}", limit=f"{mark.flat[0]:g}",
            fix="give the dt of that call as dt_s; for a graph of another tool, written_by='other'",
        )  # fmt: skip
    return ones


def require_known_gain(gain: FloatArray, options: NirOptions, where: str) -> None:
    """Refuse an IF node whose r is 1/dt where options say that r acts in a step: SpikingJelly writes it so.

    Raises:
        FrontendError: it is.
    """
    dt_s = options.dt_s
    other = options.written_by not in ("other", "spikingjelly")
    foreign = gain != 1 if other else np.zeros(gain.shape, bool)
    foreign |= (gain != 1) & (np.abs(gain * dt_s - 1.0) < CLOSE) if dt_s is not None else False
    if foreign.any():
        raise FrontendError(
            "the gain r of an IF would multiply its input in each step, which no exporter of this framework means",
            where=where, measured=f"r {gain[foreign].flat[0]:g}", limit="1",
            fix="r = 1/dt is SpikingJelly's: NirOptions.like('spikingjelly', dt_s=...); for another tool's, written_by='other'",
        )  # fmt: skip
