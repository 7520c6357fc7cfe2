"""Quantisation that an export tells beside a model of floats: scales and zero points by the names of tensors."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import FrontendError
from snnmap.core.near import suggest

__all__ = ["METADATA_KEY", "apply_quantisation", "read_quantisation"]

METADATA_KEY = "snnmap.quantisation"
"""Of a model's ``metadata_props``, whose value is the text of the same JSON."""
_FIELDS = {"scale", "zero_point", "axis", "dtype"}
_DTYPES = ("uint8", "int8")
_MOVES = ("Dropout", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
"""What keeps the steps of its input."""
_FORM = '{"version": 1, "activations": {"x": {"scale": 0.02, "zero_point": 128}}, "weights": {"w": {"scale": [0.1, 0.2]}}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """Scales and zero points of a tensor: one, or one a place of an axis."""

    scale: npt.NDArray[np.float32]
    zero: npt.NDArray[Any]
    axis: int


def read_quantisation(source: Any) -> Any:
    """Return the quantisation that a JSON file or a model's metadata tells, or None where a model tells none.

    Args:
        source: path of a JSON file, or ``onnx.ModelProto``.

    Raises:
        FrontendError: the file is missing, or the text is no JSON.
    """
    where, text = METADATA_KEY, None
    if isinstance(source, str | Path):
        where = str(source)
        try:
            text = Path(source).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise FrontendError.from_failure(
                "the quantisation cannot be read", error, where=where, fix="give the path of a JSON file"
            ) from error
    else:
        text = {entry.key: entry.value for entry in source.metadata_props}.get(METADATA_KEY)
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise FrontendError.from_failure("the quantisation is no JSON", error, where=where, fix=f"write {_FORM}") from error


def apply_quantisation(model: Any, told: Any) -> Any:
    """Return a model of floats with QuantizeLinear and DequantizeLinear as is told.

    Activations that are named are quantised where they are made; weights that are named become integers; biases of Conv and Gemm
    whose input and weights are named become int32, in steps of both scales. The result is an ordinary quantised model.

    Args:
        model: ``onnx.ModelProto``, which stays as it is.
        told: ``version`` 1; ``activations`` and ``weights``, by the names of tensors and initializers, each with ``scale``,
            ``zero_point`` (0 where left out) and ``dtype``, uint8 or int8 (of activations uint8 and of weights int8 where left
            out). A weight may have a list of scales, one a place of ``axis`` (0 where left out).

    Raises:
        FrontendError: it tells all entries that do not fit the model.
    """
    made = type(model)()
    made.CopyFrom(model)
    _Writer(made).write(told)
    return made


class _Writer:
    """Writes quantisers into a model."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.graph = model.graph
        self.constants = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.inputs = {entry.name for entry in model.graph.input} - set(self.constants)
        self.before: dict[str, list[Any]] = {}
        """Nodes that come behind the maker of a tensor; of inputs and constants, first."""
        self.stands_for: dict[str, str] = {}
        """What those who take a tensor take in its place."""

    def write(self, told: Any) -> None:
        problems: list[str] = []
        activations, weights = ({}, {})
        if not isinstance(told, Mapping) or told.get("version") != 1 or set(told) - {"version", "activations", "weights"}:
            problems.append(f"it is none of the form {_FORM}")
        elif any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in self.graph.node):
            problems.append("the model has quantisers of its own; leave the entries out, or give the model of floats")
        else:
            moving, fixed = self.inputs | set(self.makers), set(self.constants)
            activations = dict(_read_entries(told.get("activations", {}), "activations", moving, "uint8", problems))
            weights = dict(_read_entries(told.get("weights", {}), "weights", fixed, "int8", problems))
            problems += [
                f"weights '{name}': {steps.scale.size} scales for axis {steps.axis} of {self.constants[name].shape}"
                for name, steps in weights.items()
                if steps.scale.ndim and self.constants[name].shape[steps.axis : steps.axis + 1] != steps.scale.shape
            ]
            problems += [f"activation '{name}': more scales than one" for name, steps in activations.items() if steps.scale.ndim]
        if problems:
            raise FrontendError(
                "\n".join(["the quantisation does not fit the model", *(f"  - {problem}" for problem in problems)]),
                where=self.graph.name,
                fix="correct these entries",
            )
        for name, steps in weights.items():
            levels = _quantise(self.constants[name], steps)
            self._dequantise(name, levels, steps)
        for node in self.graph.node:
            self._write_bias(node, activations, weights)
        for name, steps in activations.items():
            self._requantise(name, steps)
        self._rebuild()

    def _add(self, name: str, array: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, axis: int) -> Any:
        from onnx import helper

        return helper.make_node(kind, inputs, [output], name=f"{output}.{kind}", axis=axis)

    def _add_steps(self, name: str, steps: _Steps) -> list[str]:
        return [self._add(f"{name}.scale", steps.scale), self._add(f"{name}.zero_point", steps.zero)]

    def _dequantise(self, name: str, levels: npt.NDArray[Any], steps: _Steps) -> None:
        """Let integers stand for a constant."""
        inputs = [self._add(f"{name}.quantised", levels), *self._add_steps(name, steps)]
        self.before.setdefault("", []).append(self._node("DequantizeLinear", inputs, f"{name}.dequantised", steps.axis))
        self.stands_for[name] = f"{name}.dequantised"

    def _write_bias(self, node: Any, activations: Mapping[str, _Steps], weights: Mapping[str, _Steps]) -> None:
        """Quantise a bias in steps of input and weights."""
        names = list(node.input)
        if (
            node.op_type not in ("Conv", "Gemm")
            or len(names) < 3
            or names[2] not in self.constants
            or names[2] in self.stands_for
        ):
            return
        data = names[0]
        while data not in activations and data in self.makers and self.makers[data].op_type in _MOVES:
            data = self.makers[data].input[0]
        if data in activations and names[1] in weights:
            scale = activations[data].scale * weights[names[1]].scale
            steps = _Steps(scale=scale, zero=np.zeros(scale.shape, np.int32), axis=0)
            levels = np.rint(self.constants[names[2]] / scale.astype(np.float64))
            self._dequantise(names[2], np.clip(levels, -(2**31), 2**31 - 1).astype(np.int32), steps)

    def _requantise(self, name: str, steps: _Steps) -> None:
        """Put both quantisers behind the maker of a tensor, whose name stays that of its last value."""
        inputs = self._add_steps(name, steps)
        source, result = name, f"{name}.dequantised"
        if name in self.makers:
            source, result = f"{name}.float", name
            outputs = self.makers[name].output
            outputs[list(outputs).index(name)] = source
        else:
            self.stands_for[name] = result
        quantisers = [
            self._node("QuantizeLinear", [source, *inputs], f"{name}.levels", steps.axis),
            self._node("DequantizeLinear", [f"{name}.levels", *inputs], result, steps.axis),
        ]
        self.before.setdefault(source if name in self.makers else "", []).extend(quantisers)

    def _rebuild(self) -> None:
        """Write the nodes anew, each with what is put behind it."""
        nodes = list(self.before.get("", []))
        for node in self.graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = self.stands_for.get(name, name)
            nodes += [node, *(one for name in node.output for one in self.before.get(name, []))]
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(copies)
        del self.graph.value_info[:]


def _read_entries(entries: Any, kind: str, known: set[str], dtype: str, problems: list[str]) -> Iterator[tuple[str, _Steps]]:
    """Yield the steps by name, and note entries that are none."""
    if not isinstance(entries, Mapping):
        problems.append(f"{kind} are no object of names")
        return
    for name, entry in entries.items():
        if name not in known:
            problems.append(f"{kind}: the model has no '{name}'; {suggest(name, known, 'name one of its tensors')}")
            continue
        try:
            yield name, _read_steps(entry, dtype)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            problems.append(f"{kind} '{name}': {error}")


def _read_steps(entry: Mapping[str, Any], dtype: str) -> _Steps:
    if set(entry) - _FIELDS or "scale" not in entry:
        raise ValueError(f"fields {', '.join(entry)} in place of {', '.join(sorted(_FIELDS))}, of which scale must be")
    if entry.get("dtype", dtype) not in _DTYPES:
        raise ValueError(f"dtype {entry['dtype']}, not one of {', '.join(_DTYPES)}")
    scale, zero = np.asarray(entry["scale"], np.float32), np.asarray(entry.get("zero_point", 0))
    limits = np.iinfo(entry.get("dtype", dtype))
    if scale.ndim > 1 or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"scale {entry['scale']} is not positive")
    if zero.dtype.kind != "i" or (zero < limits.min).any() or (zero > limits.max).any() or zero.ndim > scale.ndim:
        raise ValueError(f"zero point {entry['zero_point']}, limit whole numbers {limits.min} to {limits.max}, as many as scales")
    return _Steps(scale=scale, zero=np.broadcast_to(zero, scale.shape).astype(limits.dtype), axis=int(entry.get("axis", 0)))


def _quantise(values: npt.NDArray[Any], steps: _Steps) -> npt.NDArray[Any]:
    shape = [-1 if axis == steps.axis else 1 for axis in range(values.ndim)] if steps.scale.ndim else ()
    limits = np.iinfo(steps.zero.dtype)
    levels = np.rint(values / steps.scale.reshape(shape)) + steps.zero.reshape(shape)
    return np.asarray(np.clip(levels, limits.min, limits.max).astype(steps.zero.dtype))
