"""LIF layers of the converted network: weights in thresholds, charges from the channels that carry time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer
from snnmap.convert.encode import CLOCK, HOLD, release_name
from snnmap.convert.options import ConvertOptions
from snnmap.core import CsrMatrix, FloatArray
from snnmap.network import PRESENTATION, InputPort, Network, OutputPort, Population, Projection

__all__ = [
    "MAX_COUNT",
    "LayerNetwork",
    "add_charge",
    "build_ends",
    "build_layer",
    "hold_charge",
    "join_layers",
    "leak_drive",
    "start_charge",
]

MAX_COUNT = 31
"""The most spikes a neuron sends a step."""
_MOST_PARTS = 128
"""Parts of a threshold, above which what is left of currents is no smaller than a part."""
_MOST_CHARGES = 4096
"""Different charges, above which they are taken for no multiples of anything."""
_WHOLE = 1e-9
_REPEAT = "clock repeat"
"""A hidden neuron that carries the clock to the outputs, which inputs do not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNetwork:
    """A population and what arrives at it."""

    population: Population
    projections: tuple[Projection, ...]


def build_layer(layer: ReluLayer, units: Mapping[str, float], options: ConvertOptions) -> LayerNetwork:
    """Return a ReLU layer's neurons: the threshold is 1, a spike of a source brings the source's unit over the neuron's.

    The bias, and the half threshold that makes counts round and not floor, come through the clock, as long as the input does.
    """
    population = Population.create(
        layer.name,
        layer.incoming.size,
        alpha=1.0 - options.gain,
        beta=1.0 - options.leak,
        bias=leak_drive(options),
        max_count=MAX_COUNT,
        source=layer.name,
    )
    charge = layer.incoming.bias / units[layer.name] + start_charge(layer, units, options)
    part = LayerNetwork(population=population, projections=_weigh(layer.name, layer.incoming, units, options))
    return add_charge(part, CLOCK, charge / options.clock_count, options)


def start_charge(layer: ReluLayer, units: Mapping[str, float], options: ConvertOptions) -> float:
    """Return the charge that makes counts round, about 0.5 thresholds, or be floored, about 0.

    Where all charges that can come are multiples of ``1 / n`` thresholds, as of the mean of ``n`` levels of the same step, ties
    are frequent, and what is left of a current at the end would decide them. There the threshold is put half way between two of
    the multiples, on the side of the tie that the rounding says, which moves no other level::

        round      0.5 + 1 / 2n (n even), 0.5 (n odd)
        half_down  0.5 - 1 / 2n (n even), 0.5 (n odd)
        floor      1 / 2n
    """
    if layer.step is None:
        return 0.5 if options.start == "half" else 0.0
    n_parts = _count_parts(layer, units)
    margin = 0.5 / n_parts if n_parts else 0.0
    if layer.rounding == "floor":
        return margin
    side = 0 if n_parts % 2 else 1 if layer.rounding == "round" else -1
    return 0.5 + side * margin


def _count_parts(layer: ReluLayer, units: Mapping[str, float]) -> int:
    """Return the least n, up to ``_MOST_PARTS``, of which all charges are multiples of 1 / n thresholds; 0 where none is."""
    terms = layer.incoming.terms.items()
    charges = [weights.data * (units[source] / units[layer.name]) for source, weights in terms]
    rest = np.unique(np.concatenate([layer.incoming.bias / units[layer.name], *charges]))
    for n_parts in range(1, _MOST_PARTS + 1 if rest.size <= _MOST_CHARGES else 1):
        if np.abs(rest * n_parts - np.rint(rest * n_parts)).max(initial=0.0) < _WHOLE:
            return n_parts
    return 0


def leak_drive(options: ConvertOptions) -> float:
    """Return the bias of each step, in thresholds, whose fixed point under the leak is half a threshold."""
    return options.leak / 2.0 if options.compensate_leak else 0.0


def add_charge(part: LayerNetwork, source: str, charge: FloatArray, options: ConvertOptions) -> LayerNetwork:
    """Let each spike of a one-neuron source bring more charge.

    Args:
        part: layer.
        source: port or population of one neuron.
        charge: ``(size,)``, in thresholds, over all steps in which the spike's current flows.
        options: of the conversion.
    """
    name = f"{source}->{part.population.name}"
    given = [p for p in part.projections if p.name == name]
    others = tuple(p for p in part.projections if p.name != name)
    weights = options.gain * charge + (given[0].weights.to_dense()[0] if given else 0.0)
    added = Projection(
        name=name,
        pre=source,
        post=part.population.name,
        weights=CsrMatrix.from_dense(weights[np.newaxis]),
        source=part.population.name,
    )
    return replace(part, projections=(*others, added))


def hold_charge(part: LayerNetwork, held: FloatArray, level: int, options: ConvertOptions) -> LayerNetwork:
    """Take a charge ``(size,)`` in thresholds before the input comes, and give it back when the level's time has come."""
    taken = add_charge(part, HOLD, -held / options.input_rate, options)
    return add_charge(taken, release_name(level), held / options.input_rate, options)


def build_ends(ann: Ann, units: Mapping[str, float], options: ConvertOptions) -> tuple[LayerNetwork, LayerNetwork]:
    """Return the neuron that repeats the clock for the readout, and the readout."""
    return _repeat_clock(units, options), _build_output(ann.output, units, options)


def join_layers(ann: Ann, parts: Sequence[LayerNetwork], control: Sequence[str], options: ConvertOptions) -> Network:
    """Return the network of all layers and the readout.

    Args:
        ann: converted.
        parts: its layers, the repeated clock and the readout.
        control: names of the ports that carry time.
        options: of the conversion.
    """
    return Network(
        name=ann.name,
        inputs=(InputPort(name=INPUT, size=ann.n_inputs), *(InputPort(name=name, size=1) for name in control)),
        populations=tuple(part.population for part in parts),
        projections=tuple(projection for part in parts for projection in part.projections),
        outputs=(OutputPort(name="output", populations=("output",), readout="potential"),),
        provenance={
            "framework": f"{ann.framework}, converted",
            "reset": "subtract",
            PRESENTATION: f"{options.n_steps} steps",
            **({"left out": f"{ann.left_out} at the end: outputs are logits"} if ann.left_out else {}),
        },
    )


def _repeat_clock(units: Mapping[str, float], options: ConvertOptions) -> LayerNetwork:
    """Return a neuron that fires once for each spike of the clock."""
    each = Affine(terms={}, bias=np.full(1, float(options.clock_count)), shape=(1,))
    return build_layer(ReluLayer(name=_REPEAT, incoming=each), {**units, _REPEAT: 1.0}, options)


def _build_output(affine: Affine, units: Mapping[str, float], options: ConvertOptions) -> LayerNetwork:
    """Return neurons that never fire, read by their potentials; their biases come through the repeated clock."""
    population = Population.create(
        "output",
        affine.size,
        alpha=1.0 - options.gain,
        beta=1.0 - options.leak,
        threshold=np.inf,
        max_count=1,
        source="output",
    )
    part = LayerNetwork(population=population, projections=_weigh("output", affine, units, options))
    return add_charge(part, _REPEAT, affine.bias / units["output"] / options.clock_count, options)


def _weigh(name: str, affine: Affine, units: Mapping[str, float], options: ConvertOptions) -> tuple[Projection, ...]:
    factors = {source: units[source] / units[name] * options.gain for source in affine.terms}
    return tuple(
        Projection(name=f"{source}->{name}", pre=source, post=name, weights=matrix.scale(factors[source]), source=name)
        for source, matrix in affine.to_matrices().items()
    )
