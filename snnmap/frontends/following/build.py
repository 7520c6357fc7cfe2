"""From the neurons that a run of forward showed, and what each takes in a step, to the parts of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from snnmap.chip import Readout
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.following.framework import NeuronModule, WeightedCounts
from snnmap.frontends.following.layers import Layer
from snnmap.frontends.following.outputs import Output, read_outputs
from snnmap.frontends.following.signal import Signal
from snnmap.frontends.following.trace import Trace
from snnmap.frontends.network_parts import NetworkParts
from snnmap.network import InputPort, OutputPort, Population

__all__ = ["Builder"]

_ANY_SPIKE = 0.75
"""Threshold of a neuron that spikes when any of its sources does, each of weight 1; what the chip rounds stays within it."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What a layer takes in every step: counts through weights by source, kind and delay (None: the same in each step)."""

    parts: Mapping[tuple[str, str, int | None], Any]
    constant: FloatArray
    path: str

    def differs(self, other: "_Step", n_before: int) -> bool:
        """Say whether another step, with ``n_before`` steps before it, is not the same."""
        wanted = {key: weights for key, weights in self.parts.items() if key[2] is None or key[2] <= n_before}
        same = wanted.keys() == other.parts.keys() and np.array_equal(self.constant, other.constant)
        return not same or any(_differ(weights, other.parts[key]) for key, weights in wanted.items())


def _differ(one: Any, other: Any) -> bool:
    return one.shape != other.shape or not (
        np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and np.array_equal(one.data, other.data)
    )


class Builder:
    """Collects the parts of a network.

    Attributes:
        parts: so far.
        neurons: by name of the population.
        ports: name of the input port of each argument of forward.
        over_steps: whether forward returns the mean or sum over the steps of what is read by potential.
    """

    def __init__(self, trace: Trace, readout: Literal["spikes", "potential"] | None, input_scale: float) -> None:
        self.trace, self.readout, self.input_scale = trace, readout, input_scale
        self.parts = NetworkParts()
        self.neurons: dict[str, NeuronModule] = {}
        self.populations: dict[str, str] = {}
        self.ports: dict[str, str] = {}
        self.over_steps: list[str] = []

    def build(self, outputs: Sequence[str] | None) -> None:
        """Add all ports, populations and projections."""
        steps = {name: _settle(layer, self.trace) for name, layer in self.trace.layers.items()}
        found = read_outputs(self.trace) if outputs is None else []
        if not self.trace.layers:
            raise FrontendError("the module has no neurons", where="forward", fix="add neurons of the framework")
        self._add_inputs([step.parts for step in steps.values()], found)
        for name, layer in self.trace.layers.items():
            self.populations[name] = self.parts.make_name(layer.name)
            self.parts.reserved.add(self.populations[name])
        for name, layer in self.trace.layers.items():
            self._add_layer(layer, steps[name])
        self._read_outputs(found, outputs)

    def _add_inputs(self, parts: Sequence[Mapping[tuple[str, str, int | None], Any]], outputs: Sequence[Output]) -> None:
        used = {key[0] for found in parts for key in found if key[1] == "input"}
        used |= {part.source.name for output in outputs for part in output.parts if part.source.kind == "input"}
        for one in self.trace.inputs:
            if one.name in used:
                port = "input" if one.name in ("x", "input", "input_", "data") else one.name
                self.ports[one.name] = port
                self.parts.inputs.append(InputPort(name=port, size=one.size))

    def _add_layer(self, layer: Layer, step: _Step) -> None:
        name = self.populations[layer.name]
        terms = tuple(
            self._weigh(source, weights, step.path or layer.path, delay or 0)
            for (source, _, delay), weights in step.parts.items()
        )
        neurons = layer.neurons
        if neurons is None:
            population = Population.create(name, layer.size, threshold=_ANY_SPIKE, max_count=1, source=layer.path)
            self.parts.populations.append(population)
            for term in terms:
                term.add_to(self.parts, name)
            return
        _require_states(layer, self.trace)
        neurons.add_to(self.parts, name, terms, step.constant)
        self.neurons[name] = neurons

    def _weigh(self, source: str, weights: Any, path: str, delay_steps: int) -> WeightedCounts:
        if source in self.ports:
            return WeightedCounts(self.ports[source], weights * self.input_scale, path, delay_steps)
        return WeightedCounts(self.populations[source], weights, path, delay_steps)

    def _read_outputs(self, found: Sequence[Output], wanted: Sequence[str] | None) -> None:
        heard = self._heard_by_others()
        if wanted is not None:
            return self._add_ports(
                [((name,), self._choose_readout((name,), True, True, heard)) for name in self._find_wanted(wanted)], heard
            )
        sums = [output for output in found if output.kind == "currents"]
        spikes, membranes = self._list_populations(found, "spikes"), self._list_populations(found, "mem")
        weighed = {self.populations[part.source.name] for output in sums for part in output.parts if part.source.kind == "spikes"}
        told = heard.union(weighed, *spikes)  # of these the membrane is a recording beside
        last = [names for names in dict.fromkeys(spikes) if not heard.issuperset(names)]
        last += [names for names in dict.fromkeys(membranes) if not told.issuperset(names)]
        if not last and not sums:
            last = list(dict.fromkeys(spikes or membranes))
        if not last and not sums:
            raise FrontendError("forward returns no spikes", where="output", fix="return the spikes of the last neurons")
        ports: list[tuple[tuple[str, ...], Readout]] = [((self._add_weighted_readout(output),), "potential") for output in sums]
        ports += [(names, self._choose_readout(names, names in spikes, names in membranes, heard)) for names in last]
        self.over_steps = sorted(
            {output.over_steps for output in found if output.kind in ("currents", "mem") and output.over_steps}
        )
        return self._add_ports(ports, heard)

    def _list_populations(self, found: Sequence[Output], kind: str) -> list[tuple[str, ...]]:
        return [tuple(self.populations[name] for name in output.names) for output in found if output.kind == kind]

    def _find_wanted(self, wanted: Sequence[str]) -> list[str]:
        known = {layer.path: self.populations[name] for name, layer in self.trace.layers.items()} | self.populations
        known |= {self.trace.layers[neurons].path: self.populations[pool] for pool, neurons in self.trace.moved.items()}
        unknown = [path for path in wanted if path not in known]
        if unknown:
            limit = ", ".join(known)
            raise FrontendError("outputs name a module that is not one of the neurons", measured=unknown[0], limit=limit)
        return [known[path] for path in wanted]

    def _choose_readout(self, names: tuple[str, ...], spikes: bool, membrane: bool, heard: set[str]) -> Readout:
        """Say how neurons are read whose spikes, membrane or both are returned."""
        if self.readout is not None or not self.neurons.keys() >= set(names):
            return self.readout or "spikes"
        reads = all(self.neurons[name].is_readout and name not in heard for name in names)
        return "potential" if membrane and (not spikes or reads) else "spikes"

    def _heard_by_others(self) -> set[str]:
        sent = {(q.pre, q.post) for q in self.parts.projections}
        return {source for source, post in sent if post not in (source, f"{source}.above")}

    def _add_ports(self, found: list[tuple[tuple[str, ...], Readout]], heard: set[str]) -> None:
        for number, (populations, readout) in enumerate(found):
            for population in populations if readout == "potential" else ():
                if population in self.neurons:
                    self._silence(population, heard)
            port = "output" if len(found) == 1 else f"output{number}"
            self.parts.outputs.append(OutputPort(name=port, populations=populations, readout=readout))

    def _silence(self, population: str, heard: set[str]) -> None:
        """Make neurons whose membrane alone is read into leaky integrators."""
        reason = self.neurons[population].why_not_read or ("its spikes are used" if population in heard else "")
        if reason:
            raise FrontendError(
                "the membrane of neurons is read that reset or whose spikes are used",
                where=f"module '{next(p.source for p in self.parts.populations if p.name == population)}'",
                measured=reason,
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

    def _add_weighted_readout(self, output: Output) -> str:
        """Add neurons without memory whose potentials are what a Linear layer gives."""
        name = self.parts.make_name(output.path or "readout")
        self.parts.populations.append(
            Population.create(name, output.constant.size, threshold=np.inf, bias=output.constant, max_count=1, source=output.path)
        )
        for part in output.parts:
            self._weigh(part.source.name, part.weights, output.path, 0).add_to(self.parts, name)
        return name

    def describe_steps(self) -> dict[str, str]:
        """Say for the provenance where forward has its steps, and what an input spike stands for."""
        trace, found = self.trace, {}
        if trace.layout == "one step" and trace.n_steps > 1:
            found["steps"] = f"{trace.n_steps} in forward, all with the same input: give the network that input in each step"
        elif trace.layout != "one step":
            found["steps"] = f"in forward, {trace.layout}" + (f", {trace.n_steps}" if trace.n_steps != trace.n_given else "")
        if self.over_steps:
            told = " and the ".join(self.over_steps)
            found["outputs"] = f"forward returns the {told} over the steps of what is read: decision='mean'"
        return found | ({} if self.input_scale == 1 else {"input scale": f"{self.input_scale:g} a spike"})


def _settle(layer: Layer, trace: Trace) -> _Step:
    """Return what a layer takes in every step.

    Raises:
        FrontendError: forward does not do the same in every step.
    """
    steps = [_describe(signal, step, trace) for step, signal in enumerate(layer.inputs)]
    for number, step in enumerate(steps[:-1]):
        if steps[-1].differs(step, number):
            raise FrontendError(
                "forward does something else in one step than in another",
                where=f"module '{layer.path}'",
                measured=f"step {number} and step {len(steps) - 1}",
                fix="use the same layers in the same order in every step, and start what is fed back at zeros",
            )
    return steps[-1]


def _describe(signal: Signal, step: int, trace: Trace) -> _Step:
    parts: dict[tuple[str, str, int | None], Any] = {}
    for part in trace.sources.split(signal):
        delay = None if part.source.step is None else step - part.source.step
        parts[part.source.name, part.source.kind, delay] = part.weights
    return _Step(parts, signal.constant, signal.path)


def _require_states(layer: Layer, trace: Trace) -> None:
    """Refuse states that a forward of one step makes anew each time."""
    if layer.states_from == "forward" and trace.n_steps == 1:
        raise FrontendError(
            "the state 'mem' is made or taken from elsewhere inside forward, in every step",
            where=f"module '{layer.path}'",
            fix="make it an argument of forward, use init_hidden=True, or loop over the steps inside forward",
        )
