"""What reaches an object of a nengo network: linear maps, delays and lowpass filters from spikes, followed backwards."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.nengo.build import Built, Names
from snnmap.frontends.nengo.neurons import replaced_methods
from snnmap.frontends.nengo.transforms import lower_transform, select

__all__ = ["Path", "PathReader", "Value", "read_lowpass"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What one source adds to a value.

    Attributes:
        source: input port or population.
        weights: ``(n_source, size)`` sparse float64, the value that one spike count adds.
        delay_steps: between the spike and its effect.
        decay: factor a step of the filter on the way, None where there is none with memory.
        via: places of the connections on the way.
    """

    source: str
    weights: Any
    delay_steps: int
    decay: float | None
    via: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A sum of paths and a constant, ``(size,) float64``."""

    paths: tuple[Path, ...]
    constant: FloatArray

    def apply(self, matrix: Any) -> "Value":
        """Multiply by a ``(size, n_out)`` sparse matrix."""
        paths = tuple(replace(path, weights=(path.weights @ matrix).tocsr()) for path in self.paths)
        return Value(paths=paths, constant=np.asarray(self.constant @ matrix, np.float64))

    def add(self, other: "Value") -> "Value":
        """Add a value of the same size."""
        return Value(paths=self.paths + other.paths, constant=self.constant + other.constant)

    def pass_through(self, place: str) -> "Value":
        """Note a connection on the way."""
        return replace(self, paths=tuple(replace(path, via=(*path.via, place)) for path in self.paths))


def read_lowpass(nengo: Any, synapse: Any, dt_s: float, where: str) -> float:
    """Return a filter's decay factor a step, ``exp(-dt/tau)`` (zero-order hold, nengo's own), 0 for one without memory.

    Raises:
        FrontendError: not a Lowpass, or one that is discretised otherwise.
    """
    is_lowpass = type(synapse) is nengo.Lowpass and not replaced_methods(synapse)
    if not is_lowpass or not synapse.analog or synapse.method != "zoh":
        raise FrontendError(
            f"synapse {type(synapse).__name__} has no counterpart on the chip",
            where=where,
            measured=str(synapse),
            limit="None or Lowpass(tau), discretised by zero-order hold",
            fix="use Lowpass: the chip's synapse is a filter of first order",
        )
    return float(np.exp(-dt_s / synapse.tau)) if synapse.tau > 0 else 0.0


class PathReader:
    """Follows a network backwards; the value of each object is computed once."""

    def __init__(self, nengo: Any, built: Built, names: Names, outputs: Mapping[Any, Value]) -> None:
        """Take what sources send: ``outputs`` by ensemble and by source Node."""
        self.nengo, self.built, self.names = nengo, built, names
        self.values: dict[Any, Value] = dict(outputs)
        self.open: list[Any] = []
        self.incoming: dict[Any, list[Any]] = {}
        for connection in built.network.all_connections:
            self.incoming.setdefault(connection.post_obj, []).append(connection)

    def read_currents(self, ensemble: Any) -> Value:
        """Return the currents of an ensemble's neurons, bias included: ``J = bias + encoders x + gain y``."""
        from scipy.sparse import csr_array

        parameters = self.built.ensembles[ensemble]
        bias = np.broadcast_to(np.asarray(parameters.bias, np.float64), ensemble.n_neurons)
        total = Value(paths=(), constant=np.array(bias))
        encoders = csr_array(np.asarray(parameters.scaled_encoders, np.float64).T)
        for connection in self.incoming.get(ensemble, ()):
            value = self.read_connection(connection)
            if connection.solver.weights and isinstance(connection.pre_obj, self.nengo.Ensemble):
                total = total.add(value)  # the solver's weights are from neuron to neuron
            else:
                total = total.add(value.apply(select(connection.post_slice, ensemble.dimensions).T).apply(encoders))
        gain = np.broadcast_to(np.asarray(parameters.gain, np.float64), ensemble.n_neurons)
        for connection in self.incoming.get(ensemble.neurons, ()):
            scaled = select(connection.post_slice, ensemble.n_neurons).T.multiply(gain[np.newaxis, :]).tocsr()
            total = total.add(self.read_connection(connection).apply(scaled))
        return total

    def read_node(self, node: Any) -> Value:
        """Return the value of a Node that passes on what it receives, or of a source."""
        if node in self.values:
            return self.values[node]
        if node.output is not None:
            raise FrontendError(
                "the Node runs Python on what it receives, which the chip does not",
                where=self.names.place(node),
                measured=str(node.output),
                fix="use Nodes that pass their input on, inputs and constants",
            )
        if node in self.open:
            loop = [self.names.place(one) for one in [*self.open[self.open.index(node) :], node]]
            raise FrontendError("Nodes form a loop without neurons", where=" -> ".join(loop), fix="put an ensemble in the loop")
        self.open.append(node)
        total = Value(paths=(), constant=np.zeros(node.size_in))
        for connection in self.incoming.get(node, ()):
            total = total.add(self.read_connection(connection).apply(select(connection.post_slice, node.size_in).T))
        self.open.pop()
        self.values[node] = total
        return total

    def read_connection(self, connection: Any) -> Value:
        """Return what a connection carries, filtered, before its place in the target."""
        place = self.names.call_connection(connection)
        self._check_connection(connection, place)
        weights = self.built.weights[connection]
        if isinstance(connection.pre_obj, self.nengo.Ensemble):
            value = self.decode(connection.pre_obj, weights)
        else:
            lowered = lower_transform(self.nengo, connection, weights, place)
            pre = connection.pre_obj
            value = self.values[pre.ensemble] if isinstance(pre, self.nengo.ensemble.Neurons) else self.read_node(pre)
            value = value.apply(select(connection.pre_slice, pre.size_out)).apply(lowered)
        return self.filter(value, connection.synapse, place).pass_through(place)

    def decode(self, ensemble: Any, decoders: Any) -> Value:
        """Multiply an ensemble's spikes by ``(n_out, n_neurons)`` decoders."""
        from scipy.sparse import csr_array

        return self.values[ensemble].apply(csr_array(np.asarray(decoders, np.float64).T))

    def filter(self, value: Value, synapse: Any, where: str) -> Value:
        """Pass a value through a synapse: ``y[t] = a y[t-1] + (1 - a) x[t]``, read one step later.

        Raises:
            FrontendError: a second filter with memory, or a filtered constant, whose onset would be a filter's too.
        """
        if synapse is None:
            return value
        decay = read_lowpass(self.nengo, synapse, self.built.dt_s, where)
        self.require_no_constant(value, synapse, where)
        if decay and any(path.decay is not None for path in value.paths):
            raise FrontendError(
                "two filters with memory follow each other, and the chip's synapse is of first order",
                where=where,
                measured=str(synapse),
                fix="filter once: give one of the connections synapse=None, or synapse=0 to keep its step of delay",
            )
        paths = tuple(
            replace(
                path,
                weights=path.weights * (1.0 - decay),
                delay_steps=path.delay_steps + 1,
                decay=decay if decay else path.decay,
            )
            for path in value.paths
        )
        return Value(paths=paths, constant=value.constant)

    def require_no_constant(self, value: Value, synapse: Any, where: str) -> None:
        """Refuse a constant before a filter."""
        if value.constant.any():
            raise FrontendError(
                "a constant passes a filter, whose output rises from 0: that is not a bias",
                where=where,
                measured=str(synapse),
                limit="None",
                fix="give synapse=None, or name its Node in inputs, so that its spikes come from outside",
            )

    def _check_connection(self, connection: Any, place: str) -> None:
        nengo = self.nengo
        if connection.learning_rule_type is not None or isinstance(connection.post_obj, nengo.connection.LearningRule):
            raise FrontendError(
                "the connection learns, and the chip's weights are fixed",
                where=place,
                fix="record its weights, nengo.Probe(connection, 'weights'), and connect without the rule, with"
                " solver=nengo.solvers.NoSolver(weights.T), or between neurons transform=weights",
            )
        known = nengo.Ensemble | nengo.Node | nengo.ensemble.Neurons
        if type(connection.pre_obj).__name__ == "TensorNode" or not isinstance(connection.pre_obj, known):
            raise FrontendError(
                "the connection comes from an object that the chip does not have", where=place, fix="use Nodes and ensembles"
            )
        if connection.function is not None and not isinstance(connection.pre_obj, nengo.Ensemble):
            raise FrontendError("the connection computes a Python function", where=place, fix="write it as a transform")
        plain = nengo.Dense | nengo.transforms.NoTransform
        if isinstance(connection.pre_obj, nengo.Ensemble) and not isinstance(connection.transform, plain):
            raise FrontendError(
                f"a decoded connection has a {type(connection.transform).__name__} transform",
                where=place,
                limit="Dense",
                fix="decode to a Node, and transform from there",
            )
