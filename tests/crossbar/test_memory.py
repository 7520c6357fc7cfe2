"""Addresses of values: none overlaps another that is needed at the same time, and none lies higher than it must."""

import numpy as np
import pytest

from snnmap.crossbar.check.expected import list_tensors
from snnmap.crossbar.lower import AddLayer, LayerProgram, Tensor
from snnmap.crossbar.schedule import place_tensors
from snnmap.graph import LayerGraph, TensorType


def make_program(seed: int, n_layers: int = 12) -> LayerProgram:
    """Sums of two of the last values, of random sizes: only how long each is needed counts here."""
    rng = np.random.default_rng(seed)
    tensors = [
        Tensor(name=f"t{k}", channels=int(rng.integers(1, 60)), height=1, width=1, scale=1.0, zero=0, storage=k)
        for k in range(n_layers + 1)
    ]
    layers = [
        AddLayer(
            name=f"add{k}", source=int(rng.integers(max(0, k - 6), k + 1)), other=k, target=k + 1,
            factors=(np.float32(1), np.float32(1)), shift=np.float32(0),
        )
        for k in range(n_layers)
    ]  # fmt: skip
    kind = TensorType(shape=(1,), dtype="uint8")
    graph = LayerGraph(name="sums", inputs={"x": kind}, nodes=(), outputs=("x",), constants={})  # which is not looked at
    return LayerProgram(name="sums", tensors=tuple(tensors), layers=tuple(layers), inputs=(0,), outputs=(n_layers,), graph=graph)


def list_lives(program: LayerProgram) -> list[range]:
    """Layers during which each value is needed."""
    readers = [[k for k, layer in enumerate(program.layers) if number in layer.sources] for number in range(len(program.tensors))]
    last = [max(found, default=len(program.layers)) for found in readers]
    return [range(number - 1, last[number] + 1) for number in range(len(program.tensors))]


@pytest.mark.parametrize("seed", range(40))
def test_no_two_values_share_a_byte_and_none_lies_too_high(seed: int) -> None:
    program = make_program(seed)
    addresses, high_water = place_tensors(program)
    lives, sizes = list_lives(program), [tensor.size for tensor in program.tensors]
    bytes_of = [set(range(first, first + size)) for first, size in zip(addresses, sizes, strict=True)]
    for one in range(len(sizes)):
        earlier = [other for other in range(one) if set(lives[one]) & set(lives[other])]
        taken = set().union(*(bytes_of[other] for other in earlier))
        assert not taken & bytes_of[one]
        assert all(taken & set(range(lower, lower + sizes[one])) for lower in range(addresses[one]))
    assert high_water == max(map(max, bytes_of)) + 1
    assert [entry.address for entry in list_tensors(program)] == addresses
