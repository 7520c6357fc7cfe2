"""LIF neurons to train with: the equations of a network's populations, in torch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn.neurons.dynamics import run_lif
from snnmap.nn.neurons.surrogate import Surrogate, SurrogateName

__all__ = ["LIF", "LeakyIntegrator"]

_SMALLEST_THRESHOLD = 1e-3
_LARGEST_DECAY = 1.0 - 2.0**-15


class _Membrane(nn.Module):
    """Synapses and membrane: what spiking neurons and integrating readouts share."""

    def __init__(
        self,
        size: int,
        *,
        n_synapses: int,
        alpha: float | Tensor,
        beta: float | Tensor,
        bias: float | Tensor,
        train_alpha: bool,
        train_beta: bool,
        train_bias: bool,
    ) -> None:
        super().__init__()
        self.size, self.n_synapses = size, n_synapses
        self.alpha = _parameter(alpha, (n_synapses, size), train_alpha)
        self.beta = _parameter(beta, (size,), train_beta)
        self.bias = _parameter(bias, (size,), train_bias)

    def decays(self) -> tuple[Tensor, Tensor]:
        """Return alpha ``(n_synapses, size)`` and beta ``(size,)`` as used: trained values kept in 0..1 - 2**-15."""
        return _keep_within(self.alpha, 0.0, _LARGEST_DECAY), _keep_within(self.beta, 0.0, _LARGEST_DECAY)

    def _split(self, x: Tensor) -> Tensor:
        """Check the input and give ``(batch, time, n_synapses, size)``."""
        wanted = self.n_synapses * self.size
        if x.ndim != 3 or x.shape[2] != wanted:
            raise InputError(
                "the input of the layer has the wrong shape",
                where=f"{type(self).__name__}({self.size})",
                measured=str(tuple(x.shape)),
                limit=f"(batch, time, {wanted})",
                fix="give one column a neuron and synapse",
            )
        batch, time, _ = x.shape
        if not x.is_floating_point():
            x = x.to(self.beta.dtype)
        return x.reshape(batch, time, self.n_synapses, self.size)


class LIF(_Membrane):
    """A population of LIF neurons with multi-spike counts, reset by subtraction and a surrogate gradient.

    The equations of :class:`snnmap.network.Population`, to which the torch frontend turns it, count for count::

        i_s[t] = alpha_s * i_s[t-1] + x_s[t] (+ n[t-1] @ recurrent_weight)
        u[t]   = beta * v[t-1] + sum_s i_s[t] + bias
        n[t]   = 0 where u < threshold, else min(floor(u / threshold), max_count)
        v[t]   = u - n * threshold

    Decays are given in one of three ways: as bit shifts (``dash_syn``, ``dash_mem``: ``1 - 2**-dash``, what the chips code), as
    time constants (``tau_syn_s``, ``tau_mem_s``: ``exp(-dt_s / tau)``), or as factors (``alpha``, ``beta``).

    Args:
        size: neurons.
        n_synapses: currents a neuron, each with its own decay and columns of the input.
        dash_syn: bit shift of each synapse, one or one a synapse; 1 where no decay is given.
        dash_mem: bit shift of the membrane; 2 where no decay is given.
        tau_syn_s: time constants in seconds instead.
        tau_mem_s: time constant in seconds instead.
        alpha: decay factors instead, scalar or ``(n_synapses, size)``.
        beta: decay factor instead, scalar or ``(size,)``.
        dt_s: length of a step in seconds, used with time constants.
        threshold: scalar or ``(size,)``.
        bias: scalar or ``(size,)``, added to the membrane in each step.
        recurrent: whether counts return to the same neurons one step later, through trainable weights.
        max_count: the most spikes a neuron sends in one step: the chip's, 31 for hidden and 1 for output neurons on Xylo.
        surrogate: name or :class:`Surrogate` for the backward pass.
        train_alpha: train synaptic decays (kept in 0..1 - 2**-15 where used).
        train_beta: train membrane decays, likewise.
        train_threshold: train thresholds (kept at 0.001 or more where used).
        train_bias: train biases.
    """

    def __init__(
        self,
        size: int,
        *,
        n_synapses: int = 1,
        dash_syn: int | tuple[int, ...] | None = None,
        dash_mem: int | None = None,
        tau_syn_s: float | tuple[float, ...] | None = None,
        tau_mem_s: float | None = None,
        alpha: float | Tensor | None = None,
        beta: float | Tensor | None = None,
        dt_s: float = 1e-3,
        threshold: float | Tensor = 1.0,
        bias: float | Tensor = 0.0,
        recurrent: bool = False,
        max_count: int = 31,
        surrogate: SurrogateName | Surrogate = "relu",
        train_alpha: bool = False,
        train_beta: bool = False,
        train_threshold: bool = False,
        train_bias: bool = False,
    ) -> None:
        super().__init__(
            size,
            n_synapses=n_synapses,
            alpha=_choose_decay("synapse", dash_syn, tau_syn_s, alpha, dt_s, 1),
            beta=_choose_decay("membrane", dash_mem, tau_mem_s, beta, dt_s, 2),
            bias=bias,
            train_alpha=train_alpha,
            train_beta=train_beta,
            train_bias=train_bias,
        )
        self.dt_s, self.max_count = dt_s, max_count
        self.surrogate = Surrogate(name=surrogate) if isinstance(surrogate, str) else surrogate
        self.threshold = _parameter(threshold, (size,), train_threshold)
        self.recurrent_weight: Tensor | None = None
        if recurrent:
            self.recurrent_weight = nn.Parameter(torch.randn(size, n_synapses * size) * (0.5 / math.sqrt(size)))

    def used_threshold(self) -> Tensor:
        """Return the thresholds as used: trained ones kept positive."""
        return _keep_within(self.threshold, _SMALLEST_THRESHOLD, None)

    def forward(self, x: Tensor) -> Tensor:
        """Run all steps from zero states.

        Args:
            x: ``(batch, time, n_synapses * size)``, columns of synapse 0 first.

        Returns:
            ``(batch, time, size)`` spike counts.
        """
        alpha, beta = self.decays()
        return run_lif(
            self._split(x), alpha, beta, self.bias, self.used_threshold(), self.recurrent_weight, self.max_count, self.surrogate
        )

    def extra_repr(self) -> str:
        """Say what the module prints of itself."""
        kind = ", recurrent" if self.recurrent_weight is not None else ""
        return f"{self.size}, n_synapses={self.n_synapses}, max_count={self.max_count}, surrogate={self.surrogate}{kind}"


class LeakyIntegrator(_Membrane):
    """A readout that integrates and never fires: its membrane potentials are the output.

    Args:
        size: neurons.
        dash_syn: bit shift of the synapse.
        dash_mem: bit shift of the membrane.
        tau_syn_s: time constant in seconds instead.
        tau_mem_s: time constant in seconds instead.
        alpha: decay factor instead.
        beta: decay factor instead.
        dt_s: length of a step in seconds, used with time constants.
        bias: scalar or ``(size,)``.
        train_alpha: train synaptic decays.
        train_beta: train membrane decays.
        train_bias: train biases.
    """

    def __init__(
        self,
        size: int,
        *,
        dash_syn: int | None = None,
        dash_mem: int | None = None,
        tau_syn_s: float | None = None,
        tau_mem_s: float | None = None,
        alpha: float | Tensor | None = None,
        beta: float | Tensor | None = None,
        dt_s: float = 1e-3,
        bias: float | Tensor = 0.0,
        train_alpha: bool = False,
        train_beta: bool = False,
        train_bias: bool = False,
    ) -> None:
        super().__init__(
            size,
            n_synapses=1,
            alpha=_choose_decay("synapse", dash_syn, tau_syn_s, alpha, dt_s, 1),
            beta=_choose_decay("membrane", dash_mem, tau_mem_s, beta, dt_s, 2),
            bias=bias,
            train_alpha=train_alpha,
            train_beta=train_beta,
            train_bias=train_bias,
        )
        self.dt_s = dt_s

    def forward(self, x: Tensor) -> Tensor:
        """Run all steps from zero states.

        Args:
            x: ``(batch, time, size)``.

        Returns:
            ``(batch, time, size)`` membrane potentials.
        """
        steps = self._split(x)
        alpha, beta = self.decays()
        current, potential = torch.zeros_like(steps[:, 0]), torch.zeros_like(steps[:, 0, 0])
        potentials = []
        for arriving in steps.unbind(dim=1):
            current = alpha * current + arriving
            potential = beta * potential + current.sum(dim=1) + self.bias
            potentials.append(potential)
        return torch.stack(potentials, dim=1)


def _parameter(value: float | Tensor, shape: tuple[int, ...], trained: bool) -> nn.Parameter:
    """Make a parameter of this shape, frozen where it is not trained."""
    given = torch.as_tensor(value, dtype=torch.get_default_dtype()) if isinstance(value, float | int) else value
    return nn.Parameter(given.detach().clone().expand(shape).clone(), requires_grad=trained)


def _choose_decay(
    what: str,
    dash: int | tuple[int, ...] | None,
    tau_s: float | tuple[float, ...] | None,
    factor: float | Tensor | None,
    dt_s: float,
    default_dash: int,
) -> float | Tensor:
    """Return the decay factor from bit shifts, time constants or factors; a column where there is one a synapse."""
    given = [value is not None for value in (dash, tau_s, factor)]
    if sum(given) > 1:
        raise InputError(f"the decay of the {what} is given twice", fix="give a bit shift, a time constant or a factor")
    if factor is not None:
        return factor
    if tau_s is not None:
        return _column(tau_s, lambda tau: math.exp(-dt_s / tau))
    return _column(default_dash if dash is None else dash, lambda shift: 1.0 - 2.0**-shift)


def _column(values: float | tuple[float, ...], decay: Callable[[float], float]) -> float | Tensor:
    if isinstance(values, tuple):
        return torch.tensor([[decay(value)] for value in values])
    return decay(values)


def _keep_within(parameter: Tensor, low: float, high: float | None) -> Tensor:
    """Clamp a trained parameter where it is used; a frozen one is used as given."""
    return parameter.clamp(low, high) if parameter.requires_grad else parameter
