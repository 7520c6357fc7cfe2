"""From a flat NIR graph to a network: signals in order, then populations, projections and ports."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import networkx as nx

from snnmap.chip import Readout
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.nir.arrays import are_same_but_batch, declared_shape, shape_of
from snnmap.frontends.nir.build import Parts
from snnmap.frontends.nir.graph import FlatGraph, type_name
from snnmap.frontends.nir.linear import LINEAR, apply_linear
from snnmap.frontends.nir.loops import delay_loops
from snnmap.frontends.nir.neurons import NEURONS, neuron_shape
from snnmap.frontends.nir.options import NirOptions
from snnmap.frontends.nir.provenance import describe_choices
from snnmap.frontends.nir.signal import Signal, add_signals, source_signal
from snnmap.frontends.nir.written import stored, written
from snnmap.network import InputPort, Network, OutputPort, Population, SpikeSum, order_populations

__all__ = ["read_graph"]


def read_graph(flat: FlatGraph, options: NirOptions, name: str) -> Network:
    """Turn a flat graph into a network.

    Raises:
        FrontendError or NetworkError: as :func:`snnmap.frontends.nir.load`.
    """
    return _Reader(flat, options, name).read()


class _Reader:
    """Evaluates every node's signal, and collects the parts of the network."""

    def __init__(self, flat: FlatGraph, options: NirOptions, name: str) -> None:
        self.flat, self.options = flat, options
        self.name = str(flat.metadata.get("snnmap_name", "")) or name or "nir"
        self.before: dict[str, list[str]] = {path: [] for path in flat.nodes}
        self.after: dict[str, list[str]] = {path: [] for path in flat.nodes}
        for pre, post in flat.edges:
            self.before[post].append(pre)
            self.after[pre].append(post)
        self.written = {path: written(node, self._where(path)) for path, node in flat.nodes.items()}
        self.names = {path: self.written[path].name or path for path in flat.nodes}
        self.signals: dict[str, Signal] = {}
        self.parts = Parts(options)
        self.sums: dict[str, SpikeSum] = {}

    def read(self) -> Network:
        self._require_known_types()
        self._evaluate()
        for path, node in self.flat.nodes.items():
            if type_name(node) in NEURONS:
                self._add_population(path, node)
        inputs = [path for path in self._in_order("Input") if path in self.flat.ports]
        outputs = self._read_outputs()
        ports = [self.names[path] for path in inputs]
        sums = tuple(self.sums[path] for path in sorted(self.sums, key=lambda path: self.written[path].order))
        projections, recurrence = delay_loops(self.parts.finish(set(ports)), ports, sums, self.options)
        network = Network(
            name=self.name,
            inputs=tuple(InputPort(name=self.names[path], size=self.signals[path].size) for path in inputs),
            populations=tuple(self.parts.populations.values()),
            projections=projections,
            outputs=outputs,
            sums=sums,
            **self._read_metadata(recurrence),
        )
        return self._with_ordered_populations(network)

    def _read_metadata(self, recurrence: str) -> dict[str, Any]:
        metadata = self.flat.metadata
        with stored("metadata of the graph"):
            return {
                "dt_s": float(metadata.get("snnmap_dt_s", self.options.dt_s or 0.0)),
                "integers": bool(metadata.get("snnmap_integers", 0)),
                "provenance": describe_choices(import_package("nir").version, self.options, recurrence, metadata),
            }

    def _require_known_types(self) -> None:
        for path, node in self.flat.nodes.items():
            kind = type_name(node)
            if kind not in NEURONS and kind not in LINEAR:
                raise FrontendError(
                    "the node has no counterpart in a network", where=f"node '{path}'", measured=kind,
                    limit=", ".join(sorted({*NEURONS, *LINEAR})), fix="write the graph with these nodes",
                )  # fmt: skip

    def _where(self, path: str) -> str:
        return f"node '{path}' ({type_name(self.flat.nodes[path])})"

    def _in_order(self, kind: str) -> list[str]:
        paths = [path for path, node in self.flat.nodes.items() if type_name(node) == kind]
        return sorted(paths, key=lambda path: self.written[path].order)

    # signals

    def _evaluate(self) -> None:
        """Give every node its signal, in an order in which neurons and ports come first."""
        waiting = list(self.flat.nodes)
        while waiting:
            left = [path for path in waiting if not self._try_evaluate(path)]
            if len(left) == len(waiting):
                raise self._explain_stuck(left)
            waiting = left

    def _try_evaluate(self, path: str) -> bool:
        node, kind = self.flat.nodes[path], type_name(self.flat.nodes[path])
        known = [(pre, self.signals[pre]) for pre in self.before[path] if pre in self.signals]
        if kind == "Input" and path in self.flat.ports:
            shape = shape_of(declared_shape(node, "input", self._where(path)), self._where(path))
            self.signals[path] = source_signal(self.names[path], shape)
        elif kind in NEURONS:
            shape = neuron_shape(node, self._where(path)) or (known[0][1].shape if known else ())
            if not shape:
                return False
            self.signals[path] = source_signal(self.names[path], shape, potential=kind in ("I", "LI", "CubaLI"))
        elif not known or len(known) < len(self.before[path]):
            return False
        else:
            self.signals[path] = self._add_sum(path, known) if self.written[path].is_sum else self._pass(path, node, known)
        return True

    def _pass(self, path: str, node: Any, known: list[tuple[str, Signal]]) -> Signal:
        if not self.after[path] and type_name(node) not in ("Input", "Output"):
            raise FrontendError(
                "nothing reads this node", where=self._where(path), fix="connect it to neurons or an Output, or remove it"
            )
        return apply_linear(node, path, add_signals(known, self._where(path)), self.options)

    def _add_sum(self, path: str, known: list[tuple[str, Signal]]) -> Signal:
        """Make the spike sum that snnmap wrote as a Scale."""
        by_name = {signal.terms[0].source: signal for _, signal in known if signal.is_plain}
        given = self.written[path]
        if set(by_name) != set(given.terms):
            raise FrontendError(
                "the summands and those that snnmap stored with the node disagree", where=self._where(path),
                measured=", ".join(by_name), limit=", ".join(given.terms), fix="delete the node's metadata",
            )  # fmt: skip
        self.sums[path] = SpikeSum(name=self.names[path], terms=given.terms, source=given.source)
        return source_signal(self.names[path], known[0][1].shape)

    def _explain_stuck(self, left: list[str]) -> FrontendError:
        graph: nx.DiGraph[str] = nx.DiGraph((pre, post) for pre, post in self.flat.edges if pre in left and post in left)
        graph.add_nodes_from(left)
        alone = [path for path in left if not self.before[path]]
        if alone:
            what = "nothing leads to this node" + (
                "; its size is unknown" if type_name(self.flat.nodes[alone[0]]) in NEURONS else ""
            )
            return FrontendError(what, where=self._where(alone[0]), fix="add the missing edge, or remove the node")
        loop = [pre for pre, _ in nx.find_cycle(graph)]
        return FrontendError(
            "a loop has no neurons in it, so that nothing holds its state", where=" -> ".join([*loop, loop[0]]),
            fix="put neurons into the loop",
        )  # fmt: skip

    # parts

    def _add_population(self, path: str, node: Any) -> None:
        shape, where = self.signals[path].shape, self._where(path)
        arriving = [(pre, self.signals[pre]) for pre in self.before[path]]
        total = add_signals(arriving, where) if arriving else None
        if total is not None and not are_same_but_batch(total.shape, shape):
            raise FrontendError(
                "the input does not fit the neurons", where=where, measured=str(total.shape), limit=str(shape),
                fix="check the shapes of both nodes",
            )  # fmt: skip
        if total is not None and total.potential:
            raise FrontendError(
                "membrane potentials reach neurons; populations of a chip exchange spikes", where=where,
                measured=f"from '{arriving[0][0]}'", fix="use CubaLIF for a synapse before a membrane",
            )  # fmt: skip
        self.parts.add_neurons(self.names[path], path, node, shape, total, where)

    def _read_outputs(self) -> tuple[OutputPort, ...]:
        paths = [path for path in self._in_order("Output") if path in self.flat.ports]
        if not paths:
            raise FrontendError("the graph has no Output", where="graph", fix="add an Output behind the neurons to be read")
        ports: dict[str, list[tuple[int, str, Readout]]] = {}
        for path in paths:
            given = self.written[path]
            population, readout = self._read_output(path)
            part = (given.position, population, cast(Readout, given.readout) if given.readout else readout)
            ports.setdefault(given.port or path, []).append(part)
        return tuple(
            OutputPort(name=name, populations=tuple(part[1] for part in sorted(parts)), readout=parts[0][2])
            for name, parts in ports.items()
        )

    def _read_output(self, path: str) -> tuple[str, Readout]:
        """Return the population that an Output reads; make one without memory where it reads weighted counts."""
        signal = self.signals[path]
        if signal.is_plain and signal.terms[0].source in self.parts.populations:
            return signal.terms[0].source, "potential" if signal.potential else "spikes"
        self.parts.add_readout(self.names[path], path, signal)
        return self.names[path], "potential"

    def _with_ordered_populations(self, network: Network) -> Network:
        """Sort populations as they were written, or along the signals."""
        order: Mapping[str, int] = {name: place for place, name in enumerate(order_populations(network))}
        written_order = {
            self.names[path]: self.written[path].order for path, node in self.flat.nodes.items() if type_name(node) in NEURONS
        }
        populations: list[Population] = sorted(network.populations, key=lambda p: (written_order.get(p.name, 0), order[p.name]))
        return replace(network, populations=tuple(populations))
