"""Rockpool's LIF neurons: parameters from a graph part, decays as the module itself uses them.

One step of LIFTorch and LIF (Rockpool 3.1.0, ``nn/modules/torch/lif_torch.py`` and ``nn/modules/native/lif.py``)::

    isyn = (isyn + input + spikes @ w_rec) * exp(-dt / tau_syn)
    vmem = vmem * exp(-dt / tau_mem) + isyn.sum(synapses) + bias
    spikes = 0 where vmem < threshold, else min(floor(vmem / threshold), max_spikes_per_dt)
    vmem = vmem - spikes * threshold

and of ExpSynTorch and ExpSyn, whose output is the current::

    isyn = (isyn + input) * exp(-dt / tau)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.rockpool.modules import require_known_forward

__all__ = ["LifParameters", "is_filter", "make_filter_part", "read_lif"]

_NEURONS = ("LIF", "LIFJax", "LIFTorch")
"""Classes whose arithmetic is the one above."""

_FILTERS = ("ExpSynTorch", "ExpSyn")
"""Classes of exponential synapses, whose currents are their output."""

_MOST_SPIKES = 2**16
"""Rockpool's own limit a step."""


@dataclass(frozen=True, slots=True)
class LifParameters:
    """Parameters of a row of neurons, in float64.

    Attributes:
        alpha: ``(n_synapses, n)``, decay of the synaptic currents a step.
        beta: ``(n,)``, decay of the membrane a step.
        threshold: ``(n,)``.
        bias: ``(n,)``.
        max_count: most spikes in a step.
        dt_s: length of a step in seconds.
    """

    alpha: FloatArray
    beta: FloatArray
    threshold: FloatArray
    bias: FloatArray
    max_count: int
    dt_s: float


def is_filter(module: Any) -> bool:
    """Say whether a module is a row of exponential synapses without neurons."""
    return any(c.__name__ in _FILTERS and c.__module__.startswith("rockpool.") for c in type(module).__mro__)


def make_filter_part(module: Any, graphs: Any) -> Any:
    """Return the part of a graph that stands for exponential synapses: neurons that never fire and forget their membrane."""
    size, tau = module.size_out, module.tau
    given = np.asarray(tau.detach().cpu() if hasattr(tau, "detach") else tau, np.float64)
    tau_syn = np.broadcast_to(given.reshape(-1), (size,))
    zeros, never = np.zeros(size), np.full(size, np.inf)
    return graphs.LIFNeuronWithSynsRealValue._factory(
        size, size, f"{type(module).__name__}_{id(module)}", module, zeros, tau_syn, never, zeros, module.dt
    )


def read_lif(part: Any, path: str, dt: float | None) -> LifParameters:
    """Read a ``LIFNeuronWithSynsRealValue``.

    Args:
        part: of the graph; what it cannot say (noise, largest count, decays as used) comes from its computational module.
        path: of the module, for errors.
        dt: length of a step in seconds where the part has none.

    Raises:
        FrontendError: the neurons have another arithmetic, noise, no dt, or parameters that do not fit.
    """
    n, module = len(part.output_nodes), part.computational_module
    if type(part).__name__ != "LIFNeuronWithSynsRealValue":
        what = f"neurons {type(part).__name__} have no counterpart on the chip"
        raise FrontendError(what, where=f"module '{path}'", fix="use LIFTorch or LIF")
    _require_known_arithmetic(module, path)
    if not n or len(part.input_nodes) % n:
        measured = f"{len(part.input_nodes)} inputs, {n} neurons"
        raise FrontendError("the inputs are not a number of synapses a neuron", where=f"module '{path}'", measured=measured)
    n_synapses = len(part.input_nodes) // n
    dt_s = _read_dt(part, path, dt)
    beta, alpha = _read_decays(part, path, dt_s, n, n_synapses)
    return LifParameters(
        alpha=alpha.T,
        beta=beta[:, 0],
        threshold=_expand(part.threshold, "threshold", path, n, 1)[:, 0],
        bias=_expand(part.bias, "bias", path, n, 1)[:, 0] if np.size(part.bias) else np.zeros(n),
        max_count=_read_max_count(module, path),
        dt_s=dt_s,
    )


def _require_known_arithmetic(module: Any, path: str) -> None:
    """Refuse neurons that compute otherwise than the equations above."""
    if module is None:
        return
    require_known_forward(module, path)
    _require_silence(module, path)
    if is_filter(module):
        return
    if not any(c.__name__ in _NEURONS and c.__module__.startswith("rockpool.") for c in type(module).__mro__):
        raise FrontendError(
            f"the neurons of {type(module).__name__} compute otherwise than LIFTorch",
            where=f"module '{path}'",
            limit=", ".join(_NEURONS),
            fix="use LIFTorch or LIF, or a graph part whose computational_module is None",
        )
    if hasattr(module, "spike_generation_fn"):
        _require_multiples(module, path)


def _require_silence(module: Any, path: str) -> None:
    if float(module.noise_std) != 0:
        measured = f"noise_std {float(module.noise_std)}"
        raise FrontendError(
            "the neurons are noisy", where=f"module '{path}'", measured=measured, limit="0", fix="set noise_std=0"
        )


def _require_multiples(module: Any, path: str) -> None:
    """Refuse spike functions that do not count multiples of the threshold."""
    import torch

    with torch.no_grad():
        given = [torch.tensor([-1.5, 0.5, 1.0, 2.5, 9.0]), *(torch.tensor(value) for value in (1.0, 0.5, 3.0))]
        found = module.spike_generation_fn(*given).tolist()
    if found != [0.0, 0.0, 1.0, 2.0, 3.0]:
        what = "spike_generation_fn does not count how often the threshold fits into the membrane"
        limit = "0, 0, 1, 2, 3 at -1.5, 0.5, 1, 2.5, 9"
        raise FrontendError(what, where=f"module '{path}'", measured=str(found), limit=limit, fix="use StepPWL")


def _read_max_count(module: Any, path: str) -> int:
    most = float(getattr(module, "max_spikes_per_dt", _MOST_SPIKES))
    if not (most >= 1 and (most == np.floor(most))):
        what = "max_spikes_per_dt is not a whole number of spikes"
        raise FrontendError(what, where=f"module '{path}'", measured=str(most), limit="1 or more", fix="give an integer")
    return int(min(most, _MOST_SPIKES))


def _read_dt(part: Any, path: str, given: float | None) -> float:
    own = None if part.dt is None else float(part.dt)
    dt_s = given if own is None else own
    if dt_s is None:
        raise FrontendError("the neurons have no dt", where=f"module '{path}'", fix="give dt")
    if given is not None and not np.isclose(dt_s, given, rtol=1e-9, atol=0.0):
        what, measured, limit = "the given dt is not the one of the neurons", f"{given} s", f"{dt_s} s"
        raise FrontendError(what, where=f"module '{path}'", measured=measured, limit=limit, fix="leave dt out")
    return dt_s


def _read_decays(part: Any, path: str, dt_s: float, n: int, n_synapses: int) -> tuple[FloatArray, FloatArray]:
    """Return decays of membranes ``(n, 1)`` and currents ``(n, n_synapses)``: the module's own, where the graph has its taus.

    A bit shift or decay factor is exact, its time constant is rounded.
    """
    shapes = ("tau_mem", 1), ("tau_syn", n_synapses)
    taus = [_expand(getattr(part, name), name, path, n, width) for name, width in shapes]
    module = part.computational_module
    if hasattr(module, "leak_mode"):
        own = [_expand(getattr(module, name).detach().cpu().numpy(), name, path, n, width) for name, width in shapes]
        if all(np.array_equal(a, b, equal_nan=True) for a, b in zip(taus, own, strict=True)):
            decays = zip(("alpha", "beta"), (1, n_synapses), strict=True)
            mem, syn = (_expand(getattr(module, name).detach().cpu().numpy(), name, path, n, width) for name, width in decays)
            return mem, syn
    with np.errstate(divide="ignore"):
        mem, syn = (np.exp(-dt_s / tau) for tau in taus)
    return mem, syn


def _expand(values: Any, name: str, path: str, n: int, width: int) -> FloatArray:
    """Return ``(n, width) float64`` from one value, one row, or one value a neuron and synapse."""
    array = np.asarray(values, np.float64)
    if array.size == n * width:
        return array.reshape(n, width)
    if array.size != 1 and array.shape != (1, width):
        measured, limit = str(array.shape), f"(), (1, {width}) or ({n}, {width})"
        raise FrontendError(f"'{name}' does not fit the neurons", where=f"module '{path}'", measured=measured, limit=limit)
    return np.array(np.broadcast_to(array.reshape(1, -1), (n, width)))
