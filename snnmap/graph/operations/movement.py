"""Operations that move values and compute none."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation

__all__ = [
    "Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Squeeze", "Transpose",
    "Unsqueeze",
]  # fmt: skip


@operation
class Identity(Operation):
    """The input itself."""

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return inputs[0]

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0])


@operation
class Dropout(Operation):
    """The input itself: networks are taken as evaluated, not as trained."""

    n_inputs: ClassVar[tuple[int, int]] = (1, 3)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return inputs[0]

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0])


@operation
class Flatten(Operation):
    """All values of a sample in one dimension."""

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        return TensorType(shape=(int(np.prod(data.shape)),), dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0].reshape(len(inputs[0]), -1))


@operation
class Reshape(Operation):
    """A sample's values in another shape, which is written without the batch."""

    shape: Shape

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        if np.prod(self.shape) != np.prod(data.shape) or min(self.shape, default=1) < 0:
            raise NetworkError(
                "a sample has another number of values than its new shape",
                measured=f"{data.shape} to {self.shape}",
                limit=f"{int(np.prod(data.shape))} values",
                fix="keep the batch as the first dimension",
            )
        return TensorType(shape=self.shape, dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0].reshape(len(inputs[0]), *self.shape))


@operation
class Squeeze(Operation):
    """A sample without axes of one place."""

    role: ClassVar[Role] = "Squeeze"

    axes: Shape

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        axes = _positive(self.axes, len(data.shape) + 1)
        if any(data.shape[axis - 1] != 1 for axis in axes):
            raise NetworkError(
                "an axis of more than one place is squeezed", measured=f"axes {self.axes} of {data}", limit="1 place"
            )
        kept = [side for axis, side in enumerate(data.shape, 1) if axis not in axes]
        return TensorType(shape=tuple(kept), dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.squeeze(inputs[0], self.axes))


@operation
class Unsqueeze(Operation):
    """A sample with axes of one place more."""

    role: ClassVar[Role] = "Unsqueeze"

    axes: Shape

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        rank = len(data.shape) + 1 + len(self.axes)
        axes, rest = _positive(self.axes, rank), iter(data.shape)
        return TensorType(shape=tuple(1 if axis in axes else next(rest) for axis in range(1, rank)), dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.expand_dims(inputs[0], self.axes))


@operation
class Transpose(Operation):
    """The axes in another order; that of the batch stays the first."""

    perm: Shape

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        if sorted(self.perm) != list(range(len(data.shape) + 1)) or self.perm[0] != 0:
            raise NetworkError(
                "a transposition that moves the batch or does not fit",
                measured=f"perm {self.perm} of {data}",
                limit="0 first, each axis once",
                fix="keep the batch as the first dimension",
            )
        return TensorType(shape=tuple(data.shape[axis - 1] for axis in self.perm[1:]), dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0].transpose(self.perm))


@operation
class Concat(Operation):
    """Activations side by side along an axis."""

    n_inputs: ClassVar[tuple[int, int]] = (1, -1)

    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        parts = inputs
        rank = len(parts[0].shape) + 1
        (axis,) = _positive((self.axis,), rank)
        others = {(*part.shape[: axis - 1], *part.shape[axis:]) for part in parts}
        if any(part.is_constant or len(part.shape) + 1 != rank for part in parts) or len(others) != 1:
            raise NetworkError(
                "the parts do not fit side by side",
                measured=", ".join(map(str, parts)),
                limit=f"activations, equal but for axis {axis}",
                fix="check the shapes",
            )
        side = sum(part.shape[axis - 1] for part in parts)
        return TensorType(shape=(*parts[0].shape[: axis - 1], side, *parts[0].shape[axis:]), dtype=parts[0].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.concatenate(inputs, axis=self.axis)


@operation
class Expand(Operation):
    """A sample spread to a shape, which is written without the batch: axes of one place are repeated."""

    shape: Shape

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        if len(data.shape) != len(self.shape) or any(
            old not in (1, new) for old, new in zip(data.shape, self.shape, strict=True)
        ):
            raise NetworkError(
                "a sample cannot be spread to the shape",
                measured=f"{data.shape} to {self.shape}",
                limit="as many axes, equal but where there is one place",
                fix="unsqueeze it first",
            )
        return TensorType(shape=self.shape, dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.broadcast_to(inputs[0], (len(inputs[0]), *self.shape))


@operation
class Gather(Operation):
    """Places of an axis, picked by the second input, a constant of whole numbers whose shape takes the axis' place."""

    n_inputs: ClassVar[tuple[int, int]] = (2, 2)

    axis: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, places = inputs
        if data.is_constant or not places.is_constant or not places.dtype.startswith(("int", "uint")):
            raise NetworkError(
                "places that are no constant whole numbers, or a choice from a constant",
                measured=f"{places} of {data}",
                limit="an activation, and integers that do not depend on it",
                fix="export it with constants folded",
            )
        (axis,) = _positive((self.axis,), len(data.shape) + 1)
        return TensorType(shape=(*data.shape[: axis - 1], *places.shape, *data.shape[axis:]), dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.take(inputs[0], inputs[1], axis=self.axis))


@operation
class Slice(Operation):
    """A part of a sample: places from ``starts`` to before ``ends`` along ``axes``, each ``steps``-th."""

    constant_inputs: ClassVar[Mapping[str, int]] = {"starts": 1, "ends": 2, "axes": 3, "steps": 4}

    starts: Shape
    ends: Shape
    axes: Shape
    steps: Shape = ()

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        _positive(self.axes, len(data.shape) + 1)
        found = np.broadcast_to(0, (1, *data.shape))[self._places(len(data.shape) + 1)]
        if not found.size:
            raise NetworkError("a slice that leaves nothing", measured=f"{self} of {data}", fix="check its bounds")
        return TensorType(shape=found.shape[1:], dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0][self._places(inputs[0].ndim)])

    def _places(self, rank: int) -> tuple[slice, ...]:
        places = [slice(None)] * rank
        steps = self.steps or (1,) * len(self.axes)
        for axis, start, end, step in zip(self.axes, self.starts, self.ends, steps, strict=True):
            places[axis] = slice(start, end, step)
        return tuple(places)


@operation
class Pad(Operation):
    """Values around a sample; ``pads`` counts those before each axis, the batch's too, then those after each."""

    constant_inputs: ClassVar[Mapping[str, int]] = {"pads": 1, "value": 2}

    pads: Shape
    mode: str = "constant"
    value: float = 0.0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data = inputs[0]
        rank = len(data.shape) + 1
        if len(self.pads) != 2 * rank or self.pads[0] or self.pads[rank] or self.mode not in _PAD_MODES:
            raise NetworkError(
                "padding that adds samples, does not fit or is of an unknown kind",
                measured=f"pads {self.pads}, mode {self.mode}, of {data}",
                limit=f"{2 * rank} numbers, none of the batch's; {', '.join(_PAD_MODES)}",
                fix="pad axes of a sample",
            )
        sides = [side + self.pads[axis] + self.pads[rank + axis] for axis, side in enumerate(data.shape, 1)]
        if min(sides, default=1) < 1:
            raise NetworkError("padding that leaves nothing", measured=f"pads {self.pads} of {data}", fix="check the pads")
        return TensorType(shape=tuple(sides), dtype=data.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        rank, data = inputs[0].ndim, inputs[0]
        pairs = list(zip(self.pads[:rank], self.pads[rank:], strict=True))
        cut = tuple(
            slice(max(-before, 0), side - max(-after, 0)) for (before, after), side in zip(pairs, data.shape, strict=True)
        )
        widths = [(max(before, 0), max(after, 0)) for before, after in pairs]
        if self.mode == "constant":
            return np.pad(data[cut], widths, constant_values=self.value)
        return np.pad(data[cut], widths, mode=_PAD_MODES[self.mode])  # type: ignore[call-overload, no-any-return]


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def _positive(axes: Shape, rank: int) -> tuple[int, ...]:
    """Return axes as numbers from 1.

    Raises:
        NetworkError: the batch's axis, one beyond the last, or one named twice.
    """
    found = tuple(axis + rank if axis < 0 else axis for axis in axes)
    if any(not 0 < axis < rank for axis in found) or len(set(found)) != len(found):
        raise NetworkError(
            "axes that are the batch's or do not fit",
            measured=f"axes {axes}",
            limit=f"1 to {rank - 1}, each once",
            fix="keep the batch as the first dimension",
        )
    return found
