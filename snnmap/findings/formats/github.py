"""For GitHub Actions: a workflow command a finding, which is shown as an annotation at the user's line."""

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.findings.run import Checked, CheckRun

__all__ = ["render"]


def render(run: CheckRun) -> str:
    """Return the findings as workflow commands, waived ones as notices; advice is plain text, which leaves no annotation."""
    lines = [_tell(run, checked, diagnostic) for checked, diagnostic in run.findings]
    return "".join(f"{line}\n" for line in (*lines, *(f"{c.chip}: {c.report.summary}" for c in run.checked)))


def _tell(run: CheckRun, checked: Checked, diagnostic: Diagnostic) -> str:
    file, line = run.locate(diagnostic)
    if diagnostic.severity is Severity.ADVICE:
        return f"{checked.chip}: {diagnostic}"
    kind = "notice" if diagnostic.waived else str(diagnostic.severity)
    named = {"file": file, "line": str(line), "title": f"{diagnostic.rule} {diagnostic.name} on {checked.chip}"}
    properties = ",".join(f"{key}={_escape(value, colon=True)}" for key, value in named.items())
    return f"::{kind} {properties}::{_escape(str(diagnostic).partition('] ')[2])}"


def _escape(text: str, *, colon: bool = False) -> str:
    """Return text as the runner reads it back (percent sign and line ends; in properties colon and comma as well)."""
    codes = {"%": "%25", "\r": "%0D", "\n": "%0A", **({":": "%3A", ",": "%2C"} if colon else {})}
    return "".join(codes.get(letter, letter) for letter in text)
