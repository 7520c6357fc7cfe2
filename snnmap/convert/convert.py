"""ReLU networks as LIF networks whose spike counts are the activations."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnmap.convert.ann import INPUT, Affine, Ann, run_ann
from snnmap.convert.read import read_ann
from snnmap.errors import InputError
from snnmap.ir import CsrMatrix, FloatArray, InputPort, IntArray, Network, OutputPort, Population, Projection, simulate_network

__all__ = ["Conversion", "ConvertOptions", "LayerError", "convert_ann", "split_ports"]

CLOCK = "clock"
_REPEAT = "clock repeat"
"""A hidden neuron that carries the clock to the outputs, which inputs do not reach."""
_MEASURED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """Choices of a conversion.

    Attributes:
        n_steps: T, steps in which an input is presented.
        settle_steps: silent steps after it, in which currents and late spikes arrive; 0 takes 4 and one a ReLU layer.
        percentile: of a layer's activations that stands for its largest rate; 100 is the maximum (Diehl et al. 2015), less is
            robust to outliers (Rueckauer et al. 2017, section 3.2.1).
        max_rate: spikes a step that stand for that activation.
        input_max: input value that stands for ``input_rate`` spikes a step.
        input_rate: the chip's most counts a step and channel.
        dash_syn: bit shift of the synapses.
        dash_mem: bit shift of the membranes; the largest that a chip codes leaks least.
        start: ``half`` adds half a threshold over the presentation, so that counts are rounded and not floored (Deng & Gu 2021).
        calibrate: shift each layer's charge by the mean error that calibration data show (Deng & Gu 2021; Li et al. 2021).
    """

    n_steps: int = 8
    settle_steps: int = 0
    percentile: float = 99.9
    max_rate: float = 8.0
    input_max: float = 1.0
    input_rate: int = 15
    dash_syn: int = 1
    dash_mem: int = 15
    start: Literal["half", "zero"] = "half"
    calibrate: bool = True

    @property
    def gain(self) -> float:
        """Share of a spike's charge that its current carries in its first step: what makes its sum over all steps 1."""
        return 2.0**-self.dash_syn

    @property
    def clock_count(self) -> int:
        """Spikes of the clock over the presentation."""
        return self.n_steps * self.input_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """How well a layer's counts stand for its activations, on calibration data.

    Attributes:
        layer: its name.
        relative_error: root mean square of (activation from counts - activation) over that of the activations.
        mean_error: mean of that difference, over the mean activation.
        spikes: mean spikes of the layer for an input.
    """

    layer: str
    relative_error: float
    mean_error: float
    spikes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A converted network, and how to feed and read it.

    Attributes:
        network: with input ports ``input`` and ``clock`` (the most spikes in each step of the presentation; it carries biases).
        options: of the conversion.
        units: activation that one spike count over the presentation stands for, by layer.
        errors: a line a layer.
    """

    network: Network
    options: ConvertOptions
    units: dict[str, float]
    errors: tuple[LayerError, ...]

    def encode(self, inputs: npt.ArrayLike) -> IntArray:
        """Give spike counts for input values, spread evenly over the presentation.

        Args:
            inputs: ``(n, ...)`` values from 0 to ``input_max``.

        Returns:
            ``(n, n_steps + settle_steps, n_inputs + 1)``, the clock last.

        Raises:
            InputError: negative or too large values, or a wrong number of them.
        """
        return encode_counts(inputs, self.network.inputs[0].size, self.options)

    def read(self, potentials: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Give classes from the outputs' potentials ``(n, time, n_classes)`` of a run: the highest in the last step."""
        classes: npt.NDArray[np.intp] = np.asarray(potentials)[:, -1].argmax(axis=1)
        return classes


def convert_ann(model: Any, calibration: npt.ArrayLike, *, options: ConvertOptions | None = None) -> Conversion:
    """Convert a torch module of linear layers and ReLUs to a LIF network.

    Each ReLU becomes an integrate-and-fire neuron with reset by subtraction; its spike count over the presentation, times
    the layer's unit, is the activation. Weights are balanced so that the given percentile of the activations is the largest
    rate. Biases are weights from a clock channel, so that they come exactly as long as the input does, however deep.

    Args:
        model: ``torch.nn.Module``, see :func:`snnmap.convert.read_ann`.
        calibration: ``(n, ...)`` input values as the model takes them, some hundreds.
        options: choices.

    Raises:
        FrontendError: an operation has no counterpart.
        InputError: calibration data that are empty, negative or of the wrong shape.
    """
    options = options or ConvertOptions()
    data = np.asarray(calibration, np.float64)
    if data.ndim < 2 or not data.shape[0]:
        raise InputError(
            "the calibration data are empty or have no batch",
            measured=str(data.shape),
            limit="(n, ...)",
            fix="give some hundred inputs",
        )
    ann = read_ann(model, data.shape[1:])
    if not options.settle_steps:
        options = replace(options, settle_steps=4 + len(ann.layers))
    activations = run_ann(ann, data)
    units = {INPUT: options.input_max / (options.input_rate * options.n_steps)}
    for layer in ann.layers:
        units[layer.name] = _largest(activations[layer.name], options.percentile) / (options.max_rate * options.n_steps)
    units["output"] = float(np.abs(activations["output"]).max()) or 1.0
    network = _make_network(ann, units, options)
    few = {name: values[:_MEASURED] for name, values in activations.items()}
    if options.calibrate:
        network = _calibrate(network, ann, few, units, options)
    return Conversion(network=network, options=options, units=units, errors=_measure(network, ann, few, units, options))


def encode_counts(inputs: npt.ArrayLike, n_inputs: int, options: ConvertOptions) -> IntArray:
    """Do the work of :meth:`Conversion.encode`."""
    values = np.asarray(inputs, np.float64)
    values = values.reshape(len(values), -1)
    if values.shape[1] != n_inputs or not (values >= 0).all() or (values > options.input_max * (1 + 1e-9)).any():
        raise InputError(
            "input values cannot be coded as spike counts",
            measured=f"{values.shape[1]} values from {values.min(initial=0):.4g} to {values.max(initial=0):.4g}",
            limit=f"{n_inputs} values from 0 to {options.input_max:g}",
            fix="scale the data before training, or set input_max",
        )
    steps = options.n_steps
    total = np.rint(values / options.input_max * options.input_rate * steps).astype(np.int64)
    edges = np.arange(steps + 1)[:, np.newaxis] * total[:, np.newaxis] // steps
    counts = np.concatenate([np.diff(edges, axis=1), np.full((len(values), steps, 1), options.input_rate)], axis=2)
    return np.pad(counts, ((0, 0), (0, options.settle_steps), (0, 0)))


def split_ports(counts: IntArray) -> dict[str, IntArray]:
    """Give encoded counts by input port, as simulation and calibration of the network take them."""
    return {INPUT: counts[:, :, :-1], CLOCK: counts[:, :, -1:]}


def _largest(activations: FloatArray, percentile: float) -> float:
    active = activations[activations > 0]
    return float(np.percentile(active, percentile)) if active.size else 1.0


def _make_network(ann: Ann, units: dict[str, float], options: ConvertOptions) -> Network:
    """Balance the weights: a neuron's threshold is 1, a spike of a source brings its unit over the neuron's."""
    populations, projections = [], []
    layers = [(layer.name, layer.incoming) for layer in ann.layers]
    units = {**units, _REPEAT: 1.0 / options.clock_count}
    for name, affine in (*layers, (_REPEAT, _repeat_clock()), ("output", ann.output)):
        population, incoming = _make_layer(name, affine, units, options)
        populations.append(population)
        projections += incoming
    return Network(
        name=ann.name,
        inputs=(InputPort(name=INPUT, size=ann.n_inputs), InputPort(name=CLOCK, size=1)),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=(OutputPort(name="output", populations=("output",), readout="potential"),),
        provenance={
            "framework": f"torch {ann.version}, converted",
            "reset": "subtract",
            "presentation": f"{options.n_steps} steps",
        },
    )


def _repeat_clock() -> Affine:
    """Give the pre-activation of a neuron that fires once for each spike of the clock."""
    return Affine(terms={}, bias=np.ones(1), shape=(1,))


def _make_layer(
    name: str, affine: Affine, units: dict[str, float], options: ConvertOptions
) -> tuple[Population, list[Projection]]:
    beta, gain = 1.0 - 2.0**-options.dash_mem, options.gain
    spikes = name != "output"
    charge = affine.bias / units[name]
    if spikes and options.start == "half":
        charge = charge + 0.5
    weights = {source: _to_csr(matrix * (units[source] / units[name] * gain)) for source, matrix in affine.terms.items()}
    weights[CLOCK if spikes else _REPEAT] = CsrMatrix.from_dense(charge[np.newaxis] * (gain / options.clock_count))
    projections = [
        Projection(name=f"{source}->{name}", pre=source, post=name, weights=matrix, source=name)
        for source, matrix in weights.items()
    ]
    leak = (1.0 - beta) / 2.0 if spikes else 0.0
    population = Population.create(
        name,
        affine.size,
        alpha=1.0 - gain,
        beta=beta,
        threshold=1.0 if spikes else np.inf,
        bias=leak,
        max_count=31 if spikes else 1,
        source=name,
    )
    return population, projections


def _to_csr(matrix: Any) -> CsrMatrix:
    matrix = matrix.tocoo()
    return CsrMatrix.from_triplets(matrix.row, matrix.col, matrix.data, matrix.shape)


def _run(network: Network, inputs: FloatArray, options: ConvertOptions, names: list[str]) -> dict[str, FloatArray]:
    """Run the network on inputs; give each layer's total counts."""
    ports = split_ports(encode_counts(inputs, network.inputs[0].size, options))
    counts = simulate_network(network, ports, counts_of=names).counts
    return {name: values.sum(axis=1).astype(np.float64) for name, values in counts.items()}


def _calibrate(
    network: Network, ann: Ann, activations: dict[str, FloatArray], units: dict[str, float], options: ConvertOptions
) -> Network:
    """Layer by layer, add to the clock's weights what the mean count is short of."""
    for layer in ann.layers:
        name = layer.name
        found = _run(network, activations[INPUT], options, [name])[name]
        active = (found > 0) | (activations[name] > 0)
        lacking = np.where(active, activations[name] / units[name] - found, 0.0).sum(axis=0) / np.maximum(active.sum(axis=0), 1)
        projections = []
        for projection in network.projections:
            if projection.name == f"{CLOCK}->{name}":
                charge = projection.weights.to_dense()[0] + lacking * options.gain / options.clock_count
                projection = replace(projection, weights=CsrMatrix.from_dense(charge[np.newaxis]))
            projections.append(projection)
        network = replace(network, projections=tuple(projections))
    return network


def _measure(
    network: Network, ann: Ann, activations: dict[str, FloatArray], units: dict[str, float], options: ConvertOptions
) -> tuple[LayerError, ...]:
    counts = _run(network, activations[INPUT], options, [layer.name for layer in ann.layers])
    errors = []
    for layer in ann.layers:
        wanted, found = activations[layer.name], counts[layer.name] * units[layer.name]
        size, mean = float(np.sqrt(np.mean(wanted**2))) or 1.0, float(wanted.mean()) or 1.0
        errors.append(
            LayerError(
                layer=layer.name,
                relative_error=float(np.sqrt(np.mean((found - wanted) ** 2))) / size,
                mean_error=float((found - wanted).mean()) / mean,
                spikes=float(counts[layer.name].sum(axis=1).mean()),
            )
        )
    return tuple(errors)
