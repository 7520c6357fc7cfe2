"""Nengo's networks of rectified neurons and direct connections, as ANNs."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import numpy as np

from snnmap.convert.affine import apply_map, combine, make_identity, scale
from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer
from snnmap.convert.layers import RESERVED
from snnmap.convert.nengo_neurons import RATES, WRAPPERS, RateLayer, RateNetwork, check_on_chip
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_nengo

__all__ = ["read_nengo", "read_rates"]


def read_nengo(network: Any, *, input_node: Any = None) -> Ann:
    """Read a feed-forward nengo.Network of rectified neurons and direct connections as an ANN.

    Neurons are RectifiedLinear, SpikingRectifiedLinear or RegularSpiking(RectifiedLinear); connections go between Nodes and
    ``ensemble.neurons`` without a synapse, through Dense, Sparse or Convolution transforms. Gains and biases are those of
    nengo's builder, amplitudes are folded. Constant Nodes beside the input are biases. The one Node or ensemble that sends
    to nothing is the output. Probes are ways of looking at the network and play no part, nor do their synapses.

    Args:
        network: ``nengo.Network``.
        input_node: the Node that inputs come from; may be left out where the network has one Node without an input.

    Returns:
        ReLU layers named by the ensembles' labels, and the output.

    Raises:
        FrontendError: nengo is missing, or something cannot live on a deterministic LIF chip; it says what, where and why.
    """
    nengo = import_nengo()
    if not isinstance(network, nengo.Network):
        raise FrontendError("this is not a nengo.Network", measured=type(network).__name__, fix="give a nengo.Network")
    names = _name_objects(network)
    for ensemble in network.all_ensembles:
        check_on_chip(ensemble.neuron_type, f"ensemble '{names[ensemble]}'")
    rates = read_rates(network, input_node)
    layers = tuple(ReluLayer(name=layer.name, incoming=_fold_amplitude(layer)) for layer in rates.layers)
    framework = f"nengo {nengo.__version__}"
    return Ann(name=rates.name, n_inputs=rates.n_inputs, layers=layers, output=rates.output, framework=framework)


def read_rates(network: Any, input_node: Any) -> RateNetwork:
    """Read a nengo.Network of direct connections whose neurons may have any of the known rates."""
    return _Reader(import_nengo(), network, input_node).read()


def _fold_amplitude(layer: RateLayer) -> Affine:
    size = layer.current.size
    return scale(layer.current, np.full(size, layer.amplitude * layer.base.amplitude), np.zeros(size))


class _Reader:
    """Follows a nengo.Network from its input, with an affine map for what each object sends."""

    def __init__(self, nengo: Any, network: Any, input_node: Any) -> None:
        self.nengo, self.network = nengo, network
        self.names = _name_objects(network)
        for connection in network.all_connections:
            self._check_connection(connection)
        self.order, output = self._sort()
        self.input, self.output = self._find_input(input_node), output
        self.layers: list[RateLayer] = []

    def read(self) -> RateNetwork:
        parameters = self._build()
        values: dict[Any, Affine] = {}
        for thing in self.order:
            values[thing] = self._read_object(thing, values, parameters)
        name, output = self.network.label or "nengo", values[self.output]
        return RateNetwork(name=name, n_inputs=self.input.size_out, layers=tuple(self.layers), output=output)

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

    def _build(self) -> dict[Any, Any]:
        """Build with nengo: gain and bias by ensemble, weights by connection; the same twice where no seed is given."""
        parameters = self._build_once()
        again = self._build_once() if self.network.seed is None else parameters
        for thing, values in parameters.items():
            if not all(map(np.array_equal, _arrays(values), _arrays(again[thing]))):
                raise FrontendError(
                    "parameters are drawn at random and the network has no seed, so that nengo builds another one each time",
                    where=self._call(thing),
                    fix="give nengo.Network(seed=...), or arrays instead of distributions",
                )
        return parameters

    def _build_once(self) -> dict[Any, Any]:
        try:
            model = self.nengo.builder.Model()  # without nengo's cache on disk
            with self.nengo.Simulator(self.network, model=model, progress_bar=False, optimize=False) as simulator:
                neurons = {one: (simulator.data[one].gain, simulator.data[one].bias) for one in self.network.all_ensembles}
                weights = {one: simulator.data[one].weights for one in self.network.all_connections}
        except self.nengo.exceptions.NengoException as error:
            raise FrontendError(f"nengo cannot build the network: {error}", where=f"network '{self.network.label}'") from error
        return {**neurons, **weights}

    def _read_object(self, thing: Any, values: Mapping[Any, Affine], parameters: Mapping[Any, Any]) -> Affine:
        if thing is self.input:
            return make_identity(INPUT, (thing.size_out,))
        if isinstance(thing, self.nengo.Ensemble):
            return self._read_ensemble(thing, self._gather(thing, thing.n_neurons, values, parameters), parameters[thing])
        if thing.size_in and thing.output is None:
            return self._gather(thing, thing.size_in, values, parameters)
        if not thing.size_in and isinstance(thing.output, np.ndarray):
            return Affine(terms={}, bias=np.array(thing.output, np.float64), shape=thing.output.shape)
        raise FrontendError(
            "the Node runs Python, which the chip does not",
            where=self._call(thing),
            measured=str(thing.output),
            fix="use Nodes that pass their input on, and constants",
        )

    def _read_ensemble(self, ensemble: Any, current: Affine, gain_bias: tuple[FloatArray, FloatArray]) -> Affine:
        gain, bias = gain_bias
        base, amplitude = self._split_type(ensemble)
        name = self.names[ensemble]
        self.layers.append(RateLayer(name=name, current=scale(current, gain, bias), base=base, amplitude=amplitude))
        return make_identity(name, (ensemble.n_neurons,))

    def _split_type(self, ensemble: Any) -> tuple[Any, float]:
        """Return rate neurons and the amplitude of the wrapper around them."""
        given, amplitude = ensemble.neuron_type, 1.0
        if type(given).__name__ in WRAPPERS.values():
            given, amplitude = given.base_type, given.amplitude
        if type(given).__name__ == "SpikingRectifiedLinear":
            given = self.nengo.RectifiedLinear(amplitude=given.amplitude)
        if type(given).__name__ not in RATES or ensemble.noise is not None:
            raise FrontendError(
                "not rate neurons without noise, plain or in one of nengo's spiking wrappers",
                where=self._call(ensemble),
                measured=f"{ensemble.neuron_type}, noise {ensemble.noise}",
                limit=", ".join(RATES),
                fix="run the network by nengo.Simulator itself",
            )
        return given, float(amplitude)

    def _gather(self, thing: Any, size: int, values: Mapping[Any, Affine], parameters: Mapping[Any, Any]) -> Affine:
        """Add up what an object receives."""
        total = Affine(terms={}, bias=np.zeros(size), shape=(size,))
        for connection in self.network.all_connections:
            if _owner(connection.post_obj) is thing:
                weights = self._read_weights(connection, parameters[connection], size)
                value = values[_owner(connection.pre_obj)]
                total = combine(total, apply_map(value, weights, np.zeros(size), (size,), self._call(connection)), 1.0)
        return total

    def _read_weights(self, connection: Any, weights: Any, n_post: int) -> Any:
        """Return a connection's ``(n_pre, n_post)`` weights, its slices written out."""
        from scipy.sparse import coo_array, csr_array

        n_pre = connection.pre_obj.size_out
        pre = np.atleast_1d(np.arange(n_pre)[connection.pre_slice])
        post = np.atleast_1d(np.arange(n_post)[connection.post_slice])
        matrix = coo_array(self._lower_transform(connection, weights))
        return csr_array((matrix.data, (pre[matrix.row], post[matrix.col])), shape=(n_pre, n_post))

    def _lower_transform(self, connection: Any, weights: Any) -> Any:
        """Return a transform's ``(size_in, size_out)`` weights."""
        transform, nengo = connection.transform, self.nengo
        if isinstance(transform, nengo.transforms.NoTransform):
            return np.eye(transform.size_in)
        if isinstance(transform, nengo.Dense):
            dense = np.asarray(weights, np.float64)
            return dense.T if dense.ndim == 2 else np.diag(np.broadcast_to(dense, transform.size_in))
        if isinstance(transform, nengo.Sparse):
            return (weights.allocate() if hasattr(weights, "allocate") else weights).T
        if isinstance(transform, nengo.Convolution):
            return _lower_convolution(transform, weights)
        raise FrontendError(
            f"transform {type(transform).__name__} has no counterpart here",
            where=self._call(connection),
            fix="use Dense, Sparse or Convolution",
        )

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


def _name_objects(network: Any) -> dict[Any, str]:
    """Name Nodes and ensembles by label, uniquely."""
    names: dict[Any, str] = {}
    taken = set(RESERVED)
    for kind, things in (("ensemble", network.all_ensembles), ("node", network.all_nodes)):
        for number, thing in enumerate(things):
            label = thing.label or f"{kind}{number}"
            candidates = (label if not again else f"{label}.{again}" for again in count())
            names[thing] = next(name for name in candidates if name not in taken)
            taken.add(names[thing])
    return names


def _arrays(parameter: Any) -> Iterable[Any]:
    """Return the arrays of gain and bias or of weights, for comparison."""
    if isinstance(parameter, tuple):
        return parameter
    sparse = parameter.allocate() if hasattr(parameter, "allocate") else parameter
    return (getattr(sparse, "data", sparse),) if hasattr(sparse, "nnz") else (sparse,)


def _lower_convolution(transform: Any, kernel: FloatArray) -> Any:
    """Write a convolution as a ``(size_in, size_out)`` matrix: for each place in the kernel, who sends to whom, times weights.

    As in TensorFlow, "same" pads evenly, and behind by one more where that is uneven.
    """
    from scipy.linalg import block_diag
    from scipy.sparse import csr_array, kron

    shapes = list(zip(transform.input_shape.spatial_shape, transform.output_shape.spatial_shape, strict=True))
    total = csr_array((transform.size_in, transform.size_out))
    for place in np.ndindex(*transform.kernel_size):
        sent = csr_array(np.ones((1, 1)))
        for axis, (n_in, n_out) in enumerate(shapes):
            stride, size = transform.strides[axis], transform.kernel_size[axis]
            padding = max((n_out - 1) * stride + size - n_in, 0) // 2 if transform.padding == "same" else 0
            sent = kron(sent, _select(n_in, n_out, stride, place[axis] - padding), format="csr")
        channels = csr_array(block_diag(*np.split(kernel[place], transform.groups, axis=1)))
        total = total + (kron(sent, channels) if transform.channels_last else kron(channels, sent)).tocsr()
    return total


def _select(n_in: int, n_out: int, stride: int, offset: int) -> Any:
    """Return the ``(n_in, n_out)`` matrix that brings input ``stride * i + offset`` to output ``i``, where there is one."""
    from scipy.sparse import csr_array

    post = np.arange(n_out)
    pre = stride * post + offset
    inside = (pre >= 0) & (pre < n_in)
    return csr_array((np.ones(inside.sum()), (pre[inside], post[inside])), shape=(n_in, n_out))
