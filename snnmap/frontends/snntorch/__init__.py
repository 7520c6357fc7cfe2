"""From a torch module made of snnTorch neurons, Linear layers and additions to a network."""

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from snnmap.chip import Readout
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.network_parts import NetworkParts
from snnmap.frontends.snntorch.neurons import (
    NEVER_REACHED,
    OWN_FUNCTIONS,
    RETURNED_STATES,
    STATES,
    NeuronKind,
    Neurons,
    Overshoot,
    WeightedCounts,
    add_neurons,
    read_neurons,
)
from snnmap.frontends.torch.modules import as_array, locate, require_class_forward
from snnmap.network import OTHERWISE, InputPort, Network, OutputPort, Population

if TYPE_CHECKING:
    from torch import fx, nn

__all__ = ["load"]

_OVERSHOOTS, _READOUTS = ("exact", "ignore"), ("spikes", "potential", None)
_ONE_STEP = "give the function of one step, forward(x) or forward(x, mem1, ...), or the layers as nn.Sequential(fc1, lif1, ...)"


def load(
    module: "nn.Module",
    *,
    input_sizes: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    overshoot: Overshoot = "exact",
    readout: Literal["spikes", "potential"] | None = None,
    dt: float = 0.0,
    name: str | None = None,
) -> Network:
    """Turn a module of snnTorch neurons into a network that gives the same spikes, layer for layer.

    ``forward`` is one step: ``nn.Sequential`` of layers, or a module whose forward takes the inputs and, where neurons do not
    keep their states themselves (``init_hidden=True``), the states, and returns spikes and states. Leaky, Synaptic, RLeaky,
    RSynaptic, and Alpha without a reset are read, with Linear layers (a bias too) and additions; Dropout, Identity and
    Flatten are passed over. States start at zero. The module is not changed.

    A Linear bias in front of a synapse with memory becomes a neuron that fires in each step. Spikes that
    ``graded_spikes_factor`` scales are counted as 1, and the weights behind them are scaled.

    Args:
        module: to read.
        input_sizes: channels of each input of ``forward``, states left out; found from the first layers where left out.
        outputs: paths of the neuron modules that are read; where left out, those whose spikes ``forward`` returns and no
            other layer takes, and Linear layers whose outputs it returns, by the potentials of neurons without memory.
        readout: how neurons are read; where left out, by "potential", after each step, where ``forward`` returns the membrane
            and no spikes, or the neurons never reset: ``reset_mechanism="none"`` with ``output=True``, or a threshold of
            32767 or more. Else by "spikes".
        overshoot: what to do about a rule of ``reset_delay=False`` with reset "subtract": neurons whose membrane is above
            the threshold even after the reset need twice the threshold in the next step. ``exact`` adds a second population
            that watches for it, which no chip can fold; ``ignore`` leaves the rule out, which changes nothing as long as no
            membrane reaches twice its threshold.
        dt: length of a step in seconds, for reports; 0 where it has none.
        name: of the network; the module's class name where left out.

    Returns:
        The network: populations named by module path, in float64.

    Raises:
        FrontendError: snnTorch is missing, or an operation or option has no counterpart; it says which and where.
    """
    snntorch = import_package("snntorch", called="snnTorch")
    for option, value, choices in (("overshoot", overshoot, _OVERSHOOTS), ("readout", readout, _READOUTS)):
        if value not in choices:
            raise FrontendError(f"unknown choice of {option}", measured=repr(value), limit=", ".join(map(str, choices)))
    from torch import nn

    kinds = {getattr(snntorch, kind): kind for kind in STATES}
    classes = [part for part in vars(snntorch).values() if isinstance(part, type)]
    leaves = (nn.Linear, *(part for part in classes if issubclass(part, snntorch.SpikingNeuron)))
    title = name or type(module).__name__
    module = nn.Sequential(module) if isinstance(module, leaves) else module
    reader = _Reader(module, kinds, input_sizes, overshoot, readout)
    reader.read(leaves, outputs)
    return reader.parts.to_network(title, dt, _describe(snntorch.__version__, reader, dt))


def _describe(version: str, reader: "_Reader", dt: float) -> dict[str, str]:
    """Return the provenance: what was chosen in reading."""
    return {
        "framework": f"snntorch {version}",
        "dt": f"{dt} s" if dt else "none",
        "integrator": "decay factors as given",
        "reset": ", ".join(sorted({neurons.reset for neurons in reader.neurons.values()})),
        "overshoot": reader.overshoot,
        **reader.describe_overshoot(),
        "input latency": "0 steps",
        "readout": "; ".join(f"{port.readout} of {', '.join(port.populations)}" for port in reader.parts.outputs),
        **reader.advise(),
    }


@dataclass(frozen=True, slots=True)
class _Argument:
    """An argument of forward: spike counts or a state, whatever it is used as first."""

    name: str


@dataclass(frozen=True, slots=True)
class _Counts:
    """A sum of spike counts: sources by name, each with what a spike counts (None for 1)."""

    terms: tuple[tuple[str, FloatArray | None], ...]


@dataclass(frozen=True, slots=True)
class _Currents:
    """A sum of weighted counts, and what Linear biases add to it in each step, ``(size,)``."""

    terms: tuple[WeightedCounts, ...]
    bias: FloatArray


@dataclass(frozen=True, slots=True)
class _State:
    """A state that a neuron module returns."""

    population: str
    name: str


class _Reader:
    """Walks the operations of one step in order and collects the parts of the network."""

    def __init__(
        self,
        module: "nn.Module",
        kinds: dict[Any, NeuronKind],
        sizes: Sequence[int] | None,
        overshoot: Overshoot,
        readout: Literal["spikes", "potential"] | None,
    ) -> None:
        self.module, self.kinds, self.overshoot, self.readout = module, kinds, overshoot, readout
        self.modules = dict(module.named_modules())
        self.given_sizes = None if sizes is None else list(sizes)
        self.parts = NetworkParts()
        self.neurons: dict[str, Neurons] = {}
        self.populations: dict[str, str] = {}
        self.sizes: dict[str, int | None] = {}
        self.ports: list[str] = []
        self.state_owners: dict[str, str] = {}

    def read(self, leaves: "tuple[type[nn.Module], ...]", outputs: Sequence[str] | None) -> None:
        from snnmap.nn.tracing import trace_module

        with _kept_unchanged(self.module):
            graph = trace_module(self.module, leaves, fix=_ONE_STEP)
        values: dict[Any, Any] = {}
        for node in graph.nodes:
            if node.op == "output":
                self._read_outputs(_flatten(node.args[0], values), outputs)
            else:
                values[node] = self._read_node(node, values)
        if not self.neurons:
            raise FrontendError(
                "the module has no neurons", where=type(self.module).__name__, fix=f"add one of {', '.join(STATES)}"
            )
        for port in self.ports:
            self.parts.inputs.append(InputPort(name=port, size=self._size_of_input(port)))

    def _read_node(self, node: "fx.Node", values: dict[Any, Any]) -> object:
        given: tuple[Any, ...] = (*node.args, *node.kwargs.values())
        arguments = [values[argument] if isinstance(argument, type(node)) else argument for argument in given]
        operation = getattr(node.target, "__name__", node.target)
        if node.op == "placeholder":
            return _Argument(str(node.target))
        if node.op == "get_attr":
            return None
        if node.op == "call_module":
            return self._read_module(str(node.target), arguments)
        if operation == "getitem" and isinstance(arguments[0], tuple):
            return arguments[0][arguments[1]]
        if operation == "flatten" and arguments[1:] == [1]:
            return arguments[0]
        if node.target in (operator.add, operator.iadd) or operation == "add":
            return self._add(node, arguments)
        raise FrontendError(
            f"operation '{operation}' has no counterpart on the chip",
            where=locate(node),
            fix=f"use Linear, snnTorch neurons and additions; {_ONE_STEP}",
        )

    def _read_module(self, path: str, arguments: list[Any]) -> object:
        from torch import nn

        module = self.modules[path]
        kind = self.kinds.get(type(module))
        if kind is not None:
            require_class_forward(path, module, type(module), own=OWN_FUNCTIONS)
            return self._read_neurons(path, module, kind, arguments)
        for passed in (nn.Linear, nn.Identity, nn.Dropout, nn.Flatten):
            if isinstance(module, passed):
                require_class_forward(path, module, passed)
        if isinstance(module, nn.Linear):
            return self._read_linear(path, module, self._as_counts(arguments[0], path))
        if isinstance(module, nn.Identity | nn.Dropout | nn.Flatten):
            return arguments[0]
        raise self._refuse_module(path, module)

    def _refuse_module(self, path: str, module: "nn.Module") -> FrontendError:
        if type(module).__name__ in ("Conv1d", "Conv2d", "AvgPool2d"):
            return FrontendError(
                f"this frontend does not read {type(module).__name__}; the one of NIR does",
                where=f"module '{path}'",
                fix="export the model with beta and threshold one a neuron, "
                "graph = snntorch.export_nir.export_to_nir(net, sample, ignore_dims=[0]), and "
                'snnmap.load(graph, options=NirOptions.like("snntorch", dt_s=1e-4))',
            )
        return FrontendError(
            f"module {type(module).__name__} has no counterpart on the chip",
            where=f"module '{path}'",
            fix=f"use Linear and snnTorch's {', '.join(STATES)}",
        )

    def _read_linear(self, path: str, module: "nn.Linear", value: object) -> _Currents:
        if not isinstance(value, _Counts):
            raise FrontendError(
                "a Linear layer takes something else than spike counts",
                where=f"module '{path}'",
                fix="put neurons between two Linear layers, or multiply their weights into one",
            )
        bias = np.zeros(module.out_features) if module.bias is None else as_array(module.bias)
        return _Currents(self._weigh(value, as_array(module.weight).T, path), bias)

    def _weigh(self, counts: _Counts, weights: FloatArray, path: str) -> tuple[WeightedCounts, ...]:
        """Put weights, ``(n_pre, n_post)``, behind counts; counts that nothing scales are added first."""
        for source, _ in counts.terms:
            self._learn_size(source, weights.shape[0], path)
        if len(counts.terms) > 1 and all(scale is None for _, scale in counts.terms):
            total = self.parts.add_sum(tuple(source for source, _ in counts.terms), path)
            return (WeightedCounts(total, weights, path),)
        return tuple(
            WeightedCounts(source, weights if scale is None else scale[:, np.newaxis] * weights, path)
            for source, scale in counts.terms
        )

    def _read_neurons(self, path: str, module: Any, kind: NeuronKind, arguments: list[Any]) -> object:
        if path in self.neurons:
            raise FrontendError(
                "the neurons are run more than once: forward loops over steps", where=f"module '{path}'", fix=_ONE_STEP
            )
        self._own_states(path, kind, arguments[1:])
        currents = self._as_counts(arguments[0], path)
        if isinstance(currents, _Counts):
            size = self._size_of_counts(currents, path, module)
            currents = _Currents(self._weigh(currents, np.eye(size), path), np.zeros(size))
        if not isinstance(currents, _Currents):
            raise FrontendError(
                "neurons take a state as their input", where=f"module '{path}'", fix="give them currents or spikes"
            )
        neurons = read_neurons(path, module, kind, currents.bias.size)
        population = add_neurons(self.parts, neurons, currents.terms, currents.bias, self.overshoot)
        self.neurons[path], self.populations[path], self.sizes[population] = neurons, population, neurons.size
        spikes = _Counts(((population, None if (neurons.scale == 1).all() else neurons.scale),))
        if module.init_hidden and not module.output:
            return spikes
        return (spikes, *(_State(population, state) for state in RETURNED_STATES[kind]))

    def _own_states(self, path: str, kind: NeuronKind, states: list[Any]) -> None:
        """Check that what a module takes as its states are arguments of forward that nothing else takes."""
        for state, what in zip(states, STATES[kind], strict=False):
            if not isinstance(state, _Argument):
                raise FrontendError(
                    f"the state '{what}' is made or taken from elsewhere inside forward, in every step",
                    where=f"module '{path}'",
                    fix="make it an argument of forward, or use init_hidden=True",
                )
            owner = f"{what} of '{path}'"
            if state.name in self.ports or self.state_owners.setdefault(state.name, owner) != owner:
                raise FrontendError(
                    f"argument '{state.name}' of forward is used twice",
                    where=f"module '{path}'",
                    measured=f"as {owner} and {self.state_owners.get(state.name, 'as spike counts')}",
                    fix="give each state its own argument",
                )

    def _as_counts(self, value: object, path: str) -> object:
        """Take the spikes of what neurons return; an argument of forward that is used as counts is an input."""
        if isinstance(value, tuple):
            return value[0]
        if not isinstance(value, _Argument):
            return value
        if value.name in self.state_owners:
            raise FrontendError(
                f"argument '{value.name}' of forward is both a state and an input",
                where=f"module '{path}'",
                measured=self.state_owners[value.name],
                fix="use RLeaky or RSynaptic for recurrence",
            )
        port = "input" if value.name in ("x", "input", "input_", "data") else value.name
        if port not in self.ports:
            if self.given_sizes is not None and len(self.given_sizes) <= len(self.ports):
                raise FrontendError("forward has more inputs than sizes were given", measured=port, limit=str(self.given_sizes))
            self.sizes[port] = None if self.given_sizes is None else self.given_sizes[len(self.ports)]
            self.ports.append(port)
            self.parts.reserved.add(port)
        return _Counts(((port, None),))

    def _add(self, node: "fx.Node", arguments: list[Any]) -> object:
        values = [self._as_counts(argument, locate(node)) for argument in arguments]
        if all(isinstance(value, _Counts) for value in values):
            return _Counts(tuple(term for value in values for term in cast(_Counts, value).terms))
        if all(isinstance(value, _Currents) for value in values):
            sums = [cast(_Currents, value) for value in values]
            if len({value.bias.size for value in sums}) == 1:
                return _Currents(tuple(t for v in sums for t in v.terms), np.sum([v.bias for v in sums], axis=0))
        raise FrontendError(
            "what is added are not spike counts of one size or currents of one size",
            where=locate(node),
            fix="put a Linear layer on counts before adding them to currents, and constants into its bias",
        )

    def _read_outputs(self, values: list[Any], wanted: Sequence[str] | None) -> None:
        heard = self._heard_by_others()
        if wanted is not None:
            unknown = [path for path in wanted if path not in self.populations]
            if unknown:
                known = ", ".join(self.populations)
                raise FrontendError("outputs name a module that is not one of the neurons", measured=unknown[0], limit=known)
            names = [self.populations[path] for path in wanted]
            return self._add_ports([(name, "potential" if self.readout == "potential" else "spikes") for name in names], heard)
        if any(isinstance(value, _Counts) and len(value.terms) > 1 for value in values):
            raise FrontendError(
                "an output of forward is a sum of spikes, not the output of neurons",
                where="output",
                fix="return the spikes of each, or end the module with a Linear layer or neurons",
            )
        sums = [value for value in values if isinstance(value, _Currents)]
        spikes = [s for value in values if isinstance(value, _Counts) for s, _ in value.terms if s not in self.ports]
        membranes = [value.population for value in values if isinstance(value, _State) and value.name == "mem"]
        last = [name for name in dict.fromkeys(spikes or ([] if sums else membranes)) if name not in heard]
        if not last and not sums:
            last = list(dict.fromkeys(spikes or membranes))
        if not last and not sums:
            raise FrontendError("forward returns no spikes", where="output", fix="return the spikes of the last neurons")
        found: list[tuple[str, Readout]] = [(self._add_weighted_readout(value), "potential") for value in sums]
        found += [(name, self._choose_readout(name, name in spikes, name in membranes, name in heard)) for name in last]
        return self._add_ports(found, heard)

    def _choose_readout(self, population: str, spikes: bool, membrane: bool, heard: bool) -> Readout:
        """Say how neurons are read whose spikes, membrane or both are returned."""
        if self.readout is not None:
            return self.readout
        neurons, module = self._neurons_of(population)
        never_reset = (neurons.reset == "none" and module.output) or bool((neurons.threshold >= NEVER_REACHED).all())
        by_membrane = membrane and (not spikes or (never_reset and not heard and neurons.recurrent is None))
        return "potential" if by_membrane else "spikes"

    def _neurons_of(self, population: str) -> tuple[Neurons, Any]:
        path = next(path for path, name in self.populations.items() if name == population)
        return self.neurons[path], self.modules[path]

    def _heard_by_others(self) -> set[str]:
        sums = {addition.name: addition.terms for addition in self.parts.sums}
        sent = {(source, q.post) for q in self.parts.projections for source in sums.get(q.pre, (q.pre,))}
        return {source for source, post in sent if post not in (source, f"{source}.above")}

    def _add_ports(self, found: list[tuple[str, Readout]], heard: set[str]) -> None:
        for number, (population, readout) in enumerate(found):
            if readout == "potential" and population in self.populations.values():
                self._silence(population, heard)
            port = "output" if len(found) == 1 else f"output{number}"
            self.parts.outputs.append(OutputPort(name=port, populations=(population,), readout=readout))

    def _silence(self, population: str, heard: set[str]) -> None:
        """Make neurons whose membrane alone is read into leaky integrators."""
        neurons, _ = self._neurons_of(population)
        never_reset = neurons.reset == "none" or bool((neurons.threshold >= NEVER_REACHED).all())
        if not never_reset or neurons.recurrent is not None or population in heard:
            raise FrontendError(
                "the membrane of neurons is read that reset or whose spikes are used",
                where=f"module '{neurons.path}'",
                measured=f"reset '{neurons.reset}'",
                limit="reset 'none', spikes unused",
                fix="use reset_mechanism='none' for a readout, or return its spikes",
            )
        watch = f"{population}.above"
        self.parts.populations = [
            replace(p, threshold=np.full(p.size, np.inf)) if p.name == population else p
            for p in self.parts.populations
            if p.name != watch
        ]
        own = {population, watch}
        self.parts.projections = [q for q in self.parts.projections if q.pre not in own and q.post != watch]

    def _add_weighted_readout(self, currents: _Currents) -> str:
        """Add neurons without memory whose potentials are what a Linear layer gives."""
        path = currents.terms[-1].path
        name = self.parts.make_name(path or "readout")
        self.parts.populations.append(
            Population.create(name, currents.bias.size, threshold=np.inf, bias=currents.bias, max_count=1, source=path)
        )
        for term in currents.terms:
            self.parts.project(term.source, name, term.weights, source=term.path)
        return name

    def describe_overshoot(self) -> dict[str, str]:
        """Say for the provenance whose second reset was left out."""
        names = [self.populations[path] for path, neurons in self.neurons.items() if neurons.reset == "subtract"]
        return (
            {OTHERWISE: f"overshoot='ignore' in snnmap.load: {', '.join(names)}"} if self.overshoot == "ignore" and names else {}
        )

    def advise(self) -> dict[str, str]:
        """Return, in snnTorch's words, what to do where the chip's output neurons cannot do what a reset needs."""
        read = {name for port in self.parts.outputs for name in port.populations}
        advice: list[str] = []
        for path, name in self.populations.items():
            back = {q.post for q in self.parts.projections if q.pre == name and name in read}
            neurons = self.neurons[path]
            if f"{name}.above" in back:
                advice.append(f"population '{name}.above' is snnmap's, for membranes beyond two thresholds: overshoot='ignore'")
            elif name in back and neurons.recurrent is not None:
                advice.append(f"module '{path}' is recurrent: end with neurons without recurrent weights")
            elif name in back and neurons.reset == "none":
                advice.append(f"module '{path}' never resets: read it with readout='potential'")
            elif name in back:
                advice.append(f"the reset of module '{path}' comes a step late: build it with reset_delay=False")
        plain = sorted({neurons.kind for neurons in self.neurons.values() if neurons.kind in ("Leaky", "RLeaky")})
        found = {
            "fix of outputs that feed back": "; ".join(advice),
            "fix of synapses without memory": ", ".join(
                f"snntorch.{kind} has no alpha: use snntorch.{kind.replace('Leaky', 'Synaptic')} with an alpha of 0.5 or more"
                for kind in plain
            ),
        }
        return {key: text for key, text in found.items() if text}

    def _learn_size(self, source: str, size: int, path: str) -> None:
        if self.sizes[source] not in (None, size):
            raise FrontendError(
                "a layer does not fit the size of its input",
                where=f"module '{path}'",
                measured=str(size),
                limit=f"{self.sizes[source]} ('{source}')",
            )
        self.sizes[source] = size

    def _size_of_counts(self, counts: _Counts, path: str, module: Any) -> int:
        """Return the size of neurons that take counts without a Linear layer."""
        known = [size for source, _ in counts.terms if (size := self.sizes[source]) is not None]
        own = [module.threshold.numel(), module.beta.numel()]
        size = known[0] if known else max(own)
        if not known and size == 1:
            raise FrontendError("the number of neurons is unknown", where=f"module '{path}'", fix="give input_sizes")
        return size

    def _size_of_input(self, port: str) -> int:
        size = self.sizes[port]
        if size is None:
            raise FrontendError(f"the size of input '{port}' is unknown", fix="give input_sizes")
        return size


def _flatten(value: Any, values: dict[Any, Any]) -> list[Any]:
    """List what forward returns, whatever its nesting."""
    found = values.get(value) if not isinstance(value, tuple | list | dict) else value
    if isinstance(found, dict):
        found = tuple(found.values())
    if isinstance(found, tuple | list):
        return [part for item in found for part in (_flatten(item, values) if not isinstance(item, _PARTS) else [item])]
    return [found]


_PARTS = (_Counts, _Currents, _State, _Argument)


@contextmanager
def _kept_unchanged(module: "nn.Module") -> Iterator[None]:
    """Undo what running forward does to the states that modules keep, and what tracing adds to the module."""
    buffers = [(part, dict(part._buffers)) for part in module.modules()]
    attributes = set(vars(module))
    try:
        yield
    finally:
        for part, kept in buffers:
            part._buffers.update(kept)
        for added in set(vars(module)) - attributes:
            delattr(module, added)
