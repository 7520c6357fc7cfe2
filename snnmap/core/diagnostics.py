"""Findings: what a design rule, or any other check, has to say about one place."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

__all__ = ["Diagnostic", "Least", "Location", "Severity", "Waived", "join_ranges"]

_MOST_RANGES = 6
"""Ranges of neurons that are printed of one place; all of them are in the data."""
_NUMBER = re.compile(r"(?<![\w\[])\d[\d.,]*%?")


class Severity(StrEnum):
    """How much a finding weighs: an error stops a build, a warning fails a strict check, advice is only told."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"

    @property
    def rank(self) -> int:
        """Its place among the severities, the heaviest first."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a finding is, from coarse to fine; empty fields do not apply.

    Attributes:
        port: name of an input or output port.
        population: name of a population.
        projection: name of a projection.
        neurons: first and last-plus-one neuron index in the population, or chip slot where no population is named.
        ranges: where some neurons between these are meant and others are not: the runs that are, likewise.
        block: name of a memory block of the chip.
        source: path of the module in the user's model that this came from.
        file: of the user's, where that module is made, as far as it is known.
        line: in it, from 1; 0 where it is not known.

    Example:
        >>> str(Location(population="h1", neurons=(2, 5), source="model.h1"))
        "population 'h1' neurons 2..4 (module model.h1)"
        >>> str(Location(population="h1").with_ranges([(7, 9), (0, 1), (6, 7)]))
        "population 'h1' neurons 0, 6..8"
    """

    port: str = ""
    population: str = ""
    projection: str = ""
    neurons: tuple[int, int] | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    block: str = ""
    source: str = ""
    file: str = ""
    line: int = 0

    @property
    def sort_key(self) -> tuple[object, ...]:
        """By names, then by neuron; a place that names no neurons comes first."""
        return (*self.names.values(), self.source, self.neurons or (-1, -1), self.ranges)

    @property
    def names(self) -> dict[str, str]:
        """Name of each part, by what it is; empty where it does not apply."""
        return {"port": self.port, "population": self.population, "projection": self.projection, "block": self.block}

    def shares_part(self, other: "Location") -> bool:
        """Say whether both are of one port, population, projection or block; what names none of them is of the whole network."""
        mine, others = (set(filter(None, one.names.values())) for one in (self, other))
        return not mine or not others or not mine.isdisjoint(others)

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The runs of neurons that are meant, first and last-plus-one; none where no neurons are named."""
        return self.ranges or (() if self.neurons is None else (self.neurons,))

    @property
    def n_neurons(self) -> int:
        """How many neurons are meant; 0 where none are named."""
        return sum(stop - first for first, stop in self.runs)

    def with_ranges(self, ranges: list[tuple[int, int]]) -> Self:
        """Return the same place with other neurons: one run, or several."""
        joined = join_ranges(ranges)
        return replace(self, neurons=(joined[0][0], joined[-1][1]), ranges=joined if len(joined) > 1 else ())

    def __str__(self) -> str:
        parts = [f"{kind} '{name}'" for kind, name in self.names.items() if name]
        if self.runs:
            parts.append(f"{'neuron' if self.n_neurons == 1 else 'neurons'} {self.format_neurons(_MOST_RANGES)}")
        if self.source or self.file:
            module = f"module {self.source}" if self.source else ""
            place = f"{self.file}:{self.line}" if self.line else self.file
            parts.append(f"({', '.join(filter(None, (module, place)))})")
        return " ".join(parts) or "network"

    def format_neurons(self, most: int) -> str:
        """Return the neurons as text, such as ``0, 6..8``; behind the given number of runs, how many follow."""
        texts = [str(first) if stop == first + 1 else f"{first}..{stop - 1}" for first, stop in self.runs[:most]]
        more = self.n_neurons - sum(stop - first for first, stop in self.runs[:most])
        return ", ".join(texts) + (f" and {more} more" if more else "")


def join_ranges(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the same numbers in ascending ranges that neither overlap nor touch.

    Args:
        ranges: first and last-plus-one of each.
    """
    joined: list[tuple[int, int]] = []
    for first, stop in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((first, stop))
    return tuple(joined)


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """The smallest change that brings what is measured to its limit.

    Attributes:
        do: what to do, such as ``prune``.
        n: how many.
        what: of what, such as ``weights``.
        of: how many there are; 0 where that tells nothing.
        instead: another change that does, in words.

    Example:
        >>> str(Least(do="prune", n=4, what="weights", of=20))
        'prune 4 of 20 weights (20%)'
    """

    do: str
    n: int
    what: str
    of: int = 0
    instead: str = ""

    @property
    def share(self) -> str:
        """The part of all that it is, as text; empty where that tells nothing."""
        return f"{100 * self.n / self.of:.3g}%" if self.of else ""

    def __str__(self) -> str:
        of, share = (f" of {self.of}", f" ({self.share})") if self.of else ("", "")
        return f"{self.do} {self.n}{of} {self.what}{share}{f', or {self.instead}' if self.instead else ''}"

    def add(self, other: "Least") -> "Least":
        """Return what both are together."""
        return replace(self, n=self.n + other.n, of=self.of + other.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """Why a finding is accepted, and who says so.

    Attributes:
        reason: in words.
        author: who accepted it; may be left out.
        date: when, as text; may be left out.
        until: last day on which it holds, as text; empty for ever.
        where: file and place that say so.
    """

    reason: str
    author: str = ""
    date: str = ""
    until: str = ""
    where: str = ""

    def __str__(self) -> str:
        until = f"until {self.until}" if self.until else ""
        told = ", ".join(filter(None, (self.author, self.date, until, self.where)))
        return f"{self.reason} ({told})" if told else self.reason


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
        measured_value: the measured value as a number; None where it is none.
        limit_value: the limit, likewise.
        least: the smallest change that would do; None where it is not known.
        waived: why it is accepted; None where it is not.
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
    measured_value: float | None = None
    limit_value: float | None = None
    least: Least | None = None
    waived: Waived | None = None

    @property
    def fingerprint(self) -> str:
        """What stays the same while the finding is the same: made of rule, place and words, not of neurons and numbers.

        It survives other measured values, a model that is trained again, and parts that come, go and are renumbered elsewhere.
        """
        told = (self.rule, *self.location.names.values(), _NUMBER.sub("#", self.message))
        return hashlib.sha256("\0".join(told).encode()).hexdigest()[:32]

    def to_plain(self) -> dict[str, Any]:
        """Return the finding as JSON values; a number that JSON does not have is None, beside its words."""
        values = {key: _to_number(getattr(self, key)) for key in ("measured_value", "limit_value")}
        return {**asdict(self), **values, "fingerprint": self.fingerprint}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Return the finding whose :meth:`to_plain` this is."""
        place = {**plain["location"]}
        place["neurons"] = place["neurons"] and tuple(place["neurons"])
        place["ranges"] = tuple(map(tuple, place["ranges"]))
        parts = {
            "severity": Severity(plain["severity"]),
            "location": Location(**place),
            "least": plain["least"] and Least(**plain["least"]),
            "waived": plain["waived"] and Waived(**plain["waived"]),
        }
        return cls(**{key: value for key, value in plain.items() if key != "fingerprint"} | parts)

    @property
    def sort_key(self) -> tuple[object, ...]:
        """The heaviest first and what is waived last, then by rule, place and neuron, then by what is said."""
        told = (self.message, self.measured, self.limit, self.unit, self.fix)
        return (self.waived is not None, self.severity.rank, self.rule, self.location.sort_key, *told)

    def __str__(self) -> str:
        waived = "waived " if self.waived else ""
        lines = [f"{waived}{self.severity} {self.rule} [{self.name}] {self.location}: {self.message}"]
        if self.measured or self.limit:
            unit = f" {self.unit}" if self.unit else ""
            lines.append(f"    measured {self.measured}{unit}, limit {self.limit}{unit}")
        if self.least and not self.waived:
            lines.append(f"    least: {self.least}")
        if self.waived:
            lines.append(f"    waived: {self.waived}")
        elif self.fix:
            lines.append(f"    fix: {self.fix}")
        return "\n".join(lines)


def _to_number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
