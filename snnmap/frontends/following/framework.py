"""What following a forward needs to know of a framework: its classes of neurons, and what a network has in their place."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from snnmap.core import CsrMatrix, FloatArray
from snnmap.frontends.network_parts import NetworkParts

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Framework", "NeuronModule", "WeightedCounts"]


@dataclass(frozen=True, slots=True)
class WeightedCounts:
    """Counts of one source, of this step or an earlier one, through weights: ``(n_pre, n_post)`` csr_array."""

    source: str
    weights: Any
    path: str
    delay_steps: int = 0

    def add_to(self, parts: NetworkParts, post: str, *, gain: FloatArray | float = 1.0, synapse: int = 0) -> None:
        """Add the projection onto a population; ``gain`` multiplies the weights onto each of its neurons."""
        found = self.weights.tocoo()
        data = found.data * np.broadcast_to(gain, (found.shape[1],))[found.col]
        matrix = CsrMatrix.from_triplets(found.row, found.col, data, found.shape)
        parts.project(self.source, post, matrix, synapse=synapse, delay_steps=self.delay_steps, source=self.path)


class NeuronModule(Protocol):
    """What a module of neurons computes."""

    @property
    def scale(self) -> FloatArray:
        """``(size,)``, value of a spike behind the neurons."""

    @property
    def max_count(self) -> int:
        """Most spikes of a neuron in a step; 0 for neurons that never fire, whose membrane the module gives."""

    @property
    def is_readout(self) -> bool:
        """Whether the membrane is to be read where the module gives it beside spikes."""

    @property
    def why_not_read(self) -> str:
        """Why the membrane alone cannot be read; empty where it can."""

    def add_to(self, parts: NetworkParts, name: str, terms: tuple[WeightedCounts, ...], bias: FloatArray) -> None:
        """Add the population that does what the module does, with its inputs and a constant input, ``(size,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """How a framework's neurons are run.

    Attributes:
        name: for errors.
        package: that its classes are from.
        tried: version of the package with which what is read was compared.
        neurons: classes that all derive from which keep a state: those that are not known are refused.
        kinds: classes that are known, and their names.
        states: what a class takes after its input, and what it returns after its spikes, by its name.
        read: gives the neurons of a module: path, module, kind and size.
        restart: lets a module's neurons start anew.
        reset_call: of a module, by which a forward lets its neurons start anew, for errors.
        stand_in: while a copy runs, lets its neurons be those that the framework's own functions of all neurons reach.
        membranes: what a module keeps of its membrane beside what it returns: of the last step, and of all steps, (time, ...).
        time_axis: of what a module takes in one call, where that is several steps.
        own_functions: attributes that the framework itself sets to functions on its modules.
        pools: whether a MaxPool of currents is refused, or put behind the neurons that take it; empty where the frontend gives no
            choice.
        fixes: what to write in place of a class of ``neurons`` that is not known, by its name.
        fix_of_steps: how a forward of one step becomes one of all steps, in the framework's words.
        fix_of_instant: what to do about synapses without a memory, which many chips lack, in the framework's words.
        passes_states: whether a forward of one step takes the states that it returned as its second argument.
    """

    name: str
    package: str
    tried: str
    neurons: tuple[type, ...]
    kinds: Mapping[type, str]
    states: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    read: Callable[[str, Any, str, int], NeuronModule]
    restart: "Callable[[nn.Module], None]"
    reset_call: str
    stand_in: "Callable[[nn.Module], AbstractContextManager[None]]" = lambda _: nullcontext()
    membranes: "Callable[[Any], tuple[Tensor | None, Tensor | None]]" = lambda _: (None, None)
    time_axis: Callable[[Any], int | None] = lambda _: None
    fixes: Mapping[str, str] = field(default_factory=dict)
    fix_of_steps: str = "let it loop over the steps of x: x[step], or x[:, step]"
    fix_of_instant: str = ""
    passes_states: bool = False
    own_functions: tuple[str, ...] = ()
    pools: Literal["exact", "after", ""] = ""

    def find_class(self, module: "nn.Module") -> type:
        """Return the class of the package itself that a module is of, or that the user's own class derives from first."""
        classes = type(module).__mro__
        return next((cls for cls in classes if f"{cls.__module__}.".startswith(f"{self.package}.")), classes[0])

    def find_kind(self, module: "nn.Module") -> str | None:
        """Return the name of the known class that a module's neurons are of; None for other modules."""
        return self.kinds.get(self.find_class(module))
