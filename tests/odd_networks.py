"""Odd networks: empty parts, names that look like others' joined, weights of any size, duplicates, delays, missing wires."""

from itertools import pairwise
from typing import Any

import numpy as np

from snnmap.core import CsrMatrix
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, SpikeSum

_NAMES = [
    "a",
    "b",
    "a->b",
    "b->c",
    "->",
    "p",
    "p[0]",
    "p[0]'",
    "p[1]",
    "a reset[0]",
    "'",
    '"',
    '"a',
    " ",
    "",
    "ü",
    "h\n",
    "[0]@0",
]
_SCALES = [1e-30, 1e-12, 1e-3, 0.3, 1.0, 5.0, 300.0, 1e8, 1e20, 1e29]
_DECAYS = [0.0, 0.25, 0.5, 0.6, 0.75, 0.9, 0.9375, 0.999, 1.0]


def odd_network(seed: int) -> Network:
    """Draw a network of which hardly anything may be taken for granted; many have no place on any chip."""
    return _Drawing(np.random.default_rng(seed), oddity=(0.02, 0.1, 0.3)[seed % 3]).draw()


class _Drawing:
    """One network under way; ``oddity`` is how often something unusual is chosen."""

    def __init__(self, rng: np.random.Generator, oddity: float) -> None:
        self.rng, self.oddity = rng, oddity
        self.unit = float(rng.choice(_SCALES)) if self.odd() else 1.0
        self.free: dict[str, list[str]] = {}

    def odd(self) -> bool:
        return bool(self.rng.random() < self.oddity)

    def name(self, kind: str) -> str:
        free = self.free.setdefault(kind, list(self.rng.permutation(_NAMES)))
        return str(free.pop())

    def size(self) -> int:
        return 0 if self.odd() and self.odd() else int(self.rng.integers(1, 6))

    def draw(self) -> Network:
        inputs = tuple(
            InputPort(name=self.name("source"), size=self.size()) for _ in range(0 if self.odd() else self.rng.integers(1, 3))
        )
        hidden = [self.population() for _ in range(0 if self.odd() and self.odd() else self.rng.integers(1, 5))]
        outputs = [self.population(is_output=True) for _ in range(0 if self.odd() and self.odd() else self.rng.integers(1, 3))]
        sums = self.sums([*inputs, *hidden])
        return Network(
            name=self.name("network"),
            inputs=inputs,
            populations=(*hidden, *outputs),
            projections=tuple(self.projections(inputs, hidden, outputs, sums)),
            outputs=self.ports([*outputs, *(hidden if self.odd() and self.odd() else [])]),
            sums=sums,
        )

    def population(self, *, is_output: bool = False) -> Population:
        rng, size = self.rng, self.size()
        n_synapses = 2 if self.odd() and not is_output else 1
        unit = self.unit * (float(rng.choice(_SCALES)) if self.odd() else 1.0)
        values: dict[str, Any] = {
            "alpha": rng.choice(_DECAYS if self.odd() else [0.5, 0.75], (n_synapses, size)),
            "beta": rng.choice(_DECAYS if self.odd() else [0.5, 0.75, 0.875], size),
            "threshold": unit * rng.uniform(0.5, 2.0, size),
            "bias": unit * rng.normal(0.0, 0.3, size) if self.odd() else 0.0,
            "max_count": 1 if is_output else int(rng.choice([0, 1, 3, 31])) if self.odd() else 31,
        }
        if self.odd() and is_output:
            values["threshold"] = np.inf
        return Population.create(self.name("source"), size, **values)

    def sums(self, sources: list[Any]) -> tuple[SpikeSum, ...]:
        if len(sources) < 2 or self.rng.random() < 0.7:
            return ()
        first = sources[int(self.rng.integers(len(sources)))]
        alike = [part.name for part in sources if part.size == first.size]
        terms = tuple(str(self.rng.choice(alike)) for _ in range(self.rng.integers(1, 4)))
        return (SpikeSum(name=self.name("source"), terms=terms),)

    def projections(self, inputs: Any, hidden: Any, outputs: Any, sums: tuple[SpikeSum, ...]) -> list[Projection]:
        sizes = {part.name: part.size for part in (*inputs, *hidden, *outputs)}
        sizes |= {addition.name: sizes[addition.terms[0]] for addition in sums}
        wires = [(inputs[0], hidden[0])] if inputs and hidden else []
        wires += [(inputs[-1], hidden[-1])] if inputs and hidden else []
        wires += list(pairwise(hidden))
        wires += [(hidden[-1], output) for output in outputs if hidden]
        wires += [(addition, part) for addition in sums for part in hidden[-1:]]
        if self.odd() or self.rng.random() < 0.3:
            parts = [*inputs, *hidden]
            wires += [(self.pick(parts), self.pick(hidden)) for _ in range(self.rng.integers(1, 3)) if parts and hidden]
        if self.odd():
            wires += [(self.pick(hidden), self.pick(outputs))] if hidden and outputs else []
        wires += [self.pick(wires)] if wires and self.odd() else []
        kept = [wire for wire in wires if not (self.odd() and self.odd())]
        return [self.projection(pre.name, post, sizes) for pre, post in kept]

    def pick(self, parts: Any) -> Any:
        return parts[int(self.rng.integers(len(parts)))]

    def projection(self, pre: str, post: Population, sizes: dict[str, int]) -> Projection:
        rng = self.rng
        shape = (sizes[pre], post.size)
        unit = float(post.threshold[0]) if post.size and np.isfinite(post.threshold[0]) else self.unit
        scale = unit * (float(rng.choice(_SCALES)) if self.odd() else 0.5)
        dense = rng.normal(0.2, 1.0, shape) * scale * (rng.random(shape) < (0.0 if self.odd() and self.odd() else 0.8))
        if self.odd():
            dense *= rng.choice([1e-6, 1.0, 1e3], shape)
        usual = 1 if pre == post.name else 0
        return Projection(
            name=self.name("projection"),
            pre=pre,
            post=post.name,
            weights=CsrMatrix.from_dense(np.clip(dense, -1e31, 1e31)),
            synapse=int(rng.integers(post.n_synapses)),
            delay_steps=int(rng.choice([0, 1, 2, 3, 7])) if self.odd() else usual,
        )

    def ports(self, read: list[Population]) -> tuple[OutputPort, ...]:
        readout = str(self.rng.choice(["potential", "current"])) if self.odd() else "spikes"
        if any(np.isinf(part.threshold).any() for part in read):
            readout = "potential"
        names = [part.name for part in read]
        groups = [tuple(names)] if self.rng.random() < 0.5 else [(name,) for name in names]
        if self.odd():
            groups.append(tuple(names[:1] * 2))
        if self.odd() and self.odd():
            groups.append(())
        return tuple(OutputPort(name=self.name("port"), populations=group, readout=readout) for group in groups)  # type: ignore[arg-type]
