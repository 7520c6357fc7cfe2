"""For ``pyproject.toml``: a waiver of each finding, to which its reason is to be added; without one it is refused."""

import json
from collections.abc import Iterator

from snnmap.core.diagnostics import Diagnostic
from snnmap.core.rules import RULES
from snnmap.findings.run import Checked, CheckRun

__all__ = ["render"]


def render(run: CheckRun) -> str:
    """Return the findings as the TOML of their waivers; those that cannot be accepted, or are, as comments."""
    several = len(run.checked) > 1
    parts = [_write(checked, diagnostic, several=several) for checked, diagnostic in run.findings]
    return "\n".join("".join(f"{line}\n" for line in part) for part in parts) or "# nothing to waive\n"


def _write(checked: Checked, diagnostic: Diagnostic, *, several: bool) -> Iterator[str]:
    """Yield the lines of a waiver."""
    told = f"{checked.chip}: {diagnostic.rule} {diagnostic.name} at {diagnostic.location}: {diagnostic.message}"
    yield f"# {_to_comment(told)}"
    if diagnostic.waived:
        yield f"# waived: {_to_comment(str(diagnostic.waived))}"
    elif diagnostic.rule not in RULES or diagnostic.fingerprint in checked.unwaivable:
        yield f"# cannot be waived: {_to_comment(diagnostic.fix)}"
    else:
        yield "[[tool.snnmap.waivers]]"
        yield f"rule = {_quote(diagnostic.rule)}"
        yield from (f"{kind} = {_quote(name)}" for kind, name in diagnostic.location.names.items() if name)
        runs = diagnostic.location.runs
        if runs:
            yield f"neurons = {_quote(diagnostic.location.format_neurons(len(runs)))}"
        if diagnostic.measured_value is not None:
            yield f"value = {diagnostic.measured_value}  # {_to_comment(f'{diagnostic.measured} {diagnostic.unit}'.strip())}"
        if several:
            yield f"chip = {_quote(checked.chip)}"
        yield 'reason = ""  # why it is accepted'


def _quote(text: str) -> str:
    """Return text as a basic string of TOML, which JSON's are but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _to_comment(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
