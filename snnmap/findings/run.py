"""What one check found: a model, the chips that it was held against, and the findings of each."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.core.nouns import count_nouns
from snnmap.core.record import record
from snnmap.core.report import Report

__all__ = ["CheckRun", "Checked", "count_findings"]


@record
class Checked:
    """Findings of a model on one chip.

    Attributes:
        chip: its name.
        digest: of its record, in hexadecimal.
        report: what is told.
        n_left_out: findings that the user chose not to be told.
        n_errors_left_out: errors among them.
        n_known: findings that are in the baseline.
        unwaivable: fingerprints of what is told and that nobody can accept.
        comparison: of bitstream and model, as JSON values; None where it was not reached.
        comparison_text: likewise, as text.
    """

    chip: str
    digest: str
    report: Report
    n_left_out: int = 0
    n_errors_left_out: int = 0
    n_known: int = 0
    unwaivable: frozenset[str] = frozenset()
    comparison: Mapping[str, Any] | None = None
    comparison_text: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not told, in numbers, a line each."""
        refused = f" ({self.n_errors_left_out} of them errors, which a build refuses)" if self.n_errors_left_out else ""
        return (
            *((f"{count_findings(self.n_left_out)} left out by choice{refused}",) if self.n_left_out else ()),
            *((f"{count_findings(self.n_known)} in the baseline",) if self.n_known else ()),
        )


@record
class CheckRun:
    """What one check found.

    Attributes:
        model: as the user named it.
        digest: of the network that it was read as, or of its layers where counting these was enough; in hexadecimal.
        file: of the model, where it has one.
        line: in it.
        version: of snnmap.
        checked: findings, by chip.
        rules_url: where the pages of the rules are; empty where that is not known.
        strict: whether warnings fail the check too.
        statistics: whether sums by rule and place are told as well.
        least: whether the smallest changes that would do are told as a table as well.
    """

    model: str
    digest: str
    version: str
    file: str = ""
    line: int = 1
    checked: tuple[Checked, ...] = field(default_factory=tuple)
    strict: bool = False
    statistics: bool = False
    rules_url: str = ""
    least: bool = False

    @property
    def findings(self) -> Iterator[tuple[Checked, Diagnostic]]:
        """All findings, each with its chip."""
        return ((checked, diagnostic) for checked in self.checked for diagnostic in checked.report.diagnostics)

    @property
    def tables(self) -> Iterator[tuple[tuple[str, ...], list[tuple[object, ...]]]]:
        """The tables that were asked for, heads and rows."""
        if self.statistics:
            yield ("findings", "neurons", "rule", "name", "place"), [*self.count_by_place()]
        if self.least:
            yield ("chip", "rule", "place", "least", "n", "of what", "share", "or"), [*self.list_least()]

    @property
    def is_clean(self) -> bool:
        """True when no error is left."""
        return all(checked.report.is_clean for checked in self.checked)

    @property
    def passes(self) -> bool:
        """True when no finding is left that fails the check."""
        return not any(self.fails(diagnostic) for _, diagnostic in self.findings)

    def fails(self, diagnostic: Diagnostic) -> bool:
        """Say whether a finding fails the check: an error that is not waived, and with ``strict`` a warning."""
        failing = (Severity.ERROR, Severity.WARNING) if self.strict else (Severity.ERROR,)
        return diagnostic.severity in failing and not diagnostic.waived

    def count_by_place(self) -> list[tuple[int, int, str, str, str]]:
        """Return findings, neurons, rule, its name and the place without its neurons, the most findings first."""
        found: Counter[tuple[str, str, str]] = Counter()
        neurons: Counter[tuple[str, str, str]] = Counter()
        for _, diagnostic in self.findings:
            place = replace(diagnostic.location, neurons=None, ranges=(), source="", file="", line=0)
            key = (diagnostic.rule, diagnostic.name, str(place))
            found[key] += 1
            neurons[key] += diagnostic.location.n_neurons
        return sorted(((count, neurons[key], *key) for key, count in found.items()), key=lambda row: (-row[0], *row[2:]))

    def list_least(self) -> list[tuple[str, str, str, str, int, str, str, str]]:
        """Return chip, rule, place, what to do, how many, of what, the share and another change, where findings say so."""
        return [
            (checked.chip, found.rule, str(found.location), least.do, least.n, least.what, least.share, least.instead)
            for checked, found in self.findings
            if (least := found.least) and not found.waived
        ]

    def locate(self, diagnostic: Diagnostic) -> tuple[str, int]:
        """Return the file and line to show a finding at: those of its module, else those of the model."""
        place = diagnostic.location
        return (place.file, place.line or 1) if place.file else (self.file or self.model, self.line)


def count_findings(n: int) -> str:
    """Return a number of findings as the start of a sentence about them."""
    return f"{count_nouns(n, 'finding')} {'is' if n == 1 else 'are'}"
