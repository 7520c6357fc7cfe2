"""ANNs run as nengo's spiking neurons: what nengo-dl's converter makes of them, as a reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnmap.convert.affine import make_identity
from snnmap.convert.ann import INPUT, Affine, Ann
from snnmap.convert.lower import Lowering, lower_graph
from snnmap.convert.nengo_read import find_nengo_place
from snnmap.convert.read import read_ann
from snnmap.core import FloatArray
from snnmap.core.brief import brief_repr
from snnmap.core.errors import FrontendError, InputError
from snnmap.core.packages import import_nengo
from snnmap.frontends.nengo.rates import WRAPPERS, RateReader
from snnmap.graph import Node

__all__ = ["NengoRun", "run_nengo"]

Spiking = Literal["rate", "regular", "poisson", "stochastic"]
_MOST_VALUES = 20_000_000
"""Weights and recorded values of one simulation; more samples are laid out in several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NengoRun:
    """What nengo computed.

    Attributes:
        outputs: ``(n, n_steps, n_outputs) float64``.
        counts: ``(n, size) float64`` by layer: spikes in all steps; for rate neurons the spikes that their rate stands for.
    """

    outputs: FloatArray
    counts: Mapping[str, FloatArray]

    __repr__ = brief_repr

    @property
    def last(self) -> FloatArray:
        """Outputs in the last step, ``(n, n_outputs)``: what to read behind a synapse."""
        return self.outputs[:, -1]

    @property
    def mean(self) -> FloatArray:
        """Mean outputs, ``(n, n_outputs)``: what to read without a synapse."""
        mean: FloatArray = self.outputs.mean(axis=1)
        return mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLayer:
    """Rate neurons: their affine current, nengo's neuron type and a factor on its output."""

    name: str
    current: Affine
    base: Any
    amplitude: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RateNetwork:
    """An ANN whose layers may have other curves than a ReLU's."""

    name: str
    n_inputs: int
    layers: tuple[RateLayer, ...]
    output: Affine


@dataclass(frozen=True, slots=True)
class _Options:
    neurons: Spiking
    n_steps: int
    scale: float
    synapse_s: float | None
    dt_s: float
    start: float | None

    def __post_init__(self) -> None:
        allowed = ("rate", *WRAPPERS)
        if self.neurons not in allowed:
            raise InputError("no such neurons", where="neurons", measured=str(self.neurons), limit=", ".join(allowed))
        for name, value, limit, holds in (
            ("n_steps", self.n_steps, "> 0", 0 < self.n_steps < np.inf),
            ("scale_firing_rates", self.scale, "> 0", 0 < self.scale < np.inf),
            ("synapse_s", self.synapse_s, "> 0, or None", self.synapse_s is None or 0 < self.synapse_s < np.inf),
            ("dt_s", self.dt_s, "> 0", 0 < self.dt_s < np.inf),
            ("start", self.start, "from 0, below 1, or None", self.start is None or 0 <= self.start < 1),
        ):
            if not holds:
                raise InputError("the option is out of range", where=name, measured=str(value), limit=limit)


def run_nengo(
    model: Any,
    inputs: npt.ArrayLike,
    *,
    neurons: Spiking = "regular",
    n_steps: int,
    scale_firing_rates: float = 1.0,
    synapse_s: float | None = None,
    dt_s: float = 1e-3,
    start: float | None = None,
    seed: int = 0,
    input_node: Any = None,
) -> NengoRun:
    """Run rate neurons as nengo's spiking neurons with constant inputs: a reference for a conversion.

    Each rate, times ``scale_firing_rates``, is handed to nengo's RegularSpiking, PoissonSpiking or StochasticSpiking, and the
    spikes are scaled down again. For rectified neurons that is what nengo-dl's converter does (gain and bias times the scale,
    amplitude over it); for LIFRate, Sigmoid and Tanh the rate is scaled and not the current, so that the curve stays. Samples
    lie side by side in one nengo.Network, which nengo.Simulator runs.

    RegularSpiking (Voelker et al. 2020, arXiv:2002.03553): ``v += dt * max(0, J); n = floor(v); v -= n``. A chip's
    integrate-and-fire neuron integrates negative currents too, so that the two agree where currents do not change their sign.

    Args:
        model: an :class:`Ann`, a torch module as :func:`read_ann` takes it, or a ``nengo.Network`` of direct connections as
            :func:`read_nengo` takes it, whose neurons may also be LIFRate, Sigmoid or Tanh, in any of nengo's spiking wrappers;
            the wrappers give way to ``neurons``.
        inputs: ``(n, ...)`` values, flattened to ``(n, n_inputs)``.
        neurons: how the rates become spikes; ``rate`` leaves them.
        n_steps: steps to run.
        scale_firing_rates: factor on the rates, in spikes a second for an activation of 1.
        synapse_s: time constant of a lowpass on what neurons send; it delays a layer by a step, as nengo does.
        dt_s: length of a step.
        start: first voltage of regular neurons as a share of a spike; nengo draws it from 0 to 1 where left out.
        seed: of the random draws.
        input_node: of a ``nengo.Network``, as :func:`read_nengo` takes it.

    Raises:
        FrontendError: nengo is missing, or the model cannot be run so.
        InputError: inputs of another size, or an option out of range.
    """
    nengo = import_nengo()
    options = _Options(neurons, n_steps, scale_firing_rates, synapse_s, dt_s, start)
    values = np.asarray(inputs, np.float64)
    if values.ndim < 2 or not len(values):
        raise InputError(
            "the inputs are empty or have no batch", measured=str(values.shape), limit="(n, ...)", fix="give a batch"
        )
    network = _as_rates(nengo, model, values.shape[1:], input_node)
    values = values.reshape(len(values), -1)
    if values.shape[1] != network.n_inputs:
        limit = f"{network.n_inputs} values"
        raise InputError(
            "the inputs do not fit the network", measured=f"{values.shape[1]} values", limit=limit, fix="give its inputs"
        )
    rows = max(1, _MOST_VALUES // _cost(network, n_steps))
    runs = [
        _simulate(nengo, network, values[first : first + rows], options, seed + first) for first in range(0, len(values), rows)
    ]
    counts = {layer.name: np.concatenate([run.counts[layer.name] for run in runs]) for layer in network.layers}
    return NengoRun(outputs=np.concatenate([run.outputs for run in runs]), counts=counts)


def _as_rates(nengo: Any, model: Any, shape: tuple[int, ...], input_node: Any) -> RateNetwork:
    if isinstance(model, nengo.Network):
        return _read_rates(nengo, model, input_node)
    ann = model if isinstance(model, Ann) else read_ann(model, shape)
    for layer in ann.layers:
        if layer.step is not None:
            raise FrontendError(
                "a quantised activation is no rate neuron of nengo's",
                where=f"layer '{layer.name}'",
                measured=f"step {layer.step:g}",
                fix="give a model of plain ReLUs",
            )
    layers = tuple(RateLayer(name=layer.name, current=layer.incoming, base=nengo.RectifiedLinear()) for layer in ann.layers)
    return RateNetwork(name=ann.name, n_inputs=ann.n_inputs, layers=layers, output=ann.output)


def _read_rates(nengo: Any, network: Any, input_node: Any) -> RateNetwork:
    """Read a nengo.Network whose neurons may have any of the known curves."""
    layers: list[RateLayer] = []

    def keep(lowering: Lowering, node: Node) -> Affine:
        operation: Any = node.operation
        kind = getattr(nengo, operation.curve)
        taken = {"RectifiedLinear": ("amplitude",), "LIFRate": ("amplitude", "tau_rc", "tau_ref")}.get(
            operation.curve, ("tau_ref",)
        )
        base = kind(**{name: getattr(operation, name) for name in taken})
        name, current = lowering.name(node), lowering.value(node)
        layers.append(RateLayer(name=name, current=current, base=base, amplitude=operation.factor))
        return make_identity(name, current.shape)

    reader = RateReader(network, input_node)
    ann = lower_graph(reader.read(), lambda node: find_nengo_place(reader, node), "", lowerings={"Rates": keep})
    return RateNetwork(name=ann.name, n_inputs=ann.n_inputs, layers=tuple(layers), output=ann.output)


def _cost(network: RateNetwork, n_steps: int) -> int:
    """Count the weights and recorded values that a sample takes."""
    maps = [*(layer.current for layer in network.layers), network.output]
    return sum(n_steps * affine.size + sum(int(weights.nnz) for weights in affine.terms.values()) for affine in maps)


def _simulate(nengo: Any, rates: RateNetwork, values: FloatArray, options: _Options, seed: int) -> NengoRun:
    """Lay samples side by side in one network, and run it."""
    n_samples, n_steps = len(values), options.n_steps
    with nengo.Network(seed=seed) as network:
        probes, seen = _lay_out(nengo, rates, values, options)
    model = nengo.builder.Model(dt=options.dt_s)  # without nengo's cache on disk
    with nengo.Simulator(network, model=model, progress_bar=False, optimize=False) as simulator:
        simulator.run_steps(n_steps)
        outputs = np.asarray(simulator.data[seen], np.float64).reshape(n_steps, n_samples, -1).swapaxes(0, 1)
        sent = {name: simulator.data[probe].sum(axis=0).reshape(n_samples, -1) for name, probe in probes.items()}
    spikes = {layer.name: sent[layer.name] * (options.dt_s * options.scale / layer.amplitude) for layer in rates.layers}
    counts = spikes if options.neurons == "rate" else {name: np.rint(total) for name, total in spikes.items()}
    return NengoRun(outputs=outputs, counts=counts)


def _lay_out(nengo: Any, rates: RateNetwork, values: FloatArray, options: _Options) -> tuple[dict[str, Any], Any]:
    """Make Nodes, ensembles and connections in the network at hand; give the probes of the layers and of the output."""
    n_samples = len(values)
    sources, probes = {INPUT: nengo.Node(values.reshape(-1))}, {}
    for layer in rates.layers:
        ensemble = _add_ensemble(nengo, layer, n_samples, options)
        _connect(nengo, layer.current, sources, ensemble.neurons, n_samples, options.synapse_s)
        sources[layer.name], probes[layer.name] = ensemble.neurons, nengo.Probe(ensemble.neurons)
    output = nengo.Node(size_in=n_samples * rates.output.size)
    nengo.Connection(nengo.Node(np.tile(rates.output.bias, n_samples)), output, synapse=None)
    _connect(nengo, rates.output, sources, output, n_samples, options.synapse_s)
    return probes, nengo.Probe(output)


def _add_ensemble(nengo: Any, layer: RateLayer, n_samples: int, options: _Options) -> Any:
    if options.neurons == "rate":
        neuron_type = _speed_up(layer.base, layer.amplitude)
    else:
        wrapper = getattr(nengo, WRAPPERS[options.neurons])
        state = {}
        if options.neurons == "regular" and options.start is not None:
            state = {"initial_state": {"voltage": nengo.dists.Choice([options.start])}}
        neuron_type = wrapper(_speed_up(layer.base, options.scale), amplitude=layer.amplitude / options.scale, **state)
    n_neurons = n_samples * layer.current.size
    bias = np.tile(layer.current.bias, n_samples)
    return nengo.Ensemble(n_neurons, 1, neuron_type=neuron_type, gain=np.ones(n_neurons), bias=bias, label=layer.name)


def _speed_up(base: Any, factor: float) -> Any:
    """Return the rate neurons with rates that are larger by a factor at the same current."""
    if type(base).__name__ in ("Sigmoid", "Tanh"):
        return type(base)(tau_ref=base.tau_ref / factor)
    if type(base).__name__ == "LIFRate":
        return type(base)(tau_rc=base.tau_rc, tau_ref=base.tau_ref, amplitude=base.amplitude * factor)
    return type(base)(amplitude=base.amplitude * factor)


def _connect(nengo: Any, affine: Affine, sources: Mapping[str, Any], target: Any, n_samples: int, tau_s: float | None) -> None:
    from scipy.sparse import csr_matrix, eye_array, kron

    for source, weights in affine.terms.items():
        blocks = csr_matrix(kron(eye_array(n_samples), weights.T, format="csr"))
        synapse = None if source == INPUT or tau_s is None else nengo.Lowpass(tau_s)
        nengo.Connection(sources[source], target, transform=nengo.Sparse(blocks.shape, init=blocks), synapse=synapse)
