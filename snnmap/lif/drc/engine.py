"""The engine: a run executes all rules of a stage and reports everything."""

from dataclasses import dataclass
from typing import TypeVar

from snnmap.chip import Chip
from snnmap.core import Report
from snnmap.core.diagnostics import Diagnostic
from snnmap.core.rules import Amount, Finding, Rule, RuleSet, Subject, rule, run_rules
from snnmap.core.rules import format_rules as format_text
from snnmap.lif.program import Comparison, MappedNetwork, QuantisedNetwork
from snnmap.network import Network

__all__ = [
    "RULES",
    "Amount",
    "Finding",
    "OnChip",
    "check_comparison",
    "check_mapped",
    "check_network",
    "check_quantised",
    "find_rule",
    "format_rules",
    "rule",
]

_SubjectT = TypeVar("_SubjectT")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChip(Subject[_SubjectT]):
    """What a rule looks at, and the chip it is held against."""

    chip: Chip


_CRASH_ID = "SNN001"
RULES = RuleSet("SNN")
"""All rules of this back end, by id."""


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


def _run(subject_type: type, subject: OnChip[_SubjectT]) -> Report:
    rules = [entry for entry in RULES.values() if entry.subject is subject_type]
    return run_rules(rules, subject, crash_id=_CRASH_ID)


def format_rules() -> str:
    """Return the documentation of all rules as Markdown, by family: the text of ``RULES.md``."""
    return format_text(RULES.letters)
