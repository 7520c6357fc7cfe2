"""Findings that were there when a team began to look: they are known, and only what is new or worse is told."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnmap.core.diagnostics import Diagnostic
from snnmap.core.errors import InputError
from snnmap.core.record import record
from snnmap.core.report import Report
from snnmap.findings.run import CheckRun
from snnmap.findings.worse import got_worse

__all__ = ["Baseline", "format_baseline", "read_baseline"]

_VERSION = 1


@record
class Baseline:
    """Known findings, by chip.

    Attributes:
        path: of its file.
        digests: of the record of each chip.
        findings: fingerprint and measured value of each finding, by chip.
    """

    path: str
    digests: Mapping[str, str]
    findings: Mapping[str, tuple[tuple[str, float | None], ...]]

    def split(self, report: Report, chip: str, digest: str) -> tuple[Report, int]:
        """Return the report of what is new or worse, and the number of findings that are known.

        Raises:
            InputError: the baseline is of another chip.
        """
        if self.digests.get(chip) != digest:
            known = ", ".join(f"{name} ({value[:16]})" for name, value in self.digests.items())
            raise InputError(
                "the baseline is of another chip",
                where=self.path,
                measured=f"{chip} ({digest[:16]})",
                limit=known or "no chip",
                fix=f"write it anew: --write-baseline {self.path}",
            )
        left = Counter(fingerprint for fingerprint, _ in self.findings[chip])
        values = dict(self.findings[chip])
        told: list[Diagnostic] = []
        for diagnostic in report.diagnostics:
            value = values.get(diagnostic.fingerprint)
            if left[diagnostic.fingerprint] and not (value is not None and got_worse(diagnostic, value)):
                left[diagnostic.fingerprint] -= 1
            else:
                told.append(diagnostic)
        return report.with_diagnostics(told), len(report.diagnostics) - len(told)


def format_baseline(run: CheckRun) -> str:
    """Return a baseline of all findings of a check, as the text of its file."""
    chips = {
        checked.chip: {"digest": checked.digest, "findings": [_to_plain(d) for d in checked.report.diagnostics if not d.waived]}
        for checked in run.checked
    }
    return json.dumps({f"snnmap_baseline {_VERSION}": chips}, indent=2) + "\n"


def read_baseline(path: Path) -> Baseline:
    """Read the file of a baseline.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plain: dict[str, Any] = json.loads(text)
        chips = {str(name): dict(chip) for name, chip in plain[f"snnmap_baseline {_VERSION}"].items()}
        return Baseline(
            path=str(path),
            digests={name: str(chip["digest"]) for name, chip in chips.items()},
            findings={name: tuple(map(_read_finding, chip["findings"])) for name, chip in chips.items()},
        )
    except OSError as error:
        raise InputError(
            f"the baseline cannot be read: {error.strerror}", where=str(path), fix=f"write one: --write-baseline {path}"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "this is no baseline of snnmap",
            where=str(path),
            measured=f"{type(error).__name__}: {error}",
            fix=f"write one: --write-baseline {path}",
        ) from error


def _to_plain(diagnostic: Diagnostic) -> dict[str, Any]:
    plain = diagnostic.to_plain()
    return {
        "fingerprint": diagnostic.fingerprint,
        "value": plain["measured_value"],
        "rule": diagnostic.rule,
        "where": str(diagnostic.location),
    }


def _read_finding(plain: Mapping[str, Any]) -> tuple[str, float | None]:
    value = plain["value"]
    return str(plain["fingerprint"]), None if value is None else float(value)
