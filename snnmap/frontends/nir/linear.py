"""Linear NIR nodes on signals: weights, convolutions, poolings, scales, shapes and delays."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.spatial import Window, lower_convolution, lower_pooling
from snnmap.frontends.nir.arrays import MOST, are_same_but_batch, declared_shape, read_array, read_integers, without_batch
from snnmap.frontends.nir.graph import type_name
from snnmap.frontends.nir.options import NirOptions
from snnmap.frontends.nir.signal import NO_LABEL, Label, Signal, Term, merge_terms
from snnmap.frontends.nir.written import written

__all__ = ["LINEAR", "apply_linear"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A node, its path, what errors call it, and the options."""

    node: Any
    path: str
    where: str
    options: NirOptions


def apply_linear(node: Any, path: str, signal: Signal, options: NirOptions) -> Signal:
    """Pass a signal through a node of :data:`LINEAR`.

    Raises:
        FrontendError or NetworkError: the signal does not fit the node, or the node has no meaning.
    """
    where = f"node '{path}' ({type_name(node)})"
    if signal.potential and type_name(node) not in ("Flatten", "Input", "Output"):
        raise FrontendError(
            "a linear node weighs membrane potentials; populations of a chip exchange spikes", where=where,
            fix="end the graph with the LI, or use a neuron that spikes",
        )  # fmt: skip
    return LINEAR[type_name(node)](_Place(node, path, where, options), signal)


def _through(
    signal: Signal, matrix: Any, shape: Shape, path: str, bias: FloatArray | None = None, label: Label = NO_LABEL
) -> Signal:
    """Multiply every term by ``(n_here, n_next)`` weights and add a bias."""
    terms = tuple(
        replace(
            term,
            matrix=matrix if term.matrix is None else (term.matrix @ matrix).tocsr(),
            path=(*term.path, path),
            label=label if not term.path else NO_LABEL,
        )
        for term in signal.terms
    )
    constant = np.asarray(signal.constant @ matrix, np.float64)
    return Signal(shape, terms, constant if bias is None else constant + bias)


def _pass_linear(place: _Place, signal: Signal) -> Signal:
    node, where = place.node, place.where
    from scipy.sparse import csr_array

    weight = read_array(node, "weight", where)
    if weight.ndim != 2:
        raise FrontendError(
            "the weights are not a matrix", where=where, measured=f"shape {weight.shape}", limit="(n_out, n_in)",
            fix="flatten the input first",
        )  # fmt: skip
    signal = replace(signal, shape=without_batch(signal.shape, 1))
    fix = "check both shapes; export a sample of one step without the batch (ignore_dims=[0] in nirtorch); flatten images"
    _require(
        signal.shape == (weight.shape[1],), "the input does not fit the weights", where, signal.shape, (weight.shape[1],), fix
    )
    bias = None
    if type_name(node) == "Affine":
        bias = read_array(node, "bias", where)
        _require(bias.shape == (weight.shape[0],), "the bias does not fit the weights", where, bias.shape, (weight.shape[0],))
    return _through(signal, csr_array(weight.T), (weight.shape[0],), place.path, bias, _label(place))


def _label(place: _Place) -> Label:
    given = written(place.node, place.where)
    return Label(given.name, given.order, given.source) if given.name else NO_LABEL


def _pass_scale(place: _Place, signal: Signal) -> Signal:
    node, where = place.node, place.where
    from scipy.sparse import diags_array

    scale = read_array(node, "scale", where)
    fits = scale.shape == () or are_same_but_batch(scale.shape, signal.shape)
    _require(fits, "the input does not fit the scale", where, signal.shape, scale.shape)
    factors = np.broadcast_to(scale.ravel(), (signal.size,))
    return _through(signal, diags_array(factors, format="csr"), signal.shape, place.path)


def _pass_flatten(place: _Place, signal: Signal) -> Signal:
    node, where = place.node, place.where
    declared = declared_shape(node, "input", where)
    if declared is not None:  # dimensions count as they were declared
        signal = replace(signal, shape=_require_declared(declared, signal.shape, where))
    n, start, end = len(signal.shape), _integer(node, "start_dim", where), _integer(node, "end_dim", where)
    start, end = start + n * (start < 0), end + n * (end < 0)
    if not 0 <= start <= end < n:
        raise FrontendError(
            "start_dim and end_dim do not fit the input", where=where, measured=f"{node.start_dim} to {node.end_dim}",
            limit=f"shape {signal.shape}, without the batch", fix="count dimensions without the batch",
        )  # fmt: skip
    middle = int(np.prod(signal.shape[start : end + 1]))
    return replace(signal, shape=(*signal.shape[:start], middle, *signal.shape[end + 1 :]))


def _pass_delay(place: _Place, signal: Signal) -> Signal:
    node, where = place.node, place.where
    delay = read_array(node, "delay", where)
    fits = delay.shape == () or are_same_but_batch(delay.shape, signal.shape)
    _require(fits, "the input does not fit the delays", where, signal.shape, delay.shape)
    steps = _count_steps(delay, place.options, where)
    late = np.broadcast_to(steps.ravel(), (signal.size,))
    if (signal.constant[late > 0] != 0).any():
        raise FrontendError(
            "a constant is delayed; NIR does not say what it was before the start", where=where,
            fix="put the Delay before the bias",
        )  # fmt: skip
    return replace(signal, terms=merge_terms((part for term in signal.terms for part in _delay_term(term, late)), signal.size))


def _delay_term(term: Term, late: npt.NDArray[np.int64]) -> Iterable[Term]:
    """Split a term by the delays of its columns."""
    from scipy.sparse import diags_array

    found = np.unique(late)
    for steps in found:
        delay = int(steps) + (term.delay_steps or 0)
        if len(found) == 1:
            yield replace(term, delay_steps=delay)
        else:
            mask = diags_array((late == steps).astype(np.float64), format="csr")
            matrix = mask if term.matrix is None else (term.matrix @ mask).tocsr()
            matrix.eliminate_zeros()
            yield replace(term, matrix=matrix, delay_steps=delay)


def _count_steps(delay: FloatArray, options: NirOptions, where: str) -> npt.NDArray[np.int64]:
    step, unit = options.step(where), options.time_unit
    with np.errstate(over="ignore", invalid="ignore"):
        exact = delay / step
        steps = np.rint(exact)
        whole = (steps >= 0) & (steps <= MOST) & (np.abs(exact - steps) <= 1e-6 * np.maximum(1.0, steps))
    wrong = ~whole
    if wrong.any():
        raise FrontendError(
            "a delay is not a whole number of steps", where=where, measured=f"{delay[wrong].flat[0]:g} {unit}",
            limit=f"0 to {MOST} steps of {step:g} {unit}", fix="choose dt_s so that it divides the delays, or check time_unit",
        )  # fmt: skip
    return np.asarray(steps, np.int64)


def _pass_convolution(place: _Place, signal: Signal) -> Signal:
    node, where = place.node, place.where
    weight, bias = read_array(node, "weight", where), read_array(node, "bias", where)
    flat = type_name(node) == "Conv1d"
    n_dimensions = 2 if flat else 3
    _require(
        weight.ndim == n_dimensions + 1, "the weights have the wrong shape", where, weight.shape, f"{n_dimensions + 1} sides"
    )
    signal = replace(signal, shape=without_batch(signal.shape, n_dimensions))
    _require_sides(signal.shape, n_dimensions, where)
    if node.input_shape is not None:
        _require_declared((signal.shape[0], *read_integers(node, "input_shape", where)), signal.shape, where)
    _require(bias.shape == (weight.shape[0],), "the bias does not fit the weights", where, bias.shape, (weight.shape[0],))
    window = _window(node, (1, weight.shape[2]) if flat else weight.shape[2:], flat, where)
    shape, kernel = (signal.shape, weight) if not flat else ((signal.shape[0], 1, signal.shape[1]), weight[:, :, np.newaxis, :])
    matrix, out = lower_convolution(kernel, window, _integer(node, "groups", where), shape, where)
    return _through(signal, matrix, (out[0], out[2]) if flat else out, place.path, np.repeat(bias, out[1] * out[2]))


def _pass_pool(place: _Place, signal: Signal) -> Signal:
    """Sum or average windows; padding counts as zeros in the average, as torch has it."""
    node, where = place.node, place.where
    signal = replace(signal, shape=without_batch(signal.shape, 3))
    _require_sides(signal.shape, 3, where)
    kernel = _pair(node, "kernel_size", False, where)
    window = _window(node, kernel, False, where)
    weight = 1.0 if type_name(node) == "SumPool2d" else 1.0 / (max(kernel[0], 1) * max(kernel[1], 1))
    matrix, out = lower_pooling(window, weight, signal.shape, where)
    return _through(signal, matrix, out, place.path)


def _window(node: Any, kernel: Any, flat: bool, where: str) -> Window:
    size = (int(kernel[0]), int(kernel[1]))
    stride = _pair(node, "stride", flat, where)
    dilation = _pair(node, "dilation", flat, where) if hasattr(node, "dilation") else (1, 1)
    return Window(kernel=size, stride=stride, dilation=dilation, padding=_padding(node, size, stride, dilation, flat, where))


def _padding(
    node: Any, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], flat: bool, where: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return zeros before and after; 'same' puts the odd one after, as torch does."""
    given = node.padding
    if isinstance(given, str | bytes):
        text = given.decode() if isinstance(given, bytes) else given
        if text == "valid":
            return (0, 0), (0, 0)
        if text != "same" or stride != (1, 1):
            raise FrontendError(
                "this padding has no agreed meaning", where=where, measured=f"padding '{text}', stride {stride}",
                limit="'valid', 'same' with stride 1, or numbers", fix="write the padding as numbers",
            )  # fmt: skip
        height, width = (spread * (side - 1) for side, spread in zip(kernel, dilation, strict=True))
        return (height // 2, height - height // 2), (width // 2, width - width // 2)
    height, width = _pair(node, "padding", flat, where, flat_height=0)
    return (height, height), (width, width)


def _pair(node: Any, name: str, flat: bool, where: str, flat_height: int = 1) -> tuple[int, int]:
    """Return height and width of an option that is one integer or two; a one-dimensional layer has one row."""
    values = read_integers(node, name, where)
    if len(values) > (1 if flat else 2):
        raise FrontendError(
            f"'{name}' has too many integers", where=where, measured=str(values), limit="1" if flat else "1 or 2",
            fix="give one integer" + ("" if flat else " or a pair"),
        )  # fmt: skip
    return (flat_height, values[-1]) if flat else (values[0], values[-1])


def _integer(node: Any, name: str, where: str) -> int:
    return _pair(node, name, True, where)[1]


def _require_declared(declared: Shape, shape: Shape, where: str) -> Shape:
    same = are_same_but_batch(declared, shape)
    _require(same, "the input does not have the shape that the node declares", where, shape, declared)
    return declared


def _require_sides(shape: Shape, n_dimensions: int, where: str) -> None:
    sides = "(channels, length)" if n_dimensions == 2 else "(channels, height, width)"
    _require(len(shape) == n_dimensions, "the input has the wrong number of dimensions", where, shape, sides)


def _require(
    condition: bool, what: str, where: str, measured: object, limit: object, fix: str = "check the shapes of both nodes"
) -> None:
    if not condition:
        raise FrontendError(what, where=where, measured=str(measured), limit=str(limit), fix=fix)


def _pass_on(place: _Place, signal: Signal) -> Signal:
    """Pass a signal through the Input or Output of a nested graph."""
    node, where = place.node, place.where
    declared = declared_shape(node, "input" if type_name(node) == "Input" else "output", where)
    if declared is not None:
        _require_declared(declared, signal.shape, where)
    return signal


LINEAR: Mapping[str, Callable[[_Place, Signal], Signal]] = {
    "Affine": _pass_linear,
    "AvgPool2d": _pass_pool,
    "Conv1d": _pass_convolution,
    "Conv2d": _pass_convolution,
    "Delay": _pass_delay,
    "Flatten": _pass_flatten,
    "Input": _pass_on,
    "Linear": _pass_linear,
    "Output": _pass_on,
    "Scale": _pass_scale,
    "SumPool2d": _pass_pool,
}
"""What to do with each type of node without state."""
