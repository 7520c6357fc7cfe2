"""What an image must hold for its layers: tensors where they must be, weights, biases and factors of outputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnmap.crossbar.check.sums import Product
from snnmap.crossbar.container import TensorEntry
from snnmap.crossbar.lower import LayerProgram, MatrixLayer
from snnmap.crossbar.record import Architecture

__all__ = ["ExpectedOutputs", "list_tensors", "require_fields", "split_expected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutputs:
    """What outputs of a layer are made of.

    Attributes:
        weights: ``(rows and bias row, outputs)`` int16.
        constants: biases and factors as bytes.
        channel: of the first output.
    """

    weights: Any
    constants: bytes
    channel: int

    def locate(self, product: Product, layer: MatrixLayer, architecture: Architecture) -> tuple[slice, slice] | None:
        """Return the rows and outputs that a product adds to, or None where they are not the layer's."""
        rows, filters = product.weights.shape
        output = self.channel + product.accumulator
        block = output // layer.n_filters
        first = product.first_input - block * layer.n_rows
        inside = product.accumulator >= 0 and product.accumulator + filters <= self.weights.shape[1]
        same_block = (output + filters - 1) // layer.n_filters == block
        limit = layer.n_rows + (architecture.weights.bias == "row" and product.bias_row)
        ends = first + rows == limit if product.bias_row else first + rows <= layer.n_rows
        if not (inside and same_block and first >= 0 and ends):
            return None
        return slice(first, first + rows), slice(product.accumulator, product.accumulator + filters)


def split_expected(layer: MatrixLayer, channel: int, count: int, architecture: Architecture) -> ExpectedOutputs:
    """Return what some outputs of a layer are made of, with the bias in a row and a remainder where the architecture has one."""
    outputs = np.arange(channel, channel + count)
    if outputs[0] % layer.n_filters + count <= layer.n_filters:  # of one block: a view is enough
        first = channel % layer.n_filters
        weights = layer.weights[channel // layer.n_filters][:, first : first + count]
    else:
        weights = layer.weights.transpose(1, 0, 2).reshape(layer.n_rows, -1)[:, outputs]
    bias = layer.bias[outputs]
    if architecture.weights.bias == "row":
        greatest = 2**architecture.converters.dac_bits - 1
        most = 2 ** (architecture.weights.bits - 1)
        held = np.minimum(np.maximum(np.rint(bias / greatest), -most), most - 1).astype(np.int64)
        weights, bias = np.concatenate([weights, held[np.newaxis].astype(np.int8)]), bias - greatest * held
    constants = bias.astype("<i4").tobytes() + layer.factor[outputs].astype("<f4").tobytes()
    return ExpectedOutputs(weights=weights, constants=constants, channel=channel)


def list_tensors(program: LayerProgram) -> list[TensorEntry]:
    """Return the tensors of a program, each at the lowest address that is free as long as it is needed."""
    needed: dict[int, list[int]] = {}
    for number in program.inputs:
        needed.setdefault(program.tensors[number].storage, []).append(-1)
    for place, layer in enumerate(program.layers):
        for number in (layer.target, *layer.sources):
            needed.setdefault(program.tensors[number].storage, []).append(place)
    for number in program.outputs:
        needed[program.tensors[number].storage].append(len(program.layers))
    addresses: dict[int, int] = {}
    for root in sorted(needed, key=lambda one: (needed[one][0], one)):
        others = [one for one in addresses if needed[one][0] <= max(needed[root]) and max(needed[one]) >= needed[root][0]]
        ends = [0, *(addresses[one] + program.tensors[one].size for one in others)]
        addresses[root] = min(end for end in ends if _is_free(end, program.tensors[root].size, others, addresses, program))
    return [
        TensorEntry(
            name=tensor.name,
            address=addresses[tensor.storage],
            channels=tensor.channels,
            height=tensor.height,
            width=tensor.width,
            zero=tensor.zero,
            scale=float(np.float32(tensor.scale)),
            role=2 if number in program.outputs else int(number in program.inputs),
            storage=tensor.storage,
        )
        for number, tensor in enumerate(program.tensors)
    ]


def _is_free(start: int, size: int, others: list[int], addresses: Mapping[int, int], program: LayerProgram) -> bool:
    return all(start + size <= addresses[one] or addresses[one] + program.tensors[one].size <= start for one in others)


def require_fields(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs, in words."""
    for name, value in wanted.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name)} in place of {value}"
