"""Findings: what a design rule, or any other check, has to say about one place."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Diagnostic", "Location", "Severity"]


class Severity(StrEnum):
    """How much a finding weighs: an error stops a build, a warning is printed with it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a finding is, from coarse to fine; empty fields do not apply.

    Attributes:
        port: name of an input or output port.
        population: name of a population.
        projection: name of a projection.
        neurons: first and last-plus-one neuron index in the population, or chip slot where no population is named.
        block: name of a memory block of the chip.
        source: path of the module in the user's model that this came from.

    Example:
        >>> str(Location(population="h1", neurons=(2, 5), source="model.h1"))
        "population 'h1' neurons 2..4 (module model.h1)"
    """

    port: str = ""
    population: str = ""
    projection: str = ""
    neurons: tuple[int, int] | None = None
    block: str = ""
    source: str = ""

    @property
    def sort_key(self) -> tuple[object, ...]:
        """By names, then by neuron; a place that names no neurons comes first."""
        return (self.port, self.population, self.projection, self.block, self.source, self.neurons or (-1, -1))

    def __str__(self) -> str:
        named = [("port", self.port), ("population", self.population), ("projection", self.projection), ("block", self.block)]
        parts = [f"{kind} '{name}'" for kind, name in named if name]
        if self.neurons is not None:
            first, stop = self.neurons
            parts.append(f"neuron {first}" if stop == first + 1 else f"neurons {first}..{stop - 1}")
        if self.source:
            parts.append(f"(module {self.source})")
        return " ".join(parts) or "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding of one rule at one place.

    Attributes:
        rule: stable id, such as ``SNN202``.
        name: the rule's readable name, such as ``too-many-hidden-neurons``.
        severity: error or warning.
        location: where.
        message: what is wrong, one sentence.
        measured: the measured value, as printed.
        limit: the value it was held against, as printed.
        unit: unit of both.
        fix: what the user can do.
    """

    rule: str
    name: str
    severity: Severity
    location: Location
    message: str
    measured: str = ""
    limit: str = ""
    unit: str = ""
    fix: str = ""

    @property
    def sort_key(self) -> tuple[object, ...]:
        """Errors first, then by rule, place and neuron, then by what is said."""
        told = (self.message, self.measured, self.limit, self.unit, self.fix)
        return (self.severity is not Severity.ERROR, self.rule, self.location.sort_key, *told)

    def __str__(self) -> str:
        lines = [f"{self.severity} {self.rule} [{self.name}] {self.location}: {self.message}"]
        if self.measured or self.limit:
            unit = f" {self.unit}" if self.unit else ""
            lines.append(f"    measured {self.measured}{unit}, limit {self.limit}{unit}")
        if self.fix:
            lines.append(f"    fix: {self.fix}")
        return "\n".join(lines)
