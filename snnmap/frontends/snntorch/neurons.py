"""The neuron models of snnTorch: what a module of each class computes in a step, and the populations that do the same.

With ``M`` the membrane of the module, ``theta`` its threshold and ``s[t] = [A[t] > theta]`` its spike (snnTorch 1.0.0,
``snntorch/_neurons``), where ``B[t] = beta * M[t-1] + input[t]``::

    subtract, reset_delay=True     A[t] = M[t] = B[t] - theta * s[t-1]
    subtract, reset_delay=False    A[t] = B[t] - theta * r[t],  M[t] = B[t] - theta * s[t],  r[t] = [M[t-1] > theta]
    zero (Leaky, or no delay)      A[t] = B[t] with M[t-1] = 0 after a spike
    none                           A[t] = M[t] = B[t]

A population subtracts ``theta`` from the membrane at once, so that ``beta * theta`` of it is left in the next step: what is
missing or too much comes back from the neuron itself a step later. Where the synapse has a memory, ``alpha``, a second
projection takes it back: ``w`` after ``d`` steps and ``-alpha * w`` after ``d + 1`` reach the membrane as ``w`` alone.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from snnmap.core import FloatArray
from snnmap.frontends.following.framework import WeightedCounts
from snnmap.frontends.following.lif import refuse, spread
from snnmap.frontends.network_parts import NEVER_REACHED, NetworkParts
from snnmap.frontends.torch.modules import as_array
from snnmap.network import Population

__all__ = [
    "OWN_FUNCTIONS",
    "RETURNED_STATES",
    "STATES",
    "NeuronKind",
    "Neurons",
    "Overshoot",
    "read_neurons",
]

NeuronKind = Literal["Leaky", "Synaptic", "RLeaky", "RSynaptic", "Alpha"]
ResetRule = Literal["subtract, one step later", "subtract", "zero", "none"]
Overshoot = Literal["exact", "ignore"]

STATES: dict[NeuronKind, tuple[str, ...]] = {
    "Leaky": ("mem",),
    "Synaptic": ("syn", "mem"),
    "RLeaky": ("spk", "mem"),
    "RSynaptic": ("spk", "syn", "mem"),
    "Alpha": ("syn_exc", "syn_inh", "mem"),
}
"""What forward takes after the input, by class."""

RETURNED_STATES: dict[NeuronKind, tuple[str, ...]] = {
    kind: tuple(state for state in states if state != "spk") for kind, states in STATES.items()
}
"""What forward returns after the spikes, by class."""

OWN_FUNCTIONS = ("state_function", "spike_grad")
"""What snnTorch itself sets to functions on a module; both are looked at."""

_MECHANISMS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


@dataclass(frozen=True, slots=True)
class Neurons:
    """What a neuron module computes; arrays of its size in float64.

    Attributes:
        path: of the module.
        kind: its class.
        alpha: ``(n_synapses, size)``, decay of each current.
        gain: ``(n_synapses, size)``, what the input is multiplied by on its way to each current.
        beta: ``(size,)``.
        threshold: ``(size,)``; the membrane must be above it, not at it.
        reset: what a spike does, and when.
        recurrent: ``(size, size)``, from spikes of the step before, or None.
        recurrent_bias: ``(size,)``, input in every step.
        scale: ``(size,)``, what a spike counts behind the neurons.
        gives_membrane: whether the module was told to return its membrane (``output=True``).
        overshoot: what to do about a membrane that is above the threshold after its reset.
    """

    path: str
    kind: NeuronKind
    alpha: FloatArray
    gain: FloatArray
    beta: FloatArray
    threshold: FloatArray
    reset: ResetRule
    recurrent: FloatArray | None
    recurrent_bias: FloatArray
    scale: FloatArray
    gives_membrane: bool
    overshoot: Overshoot

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.threshold.size)

    @property
    def max_count(self) -> int:
        """Most spikes in a step."""
        return 1

    @property
    def is_readout(self) -> bool:
        """Whether the membrane is to be read where the module gives it beside spikes."""
        never_resets = (self.reset == "none" and self.gives_membrane) or self.never_fires
        return never_resets and self.recurrent is None

    @property
    def never_fires(self) -> bool:
        """Whether no membrane reaches the threshold."""
        return bool((self.threshold >= NEVER_REACHED).all())

    @property
    def why_not_read(self) -> str:
        """Why the membrane alone cannot be read; empty where it can."""
        reads = (self.reset == "none" or self.never_fires) and self.recurrent is None
        return "" if reads else f"reset '{self.reset}'"

    def add_to(self, parts: NetworkParts, name: str, terms: tuple[WeightedCounts, ...], bias: FloatArray) -> None:
        """Add the population, and one that watches for membranes above the threshold after a reset, where asked for."""
        add_neurons(parts, name, self, terms, bias)


def read_neurons(path: str, module: Any, kind: NeuronKind, size: int, overshoot: Overshoot) -> Neurons:
    """Read the parameters of a snnTorch neuron module.

    Args:
        path: of the module, for errors.
        module: of the class that ``kind`` names.
        kind: the class.
        size: number of neurons, from the layer before.
        overshoot: what to do about a membrane that is above the threshold after its reset.

    Raises:
        FrontendError: an option has no counterpart, or a parameter does not fit the size.
    """
    _require_plain_spikes(path, module)
    threshold = spread(path, "threshold", module.threshold, size)
    if (threshold < 0).any():
        raise refuse(path, "the threshold is negative", f"{threshold.min()}", "0", "use thresholds above 0")
    beta = spread(path, "beta", module.beta, size).clip(0.0, 1.0)
    alpha, gain = np.zeros((1, size)), np.ones((1, size))
    if kind in ("Synaptic", "RSynaptic", "Alpha"):
        alpha = spread(path, "alpha", module.alpha, size).clip(0.0, 1.0)[np.newaxis]
    if kind == "Alpha":
        tau = _alpha_gain(alpha[0], beta)
        alpha, gain, beta = np.stack([alpha[0], beta]), np.stack([tau, -tau]), np.zeros(size)
    recurrent, recurrent_bias = _read_recurrent(path, module, kind, size)
    scale = spread(path, "graded_spikes_factor", module.graded_spikes_factor, size)
    return Neurons(
        path=path, kind=kind, alpha=alpha, gain=gain, beta=beta, threshold=threshold, reset=_read_reset(path, module, kind),
        recurrent=None if recurrent is None else scale[:, np.newaxis] * recurrent, recurrent_bias=recurrent_bias, scale=scale,
        gives_membrane=bool(module.output), overshoot=overshoot,
    )  # fmt: skip


def add_neurons(parts: NetworkParts, name: str, neurons: Neurons, terms: tuple[WeightedCounts, ...], bias: FloatArray) -> None:
    """Add the population that does what the module does, with its inputs.

    Args:
        parts: of the network; added to.
        name: of the population.
        neurons: the module.
        terms: what comes in.
        bias: ``(size,)``, input in every step.
    """
    beta = neurons.beta
    theta = np.where(np.isinf(neurons.threshold), 0.0, neurons.threshold)  # that never fires resets nothing
    _add_population(parts, name, name, neurons, terms, bias)
    if neurons.reset == "none":
        _send_pulse(parts, neurons, name, name, beta * theta, 1)
    if neurons.reset == "subtract, one step later":
        _send_pulse(parts, neurons, name, name, (beta - 1.0) * theta, 1)
    if neurons.reset == "subtract" and neurons.overshoot == "exact":
        watch = parts.make_name(f"{name}.above")
        _add_population(parts, watch, name, neurons, terms, bias)
        _send_pulse(parts, neurons, name, watch, -theta, 0)
        _send_pulse(parts, neurons, watch, watch, beta * theta, 1)
        _send_pulse(parts, neurons, watch, name, -theta, 1)
        _send_pulse(parts, neurons, watch, name, beta * theta, 2)


def _send_pulse(parts: NetworkParts, neurons: Neurons, pre: str, post: str, weights: FloatArray, delay_steps: int) -> None:
    """Add weights, one a neuron, that reach the membrane in one step alone: a synapse's memory of them is taken back."""
    path, alpha = neurons.path, neurons.alpha[0]
    parts.project_diagonal(pre, post, weights, delay_steps=delay_steps, source=path)
    parts.project_diagonal(pre, post, -alpha * weights, delay_steps=delay_steps + 1, source=path)


def _add_population(
    parts: NetworkParts, name: str, spikes: str, neurons: Neurons, terms: tuple[WeightedCounts, ...], bias: FloatArray
) -> None:
    """Add one population and all that enters it; ``spikes`` are what its recurrent weights hear."""
    constant = (bias + neurons.recurrent_bias) * neurons.gain
    parts.populations.append(
        Population.create(
            name,
            neurons.size,
            alpha=neurons.alpha,
            beta=neurons.beta,
            threshold=np.nextafter(neurons.threshold, np.inf),
            bias=np.where(neurons.alpha == 0, constant, 0.0).sum(axis=0),
            reset="value" if neurons.reset == "zero" else "subtract",
            max_count=1,
            source=neurons.path,
        )
    )
    for synapse, gain in enumerate(neurons.gain):
        for term in terms:
            term.add_to(parts, name, gain=gain, synapse=synapse)
        if neurons.recurrent is not None:
            parts.project(spikes, name, neurons.recurrent * gain, synapse=synapse, delay_steps=1, source=neurons.path)
    parts.hold_currents(name, np.where(neurons.alpha == 0, 0.0, constant), source=neurons.path)


def _alpha_gain(alpha: FloatArray, beta: FloatArray) -> FloatArray:
    """Return ``log(alpha) / (log(beta) - log(alpha)) + 1``, snnTorch's scale of both currents."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(alpha) / (np.log(beta) - np.log(alpha)) + 1.0, np.float64)


def _read_reset(path: str, module: Any, kind: NeuronKind) -> ResetRule:
    mechanism, delayed = _MECHANISMS.get(module.state_function.__name__, ""), bool(getattr(module, "reset_delay", True))
    said = list(type(module).reset_dict)[int(module.reset_mechanism_val)]
    if mechanism != said:
        found = f"runs '{mechanism}', says '{said}'"
        fix = "build the module with the reset_mechanism it was saved with"
        raise refuse(path, "reset_mechanism was changed after the module was built", found, "one mechanism", fix)
    if kind == "RSynaptic" and not delayed:
        what = "snnTorch's RSynaptic does not apply reset_delay=False: it fails or resets a step later"
        raise refuse(path, what, "reset_delay=False", "reset_delay=True", "use reset_delay=True")
    if mechanism == "none":
        return "none"
    if kind == "Alpha":
        what = "a reset of snnTorch's Alpha changes its two currents, and those of a chip's neuron are never reset"
        raise refuse(path, what, f"reset_mechanism='{mechanism}'", "'none'", "use reset_mechanism='none', or Synaptic")
    if mechanism == "subtract":
        return "subtract, one step later" if delayed else "subtract"
    if delayed and kind != "Leaky":
        what = f"snnTorch's {kind} drops the input of the step after a spike when it resets to zero with reset_delay=True"
        raise refuse(path, what, "'zero', reset_delay=True", "'zero', reset_delay=False", "use reset_delay=False or 'subtract'")
    return "zero"


def _require_plain_spikes(path: str, module: Any) -> None:
    """Refuse what changes or picks spikes beyond the comparison with the threshold."""
    import torch

    if module.inhibition:
        what = "inhibition lets only the strongest neuron of a layer fire, which needs all membranes at once"
        raise refuse(path, what, "inhibition=True", "False", "use recurrent inhibitory weights (RLeaky)")
    if module.state_quant:
        what = "state_quant rounds the membrane to a grid of its own"
        raise refuse(path, what, "state_quant", "False", "leave it out; quantisation to the chip's integers comes later")
    with torch.no_grad():
        steps = torch.tensor([-1.0, -1e-3, 0.0, 1e-3, 1.0])
        found = module.spike_grad(steps).tolist()
    if found != [0.0, 0.0, 0.0, 1.0, 1.0]:
        what = "the spike function is not a step at the threshold"
        raise refuse(path, what, f"{found} at -1, -0.001, 0, 0.001, 1", "0, 0, 0, 1, 1", "use one of snntorch.surrogate's steps")


def _read_recurrent(path: str, module: Any, kind: NeuronKind, size: int) -> tuple[FloatArray | None, FloatArray]:
    """Return recurrent weights ``(size, size)``, None for a class without, and the bias ``(size,)`` of the recurrent layer."""
    from torch import nn

    bias = np.zeros(size)
    if kind not in ("RLeaky", "RSynaptic"):
        return None, bias
    layer = module.recurrent
    if isinstance(layer, nn.Linear):
        weights = as_array(layer.weight).T
        if weights.shape != (size, size):
            what = "the recurrent weights do not fit the neurons"
            raise refuse(path, what, str(weights.shape), str((size, size)), "set linear_features to the layer's size")
        return weights, bias if layer.bias is None else as_array(layer.bias)
    if type(layer).__name__ == "RecurrentOneToOne":
        return np.diag(spread(path, "V", layer.V, size)), bias
    what = "the recurrent layer is not linear"
    raise refuse(path, what, type(layer).__name__, "Linear or one-to-one", "use linear_features or all_to_all=False")
