"""From a computational graph to the parts of a network: neurons, and what leads from each to the others."""

from collections import deque
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from snnmap.chip import Readout
from snnmap.core import CsrMatrix, FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.network_parts import NEVER_REACHED, NetworkParts
from snnmap.frontends.rockpool.modules import find_paths, walk_modules
from snnmap.frontends.rockpool.neurons import LifParameters, is_filter, read_lif
from snnmap.frontends.rockpool.signal import Signal, unit_signal
from snnmap.network import InputPort, OutputPort, Population

__all__ = ["GraphReader"]


class GraphReader:
    """Follows the nodes of a graph back from the inputs of each row of neurons."""

    def __init__(self, graph: Any, graphs: Any, root: Any, dt: float | None, max_count: int | None) -> None:
        self.graph, self.graphs, self.paths, self.given_dt, self.max_count = graph, graphs, find_paths(root), dt, max_count
        self.read_by_membrane = _find_vmem_layers(root)
        self.parts = NetworkParts()
        self.readouts: list[str] = []
        self.weighted: list[str] = []
        modules = _find_modules(graph)
        self.neurons = [module for module in modules if isinstance(module, graphs.GenericNeurons)]
        self.entries = {id(node): k for k, node in enumerate(graph.input_nodes)}
        self.positions = {id(m): {id(node): k for k, node in enumerate(m.output_nodes)} for m in modules}
        self.own_weights = {id(w): n for n in self.neurons for w in modules if self._is_own_weight(w, n)}
        self.names: dict[int, str] = {}
        self.signals: dict[int, Signal | None] = {}
        self.dt_s = 0.0

    def read(self) -> None:
        """Fill ``parts``, and say in ``readouts`` how outputs are read.

        Raises:
            FrontendError: a part of the graph has no counterpart; it says which and where.
        """
        self.parts.inputs.append(InputPort(name="input", size=len(self.graph.input_nodes)))
        lifs = {id(module): read_lif(module, self._place(module), self.given_dt) for module in self.neurons}
        self._agree_on_dt(list(lifs.values()))
        for module in self.neurons:
            self.names[id(module)] = self._add_population(module, lifs[id(module)])
        for module in self.neurons:
            self._connect(module, lifs[id(module)])
        self._read_outputs()

    def _is_own_weight(self, weights: Any, neurons: Any) -> bool:
        return (
            isinstance(weights, self.graphs.LinearWeights)
            and list(map(id, weights.input_nodes)) == list(map(id, neurons.output_nodes))
            and list(map(id, weights.output_nodes)) == list(map(id, neurons.input_nodes))
        )

    def _place(self, module: Any) -> str:
        """Return the path of the user's module behind a part of the graph, or its class and name where it has none."""
        maker = module.computational_module
        if id(maker) in self.paths:
            return self.paths[id(maker)] or type(maker).__name__
        known = "" if maker is None else str(getattr(maker, "name", "")).strip("'")
        return known or (str(module.name) if maker is None and module.name else type(maker or module).__name__)

    def _agree_on_dt(self, lifs: list[LifParameters]) -> None:
        found = sorted({lif.dt_s for lif in lifs})
        if len(found) > 1:
            raise FrontendError("the neurons differ in dt", measured=f"{found} s", limit="one dt", fix="give all modules one dt")
        if not found:
            raise FrontendError("the graph has no neurons", fix="add LIFTorch or LIF")
        self.dt_s = found[0]

    def _add_population(self, module: Any, lif: LifParameters) -> str:
        name = self.parts.make_name(self._place(module))
        self.parts.populations.append(
            Population.create(
                name, lif.threshold.size, alpha=lif.alpha, beta=lif.beta, threshold=lif.threshold, bias=lif.bias,
                max_count=min(lif.max_count, self.max_count or lif.max_count), source=self._place(module),
            )
        )  # fmt: skip
        return name

    def _connect(self, module: Any, lif: LifParameters) -> None:
        """Add all that enters a row of neurons, each weight module on its own."""
        name, held = self.names[id(module)], np.zeros_like(lif.alpha)
        for source, columns, at in self._sources(module.input_nodes, module):
            if id(source) in self.own_weights:
                signal, delay = self._weigh(source, self._output(module)), 1
            else:
                signal = self._output(source)
                delay = int(name in signal.counts and isinstance(source, self.graphs.LinearWeights))
            arriving = signal.pick(columns, at, len(module.input_nodes))
            self._project(arriving, name, lif.alpha, delay, "" if source is None else self._place(source))
            held += arriving.constant.reshape(lif.alpha.T.shape).T * lif.alpha
        self.parts.hold_currents(name, held, source=self._place(module))

    def _project(self, arriving: Signal, post: str, alpha: FloatArray, delay: int, path: str) -> None:
        """Add one projection a synapse and source; sources with the same weights are added first."""
        n_synapses = alpha.shape[0]
        for synapse in range(n_synapses):
            weights = {pre: _scale(matrix[:, synapse::n_synapses], alpha[synapse]) for pre, matrix in arriving.counts.items()}
            matrices = list(weights.values())
            if len(matrices) > 1 and all(matrix == matrices[0] for matrix in matrices):
                weights = {self.parts.add_sum(tuple(weights), path): matrices[0]}
            for pre, matrix in weights.items():
                self.parts.project(pre, post, matrix, synapse=synapse, delay_steps=delay, source=path)

    def _sources(self, nodes: Any, reader: Any = None) -> list[tuple[Any, list[int], list[int]]]:
        """Return what feeds a row of nodes: the part (None for the input port), its outputs, and the nodes that they reach.

        Recurrent weights reach no one but their own neurons, ``reader``.
        """
        found: dict[int, tuple[Any, list[int], list[int]]] = {}
        for at, node in enumerate(nodes):
            if id(node) in self.entries:
                found.setdefault(0, (None, [], []))[1].append(self.entries[id(node)])
                found[0][2].append(at)
            for source in node.source_modules:
                if self.own_weights.get(id(source), reader) is not reader:
                    continue
                group = found.setdefault(id(source), (source, [], []))
                group[1].append(self.positions[id(source)][id(node)])
                group[2].append(at)
        return list(found.values())

    def _output(self, module: Any) -> Signal:
        """Return what a part of the graph (None for the input port) sends, one column an output node."""
        if module is None:
            return unit_signal("input", len(self.graph.input_nodes))
        if id(module) in self.names:
            self._require_spikes(module)
            return unit_signal(self.names[id(module)], len(module.output_nodes))
        if id(module) not in self.signals:
            self.signals[id(module)] = None
            entering = Signal({}, np.zeros(len(module.input_nodes)))
            for source, columns, at in self._sources(module.input_nodes):
                entering = entering.add(self._output(source).pick(columns, at, len(module.input_nodes)))
            self.signals[id(module)] = self._pass_through(module, entering)
        signal = self.signals[id(module)]
        if signal is None:
            raise FrontendError("weights feed themselves without neurons between", where=self._place(module), fix="add neurons")
        return signal

    def _pass_through(self, module: Any, entering: Signal) -> Signal:
        if isinstance(module, self.graphs.AliasConnection):
            return entering
        if isinstance(module, self.graphs.LinearWeights):
            return self._weigh(module, entering)
        raise FrontendError(
            f"a graph part {type(module).__name__} has no counterpart on the chip",
            where=self._place(module),
            fix="use LinearWeights, AliasConnection and LIFNeuronWithSynsRealValue",
        )

    def _weigh(self, module: Any, entering: Signal) -> Signal:
        weights = np.asarray(module.weights, np.float64)
        held = np.flatnonzero(entering.constant)  # 0 times a weight that is not finite is no constant
        constant = entering.constant[held] @ weights[held]
        if module.biases is not None:
            constant = constant + np.asarray(module.biases, np.float64)
        sparse = csr_array(weights)
        return Signal({source: matrix @ sparse for source, matrix in entering.counts.items()}, constant)

    def _require_spikes(self, module: Any) -> None:
        """Refuse to pass on what neurons send that give potentials or currents."""
        maker = module.computational_module
        if is_filter(maker) or id(maker) in self.read_by_membrane:
            raise FrontendError(
                "the potentials of a layer go on to other layers; neurons of a chip exchange spikes",
                where=f"module '{self._place(module)}'",
                measured=type(maker).__name__,
                limit="the last layer",
                fix="end the model with it, or use LIFTorch and SynNet(output='spikes')",
            )

    def _read_outputs(self) -> None:
        """Read the graph's outputs, in order: neurons as a whole by spikes or potentials, weights by neurons without memory."""
        found: list[tuple[str, Readout]] = []
        nodes = list(self.graph.output_nodes)
        owners = {id(module.output_nodes[0]): module for module in self.neurons if module.output_nodes}
        while nodes:
            module = owners.get(id(nodes[0]))
            size = len(module.output_nodes) if module is not None else self._count_weighted(nodes)
            parts = {id(source) for node in nodes[:size] for source, _, _ in self._sources([node])}
            if module is not None and parts == {id(module)} and _are_same(nodes[:size], module.output_nodes):
                found.append((self.names[id(module)], self._read_neurons_out(module)))
            elif module is None and size:
                found.append((self._add_weighted_readout(nodes[:size]), "potential"))
            else:
                raise FrontendError(
                    "an output of the graph is not the output of neurons alone",
                    where=f"output node {len(self.graph.output_nodes) - len(nodes)}",
                    fix="end the model with a layer of neurons outside a Residual block",
                )
            nodes = nodes[size:]
        self._add_ports(found)

    def _add_ports(self, found: list[tuple[str, Readout]]) -> None:
        """Add one output port, or several where spikes and potentials are read."""
        groups = [(readout, tuple(name for name, _ in group)) for readout, group in groupby(found, key=lambda part: part[1])]
        for number, (readout, populations) in enumerate(groups):
            port = "output" if len(groups) == 1 else f"output{number}"
            self.parts.outputs.append(OutputPort(name=port, populations=populations, readout=readout))
            self.readouts.append(f"{readout} of {', '.join(populations)}")

    def _read_neurons_out(self, module: Any) -> Readout:
        """Say how neurons are read; those that never fire lose their threshold, and their weights onto themselves."""
        name, maker = self.names[id(module)], module.computational_module
        population = next(p for p in self.parts.populations if p.name == name)
        if (population.threshold < NEVER_REACHED).any():
            if id(maker) in self.read_by_membrane:
                raise FrontendError(
                    "the membrane of neurons is read that fire and reset",
                    where=f"module '{self._place(module)}'",
                    measured=f"threshold {population.threshold.min():g}",
                    limit=f"{NEVER_REACHED} or more",
                    fix="build SynNet with output='vmem', which sets the threshold so, or read its spikes",
                )
            return "spikes"
        silent = replace(population, threshold=np.full(population.size, np.inf), max_count=np.ones(population.size, np.int64))
        self.parts.populations = [silent if p is population else p for p in self.parts.populations]
        self.parts.projections = [q for q in self.parts.projections if not q.pre == q.post == name]
        return "potential"

    def advise(self) -> dict[str, str]:
        """Return, in Rockpool's words, what to do where the chip cannot do without a synapse."""
        if not self.weighted:
            return {}
        return {"fix of synapses without memory": f"put ExpSynTorch or LIFTorch behind {', '.join(self.weighted)}"}

    def _count_weighted(self, nodes: list[Any]) -> int:
        """Count how many nodes, from the first on, nothing but the same weights feed."""
        first = [id(source) for source, _, _ in self._sources(nodes[:1])]
        sources = [source for source, _, _ in self._sources(nodes[:1])]
        if not sources or not all(isinstance(source, self.graphs.LinearWeights) for source in sources):
            return 0
        same = [[id(source) for source, _, _ in self._sources([node])] == first for node in nodes]
        return same.index(False) if False in same else len(nodes)

    def _add_weighted_readout(self, nodes: list[Any]) -> str:
        """Add neurons without memory whose potentials are what weights give."""
        sources, signal = self._sources(nodes), Signal({}, np.zeros(len(nodes)))
        for source, columns, at in sources:
            signal = signal.add(self._output(source).pick(columns, at, len(nodes)))
        path = self._place(sources[-1][0])
        name = self.parts.make_name(path)
        self.weighted.append(name)
        self.parts.populations.append(
            Population.create(name, len(nodes), threshold=np.inf, bias=signal.constant, max_count=1, source=path)
        )
        self._project(signal, name, np.ones((1, len(nodes))), 0, path)
        return name


def _find_vmem_layers(root: Any) -> set[int]:
    """Find the modules whose membrane a SynNet gives instead of spikes, by ``id``."""
    nets = [module for _, module in walk_modules(root) if type(module).__name__ == "SynNet"]
    return {id(getattr(net.seq, net.label_last_LIF)) for net in nets if net.output == "vmem"}


def _are_same(nodes: list[Any], others: Any) -> bool:
    return list(map(id, nodes)) == list(map(id, others))


def _find_modules(graph: Any) -> list[Any]:
    """List the parts of a graph, from its inputs on; holders are left out."""
    modules: dict[int, Any] = {}
    seen: set[int] = set()
    for start in (graph.input_nodes, graph.output_nodes):
        pending = deque(start)
        while pending:
            node = pending.popleft()
            if id(node) in seen:
                continue
            seen.add(id(node))
            for module in (*node.sink_modules, *node.source_modules):
                if id(module) not in modules:
                    modules[id(module)] = module
                    pending.extend([*module.input_nodes, *module.output_nodes])
    return list(modules.values())


def _scale(weights: Any, alpha: FloatArray) -> CsrMatrix:
    """Multiply weights by the decay of the synapse they enter, ``(n_post,)``."""
    triplets = weights.tocoo()
    rows, columns = triplets.coords
    return CsrMatrix.from_triplets(rows, columns, triplets.data * alpha[columns], weights.shape)
