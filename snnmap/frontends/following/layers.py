"""The neurons that a forward runs, step by step, and whose states it hands on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from snnmap.core.errors import FrontendError
from snnmap.frontends.following.again import Learn
from snnmap.frontends.following.framework import NeuronModule
from snnmap.frontends.following.memory import Memories
from snnmap.frontends.following.signal import Part, Signal, Sources
from snnmap.frontends.following.values import Values

__all__ = ["Layer", "Layers"]


@dataclass
class Layer:
    """Neurons that forward runs, once a step.

    Attributes:
        name: by which sources call their spikes.
        path: of the module.
        kind: the class of the neurons; ``pool`` for the largest of several spikes.
        states_from: whether their states are the module's own, arguments of forward, or made in forward.
        neurons: what they compute; None for pools.
        gives_states: whether the module returns its membrane.
        inputs: what came in, by step.
        membranes: likewise, those that the module keeps beside what it returns.
    """

    name: str
    path: str
    kind: str
    states_from: Literal["module", "argument", "forward"]
    neurons: NeuronModule | None = None
    gives_states: bool = False
    inputs: list[Signal] = field(default_factory=list)
    membranes: list[Signal] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.inputs[0].size


class Layers:
    """The neurons of a run.

    Attributes:
        found: by name, in order.
        sources: all that values are made of.
        arguments: of forward, that are states.
        order: of the neurons' steps, by their names.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self.sources = Sources()
        self.found: dict[str, Layer] = {}
        self.arguments: dict[str, Tensor] = {}
        self.order: list[str] = []
        self.memories = Memories()
        self._uses: dict[str, int] = {}
        self._names: dict[Any, str] = {}
        self._owners: dict[str, str] = {}

    def find_own(self, path: str, kind: str, module: nn.Module, states: Sequence[str]) -> Layer:
        """Return the neurons that go on from the module's own states, of these names; after a reset, others."""
        number = self._uses.setdefault(path, 0)
        layer = self.find((path, "own", number), path, kind, "module")
        if not self.memories.was_reset(path, module, states):
            return layer
        if len(layer.inputs) == 1:
            raise FrontendError(
                "forward resets its neurons in every step, which leaves them no memory",
                where=f"module '{path}'",
                fix="reset them before forward is called, or once before its loop over the steps",
            )
        self._uses[path] = number + 1
        return self.find((path, "own", number + 1), path, kind, "module")

    def find_chain(self, path: str, kind: str, states: Mapping[str, Tensor]) -> Layer:
        """Return the neurons that go on from states, or start from zeros."""
        owners = {self._own_state(path, name, tensor) for name, tensor in states.items()}
        known = {owner for owner in owners if owner in self.found}
        if len(owners) == 1 and known:
            layer = self.found[known.pop()]
            if layer.path == path:
                return layer
        if known:
            raise FrontendError(
                "the states are those of other neurons",
                where=f"module '{path}'",
                measured=", ".join(sorted(known)),
                fix="give each module its own states, all of one step",
            )
        origin: Literal["argument", "forward"] = "argument" if "an argument" in owners else "forward"
        return self.find((path, len(self.found)), path, kind, origin)

    def find(self, key: Any, path: str, kind: str, origin: Literal["module", "argument", "forward"]) -> Layer:
        """Return the neurons of a key, new ones where there are none."""
        if key not in self._names:
            name, number = path or "neurons", 2
            while name in self.found:
                name, number = f"{path or 'neurons'}_{number}", number + 1
            self._names[key] = name
            self.found[name] = Layer(name, path, kind, origin)
        return self.found[self._names[key]]

    def add_step(self, layer: Layer, signal: Signal) -> Signal:
        """Let neurons take what came in next, and return what they give."""
        layer.inputs.append(signal)
        self.order.append(layer.name)
        step, neurons = len(layer.inputs) - 1, layer.neurons
        if neurons is not None and not neurons.max_count:
            return self.sources.add(layer.name, "state", signal.size, step=step, state="mem")
        spikes = self.sources.add(layer.name, "spikes", signal.size, step=step)
        return spikes if neurons is None or (neurons.scale == 1).all() else spikes.scale(neurons.scale)

    def _own_state(self, path: str, what: str, tensor: Tensor) -> str:
        """Return which layer a state is of, after its last step; "" for zeros."""
        owner = f"{what} of '{path}'"
        if not self.values.is_followed(tensor):
            name = self._argument_of(tensor)
            if name is None and not bool((tensor == 0).all()):
                raise FrontendError(
                    f"the state '{what}' does not start at zero",
                    where=f"module '{path}'",
                    fix="start it at zeros, as reset_mem()",
                )
            if name is not None and self._owners.setdefault(name, owner) != owner:
                raise _refuse_second_use(name, path, f"as {owner} and {self._owners[name]}")
            return "" if name is None else "an argument"
        parts = list(self.sources.split(self.values.find(tensor)))
        if parts and all(part.source.kind == "input" and part.source.name == parts[0].source.name for part in parts):
            raise Learn(parts[0].source.name, owner=owner)
        if len(parts) == 1 and self._is_last(parts[0], what):
            return parts[0].source.name
        raise FrontendError(
            f"the state '{what}' is changed or taken from elsewhere inside forward",
            where=f"module '{path}'",
            fix="give the neurons the state that they returned in the step before, or use init_hidden=True",
        )

    def _is_last(self, part: Part, what: str) -> bool:
        source = part.source
        layer = self.found.get(source.name)
        wanted = "spikes" if what == "spk" else "state"
        fits = source.kind == wanted and (wanted == "spikes" or source.state == what) and part.scales is not None
        return fits and layer is not None and source.step == len(layer.inputs) - 1

    def _argument_of(self, tensor: Tensor) -> str | None:
        return next((name for name, state in self.arguments.items() if state is tensor), None)


def _refuse_second_use(name: str, path: str, measured: str) -> FrontendError:
    """Return the error about an argument of forward that is two things."""
    return FrontendError(
        f"argument '{name}' of forward is used twice",
        where=f"module '{path}'",
        measured=measured,
        fix="give each state its own argument",
    )
