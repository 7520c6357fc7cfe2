"""From a torch module made of snnmap.nn layers, Linear layers and additions to a network."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Readout, find_family
from snnmap.core import CsrMatrix, FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.torch.chip_network import read_chip_network
from snnmap.frontends.torch.modules import as_array, as_view, locate, require_class_forward
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, SpikeSum

if TYPE_CHECKING:
    from torch import fx, nn

__all__ = ["load"]


def load(
    module: "nn.Module", *, input_sizes: Sequence[int] | None = None, name: str | None = None, merge_linear: bool = False
) -> Network:
    """Turn a torch module into a network that gives the same spike counts, layer for layer.

    The module may be a ``Sequential``, use :class:`snnmap.nn.Residual`, or have any ``forward`` of one or several inputs
    and outputs that applies ``Linear``, :class:`snnmap.nn.LIF` and :class:`snnmap.nn.LeakyIntegrator` and adds spike counts
    or currents. Dropout and Identity are passed over. The module is not changed. A :class:`snnmap.nn.ChipNetwork` gives the
    network that it was made from, with what was trained.

    Args:
        module: to read.
        input_sizes: channels of each input of ``forward``; found from the first layer where left out.
        name: of the network; the module's class name where left out.
        merge_linear: multiply the weights of Linear layers that follow each other without neurons between, instead of refusing
            them: the same but for the rounding of a product of float64 matrices.

    Returns:
        The network: populations named by module path, projections in float64.

    Raises:
        FrontendError: torch is missing, or an operation has no counterpart; it says which, and where in the module.
    """
    torch = import_package("torch")
    from snnmap.nn import ChipNetwork, LeadIn

    if isinstance(module, ChipNetwork):
        return read_chip_network(module, name, torch.__version__)
    is_aligned = isinstance(module, LeadIn)
    module = module.model if isinstance(module, LeadIn) else module
    name = name or type(module).__name__
    module = torch.nn.Sequential(module) if isinstance(module, _leaves()) else module
    network = _Reader(module, input_sizes, name, torch.__version__, merge_linear=merge_linear).read()
    if not network.integers or is_aligned:
        return network
    return replace(network, provenance={**network.provenance, "starts": "with its input"})


@dataclass(frozen=True, slots=True)
class _Counts:
    """A value of the module: spike counts of one source by name."""

    source: str
    size: int | None


@dataclass(frozen=True, slots=True)
class _Term:
    """Counts of one source through one Linear layer."""

    counts: _Counts
    weights: FloatArray
    path: str


@dataclass(frozen=True, slots=True)
class _Currents:
    """A value of the module: a sum of weighted counts, and what Linear biases add to it."""

    terms: tuple[_Term, ...]
    bias: FloatArray


class _Reader:
    """Walks the module's operations in order and collects the parts of the network."""

    def __init__(
        self, module: "nn.Module", input_sizes: Sequence[int] | None, name: str, version: str, *, merge_linear: bool
    ) -> None:
        self.module, self.name, self.version, self.merge_linear = module, name, version, merge_linear
        self.modules = dict(module.named_modules())
        self.given_sizes = list(input_sizes) if input_sizes is not None else None
        self.sizes: dict[str, int | None] = {}
        self.inputs: list[str] = []
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.sums: list[SpikeSum] = []
        self.outputs: list[OutputPort] = []
        self.potentials: set[str] = set()
        self.dt_s = 0.0
        self.integers: dict[str, bool] = {}

    def read(self) -> Network:
        from snnmap.nn.tracing import trace_module

        graph = trace_module(self.module, _leaves())
        values: dict[Any, Any] = {}
        for node in graph.nodes:
            values[node] = self._read_node(node, values)
        return Network(
            name=self.name,
            inputs=tuple(InputPort(name=port, size=self._size_of_input(port)) for port in self.inputs),
            populations=tuple(self.populations),
            projections=tuple(self.projections),
            outputs=tuple(self.outputs),
            sums=tuple(self.sums),
            dt_s=self.dt_s,
            integers=self._all_integers(),
            provenance={
                "framework": f"torch {self.version}",
                "reset": ", ".join(sorted({population.reset for population in self.populations})) or "subtract",
                "input latency": "0 steps",
                "integrator": "decay factors as given",
            },
        )

    def _read_node(self, node: "fx.Node", values: dict[Any, Any]) -> object:
        arguments = [values[argument] for argument in node.all_input_nodes]
        if node.op == "placeholder":
            return self._read_placeholder(node)
        if node.op == "call_module":
            return self._read_module(str(node.target), arguments)
        if node.op == "output":
            self._read_output(node, values)
            return None
        if node.target in (operator.add, operator.iadd) or getattr(node.target, "__name__", node.target) == "add":
            return self._add(node, arguments)
        raise FrontendError(
            f"operation '{getattr(node.target, '__name__', node.target)}' has no counterpart on the chip",
            where=locate(node),
            fix="use Linear, LIF, LeakyIntegrator and additions; keep readouts such as sums over time outside the module",
        )

    def _read_placeholder(self, node: "fx.Node") -> _Counts:
        port = "input" if str(node.target) in ("x", "input") else str(node.target)
        size = None
        if self.given_sizes is not None:
            if len(self.inputs) >= len(self.given_sizes):
                raise FrontendError("forward has more inputs than sizes were given", measured=port, limit=str(self.given_sizes))
            size = self.given_sizes[len(self.inputs)]
        self.inputs.append(port)
        self.sizes[port] = size
        return _Counts(port, size)

    def _read_module(self, path: str, arguments: list[Any]) -> object:
        from torch import nn

        from snnmap.nn import LIF, ChipIntegrator, ChipLIF, ChipNetwork, LeakyIntegrator

        module: Any = self.modules[path]
        kinds: list[Any] = [kind for kind in (*_leaves(), nn.Identity, nn.Dropout) if isinstance(module, kind)]
        if kinds:
            require_class_forward(path, module, next((k for k in kinds if k.forward is type(module).forward), kinds[0]))
        if isinstance(module, ChipNetwork):
            raise FrontendError(
                "a ChipNetwork is a whole network and no layer",
                where=f"module '{path}'",
                fix="compile it alone: give the ChipNetwork itself",
            )
        if isinstance(module, ChipLIF | ChipIntegrator):
            return self._read_chip_neurons(path, module, arguments[0])
        if isinstance(module, nn.Linear):
            return self._read_linear(path, module, arguments[0])
        if isinstance(module, LIF | LeakyIntegrator):
            return self._read_neurons(path, module, arguments[0])
        if isinstance(module, nn.Identity | nn.Dropout):
            return arguments[0]
        raise FrontendError(
            f"module {type(module).__name__} has no counterpart on the chip",
            where=f"module '{path}'",
            fix="use Linear, LIF, LeakyIntegrator, Residual and Sequential",
        )

    def _read_linear(self, path: str, module: "nn.Linear", value: Any) -> _Currents:
        if isinstance(value, _Currents):
            return self._merge_linear(path, module, value)
        self._learn_size(value.source, module.in_features, path)
        bias = np.zeros(module.out_features) if module.bias is None else as_array(module.bias)
        return _Currents((_Term(value, as_array(module.weight).T, path),), bias)

    def _merge_linear(self, path: str, module: "nn.Linear", before: _Currents) -> _Currents:
        """Multiply the weights of a Linear layer into those of the layer before it: ``x W1 W2``."""
        if not self.merge_linear:
            raise FrontendError(
                "two Linear layers follow each other without neurons between",
                where=f"module '{path}'",
                fix="multiply their weights into one layer, as merge_linear=True (--read merge_linear=True) does",
            )
        if before.bias.size != module.in_features:
            raise FrontendError(
                "a Linear layer does not fit the one before it",
                where=f"module '{path}'",
                measured=str(module.in_features),
                limit=str(before.bias.size),
                fix="give it as many inputs as that has outputs",
            )
        weights = as_array(module.weight).T
        bias = before.bias @ weights + (0.0 if module.bias is None else as_array(module.bias))
        return _Currents(tuple(_Term(term.counts, term.weights @ weights, path) for term in before.terms), bias)

    def _read_neurons(self, path: str, module: Any, value: Any) -> _Counts:
        width = module.n_synapses * module.size
        currents = value
        if isinstance(value, _Counts):
            self._learn_size(value.source, width, path)
            currents = _Currents((_Term(value, np.eye(width), path),), np.zeros(width))
        if currents.bias.size != width:
            raise FrontendError(
                "the weights do not fit the neurons behind them",
                where=f"module '{path}'",
                measured=str(currents.bias.size),
                limit=str(width),
                fix="give one column a neuron and synapse",
            )
        alpha, beta = (as_array(decay) for decay in module.decays())
        name = path or "neurons"
        self.populations.append(self._make_population(name, path, module, alpha, beta, currents.bias))
        self.dt_s, self.sizes[name], self.integers[name] = module.dt_s, module.size, False
        for term in currents.terms:
            self._project(term.counts.source, name, term.weights, module, 0, term.path)
        recurrent = getattr(module, "recurrent_weight", None)
        if recurrent is not None:
            self._project(name, name, as_view(recurrent), module, 1, path)
        return _Counts(name, module.size)

    def _read_chip_neurons(self, path: str, module: Any, value: Any) -> _Counts:
        """Read a layer in the chip's integers; on chips that decay after the input, a weight counts alpha times."""
        from snnmap.nn import ChipLIF

        if not isinstance(value, _Counts):
            raise FrontendError(
                "a chip layer takes spike counts", where=f"module '{path}'", fix="leave out the Linear layer before it"
            )
        self._learn_size(value.source, module.n_inputs, path)
        codes, name, fires = module.codes(), path or "neurons", isinstance(module, ChipLIF)
        family = find_family(module.arithmetic)
        alpha, gain = (decode(np.rint(as_array(codes.dash_syn))) for decode in (family.synapse_factors, family.weight_gain))
        self.populations.append(
            Population.create(
                name,
                module.size,
                alpha=alpha,
                beta=family.membrane_factors(np.rint(as_array(codes.dash_mem))),
                reset=family.reset,
                threshold=as_array(codes.threshold) if fires else np.inf,
                bias=as_array(codes.bias),
                max_count=module.max_count if fires else 1,
                source=path,
            )
        )
        if not fires:
            self.potentials.add(name)
        self.dt_s, self.sizes[name], self.integers[name] = module.dt_s, module.size, True
        self._project(value.source, name, as_array(codes.weight).T * gain.reshape(-1), module, 0, path)
        if codes.recurrent_weight is not None:
            self._project(name, name, as_array(codes.recurrent_weight) * gain.reshape(-1), module, 1, path)
        return _Counts(name, module.size)

    def _make_population(
        self, name: str, path: str, module: Any, alpha: FloatArray, beta: FloatArray, current_bias: FloatArray
    ) -> Population:
        from snnmap.nn import LIF

        fires = isinstance(module, LIF)
        if not fires:
            self.potentials.add(name)
        return Population.create(
            name,
            module.size,
            alpha=alpha,
            beta=beta,
            threshold=as_array(module.used_threshold()) if fires else np.inf,
            bias=as_array(module.bias) + _membrane_bias(path, alpha, current_bias.reshape(module.n_synapses, module.size)),
            max_count=module.max_count if fires else 1,
            source=path,
        )

    def _project(self, pre: str, post: str, weights: npt.NDArray[Any], module: Any, delay_steps: int, path: str) -> None:
        """Add one projection a synapse; columns of synapse 0 come first."""
        taken = {projection.name for projection in self.projections}
        for synapse in range(module.n_synapses):
            part = CsrMatrix.from_dense(weights[:, synapse * module.size : (synapse + 1) * module.size])
            name = f"{pre}->{post}" + (f"[{synapse}]" if module.n_synapses > 1 else "")
            while name in taken:
                name += "'"
            taken.add(name)
            self.projections.append(
                Projection(name=name, pre=pre, post=post, weights=part, synapse=synapse, delay_steps=delay_steps, source=path)
            )

    def _add(self, node: "fx.Node", values: list[Any]) -> object:
        if node.kwargs or len(node.args) != 2:
            raise FrontendError(
                "an addition with more than two arguments",
                where=locate(node),
                measured=str({**node.kwargs}) if node.kwargs else f"{len(node.args)} arguments",
                fix="write a + b; scale weights instead of using alpha",
            )
        if len(values) == 1:
            values = values * len([argument for argument in node.args if argument is node.all_input_nodes[0]])
        if len(values) < 2:
            raise FrontendError(
                "a constant is added to spike counts or currents", where=locate(node), fix="use a bias of the neurons"
            )
        if all(isinstance(value, _Counts) for value in values):
            name = f"sum{len(self.sums)}"
            sizes = {size for size in (self.sizes[value.source] for value in values) if size is not None}
            for value in values:
                if sizes:
                    self._learn_size(value.source, min(sizes), locate(node))
            self.sums.append(SpikeSum(name=name, terms=tuple(value.source for value in values), source=locate(node)))
            self.sizes[name] = min(sizes, default=None) if sizes else None
            return _Counts(name, self.sizes[name])
        if all(isinstance(value, _Currents) for value in values):
            bias = np.sum([value.bias for value in values], axis=0)
            return _Currents(tuple(term for value in values for term in value.terms), bias)
        raise FrontendError(
            "spike counts and currents are added", where=locate(node), fix="put a Linear layer on the counts first"
        )

    def _read_output(self, node: "fx.Node", values: dict[Any, Any]) -> None:
        results = node.args[0] if isinstance(node.args[0], tuple | list) else (node.args[0],)
        populations = {population.name for population in self.populations}
        for number, result in enumerate(results):
            value = values.get(result)
            if not isinstance(value, _Counts) or value.source not in populations:
                raise FrontendError(
                    "an output of the module is not the output of neurons",
                    where=f"output {number}",
                    measured=type(result).__name__ if value is None else type(value).__name__.strip("_").lower(),
                    limit="LIF or LeakyIntegrator",
                    fix="end the module with a LIF or LeakyIntegrator layer",
                )
            readout: Readout = "potential" if value.source in self.potentials else "spikes"
            port = "output" if len(results) == 1 else f"output{number}"
            self.outputs.append(OutputPort(name=port, populations=(value.source,), readout=readout))

    def _learn_size(self, source: str, size: int, path: str) -> None:
        known = self.sizes[source]
        if known is None:
            self.sizes[source] = size
            for addition in self.sums:
                if addition.name == source:
                    for term in addition.terms:
                        self._learn_size(term, size, path)
        elif known != size:
            raise FrontendError(
                "a layer does not fit the size of its input", where=path, measured=str(size), limit=f"{known} ('{source}')"
            )

    def _all_integers(self) -> bool:
        """Say whether all layers are in the chip's integers.

        Raises:
            FrontendError: some are and some are not.
        """
        kinds = set(self.integers.values())
        if len(kinds) > 1:
            floats = [name for name, integer in self.integers.items() if not integer]
            raise FrontendError(
                "layers in the chip's integers and float layers are mixed",
                where=f"module '{floats[0]}'",
                fix="use ChipLIF and ChipIntegrator for all layers, or for none",
            )
        return kinds == {True}

    def _size_of_input(self, port: str) -> int:
        size = self.sizes[port]
        if size is None:
            raise FrontendError(f"the size of input '{port}' is unknown", fix="give input_sizes")
        return size


def _membrane_bias(path: str, alpha: FloatArray, bias: FloatArray) -> FloatArray:
    """Turn what Linear biases add to the currents into a bias of the membrane, where that is the same."""
    if (bias[alpha != 0] != 0).any():
        raise FrontendError(
            "a Linear layer has a bias in front of a synapse with memory; the chip adds biases to the membrane",
            where=f"module '{path}'",
            fix="use Linear(..., bias=False) and LIF(..., train_bias=True)",
        )
    return np.asarray(bias.sum(axis=0), np.float64)


def _leaves() -> "tuple[type[nn.Module], ...]":
    """Return the classes that are read as they are."""
    from torch import nn

    from snnmap.nn import LIF, ChipIntegrator, ChipLIF, ChipNetwork, EventLinear, LeakyIntegrator

    return LIF, LeakyIntegrator, ChipLIF, ChipIntegrator, nn.Linear, EventLinear, ChipNetwork
