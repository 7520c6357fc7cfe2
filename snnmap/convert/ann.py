"""An ANN of ReLU layers with affine maps between them: what every conversion starts from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.core import BoolArray, CsrMatrix, FloatArray, record
from snnmap.core.brief import brief_repr
from snnmap.core.cached import Cached, cached
from snnmap.core.threads import count_cores, run_side_by_side

__all__ = [
    "INPUT",
    "REPEAT",
    "Affine",
    "Ann",
    "LayerKind",
    "ReluLayer",
    "Rounding",
    "apply_affine",
    "drop_unused",
    "keep_neurons",
    "measure_levels",
    "repeat_input",
    "run_ann",
    "shift_input",
]

INPUT = "input"
REPEAT = "input repeat"
"""A layer that repeats input values for the output, which inputs do not reach on a chip."""

_MUCH_WORK = 100_000_000
"""Weights times samples above which it is worth while to look at matrices beside each other."""

LayerKind = Literal["relu", "max", "excess", "pool", "repeat"]
Rounding = Literal["round", "half_down", "floor"]
Apply: TypeAlias = Callable[["Affine", Mapping[str, FloatArray]], FloatArray]
"""Computes pre-activations ``(n, size)`` from activations ``(n, size)`` by source."""


@record
class Affine(Cached):
    """Sparse weights from ReLU layers or the input, and a bias: a pre-activation or an output.

    Attributes:
        terms: ``(n_source, n)`` ``scipy.sparse.csr_array`` by source name.
        bias: ``(n,) float64``.
        shape: of one sample in the user's model, such as ``(channels, height, width)``.
    """

    terms: Mapping[str, Any]
    bias: FloatArray
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of values."""
        return int(self.bias.size)

    @property
    def n_weights(self) -> int:
        """Number of stored weights of all terms."""
        return sum(weights.nnz for weights in self.terms.values())

    @cached
    def to_matrices(self) -> dict[str, CsrMatrix]:
        """Return the terms as matrices of synapses, without weights that are exactly 0."""
        return {source: CsrMatrix.from_scipy(weights) for source, weights in self.terms.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReluLayer:
    """Rectified neurons, named by the module that they come from.

    Attributes:
        name: unique.
        incoming: pre-activation.
        kind: ``relu`` of the model; ``max``, of a maximum ``a + relu(b - a)``; ``excess``, of a clip
            ``relu(z) - relu(z - b)``, whose neurons are of use only where the clip is reached; ``pool``, of a pool of
            values that are never negative, which rectified is what it was; or ``repeat``, of the input's values.
        step: activation of one level, where the model's activation is quantised; an activation is a whole number of steps.
        rounding: of ``pre-activation / step``: to the nearest whole number, ties upwards or, with ``half_down``, downwards; or
            to the one below.
    """

    name: str
    incoming: Affine
    kind: LayerKind = "relu"
    step: float | None = None
    rounding: Rounding = "round"

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class Ann:
    """Layers in an order in which they can be computed, and the output's affine map.

    Attributes:
        name: of the model.
        n_inputs: values of a sample.
        layers: in an order in which they can be computed.
        output: what is read.
        framework: what it was read from.
        left_out: function at the model's end that is not in ``output`` and keeps the order of its values, ``softmax``,
            ``log_softmax`` or ``sigmoid``: the outputs are logits.
    """

    name: str
    n_inputs: int
    layers: tuple[ReluLayer, ...]
    output: Affine
    framework: str
    left_out: str = ""

    __repr__ = brief_repr


def run_ann(ann: Ann, inputs: npt.ArrayLike, *, apply: Apply | None = None) -> dict[str, FloatArray]:
    """Compute all activations in float64.

    Args:
        ann: to run.
        inputs: ``(n, ...)`` values, flattened to ``(n, n_inputs)``.
        apply: computes pre-activations; :func:`apply_affine` where left out.

    Returns:
        ``(n, size)`` by layer name, the input as ``input`` and the output as ``output``.
    """
    values = np.asarray(inputs, np.float64).reshape(len(np.asarray(inputs)), -1)
    activations, compute = {INPUT: values}, apply or apply_affine
    if apply is None:
        _prepare(ann, len(values))
    for layer in ann.layers:
        activations[layer.name] = _rectify(layer, compute(layer.incoming, activations))
    activations["output"] = compute(ann.output, activations)
    return activations


def _prepare(ann: Ann, n_samples: int) -> None:
    """Let the matrices of a large ANN look at their weights, beside each other: each keeps what it finds."""
    affines = [*(layer.incoming for layer in ann.layers), ann.output]
    if n_samples * sum(affine.n_weights for affine in affines) > _MUCH_WORK:
        matrices = (weights for affine in affines for weights in affine.to_matrices().values())
        run_side_by_side(lambda weights: weights.build_product(n_samples), matrices, n_threads=count_cores())


def apply_affine(affine: Affine, activations: Mapping[str, FloatArray]) -> FloatArray:
    """Return pre-activations ``(n, size)`` from activations ``(n, size)`` by source."""
    total = np.repeat(affine.bias[np.newaxis], len(activations[INPUT]), axis=0)
    for source, weights in affine.to_matrices().items():
        total += weights.multiply(activations[source])
    return total


def shift_input(ann: Ann, offset: float) -> Ann:
    """Return the ANN that does with ``x - offset`` what this one does with x: the shift goes into the biases, exactly."""
    if not offset:
        return ann
    layers = tuple(replace(layer, incoming=_shift(layer.incoming, offset)) for layer in ann.layers)
    return replace(ann, layers=layers, output=_shift(ann.output, offset))


def repeat_input(ann: Ann) -> Ann:
    """Return the ANN of the same outputs for inputs of 0 and more, which takes input values for the output through a layer."""
    from scipy.sparse import csr_array, eye_array

    terms = dict(ann.output.terms)
    if INPUT not in terms:
        return ann
    weights = csr_array(terms.pop(INPUT))
    used = np.diff(weights.indptr) > 0
    if not used.any():
        return replace(ann, output=replace(ann.output, terms=terms))
    each = Affine(
        terms={INPUT: eye_array(ann.n_inputs, format="csr")[:, used]}, bias=np.zeros(used.sum()), shape=(int(used.sum()),)
    )
    layer = ReluLayer(name=REPEAT, incoming=each, kind="repeat")
    output = replace(ann.output, terms={**terms, REPEAT: weights[used]})
    return replace(ann, layers=(*ann.layers, layer), output=output)


def keep_neurons(ann: Ann, kept: Mapping[str, BoolArray]) -> Ann:
    """Leave out neurons, such as those that are 0 for every input; a layer without neurons goes altogether.

    Args:
        ann: to cut.
        kept: ``(size,)`` by layer name; other layers stay whole.
    """
    layers = []
    for layer in ann.layers:
        mask = kept.get(layer.name, np.ones(layer.incoming.size, np.bool_))
        if mask.any():
            incoming = _select_sources(layer.incoming, kept)
            if not mask.all():
                terms = {source: weights[:, mask] for source, weights in incoming.terms.items()}
                incoming = Affine(terms=terms, bias=incoming.bias[mask], shape=(int(mask.sum()),))
            layers.append(replace(layer, incoming=incoming))
    return replace(ann, layers=tuple(layers), output=_select_sources(ann.output, kept))


def drop_unused(ann: Ann) -> Ann:
    """Leave out layers that neither the output nor a layer of use takes."""
    used = set(ann.output.terms)
    for layer in reversed(ann.layers):
        if layer.name in used:
            used |= set(layer.incoming.terms)
    return replace(ann, layers=tuple(layer for layer in ann.layers if layer.name in used))


def measure_levels(ann: Ann) -> dict[str, int]:
    """Return each layer's level: 1 where it takes inputs only, else one more than the highest layer that it takes."""
    levels = {INPUT: 0}
    for layer in ann.layers:
        levels[layer.name] = 1 + max((levels[source] for source in layer.incoming.terms), default=0)
    return levels


def _rectify(layer: ReluLayer, z: FloatArray) -> FloatArray:
    if layer.step is None:
        return np.maximum(z, 0.0)
    if layer.rounding == "half_down":
        levels = np.ceil(z / layer.step - 0.5)
    else:
        levels = np.floor(z / layer.step + (0.5 if layer.rounding == "round" else 0.0))
    return layer.step * np.maximum(levels, 0.0)


def _shift(affine: Affine, offset: float) -> Affine:
    if INPUT not in affine.terms:
        return affine
    moved = offset * np.asarray(affine.terms[INPUT].sum(axis=0)).ravel()
    return replace(affine, bias=affine.bias + moved)


def _select_sources(affine: Affine, kept: Mapping[str, BoolArray]) -> Affine:
    if all(kept[source].all() for source in kept.keys() & affine.terms.keys()):
        return affine
    terms = {}
    for source, weights in affine.terms.items():
        mask = kept.get(source)
        if mask is None:
            terms[source] = weights
        elif mask.any():
            terms[source] = weights[mask]
    return replace(affine, terms=terms)
