"""Run a file: from its bytes to the levels of every tensor."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.crossbar.container import Image, TensorEntry
from snnmap.crossbar.executor.machine import Machine
from snnmap.crossbar.executor.numerics import Ideal, Numerics

__all__ = ["run_image"]

_MOST_BYTES = 2**26
"""Of activations that are kept at once: larger batches run in parts."""


def run_image(
    image: Image,
    inputs: npt.ArrayLike,
    *,
    keep: str = "outputs",
    numerics: Numerics | None = None,
    on_part: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run an image, as decoded from bytes, on a batch.

    Args:
        image: to run; weights are taken from the cells alone.
        inputs: ``(n_samples, *shape)`` of the model's input, floats, which the host quantises.
        keep: ``outputs``, or ``all`` tensors.
        numerics: of the crossbars; exact where left out.
        on_part: is called with how many samples are done, and of how many, behind each part of the batch.

    Returns:
        Levels ``(n_samples, channels, height, width)`` uint8 by the tensor's name.

    Raises:
        FormatError: an instruction cannot be carried out; cores wait for each other for ever.
        InputError: inputs of another shape.
    """
    levels = _quantise(image, inputs)
    size = max(tensor.address + tensor.size for tensor in image.tensors)
    each = max(1, _MOST_BYTES // size)
    parts = []
    for first in range(0, len(levels), each):
        parts.append(_run_part(image, levels[first : first + each], keep, numerics or Ideal()))
        if on_part is not None:
            on_part(min(first + each, len(levels)), len(levels))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run_part(image: Image, levels: Any, keep: str, numerics: Numerics) -> dict[str, Any]:
    kept: dict[str, Any] = {}

    def take(written: set[int]) -> None:
        for number in written:
            tensor = image.tensors[number]
            if keep == "all" or tensor.role == 2:
                kept[tensor.name] = _read(machine, number)

    machine = Machine(image, len(levels), numerics, take)
    (given,) = (number for number, tensor in enumerate(image.tensors) if tensor.role == 1)
    machine.memory.write(given, 0, levels, "host")
    take({given})
    machine.run()
    for number, tensor in enumerate(image.tensors):
        if tensor.storage != number and image.tensors[tensor.storage].name in kept:
            kept[tensor.name] = kept[image.tensors[tensor.storage].name].reshape(_shape(len(levels), tensor))
        elif tensor.role == 2:
            kept[tensor.name] = _read(machine, number)
    return kept


def _read(machine: Machine, number: int) -> Any:
    tensor = machine.image.tensors[number]
    found = machine.memory.read(number, 0, tensor.size, f"host, tensor '{tensor.name}'").copy()
    return found.reshape(_shape(len(found), tensor))


def _shape(n_samples: int, tensor: TensorEntry) -> tuple[int, ...]:
    return (n_samples, tensor.channels, tensor.height, tensor.width)


def _quantise(image: Image, inputs: npt.ArrayLike) -> Any:
    """Return the levels of the input ``(n_samples, size)``, as QuantizeLinear gives them."""
    given = [tensor for tensor in image.tensors if tensor.role == 1]
    if len(given) != 1:
        raise InputError("one input is written by the host", measured=str(len(given)), limit="1", fix="join the model's inputs")
    values = np.asarray(inputs, np.float32)
    if values.ndim < 2 or values[0].size != given[0].size or not len(values):
        raise InputError(
            "the input has another shape",
            where=given[0].name,
            measured=str(values.shape),
            limit=f"(n_samples, ...) of {given[0].size} values",
            fix="give samples along the first dimension",
        )
    if not np.isfinite(values).all():
        raise InputError("an input is no finite number", where=given[0].name, fix="give finite values")
    scaled = np.rint(values.reshape(len(values), -1) / np.float32(given[0].scale)) + np.float32(given[0].zero)
    return np.clip(scaled, 0, 255).astype(np.uint8)
