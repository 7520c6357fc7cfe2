"""The one answer to how a projection goes through the chip: which memory, which relay, how many words a weight takes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from snnmap.chip import Chip, MemoryKind
from snnmap.network.network import InputPort

__all__ = ["HasPorts", "Route", "count_words", "delay_on_chip", "find_route"]


class HasPorts(Protocol):
    """A network whose input ports and output populations are known, folded or not."""

    @property
    def inputs(self) -> tuple[InputPort, ...]:
        """The input ports."""
        ...

    @property
    def output_populations(self) -> tuple[str, ...]:
        """Names of the populations that ports read."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way of a projection through the chip.

    Attributes:
        memory: which stores its weights.
        hop: 0 where the weights are those of the source itself, k for those of its k-th relay.
    """

    memory: MemoryKind
    hop: int

    @property
    def is_from_channels(self) -> bool:
        """Whether the weights are those of input channels; else they are those of hidden slots."""
        return self.memory is MemoryKind.INPUT


def find_route(network: HasPorts, pre: str, post: str, hop: int) -> Route:
    """Return the route of a projection that leaves the source at one of its relays, or at hop 0 at itself."""
    if hop == 0 and _is_input(network, pre):
        return Route(memory=MemoryKind.INPUT, hop=hop)
    return Route(memory=MemoryKind.OUTPUT if post in network.output_populations else MemoryKind.RECURRENT, hop=hop)


def delay_on_chip(network: HasPorts, chip: Chip, pre: str, post: str) -> int:
    """Return the steps that the chip takes from source to target without relays; each relay is a step more."""
    return chip.memory(find_route(network, pre, post, 0).memory).delay_steps


def count_words(arriving: Iterable[tuple[str, Route]]) -> Mapping[MemoryKind, int]:
    """Count the words that a weight takes in each memory when it is stored for several (source, route) pairs.

    Folding has no sums of counts: a weight from one is stored for each summand, once for each that differs in source or relay.
    """
    return Counter(route.memory for _, route in set(arriving))


def _is_input(network: HasPorts, name: str) -> bool:
    return any(port.name == name for port in network.inputs)
