"""Each rule that counts, on every chip of the catalog: silent below its limit and at it, firing one above it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from math import isqrt

import numpy as np
import pytest

from snnmap.chip import Chip, MemoryKind, list_chips, load_chip
from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.lif.drc import RULES, check_mapped, check_network
from snnmap.lif.mapping import fold_network
from snnmap.network import Network, sketch_network

CHIPS = [load_chip(name) for name in list_chips()]
SMALL = {"in": 1, "h": 1, "out": 1}
SHAPES: dict[MemoryKind, Callable[[int, int], dict[str, int]]] = {
    MemoryKind.INPUT: lambda n_pre, n_post: {"in": n_pre, "h": n_post, "out": 1},
    MemoryKind.RECURRENT: lambda n_pre, n_post: {"in": 1, "a": n_pre, "b": n_post, "out": 1},
    MemoryKind.OUTPUT: lambda n_pre, n_post: {"in": 1, "h": n_pre, "out": n_post},
}
"""Layers of which two meet in a memory."""

Counted = tuple[str, int, Callable[[int], Network]]
"""A rule, its limit on a chip, and a network of which it counts so many."""


def sketch_sparse(sizes: dict[str, int]) -> Network:
    """Sketch layers of which only the first neurons are joined."""
    names = list(sizes)
    wires = {(pre, post): np.zeros((sizes[pre], sizes[post])) for pre, post in pairwise(names)}
    for matrix in wires.values():
        matrix[0, 0] = 1.0
    return sketch_network(sizes, weights={f"{pre}->{post}": matrix for (pre, post), matrix in wires.items()})


def sketch_words(kind: MemoryKind, count: int) -> Network:
    """Sketch layers of which two share so many weights."""
    side = isqrt(count - 1) + 1
    weights = (np.arange(side * side) < count).astype(float).reshape(side, side)
    sizes = SHAPES[kind](side, side)
    pre, post = [name for name, size in sizes.items() if size == side][:2] if side > 1 else list(sizes)[:2]
    return sketch_network(sizes, weights={f"{pre}->{post}": weights})


def list_counted(chip: Chip) -> Iterator[tuple[str, Counted]]:
    """List what rules count on a chip, under a name."""
    yield "inputs", ("SNN201", chip.inputs.count, lambda n: sketch_sparse({**SMALL, "in": n}))
    yield "hidden", ("SNN202", chip.hidden.count, lambda n: sketch_sparse({**SMALL, "h": n}))
    yield "outputs", ("SNN203", chip.outputs.count, lambda n: sketch_sparse({**SMALL, "out": n}))
    for kind in MemoryKind:
        memory, shape = chip.memory(kind), SHAPES[kind]
        if memory.max_fan_in:
            yield f"{kind.value} fan-in", ("SNN204", memory.max_fan_in, lambda n, shape=shape: sketch_network(shape(n, 1)))
        if memory.max_fan_out:
            yield f"{kind.value} fan-out", ("SNN205", memory.max_fan_out, lambda n, shape=shape: sketch_network(shape(1, n)))
        if memory.is_sparse:
            yield f"{kind.value} words", ("SNN206", memory.max_words, lambda n, kind=kind: sketch_words(kind, n))
    for name, part in (("h", chip.hidden), ("out", chip.outputs)):
        yield (
            f"synapses of {name}",
            ("SNN207", part.synapses, lambda n, name=name: sketch_network(SMALL, alpha={name: np.full((n, 1), 0.5)})),
        )
        yield (
            f"spikes of {name}",
            ("SNN404", part.max_count, lambda n, name=name: sketch_network(SMALL, max_count={"h": 1, "out": 1, name: n})),
        )
    yield "input reach", ("SNN208", chip.inputs.reach.count, lambda n: sketch_network({"in": 1, "a": n, "b": 1, "out": 1}))
    yield "output reach", ("SNN209", chip.outputs.reach.count, lambda n: sketch_network({"in": 1, "a": 1, "b": n, "out": 1}))
    yield "delay", ("SNN111", chip.hidden.count + 2, lambda n: sketch_network(SMALL, delay_steps={"h->out": n}))
    hop = chip.memory(MemoryKind.RECURRENT).delay_steps
    loop = {"in": 1, "a": 1, "b": 1, "out": 1}
    yield (
        "loop",
        ("SNN301", 1 - 2 * hop, lambda n: sketch_network(loop, weights={"b->a": -0.2}, delay_steps={"b->a": 1 - n})),
    )


COUNTED = {(chip.name, what): (chip, counted) for chip in CHIPS for what, counted in list_counted(chip)}


def find(network: Network, chip: Chip, rule: str) -> list[Diagnostic]:
    """Return the errors of a rule, on the network or folded, of neurons that reset as the chip's."""
    network = replace(network, populations=tuple(replace(p, reset=chip.family.reset) for p in network.populations))
    found = check_network(network, chip) if RULES[rule].subject is Network else check_mapped(fold_network(network, chip))
    return [diagnostic for diagnostic in found.errors if diagnostic.rule == rule]


@pytest.mark.parametrize(("chip_name", "what"), COUNTED)
def test_what_is_counted_fires_one_above_its_limit(chip_name: str, what: str) -> None:
    chip, (rule, limit, make) = COUNTED[chip_name, what]
    for count in (limit - 1, limit):
        assert find(make(count), chip, rule) == []
    (found,) = find(make(limit + 1), chip, rule)
    assert found.limit_value is not None
    assert found.measured_value is not None
    assert found.severity is Severity.ERROR
    if rule not in ("SNN208", "SNN209", "SNN301"):  # these tell slots and steps
        assert (found.measured_value, found.limit_value) == (limit + 1, limit)


def test_every_rule_that_counts_on_a_chip_is_here() -> None:
    rules = {rule for _, (rule, _, _) in COUNTED.values()}
    assert rules == {*(f"SNN20{digit}" for digit in range(1, 10)), "SNN111", "SNN301", "SNN404"}
