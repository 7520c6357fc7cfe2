"""The weight memories of a chip: which kinds there are, and how one is laid out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Literal

__all__ = ["LAYOUTS", "Layout", "LayoutFacts", "MemoryKind", "WeightMemory"]

Layout = Literal["dense", "rows_by_source", "columns_by_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutFacts:
    """What the record and the design rules must know of a layout; how its words are made, :mod:`snnmap.ir.layouts` knows.

    Attributes:
        stored_id: whose id a word holds beside the weight; None where every address holds a weight and no id is needed.
        needs_fan_in: whether the most weights onto one target must be known.
    """

    stored_id: Literal["source", "target"] | None
    needs_fan_in: bool


LAYOUTS: Mapping[str, LayoutFacts] = MappingProxyType(
    {
        "dense": LayoutFacts(stored_id=None, needs_fan_in=False),
        "rows_by_source": LayoutFacts(stored_id="target", needs_fan_in=False),
        "columns_by_target": LayoutFacts(stored_id="source", needs_fan_in=True),
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

    @property
    def is_from_inputs(self) -> bool:
        """Whether its sources are input channels; else they are hidden neurons."""
        return self is MemoryKind.INPUT

    @property
    def is_to_outputs(self) -> bool:
        """Whether its targets are output neurons; else they are hidden neurons."""
        return self is MemoryKind.OUTPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMemory:
    """One kind of weight memory, of which the chip has one for each synapse.

    Attributes:
        layout: ``dense`` (every address holds a weight), ``rows_by_source`` or ``columns_by_target`` (non-zero weights
            with the other neuron's id, and a table of lengths).
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
        return LAYOUTS[self.layout].stored_id is not None
