"""Random networks at the limits of a chip: one below, at or one above some of what it counts, small otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isqrt

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core import CsrMatrix
from snnmap.network import Network, sketch_network

ENDS = {MemoryKind.INPUT: ("in", "a"), MemoryKind.RECURRENT: ("a", "b"), MemoryKind.OUTPUT: ("b", "out")}
"""The layers that a memory joins."""
_MOST_WORDS = 50_000
"""Words of a memory that are drawn; the edges of larger ones take minutes."""


@dataclass
class Draft:
    """A network under way: layers, how many weights a wire has where not few a neuron, and what else is special."""

    sizes: dict[str, int]
    words: dict[str, int] = field(default_factory=dict)
    synapses: dict[str, int] = field(default_factory=dict)
    bias: dict[str, float] = field(default_factory=dict)
    max_count: dict[str, int] = field(default_factory=dict)
    delay_steps: dict[str, int] = field(default_factory=dict)
    inputs_reach: int | None = None
    outputs_read: int | None = None


Edge = Callable[[Draft, int], None]


def list_edges(chip: Chip) -> dict[str, Edge]:
    """List what brings a draft to an edge of the chip, or, with an offset, beside it."""
    edges: dict[str, Edge] = {
        "inputs": lambda draft, off: draft.sizes.update({"in": chip.inputs.count + off}),
        "outputs": lambda draft, off: draft.sizes.update(out=chip.outputs.count + off),
        "hidden": lambda draft, off: draft.sizes.update(
            a=chip.hidden.count // 3, b=chip.hidden.count - chip.hidden.count // 3 + off
        ),
        "input reach": lambda draft, off: _reach(draft, "a", chip.inputs.reach.count + off),
        "output reach": lambda draft, off: _reach(draft, "b", chip.outputs.reach.count + off),
        "hidden synapses": lambda draft, off: draft.synapses.update(a=max(1, chip.hidden.synapses + off)),
        "output synapses": lambda draft, off: draft.synapses.update(out=max(1, chip.outputs.synapses + off)),
        "hidden spikes": lambda draft, off: draft.max_count.update(a=max(1, chip.hidden.max_count + off)),
        "output spikes": lambda draft, off: draft.max_count.update(out=max(1, chip.outputs.max_count + off)),
        "bias": lambda draft, off: draft.bias.update(a=0.3 * max(0, off)),
        "loop": lambda draft, off: draft.delay_steps.update({"b->a": 2 - off}),
        "skip": lambda draft, off: draft.delay_steps.update({"a->out": 1 + off}),
    }
    for kind, (pre, post) in ENDS.items():
        memory, name = chip.memory(kind), f"{pre}->{post}"
        if memory.max_fan_in:
            edges[f"{name} fan-in"] = lambda draft, off, e=(pre, name), n=memory.max_fan_in: _fill(draft, *e, n + off)
        if memory.max_fan_out:
            edges[f"{name} fan-out"] = lambda draft, off, e=(post, name), n=memory.max_fan_out: _fill(draft, *e, n + off)
        if memory.is_sparse and memory.max_words <= _MOST_WORDS:
            edges[f"{name} words"] = lambda draft, off, e=(pre, post), n=memory.max_words: _fill_words(draft, *e, n + off)
    return edges


def _reach(draft: Draft, layer: str, size: int) -> None:
    """Give a layer a size, all of whose neurons inputs reach or outputs read."""
    draft.sizes[layer] = size
    if layer == "a":
        draft.inputs_reach = size
    else:
        draft.outputs_read = size


def _fill(draft: Draft, layer: str, wire: str, size: int) -> None:
    """Give a layer a size, and the wire all of its weights."""
    draft.sizes[layer] = size
    draft.words[wire] = 2**62


def _fill_words(draft: Draft, pre: str, post: str, count: int) -> None:
    """Give a wire so many weights."""
    draft.sizes[pre] = draft.sizes[post] = isqrt(count - 1) + 1
    draft.words[f"{pre}->{post}"] = count


def draw_at_limits(seed: int, chip: Chip) -> tuple[Network, tuple[str, ...]]:
    """Draw a network at one to three edges of a chip; give also which."""
    rng = np.random.default_rng(seed)
    most = {"in": chip.inputs.count, "a": chip.hidden.count // 2, "b": chip.hidden.count // 2, "out": chip.outputs.count}
    draft = Draft(sizes={name: int(rng.integers(1, 1 + min(4, size))) for name, size in most.items()})
    edges = list_edges(chip)
    chosen = rng.choice(sorted(edges), int(rng.integers(1, 4)), replace=False).tolist()
    offsets = [int(rng.integers(-1, 2)) for _ in chosen]
    for name, offset in zip(chosen, offsets, strict=True):
        edges[name](draft, offset)
    told = tuple(f"{name} {offset:+d}" for name, offset in zip(chosen, offsets, strict=True))
    return _build(draft, chip, rng), told


def _build(draft: Draft, chip: Chip, rng: np.random.Generator) -> Network:
    sizes = {name: max(1, size) for name, size in draft.sizes.items()}
    most = {"a": chip.hidden.max_count, "b": chip.hidden.max_count, "out": chip.outputs.max_count, **draft.max_count}
    network = sketch_network(
        dict.fromkeys(sizes, 1),
        weights=dict.fromkeys(draft.delay_steps, 1.0),
        delay_steps=draft.delay_steps,
        reset=dict.fromkeys(("a", "b", "out"), chip.family.reset),
    )
    populations = tuple(
        replace(
            part,
            size=sizes[part.name],
            alpha=np.full((draft.synapses.get(part.name, 1), sizes[part.name]), 0.5),
            **{name: np.full(sizes[part.name], getattr(part, name)[0]) for name in ("beta", "threshold", "v_reset")},
            bias=np.full(sizes[part.name], draft.bias.get(part.name, 0.0)),
            max_count=np.full(sizes[part.name], most[part.name]),
        )
        for part in network.populations
    )
    reached = {"in": draft.inputs_reach or chip.inputs.reach.count}
    read = {"out": draft.outputs_read or chip.outputs.reach.count}
    projections = tuple(
        replace(
            wire,
            weights=_draw(
                rng,
                (sizes[wire.pre], sizes[wire.post]),
                draft.words.get(wire.name),
                read.get(wire.post, sizes[wire.pre]),
                reached.get(wire.pre, sizes[wire.post]),
            ),
            synapse=draft.synapses.get(wire.post, 1) - 1,
        )
        for wire in network.projections
    )
    inputs = tuple(replace(port, size=sizes[port.name]) for port in network.inputs)
    return replace(network, inputs=inputs, populations=populations, projections=projections)


def _draw(rng: np.random.Generator, shape: tuple[int, int], words: int | None, n_pre: int, n_post: int) -> CsrMatrix:
    """Draw weights of one order of magnitude between the first neurons of both: so many, or one or two from and onto each."""
    n_pre, n_post = min(n_pre, shape[0]), min(n_post, shape[1])
    if words is None:
        columns = np.concatenate([np.arange(n_post), np.arange(n_pre) % n_post])
        keys = np.unique(np.concatenate([np.arange(n_post) % n_pre, np.arange(n_pre)]) * n_post + columns)
    else:
        keys = np.arange(min(words, n_pre * n_post))
        few = max(1, _MOST_WORDS // (n_pre + n_post))  # full rows and columns are enough, where all would be too many
        keys = keys[(keys // n_post < few) | (keys % n_post < few)] if keys.size > _MOST_WORDS else keys
    rows, columns = np.divmod(keys, n_post)
    fan_in = np.bincount(columns, minlength=n_post)[columns]
    return CsrMatrix.from_triplets(rows, columns, rng.uniform(0.8, 1.6, keys.size) / fan_in, shape)
