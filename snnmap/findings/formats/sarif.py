"""For code scanning: SARIF 2.1.0 (OASIS standard, 27 March 2020), within the limits of GitHub's upload."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.core.rules import RULES
from snnmap.findings.run import Checked, CheckRun, count_findings

__all__ = ["MOST_RESULTS", "render"]

MOST_RESULTS = 25_000
"""Results of one run that GitHub takes; the first of them, which are the errors, are kept."""
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "note"}
_SCHEMA = "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json"


def render(run: CheckRun) -> str:
    """Return the findings as SARIF; waived ones and advice are left out, since GitHub would show them as open."""
    told = [pair for pair in run.findings if not pair[1].waived]
    found = [pair for pair in told if pair[1].severity is not Severity.ADVICE]
    found.sort(key=lambda pair: pair[1].severity.rank)
    kept = found[:MOST_RESULTS]
    rules = {diagnostic.rule: diagnostic for _, diagnostic in kept}
    places = {rule: number for number, rule in enumerate(sorted(rules))}
    notes = [{"level": "warning", "message": {"text": note}} for note in _list_notes(run, len(found) - len(kept))]
    notes += [{"level": "note", "message": {"text": f"{c.chip}: {d}"}} for c, d in told if d.severity is Severity.ADVICE]
    invocation = {"executionSuccessful": True, **({"toolExecutionNotifications": notes} if notes else {})}
    driver = {
        "name": "snnmap",
        "semanticVersion": run.version,
        "rules": [_describe_rule(rules[rule], run.rules_url) for rule in sorted(rules)],
    }
    results = [_describe(run, checked, diagnostic, places[diagnostic.rule]) for checked, diagnostic in kept]
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "invocations": [invocation], "results": results}
        ],
    }
    return json.dumps(log, indent=2, allow_nan=False)


def _list_notes(run: CheckRun, n_cut: int) -> Iterable[str]:
    for checked in run.checked:
        yield from (f"{checked.chip}: {note}" for note in checked.notes)
    if n_cut:
        yield f"{count_findings(n_cut)} beyond the {MOST_RESULTS} that are taken"


def _describe_rule(diagnostic: Diagnostic, rules_url: str) -> dict[str, Any]:
    rule = RULES.get(diagnostic.rule)
    entry = {"id": diagnostic.rule, "name": diagnostic.name, "shortDescription": {"text": diagnostic.name.replace("-", " ")}}
    if rule is None:
        return entry
    level = {"defaultConfiguration": {"level": _LEVELS[rule.severity]}}
    page = {"helpUri": f"{rules_url}{rule.id}/"} if rules_url else {}
    return {**entry, "fullDescription": {"text": rule.text.partition("\n\n")[0]}, "help": {"text": rule.text}, **level, **page}


def _describe(run: CheckRun, checked: Checked, diagnostic: Diagnostic, rule_index: int) -> dict[str, Any]:
    file, line = run.locate(diagnostic)
    plain = diagnostic.to_plain()
    names = [
        {"name": name, "kind": kind, "fullyQualifiedName": name}
        for kind, name in {**diagnostic.location.names, "module": diagnostic.location.source}.items()
        if name
    ]
    location = {
        "physicalLocation": {"artifactLocation": {"uri": _to_uri(file)}, "region": {"startLine": line}},
        **({"logicalLocations": names} if names else {}),
    }
    return {
        "ruleId": diagnostic.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[diagnostic.severity],
        "message": {"text": f"{checked.chip}: {_tell(diagnostic)}"},
        "locations": [location],
        "partialFingerprints": {"snnmap/v1": f"{diagnostic.fingerprint}:{checked.chip}"},
        "properties": {
            "chip": checked.chip,
            **{key: plain[key] for key in ("measured_value", "limit_value", "unit", "fix")},
            "neurons": [list(run) for run in diagnostic.location.runs],
        },
    }


def _tell(diagnostic: Diagnostic) -> str:
    """Return the finding as it is printed, from its place on."""
    return str(diagnostic).partition("] ")[2]


def _to_uri(file: str) -> str:
    """Return the address of a file: from the working directory where it is in it, so that it is that of the repository."""
    path = Path(file)
    full = path if path.is_absolute() else Path.cwd() / path
    if not full.is_relative_to(Path.cwd()):
        return full.as_uri()
    relative = full.relative_to(Path.cwd())
    return full.as_uri().removeprefix(Path.cwd().as_uri()).lstrip("/") if relative.parts else "."
