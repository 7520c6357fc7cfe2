"""The engine: a run executes all rules of a stage and reports everything."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from snnmap.chip import Chip
from snnmap.core import BoolArray, Report
from snnmap.core.diagnostics import Diagnostic, Location, Severity
from snnmap.core.rules import RULES, Amount, Finding, Rule, Subject, rule
from snnmap.lif.program import Comparison, MappedNetwork, QuantisedNetwork
from snnmap.network import Network

__all__ = [
    "Amount",
    "Finding",
    "OnChip",
    "check_comparison",
    "check_mapped",
    "check_network",
    "check_quantised",
    "find_rule",
    "find_runs",
    "rule",
]

_SubjectT = TypeVar("_SubjectT")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChip(Subject[_SubjectT]):
    """What a rule looks at, and the chip it is held against."""

    chip: Chip


_CRASH_ID, _CRASH_NAME = "SNN001", "rule-crashed"


def find_rule(diagnostic: Diagnostic) -> Rule | None:
    """Return the rule that a finding is of; None where it tells of a rule that crashed."""
    return None if diagnostic.rule == _CRASH_ID else RULES[diagnostic.rule]


def check_network(network: Network, chip: Chip) -> Report:
    """Run the rules that judge a network before folding.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.chip import load_chip
        >>> check_network(network, load_chip("xylo-audio-3")).is_clean
        True
    """
    return _run(Network, OnChip(of=network, chip=chip))


def check_mapped(mapped: MappedNetwork) -> Report:
    """Run the rules that judge a folded network: relays and lowered sums count."""
    return _run(MappedNetwork, OnChip(of=mapped, chip=mapped.chip))


def check_quantised(quantised: QuantisedNetwork) -> Report:
    """Run the rules that judge a network in the chip's integers."""
    return _run(QuantisedNetwork, OnChip(of=quantised, chip=quantised.mapped.chip))


def check_comparison(comparison: Comparison, chip: Chip) -> Report:
    """Run the rules that judge what the bitstream does beside the model."""
    return _run(Comparison, OnChip(of=comparison, chip=chip))


def find_runs(wrong: BoolArray) -> Iterator[tuple[int, int]]:
    """Yield first and last-plus-one index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wrong, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _run(subject_type: type, subject: OnChip[_SubjectT]) -> Report:
    rules = [entry for entry in RULES.values() if entry.subject is subject_type]
    found = [diagnostic for entry in rules for diagnostic in _run_rule(entry, subject)]
    ordered = sorted(found, key=lambda diagnostic: diagnostic.sort_key)
    return Report(diagnostics=tuple(ordered), rules_run=tuple(sorted(entry.id for entry in rules)))


def _run_rule(entry: Rule, subject: OnChip[_SubjectT]) -> Iterator[Diagnostic]:
    """Run one rule; a crash is itself a finding, beside those made before it and those of other rules (docs/architecture.md)."""
    found: list[Finding] = []
    crashed: list[Diagnostic] = []
    try:
        for finding in entry.check(subject):
            found.append(finding)  # one by one: those before a crash are kept
    except Exception as error:
        crashed.append(
            Diagnostic(
                rule=_CRASH_ID,
                name=_CRASH_NAME,
                severity=Severity.ERROR,
                location=Location(),
                message=f"rule {entry.id} [{entry.name}] crashed: {type(error).__name__}: {error}",
                fix="report this as a defect of snnmap, with what `snnmap --version` says",
            )
        )
    yield from entry.sign(found)
    yield from crashed
