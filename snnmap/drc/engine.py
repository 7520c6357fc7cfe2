"""The engine: rules register here; a run executes all of them and reports everything."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from snnmap.chip import Chip
from snnmap.diagnostics import Diagnostic, Location, Severity
from snnmap.errors import InputError
from snnmap.ir import BoolArray, Comparison, MappedNetwork, Network, QuantisedNetwork, Report

__all__ = [
    "RULES",
    "Finding",
    "Rule",
    "Subject",
    "check_comparison",
    "check_mapped",
    "check_network",
    "check_quantised",
    "explain_rule",
    "find_runs",
    "format_rules",
    "rule",
]

_SubjectT = TypeVar("_SubjectT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject(Generic[_SubjectT]):
    """What a rule looks at, and the chip it is held against."""

    of: _SubjectT
    chip: Chip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One violation as a rule states it; the engine adds the rule's id, name and severity."""

    location: Location
    message: str
    measured: str = ""
    limit: str = ""
    unit: str = ""
    fix: str = ""
    severity: Severity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A design rule: its check, and everything a user is told about it.

    Attributes:
        id: stable id, family digit first.
        name: readable as "allow NAME".
        severity: of its findings, unless one states its own.
        subject: type that it checks.
        check: gives all violations.
        text: documentation under fixed headings, from the function's docstring.
    """

    id: str
    name: str
    severity: Severity
    subject: type
    check: Callable[[Any], Iterable[Finding]]
    text: str


RULES: dict[str, Rule] = {}
_CRASH_ID, _CRASH_NAME = "SNN001", "rule-crashed"
Check = Callable[[Subject[_SubjectT]], Iterable[Finding]]


def rule(
    rule_id: str, name: str, subject: type[_SubjectT], severity: Severity = Severity.ERROR
) -> Callable[[Check[_SubjectT]], Check[_SubjectT]]:
    """Register a function as a design rule; its docstring is the user documentation."""

    def register(check: Check[_SubjectT]) -> Check[_SubjectT]:
        text = inspect.cleandoc(check.__doc__ or "")
        entry = Rule(id=rule_id, name=name, severity=severity, subject=subject, check=check, text=text)
        RULES[rule_id] = entry
        return check

    return register


def check_network(network: Network, chip: Chip) -> Report:
    """Run the rules that judge a network before folding."""
    return _run(Network, Subject(of=network, chip=chip))


def check_mapped(mapped: MappedNetwork) -> Report:
    """Run the rules that judge a folded network: relays and lowered sums count."""
    return _run(MappedNetwork, Subject(of=mapped, chip=mapped.chip))


def check_quantised(quantised: QuantisedNetwork) -> Report:
    """Run the rules that judge a network in the chip's integers."""
    return _run(QuantisedNetwork, Subject(of=quantised, chip=quantised.mapped.chip))


def check_comparison(comparison: Comparison, chip: Chip) -> Report:
    """Run the rules that judge what the bitstream does beside the model."""
    return _run(Comparison, Subject(of=comparison, chip=chip))


def explain_rule(key: str) -> str:
    """Give a rule's documentation by id or name.

    Raises:
        InputError: there is no such rule.
    """
    for entry in RULES.values():
        if key in (entry.id, entry.name):
            return f"{entry.id} {entry.name} ({entry.severity})\n\n{entry.text}\n"
    raise InputError(f"no rule is called '{key}'", limit=", ".join(sorted(RULES)), fix="use an id or a name of a rule")


def format_rules() -> str:
    """Give the documentation of all rules as Markdown, by family: the text of ``RULES.md``."""
    parts = ["# Design rules\n\nWritten from the rules' own documentation; `snnmap explain RULE` prints one.\n"]
    for _, entry in sorted(RULES.items()):
        text = re.sub(r"^([A-Z][a-z ]+):", r"**\1:**", entry.text, flags=re.MULTILINE)
        parts.append(f"## {entry.id} {entry.name} ({entry.severity})\n\n{text}\n")
    return "\n".join(parts)


def find_runs(wrong: BoolArray) -> Iterator[tuple[int, int]]:
    """Give first and last-plus-one index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _run(subject_type: type, subject: Subject[_SubjectT]) -> Report:
    rules = [entry for entry in RULES.values() if entry.subject is subject_type]
    found = [diagnostic for entry in rules for diagnostic in _run_rule(entry, subject)]
    ordered = sorted(found, key=lambda diagnostic: diagnostic.sort_key)
    return Report(diagnostics=tuple(ordered), rules_run=tuple(sorted(entry.id for entry in rules)))


def _run_rule(entry: Rule, subject: Subject[_SubjectT]) -> Iterator[Diagnostic]:
    """Run one rule; a crash is itself a finding, beside those made before it and those of other rules (design, section 10)."""
    try:
        for finding in entry.check(subject):
            yield _to_diagnostic(entry, finding)
    except Exception as error:
        yield Diagnostic(
            rule=_CRASH_ID,
            name=_CRASH_NAME,
            severity=Severity.ERROR,
            location=Location(),
            message=f"rule {entry.id} [{entry.name}] crashed: {type(error).__name__}: {error}",
            fix="report this as a defect of snnmap",
        )


def _to_diagnostic(entry: Rule, finding: Finding) -> Diagnostic:
    return Diagnostic(
        rule=entry.id,
        name=entry.name,
        severity=finding.severity or entry.severity,
        location=finding.location,
        message=finding.message,
        measured=finding.measured,
        limit=finding.limit,
        unit=finding.unit,
        fix=finding.fix,
    )
