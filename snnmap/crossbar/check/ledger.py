"""What an image was found to do so far, against what its layers need."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnmap.core.diagnostics import Location
from snnmap.core.rules import Finding
from snnmap.crossbar.container import Image
from snnmap.crossbar.lower import Layer, LayerProgram

__all__ = ["Fault", "Ledger", "Stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that an image does otherwise than its layers.

    Attributes:
        rule: id of the rule that tells it.
        finding: what and where.
    """

    rule: str
    finding: Finding


class Stop(Exception):  # noqa: N818
    """A fault behind which nothing more can be followed."""


@dataclass(kw_only=True)
class Ledger:
    """What is written and in use, and the faults.

    Attributes:
        image: as decoded from bytes.
        program: layers of the model.
        faults: in the order in which they were found.
        written: how often each value of a tensor is written, ``(channels, places)``, by its number.
        constants: sizes of the ranges of constants that are in use, by their first byte.
        layers: by the tensor that they write.
    """

    image: Image
    program: LayerProgram
    faults: list[Fault] = field(default_factory=list)
    written: dict[int, Any] = field(default_factory=dict)
    constants: dict[int, int] = field(default_factory=dict)
    layers: dict[int, Layer] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = {layer.target: layer for layer in self.program.layers}

    def refuse(self, rule: str, message: str, where: str, *, measured: str = "", limit: str = "", stop: bool = False) -> None:
        """Note a fault.

        Raises:
            Stop: nothing can be followed behind it.
        """
        finding = Finding(
            location=Location(block=where), message=message, measured=measured, limit=limit, fix="build the file anew"
        )
        self.faults.append(Fault(rule=rule, finding=finding))
        if stop:
            raise Stop

    def take_layer(self, kind: type[Any], number: int, where: str) -> Any:
        """Return the layer that writes a tensor, which must be of a kind."""
        layer = self.layers.get(number)
        if not isinstance(layer, kind):
            self.refuse("CIM404", "the tensor is written by no layer of this kind", where, measured=str(number), stop=True)
        return layer

    def count_writes(self, number: int, channels: range, places: range, where: str) -> None:
        """Count values of a tensor as written."""
        tensor = self.program.tensors[number]
        if channels.stop > tensor.channels or places.stop > tensor.n_places:
            self.refuse("CIM404", "values outside of the tensor", where, measured=f"{channels}, {places}", stop=True)
        counts = self.written.setdefault(number, np.zeros((tensor.channels, tensor.n_places), np.int8))
        counts[channels.start : channels.stop, places.start : places.stop] += 1

    def require(self, problems: Iterator[str], where: str) -> None:
        """Tell parameters that are not the layer's."""
        told = "; ".join(problems)
        if told:
            self.refuse("CIM404", "parameters are not the layer's", where, measured=told, stop=True)
