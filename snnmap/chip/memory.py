"""The weight memories of a chip: which kinds there are, and how one is laid out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Literal, TypeVar

__all__ = ["HIDDEN_MEMORIES", "LAYOUTS", "Layout", "LayoutFacts", "MemoryKind", "WeightMemory"]

T = TypeVar("T")

Layout = Literal["dense", "rows_by_source", "columns_by_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutFacts:
    """What the record and the design rules must know of a layout; how words are made, :mod:`snnmap.lif.program.layouts` knows.

    Attributes:
        is_sparse: whether each synapse takes a word and nothing else does; else every address holds a weight.
        stored_ids: whose ids a word holds beside the weight.
        needs_fan_in: whether the most weights onto one target must be known.
    """

    is_sparse: bool
    stored_ids: tuple[Literal["source", "target"], ...]
    needs_fan_in: bool


LAYOUTS: Mapping[str, LayoutFacts] = MappingProxyType(
    {
        "dense": LayoutFacts(is_sparse=False, stored_ids=(), needs_fan_in=False),
        "rows_by_source": LayoutFacts(is_sparse=True, stored_ids=("target",), needs_fan_in=False),
        "columns_by_target": LayoutFacts(is_sparse=True, stored_ids=("source",), needs_fan_in=True),
    }
)
"""The layouts that a record may name; the keys are those of :data:`Layout`."""


class MemoryKind(Enum):
    """The three kinds of weight memory, in the order of the chip's blocks and reports."""

    INPUT = "input"
    RECURRENT = "recurrent"
    OUTPUT = "output"

    @property
    def weights_name(self) -> str:
        """How records and reports name the memory's weights."""
        return f"{self.value}_weights"

    @property
    def shift_name(self) -> str:
        """How records and reports name the memory's weight shift."""
        return f"{self.value}_shift"

    def source(self, *, inputs: T, hidden: T) -> T:
        """Choose what belongs to the memory's sources: input channels or hidden neurons."""
        return inputs if self is MemoryKind.INPUT else hidden

    def target(self, *, hidden: T, outputs: T) -> T:
        """Choose what belongs to the memory's targets: hidden or output neurons."""
        return outputs if self is MemoryKind.OUTPUT else hidden

    def shape(self, n_inputs: int, n_hidden: int, n_outputs: int) -> tuple[int, int]:
        """Return the sources and the targets in use, where this many channels and neurons are."""
        return self.source(inputs=n_inputs, hidden=n_hidden), self.target(hidden=n_hidden, outputs=n_outputs)


HIDDEN_MEMORIES = (MemoryKind.INPUT, MemoryKind.RECURRENT)
"""The memories whose targets are hidden neurons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMemory:
    """One kind of weight memory, of which the chip has one for each synapse.

    Attributes:
        layout: one of :data:`LAYOUTS`: ``dense`` (every address holds a weight), or ``rows_by_source`` or ``columns_by_target``
            (non-zero weights with the other neuron's id, and a table of lengths).
        max_words: weight words in one memory.
        max_fan_in: most weights stored for one target in one memory, 0 for no such limit.
        max_fan_out: most weights stored for one source over the memories of all synapses, 0 for no such limit.
        delay_steps: steps from a spike of the source to its effect on the target.
    """

    layout: Layout
    max_words: int
    max_fan_in: int
    max_fan_out: int
    delay_steps: int

    @property
    def is_sparse(self) -> bool:
        """Whether each synapse takes a word, and nothing else does."""
        return LAYOUTS[self.layout].is_sparse
