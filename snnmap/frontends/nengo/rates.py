"""From a nengo network of rate neurons and direct connections to a layer graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_nengo
from snnmap.frontends.nengo.build import Built, build_network, unique_name
from snnmap.frontends.nengo.transforms import lower_transform, select
from snnmap.graph import GraphBuilder, LayerGraph
from snnmap.graph.operations.arithmetic import Add, Mul
from snnmap.graph.operations.gemm import SparseMatMul
from snnmap.graph.operations.rates import Rates

__all__ = ["RATES", "WRAPPERS", "RateReader", "name_objects"]

WRAPPERS = {"regular": "RegularSpiking", "poisson": "PoissonSpiking", "stochastic": "StochasticSpiking"}
RATES = ("RectifiedLinear", "LIFRate", "Sigmoid", "Tanh")

_UNUSED = ("encoders", "initial voltages", "decoders")
"""Kinds of parameters that rates do not depend on."""
_Sent = str | FloatArray
"""A value of the layer graph by its name, or a constant ``(size,)``."""


class RateReader:
    """Follows a nengo.Network from its input, with a value of the layer graph, or a constant, for what each object sends.

    Args:
        network: ``nengo.Network``.
        input_node: the Node that inputs come from; None where the network has one Node without an input.

    Attributes:
        labels: what the user calls the ensemble of a node, by the node's name.
    """

    def __init__(self, network: Any, input_node: Any) -> None:
        nengo = import_nengo()
        self.nengo, self.network = nengo, network
        self.builder = GraphBuilder(network.label or "nengo", f"nengo {nengo.__version__}")
        self.labels: dict[str, str] = {}
        self.names = name_objects(network)
        for connection in network.all_connections:
            self._check_connection(connection)
        self.order, output = self._sort()
        self.input, self.output = self._find_input(input_node), output

    def read(self) -> LayerGraph:
        """Read all objects."""
        built = build_network(self.nengo, self.network, 1e-3, unused=_UNUSED, call=self._call)
        values: dict[Any, _Sent] = {self.input: self.builder.add_input("input", (self.input.size_out,))}
        for thing in self.order:
            if thing is not self.input:
                values[thing] = self._read_object(thing, values, built)
        return self.builder.build([self._add_value(values[self.output], "output")])

    def _check_connection(self, connection: Any) -> None:
        ensemble, where = self.nengo.Ensemble, self._call(connection)
        if isinstance(connection.pre_obj, ensemble) or isinstance(connection.post_obj, ensemble):
            raise FrontendError(
                "a decoded connection makes this an SNN of represented values, not an ANN; only direct ones are read",
                where=where,
                fix="connect ensemble.neurons to ensemble.neurons, or train with snnmap.nn.LIF",
            )
        if connection.learning_rule_type is not None or isinstance(connection.post_obj, self.nengo.connection.LearningRule):
            raise FrontendError(
                "the connection learns, and the chip's weights are fixed", where=where, fix="give the weights learnt"
            )
        if connection.synapse is not None:
            raise FrontendError(
                "a filtered connection makes this an SNN with states in its synapses, not an ANN",
                where=where,
                measured=str(connection.synapse),
                limit="None",
                fix="give synapse=None (nengo's own default is a Lowpass), or train with snnmap.nn.LIF",
            )
        if connection.function is not None:
            raise FrontendError("the connection computes a Python function", where=where, fix="write it as a transform")

    def _sort(self) -> tuple[list[Any], Any]:
        """Return the objects in an order in which they can be computed, and the one that sends to nothing."""
        import networkx as nx

        graph: Any = nx.DiGraph()
        graph.add_nodes_from([*self.network.all_nodes, *self.network.all_ensembles])
        graph.add_edges_from((_owner(one.pre_obj), _owner(one.post_obj)) for one in self.network.all_connections)
        if not nx.is_directed_acyclic_graph(graph):
            cycle = [self.names[thing] for thing, _ in nx.find_cycle(graph)]
            raise FrontendError(
                "a recurrent connection makes this an SNN with states, not an ANN",
                where=" -> ".join([*cycle, cycle[0]]),
                fix="take the loop out, or train with snnmap.nn.LIF(recurrent=True)",
            )
        ends = [thing for thing in graph if not graph.out_degree(thing)]
        if len(ends) != 1:
            raise FrontendError(
                "the network has no single output: one Node or ensemble that sends to nothing",
                where=f"network '{self.network.label}'",
                measured=", ".join(self.names[end] for end in ends) or "none",
                limit="1",
                fix="collect the outputs in one Node, and remove what is not used",
            )
        return list(nx.topological_sort(graph)), ends[0]

    def _find_input(self, input_node: Any) -> Any:
        sources = [node for node in self.network.all_nodes if not node.size_in]
        if input_node is None and len(sources) == 1:
            return sources[0]
        if input_node is None or not any(input_node is source for source in sources):
            raise FrontendError(
                "which Node is the input cannot be told",
                where=f"network '{self.network.label}'",
                measured=", ".join(self.names[node] for node in sources) or "no Node without an input",
                fix="name it with input_node; the others must be constant, and are biases",
            )
        return input_node

    def _read_object(self, thing: Any, values: Mapping[Any, _Sent], built: Built) -> _Sent:
        name = self.names[thing]
        if isinstance(thing, self.nengo.Ensemble):
            gain, bias = built.ensembles[thing].gain, built.ensembles[thing].bias
            current = self._add_value(self._gather(thing, thing.n_neurons, values, built), f"{name}.sum")
            scaled = self.builder.add(f"{name}.scaled", Mul(), [current, self.builder.add_constant(f"{name}.gain", gain)])
            shifted = self.builder.add(f"{name}.current", Add(), [scaled, self.builder.add_constant(f"{name}.bias", bias)])
            found = self.builder.add(name, self._make_rates(thing), [shifted])
            self.labels[found] = name
            return found
        if thing.size_in and thing.output is None:
            return self._gather(thing, thing.size_in, values, built)
        if not thing.size_in and isinstance(thing.output, np.ndarray):
            return np.array(thing.output, np.float64)
        raise FrontendError(
            "the Node runs Python, which the chip does not",
            where=self._call(thing),
            measured=str(thing.output),
            fix="use Nodes that pass their input on, and constants",
        )

    def _make_rates(self, ensemble: Any) -> Rates:
        """Return the rate of an ensemble's neurons, times the amplitude of the wrapper around them."""
        given, factor = ensemble.neuron_type, 1.0
        if type(given).__name__ in WRAPPERS.values():
            given, factor = given.base_type, given.amplitude
        curve: Any = type(given).__name__
        curve = "RectifiedLinear" if curve == "SpikingRectifiedLinear" else curve
        if curve not in RATES or ensemble.noise is not None:
            raise FrontendError(
                "not rate neurons without noise, plain or in one of nengo's spiking wrappers",
                where=self._call(ensemble),
                measured=f"{ensemble.neuron_type}, noise {ensemble.noise}",
                limit=", ".join(RATES),
                fix="run the network by nengo.Simulator itself",
            )
        known = {name: float(getattr(given, name)) for name in ("amplitude", "tau_rc", "tau_ref") if hasattr(given, name)}
        return Rates(curve=curve, factor=float(factor), **known)

    def _gather(self, thing: Any, size: int, values: Mapping[Any, _Sent], built: Built) -> _Sent:
        """Add up what an object receives."""
        total, name, constant = "", self.names[thing], np.zeros(size)
        incoming = [one for one in self.network.all_connections if _owner(one.post_obj) is thing]
        for number, connection in enumerate(incoming):
            weights, sent = self._read_weights(connection, built.weights[connection], size), values[_owner(connection.pre_obj)]
            if not isinstance(sent, str):
                constant = constant + sent @ weights
                continue
            part = self._add_product(sent, weights, f"{name}.in{number}")
            total = self.builder.add(f"{name}.in{number}.sum", Add(), [total, part]) if total else part
        if not total or not constant.any():
            return total or constant
        return self.builder.add(f"{name}.shifted", Add(), [total, self.builder.add_constant(f"{name}.constant", constant)])

    def _add_product(self, sent: str, weights: Any, name: str) -> str:
        parts = {"weight": weights.data, "columns": weights.indices, "starts": weights.indptr}
        constants = [self.builder.add_constant(f"{name}.{part}", array) for part, array in parts.items()]
        return self.builder.add(name, SparseMatMul(n_out=weights.shape[1]), [sent, *constants])

    def _add_value(self, sent: _Sent, name: str) -> str:
        """Return a value's name; a constant is added to nothing of the input."""
        from scipy.sparse import csr_array

        if isinstance(sent, str):
            return sent
        nothing = self._add_product("input", csr_array((self.input.size_out, sent.size)), f"{name}.nothing")
        return self.builder.add(name, Add(), [nothing, self.builder.add_constant(f"{name}.constant", sent)])

    def _read_weights(self, connection: Any, weights: Any, n_post: int) -> Any:
        """Return a connection's ``(n_pre, n_post)`` weights, its slices written out."""
        if isinstance(connection.transform, self.nengo.ConvolutionTranspose):
            raise FrontendError(
                "transform ConvolutionTranspose has no counterpart here",
                where=self._call(connection),
                fix="use Dense, Sparse or Convolution",
            )
        matrix = lower_transform(self.nengo, connection, weights, self._call(connection))
        pre, post = select(connection.pre_slice, connection.pre_obj.size_out), select(connection.post_slice, n_post)
        return (pre @ matrix @ post.T).tocsr()

    def _call(self, thing: Any) -> str:
        """Return an object's kind and name, for errors."""
        owner = _owner(thing)
        if isinstance(owner, self.nengo.Connection):
            return f"connection from {self._call(owner.pre_obj)} to {self._call(owner.post_obj)}"
        kind = "ensemble" if isinstance(owner, self.nengo.Ensemble) else "Node"
        return f"{kind} '{self.names[owner]}'" if owner in self.names else str(owner)


def _owner(thing: Any) -> Any:
    """Return the ensemble of neurons; other objects are their own."""
    return getattr(thing, "ensemble", thing)


def name_objects(network: Any) -> dict[Any, str]:
    """Name Nodes and ensembles by label, uniquely."""
    taken: set[str] = set()
    things = [(f"ensemble{number}", thing) for number, thing in enumerate(network.all_ensembles)]
    things += [(f"node{number}", thing) for number, thing in enumerate(network.all_nodes)]
    return {thing: unique_name(thing.label or default, taken) for default, thing in things}
