"""For programs: everything, as ``snnmap/findings/check.schema.json`` says it."""

import json
from typing import Any

from snnmap.findings.run import Checked, CheckRun

__all__ = ["VERSION", "render", "to_plain"]

VERSION = 1
"""Of the schema; it grows by one when a key changes its meaning or goes."""


def render(run: CheckRun) -> str:
    """Return the findings as JSON."""
    return json.dumps(to_plain(run), indent=2, allow_nan=False)


def to_plain(run: CheckRun) -> dict[str, Any]:
    """Return the findings as JSON values."""
    reports = [checked.report for checked in run.checked]
    return {
        "snnmap_check": VERSION,
        "tool": {"name": "snnmap", "version": run.version},
        "model": {"name": run.model, "digest": run.digest, "file": run.file},
        "clean": run.is_clean,
        "errors": sum(len(report.errors) for report in reports),
        "warnings": sum(len(report.warnings) for report in reports),
        "advice": sum(len(report.advice) for report in reports),
        "waived": sum(len(report.waived) for report in reports),
        "rules_run": sorted({rule for report in reports for rule in report.rules_run}),
        "chips": [_describe(checked) for checked in run.checked],
        "diagnostics": [{"chip": checked.chip, **diagnostic.to_plain()} for checked, diagnostic in run.findings],
    }


def _describe(checked: Checked) -> dict[str, Any]:
    report = checked.report
    return {
        "name": checked.chip,
        "digest": checked.digest,
        "clean": report.is_clean,
        "errors": len(report.errors),
        "warnings": len(report.warnings),
        "advice": len(report.advice),
        "waived": len(report.waived),
        "left_out": checked.n_left_out,
        "errors_left_out": checked.n_errors_left_out,
        "in_baseline": checked.n_known,
        "rules_run": list(report.rules_run),
        "comparison": checked.comparison,
    }
