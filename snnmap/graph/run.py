"""The reference run: every value of a graph, operation by operation, in numpy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError, NetworkError
from snnmap.graph.graph import LayerGraph
from snnmap.graph.operation import Array

__all__ = ["measure_difference", "require_same", "run_graph"]


def run_graph(
    graph: LayerGraph, inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, dtype: Any = np.float64
) -> dict[str, Array]:
    """Compute every value of a graph.

    Floating-point values are computed in one type throughout, float64 where nothing else is said; float32 gives what frameworks
    give but for the order of sums. Quantised values are integers of their own types.

    Args:
        graph: to run.
        inputs: ``(batch, *shape)``, by name where there are several.
        dtype: ``numpy.float64`` or ``numpy.float32``.

    Returns:
        ``(batch, *shape)`` by name, the inputs' too.

    Raises:
        InputError: an input is missing, or has another shape.
    """
    values = _take_inputs(graph, inputs, np.dtype(dtype))
    known = {**{name: _in_type(array, np.dtype(dtype)) for name, array in graph.constants.items()}, **values}
    for node in graph.nodes:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # infinite or NaN, as the frameworks give too
            values[node.name] = known[node.name] = node.operation.run([known[name] for name in node.inputs])
    return values


def measure_difference(found: npt.ArrayLike, wanted: npt.ArrayLike) -> float:
    """Return the greatest difference of two arrays, relative to the greatest finite magnitude of the second.

    Infinities and NaN are equal where both arrays have them, else infinitely different.
    """
    one, other = (np.asarray(array, np.float64) for array in (found, wanted))
    if one.shape != other.shape:
        return np.inf
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return np.inf
    scale = float(np.abs(other[finite]).max(initial=0.0))
    return float(np.abs(one[finite] - other[finite]).max(initial=0.0)) / (scale or 1.0)


def require_same(before: LayerGraph, after: LayerGraph, inputs: Any, *, tolerance: float = 1e-9) -> float:
    """Run two graphs and compare the outputs, and every value that both name; how a pass is checked.

    Args:
        before: graph.
        after: another, with the same inputs and outputs.
        inputs: as of :func:`run_graph`.
        tolerance: greatest relative difference that is allowed.

    Returns:
        The greatest difference found, as of :func:`measure_difference`.

    Raises:
        NetworkError: a value differs by more; it says which.
    """
    one, other = run_graph(before, inputs), run_graph(after, inputs)
    pairs = {name: (other[name], values) for name, values in one.items() if name in other}
    pairs |= {f"output {new}": (other[new], one[old]) for old, new in zip(before.outputs, after.outputs, strict=True)}
    found = {name: measure_difference(*pair) for name, pair in pairs.items()}
    worst = max(found, key=lambda name: found[name])
    if not found[worst] <= tolerance:
        raise NetworkError(
            "two graphs compute other values",
            where=f"'{worst}'",
            measured=f"relative difference {found[worst]:.2g}",
            limit=f"{tolerance:g}",
            fix="this is a defect of a pass: report it with the graph's text",
        )
    return found[worst]


def _take_inputs(graph: LayerGraph, inputs: Any, dtype: np.dtype[Any]) -> dict[str, Array]:
    given = inputs if isinstance(inputs, Mapping) else dict.fromkeys(list(graph.inputs)[:1], inputs)
    taken = {}
    for name, kind in graph.inputs.items():
        if name not in given:
            raise InputError("an input is missing", where=f"input '{name}'", measured=", ".join(map(str, given)), fix="give it")
        array = np.asarray(given[name])
        array = array.astype(dtype) if kind.dtype == "float32" else array
        if array.shape[1:] != kind.shape or array.ndim == 0:
            raise InputError(
                "an input has another shape",
                where=f"input '{name}'",
                measured=str(array.shape),
                limit=f"(batch, {', '.join(map(str, kind.shape))})",
                fix="give samples along the first dimension",
            )
        taken[name] = array
    return taken


def _in_type(array: Array, dtype: np.dtype[Any]) -> Array:
    return array.astype(dtype) if array.dtype.kind == "f" else array
