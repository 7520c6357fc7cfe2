"""Design rules as such: what a rule is, where it registers, and what is written about it. Neutral ground for every back end."""

import inspect
import math
import re
from collections.abc import Callable, ItemsView, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from functools import reduce
from numbers import Integral
from typing import Any, Generic, TypeVar

from snnmap.core.diagnostics import Diagnostic, Least, Location, Severity
from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.core.report import Report

__all__ = [
    "CRASH_NAME",
    "HEADINGS",
    "RULES",
    "Amount",
    "Finding",
    "Rule",
    "RuleSet",
    "Subject",
    "explain_rule",
    "format_rule",
    "format_rules",
    "look_up_rule",
    "rule",
    "run_rules",
]

HEADINGS = ("What it checks", "Why it matters", "Bad", "Good", "How to fix")
"""What every rule's documentation says, in this order; behind ``Bad`` and ``Good`` stands code, the latter going on from it."""
_HEADING = re.compile(rf"^({'|'.join(HEADINGS)}): *", re.MULTILINE)

CRASH_NAME = "rule-crashed"

_SubjectT = TypeVar("_SubjectT")
Check = Callable[[Any], "Iterable[Finding]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject(Generic[_SubjectT]):
    """What a rule looks at; a back end adds what it is held against."""

    of: _SubjectT


@dataclass(frozen=True, slots=True)
class Amount:
    """A measured value or a limit: a number, and how it is printed.

    Attributes:
        number: the value.
        form: how the number is printed, as ``format`` takes it.
        words: printed in place of the number.
        adds: whether the amounts of several places are one amount, their sum; else the worst stands for all.

    Example:
        >>> str(Amount(0.317, ".0%")), str(Amount(3))
        ('32%', '3')
    """

    number: float
    form: str = ""
    words: str = ""
    adds: bool = False

    def __str__(self) -> str:
        return self.words or format(self.number, self.form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One violation as a rule states it; the rule's id, name and severity are added to it.

    Findings that differ in their neurons and in what was measured are told as one.
    """

    location: Location
    message: str
    measured: Amount | str = ""
    limit: Amount | str = ""
    unit: str = ""
    fix: str = ""
    severity: Severity | None = None
    least: Least | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A design rule: its check, everything a user is told about it, and what a build makes of its findings.

    Attributes:
        id: stable id, family digit first.
        name: readable as "allow NAME".
        severity: of its findings, unless one states its own.
        subject: type that it checks.
        check: gives all violations of a :class:`Subject`.
        text: documentation under fixed headings, from the function's docstring.
        stops_folding: whether an error leaves nothing to fold, so that later rules cannot measure.
        mended_by: choice of the mapping stage (a field of its options) that makes up for what is found; empty without one.
        requantised: severities of findings that may go away when the network is quantised in another way.
    """

    id: str
    name: str
    severity: Severity
    subject: type
    check: Check
    text: str
    stops_folding: bool = False
    mended_by: str = ""
    requantised: tuple[Severity, ...] = ()

    @property
    def family(self) -> str:
        """What the ids of its family begin with, such as ``SNN6``."""
        return self.id[:4]

    @property
    def sections(self) -> dict[str, str]:
        """What is written about the rule, by heading."""
        _, *parts = _HEADING.split(self.text)
        return dict(zip(parts[::2], map(str.rstrip, parts[1::2]), strict=True))

    @property
    def summary(self) -> str:
        """What the rule checks, in one line."""
        return " ".join(self.sections.get("What it checks", "").split()).partition(". ")[0].rstrip(".")

    @property
    def examples(self) -> tuple[str, str]:
        """Code whose last line gives a report in which the rule fires, and code to run behind it, in which it does not."""
        bad, good = (_split_code(self.sections.get(heading, ""))[1] for heading in ("Bad", "Good"))
        return bad, good

    def to_plain(self) -> dict[str, str]:
        """Return the rule's documentation as JSON values."""
        words = {heading.lower().replace(" ", "_"): _split_code(text)[0] for heading, text in self.sections.items()}
        words.pop("good", None)  # code only
        code = dict(zip(("bad_code", "good_code"), self.examples, strict=True))
        return {"id": self.id, "name": self.name, "severity": str(self.severity), **words, **code}

    def judge(self, subject: Subject[Any]) -> Iterator[Diagnostic]:
        """Return all violations, as :meth:`sign` does."""
        return self.sign(self.check(subject))

    def sign(self, findings: Iterable[Finding]) -> Iterator[Diagnostic]:
        """Return findings under the rule's id and name; those that are alike as one, with all their neurons."""
        groups: dict[tuple[object, ...], list[Finding]] = {}
        for finding in findings:
            groups.setdefault(_group_key(finding), []).append(finding)
        return (self._sign(_join(group)) for group in groups.values())

    def _sign(self, finding: Finding) -> Diagnostic:
        return Diagnostic(
            rule=self.id,
            name=self.name,
            severity=finding.severity or self.severity,
            location=finding.location,
            message=finding.message,
            measured=str(finding.measured),
            limit=str(finding.limit),
            unit=finding.unit,
            fix=finding.fix,
            measured_value=_leave_out_nan(_take_number(finding.measured)),
            limit_value=_take_number(finding.limit),
            least=finding.least,
        )


def _take_number(amount: Amount | str) -> float | None:
    """Return the number of an amount as Python's own."""
    if isinstance(amount, str):
        return None
    return int(amount.number) if isinstance(amount.number, Integral) else float(amount.number)


def _group_key(finding: Finding) -> tuple[object, ...]:
    """Return what alike findings share: all but their neurons, and, where these are named, but values that are numbers."""
    place, amounts = finding.location, (finding.measured, finding.limit)
    compared = place.neurons is not None and all(isinstance(amount, Amount) for amount in amounts)
    values = () if compared else tuple(map(str, amounts))
    return (replace(place, neurons=None, ranges=()), finding.message, values, finding.unit, finding.fix, finding.severity)


def _join(group: list[Finding]) -> Finding:
    """Return one finding for several that are alike: with all their neurons, and the sum or the worst of what was measured."""
    if len(group) == 1 or group[0].location.neurons is None:
        return group[0]
    worst = max(group, key=_distance)
    measured = worst.measured
    if isinstance(measured, Amount) and measured.adds:
        total = sum(finding.measured.number for finding in group if isinstance(finding.measured, Amount))
        measured = replace(measured, number=total)
    ranges = [run for finding in group for run in finding.location.runs]
    changes = [finding.least for finding in group if finding.least]
    least = reduce(Least.add, changes) if changes else None
    return replace(worst, location=worst.location.with_ranges(ranges), measured=measured, least=least)


def _distance(finding: Finding) -> float:
    """Return how far the measured value is from the limit."""
    measured, limit = _take_number(finding.measured), _take_number(finding.limit)
    if measured is None or limit is None:
        return 0.0
    distance = abs(measured - limit)
    return math.inf if math.isnan(distance) else distance


def _leave_out_nan(value: float | None) -> float | None:
    """Return a number; NaN is none, and two findings of it are the same."""
    return None if value is None or math.isnan(value) else value


RULES: dict[str, Rule] = {}
"""All rules of the families that were imported, by id."""


class RuleSet(MutableMapping[str, Rule]):
    """The rules of one back end: those of :data:`RULES` whose ids begin with its letters.

    Args:
        letters: such as ``SNN``.
    """

    def __init__(self, letters: str) -> None:
        self.letters = letters

    def __getitem__(self, key: str) -> Rule:
        """Return a rule by id."""
        if not key.startswith(self.letters):
            raise KeyError(key)
        return RULES[key]

    def __setitem__(self, key: str, value: Rule) -> None:
        """Register a rule."""
        RULES[key] = value

    def __delitem__(self, key: str) -> None:
        """Take a rule away."""
        del RULES[key]

    def __iter__(self) -> Iterator[str]:
        """Yield the ids, in the order in which they were registered."""
        return (key for key in RULES if key.startswith(self.letters))

    def __len__(self) -> int:
        """Count the rules."""
        return sum(1 for _ in self)

    def items(self) -> ItemsView[str, Rule]:
        """Return ids and rules, in a view that can be turned round."""
        return {key: RULES[key] for key in self}.items()


def run_rules(rules: Iterable[Rule], subject: Subject[Any], *, crash_id: str) -> Report:
    """Run all rules and report everything; a rule that crashes is itself a finding, beside those made before it.

    Args:
        rules: to run.
        subject: that they judge.
        crash_id: id of what is told of a crash.
    """
    chosen = list(rules)
    found = [diagnostic for entry in chosen for diagnostic in _run_rule(entry, subject, crash_id)]
    ordered = sorted(found, key=lambda diagnostic: diagnostic.sort_key)
    return Report(diagnostics=tuple(ordered), rules_run=tuple(sorted(entry.id for entry in chosen)))


def _run_rule(entry: Rule, subject: Subject[Any], crash_id: str) -> Iterator[Diagnostic]:
    """Run one rule (docs/architecture.md)."""
    found: list[Finding] = []
    crashed: list[Diagnostic] = []
    try:
        for finding in entry.check(subject):
            found.append(finding)  # one by one: those before a crash are kept
    except Exception as error:
        crashed.append(
            Diagnostic(
                rule=crash_id,
                name=CRASH_NAME,
                severity=Severity.ERROR,
                location=Location(),
                message=f"rule {entry.id} [{entry.name}] crashed: {type(error).__name__}: {error}",
                fix="report this as a defect of snnmap",
            )
        )
    yield from entry.sign(found)
    yield from crashed


def rule(
    rule_id: str,
    name: str,
    subject: type,
    severity: Severity = Severity.ERROR,
    *,
    stops_folding: bool = False,
    mended_by: str = "",
    requantised: tuple[Severity, ...] = (),
) -> Callable[[Check], Rule]:
    """Register a function as a design rule, which takes its name; its docstring is the user documentation."""

    def register(check: Check) -> Rule:
        entry = Rule(
            id=rule_id,
            name=name,
            severity=severity,
            subject=subject,
            check=check,
            text=inspect.cleandoc(check.__doc__ or ""),
            stops_folding=stops_folding,
            mended_by=mended_by,
            requantised=requantised,
        )
        RULES[rule_id] = entry
        return entry

    return register


def look_up_rule(key: str) -> Rule:
    """Return the rule of this id or name, in any case.

    Raises:
        InputError: there is no such rule.
    """
    for entry in RULES.values():
        if key.lower() in (entry.id.lower(), entry.name):
            return entry
    known = [*RULES, *(entry.name for entry in RULES.values())]
    fix = suggest(key, known, "`snnmap explain` lists them")
    raise InputError(f"no rule is called '{key}'", limit=", ".join(sorted(RULES)), fix=fix)


def explain_rule(key: str) -> str:
    """Return a rule's documentation by id or name, in any case.

    Raises:
        InputError: there is no such rule.

    Example:
        >>> import snnmap.lif.drc
        >>> explain_rule("SNN103").splitlines()[0]
        'SNN103 zero-delay-loop (error)'
    """
    entry = look_up_rule(key)
    return f"{entry.id} {entry.name} ({entry.severity})\n\n{entry.text}\n"


def format_rule(entry: Rule) -> str:
    """Return a rule's documentation as Markdown: its page of the site."""
    parts = [f"# {entry.id} {entry.name}\n\nSeverity: {entry.severity}. Also printed by `snnmap explain {entry.id}`.\n"]
    for heading, text in entry.sections.items():
        words, code = _split_code(text)
        told = f"\n{words[0].upper()}{words[1:]}\n" if words else ""
        parts.append(f"## {heading}\n{told}" + (f"\n```python\n{code}\n```\n" if code else ""))
    return "\n".join(parts)


def format_rules(letters: str) -> str:
    """Return the table of a back end's rules as Markdown: the text of its ``RULES.md``."""
    lines = [
        "# Design rules\n",
        "Written from the rules' own documentation, which `snnmap explain RULE` prints, with examples.\n",
        "| rule | name | severity | what it checks |\n| --- | --- | --- | --- |",
        *(f"| {entry.id} | {entry.name} | {entry.severity} | {entry.summary} |" for _, entry in sorted(RuleSet(letters).items())),
    ]
    return "\n".join(lines) + "\n"


def _split_code(text: str) -> tuple[str, str]:
    """Return the words of a section, and its code, which is indented."""
    words, _, code = text.partition("\n    ")
    return words.strip(), inspect.cleandoc("    " + code) if code else ""
