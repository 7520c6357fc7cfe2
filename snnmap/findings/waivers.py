"""Findings that somebody accepts, with a reason: read from a configuration, and held against what is found."""

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from snnmap.core.diagnostics import Diagnostic, Location, Severity, Waived
from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.core.report import Report
from snnmap.findings.selection import find_rules
from snnmap.findings.worse import got_worse

__all__ = ["STALE", "Waiver", "WaiverError", "apply_waivers"]

_OFFERED = "`snnmap check --format waivers`"
"""What prints a waiver for each finding."""
_DATE = ("a date", "2030-12-31, without quotes")
_KINDS = {"value": ("a number", f"what {_OFFERED} prints"), "date": _DATE, "until": _DATE}
"""Keys of a waiver that are no text: what they are, and what to write."""
_FAR = 50
"""Times what is measured from where on a value is taken for one in per cent."""
STALE = ("SNN002", "waiver-does-not-hold")
"""Id and name of what is found about waivers themselves."""


class WaiverError(InputError):
    """A waiver is malformed, or cannot be held against the findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One finding that is accepted.

    Attributes:
        rule: id or name.
        reason: why, in words.
        port: its location, as the finding names it: the parts that it names, no others.
        population: likewise.
        projection: likewise.
        block: likewise.
        neurons: such as ``0, 6..8``: the finding may name these and no others; all where left out.
        value: what was measured when it was accepted; where more is found, the waiver does not hold.
        author: who accepted it.
        date: when.
        until: last day on which it holds.
        chip: name of the chip that it is for; all where left out.
        network: name of the network that it is for; all where left out.
        where: file and place of the waiver itself.
        file: that file.
        line: in it.
    """

    rule: str
    reason: str
    port: str = ""
    population: str = ""
    projection: str = ""
    block: str = ""
    neurons: str = ""
    value: float | None = None
    author: str = ""
    date: datetime.date | None = None
    until: datetime.date | None = None
    chip: str = ""
    network: str = ""
    where: str = ""
    file: str = ""
    line: int = 0

    def __post_init__(self) -> None:
        self._read_neurons()

    @classmethod
    def read(cls, entry: object, *, where: str, file: str = "", line: int = 0) -> "Waiver":
        """Read a waiver from a table of a TOML file.

        Raises:
            WaiverError: an unknown key, a value of the wrong kind, or no reason.
            InputError: a rule that does not exist.
        """
        if not isinstance(entry, Mapping):
            raise WaiverError("a waiver is a table", where=where, measured=repr(entry), fix="write [[tool.snnmap.waivers]]")
        hints = get_type_hints(cls)
        kinds = {key.name: hints[key.name] for key in fields(cls) if key.name not in ("where", "file", "line")}
        for key, value in entry.items():
            if key not in kinds:
                fix = suggest(key, kinds, f"use {', '.join(kinds)}")
                raise WaiverError(f"a waiver has no '{key}'", where=where, limit=", ".join(kinds), fix=fix)
            if not _suits(value, kinds[key]):
                kind, such_as = _KINDS.get(key, ("text", '"..."'))
                raise WaiverError(
                    f"'{key}' of a waiver is {kind}", where=where, measured=repr(value), fix=f"write {key} = {such_as}"
                )
        for key in ("rule", "reason"):
            if not str(entry.get(key, "")).strip():
                raise WaiverError(f"a waiver has no {key}", where=where, fix=f'write {key} = "..."')
        (rule, *others) = find_rules(entry["rule"], where=where)
        if others:
            raise WaiverError(
                "a waiver is of one rule", where=where, measured=entry["rule"], fix=f'write rule = "{rule}", or another of them'
            )
        return cls(**{**entry, "rule": rule}, where=where, file=file, line=line)

    def matches(self, diagnostic: Diagnostic) -> bool:
        """Say whether a finding is the one that is accepted, whatever was measured."""
        place = diagnostic.location
        named = {key: getattr(self, key) for key in place.names}
        ranges = self._read_neurons()
        within = not ranges or (
            bool(place.runs) and all(any(a <= first and stop <= b for a, b in ranges) for first, stop in place.runs)
        )
        return diagnostic.rule == self.rule and place.names == named and within

    @property
    def location(self) -> Location:
        """The place that is meant."""
        place = Location(port=self.port, population=self.population, projection=self.projection, block=self.block)
        ranges = self._read_neurons()
        return place.with_ranges(ranges) if ranges else place

    def _read_neurons(self) -> list[tuple[int, int]]:
        try:
            pairs = [part.split("..") for part in self.neurons.split(",") if part.strip()]
            ranges = [(int(pair[0]), int(pair[-1]) + 1) for pair in pairs if len(pair) <= 2 or int("no")]
        except ValueError:
            ranges = [(1, 0)]
        if any(first < 0 or stop <= first for first, stop in ranges):
            raise WaiverError(
                "these are no neurons", where=self.where, measured=repr(self.neurons), fix='write neurons = "0, 6..8"'
            )
        return ranges


def apply_waivers(
    report: Report,
    waivers: Iterable[Waiver],
    *,
    chip: str,
    network: str,
    places: Mapping[str, frozenset[str]],
    may_waive: Callable[[Diagnostic], bool],
) -> Report:
    """Return the report with the findings waived that waivers accept, and what is wrong with the waivers as warnings.

    Args:
        report: all findings.
        waivers: of any chip and network.
        chip: name of the one that was checked.
        network: likewise.
        places: names that exist, by what they are (``population``, ...).
        may_waive: whether a finding may be accepted at all.

    Raises:
        WaiverError: a waiver of a place that does not exist, two for one finding, one without its value, or one of a finding
            that nothing can make up for.
    """
    meant = [waiver for waiver in waivers if waiver.chip in ("", chip) and waiver.network in ("", network)]
    for waiver in meant:
        _require_place(waiver, places)
    told: list[Diagnostic] = []
    used: set[int] = set()
    for diagnostic in report.diagnostics:
        found = [number for number, waiver in enumerate(meant) if waiver.matches(diagnostic)]
        used.update(found)
        if not found:
            told.append(diagnostic)
            continue
        if len(found) > 1:
            both = " and ".join(meant[number].where for number in found)
            raise WaiverError(
                "two waivers are for one finding", where=both, measured=str(diagnostic.location), fix="remove one of them"
            )
        told.extend(_judge(diagnostic, meant[found[0]], may_waive))
    unused = [waiver for number, waiver in enumerate(meant) if number not in used and waiver.rule in report.rules_run]
    told.extend(_tell_unused(waiver, report) for waiver in unused)
    return report.with_diagnostics(told)


def _tell_unused(waiver: Waiver, report: Report) -> Diagnostic:
    """Return what is said of a waiver without its finding, with the places of the findings that may have been meant."""
    near = [str(diagnostic.location) for diagnostic in report.diagnostics if diagnostic.rule == waiver.rule]
    if not near:
        return _tell(waiver, "there is no such finding", "remove the waiver")
    found = f"there is no such finding; {waiver.rule} is found at {'; '.join(near)}"
    return _tell(waiver, found, f"name its place as {_OFFERED} does, or remove the waiver")


def _judge(diagnostic: Diagnostic, waiver: Waiver, may_waive: Callable[[Diagnostic], bool]) -> Iterable[Diagnostic]:
    """Return the finding as it is told, and what is wrong with its waiver."""
    if not may_waive(diagnostic):
        raise WaiverError(
            "this finding cannot be waived: a build cannot do without what it asks for",
            where=waiver.where,
            measured=f"{diagnostic.rule} at {diagnostic.location}",
            fix=f"remove the waiver; {diagnostic.fix}",
        )
    if waiver.value is None and diagnostic.measured_value is not None:
        raise WaiverError(
            "a waiver has no value, so that nobody would see it get worse",
            where=waiver.where,
            measured=diagnostic.measured,
            fix=f"write value = {diagnostic.measured_value}",
        )
    if waiver.value is not None:
        _require_share(diagnostic, waiver, waiver.value)
    if waiver.until is not None and waiver.until < _today():
        return diagnostic, _tell(
            waiver, f"the waiver ended on {waiver.until}", "mend the finding, or write another date: until = ..."
        )
    if waiver.value is not None and got_worse(diagnostic, waiver.value):
        found = f"it was waived at {waiver.value:g}, and {diagnostic.measured_value:g} is found now"
        return diagnostic, _tell(waiver, found, f"mend the finding, or accept it: value = {diagnostic.measured_value}")
    accepted = Waived(
        reason=waiver.reason,
        author=waiver.author,
        date=str(waiver.date or ""),
        until=str(waiver.until or ""),
        where=waiver.where,
    )
    return (replace(diagnostic, waived=accepted),)


def _require_share(diagnostic: Diagnostic, waiver: Waiver, value: float) -> None:
    """Refuse per cent in place of a share: nothing that is found would ever be worse."""
    measured = diagnostic.measured_value
    if measured is not None and "%" in diagnostic.measured and value > max(1.0, _FAR * abs(measured)):
        raise WaiverError(
            "the value of this waiver is a share of 1, not per cent",
            where=waiver.where,
            measured=f"{value:g}",
            limit=diagnostic.measured,
            fix=f"write value = {measured}",
        )


def _tell(waiver: Waiver, message: str, fix: str) -> Diagnostic:
    return Diagnostic(
        rule=STALE[0],
        name=STALE[1],
        severity=Severity.WARNING,
        location=Location(file=waiver.file, line=waiver.line),
        message=f"waiver of {waiver.rule} at {waiver.location}: {message}",
        fix=fix,
    )


def _require_place(waiver: Waiver, places: Mapping[str, frozenset[str]]) -> None:
    for kind, name in waiver.location.names.items():
        if name and name not in places[kind]:
            raise WaiverError(
                f"there is no {kind} '{name}' to waive a finding of",
                where=waiver.where,
                limit=", ".join(sorted(places[kind])),
                fix=suggest(name, places[kind], f"name the place as {_OFFERED} does"),
            )


def _suits(value: Any, kind: Any) -> bool:
    if kind is str:
        return isinstance(value, str)
    if "float" in str(kind):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is datetime.date


def _today() -> datetime.date:
    return datetime.datetime.now().astimezone().date()
