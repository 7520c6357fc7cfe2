"""snnmap explain: what a design rule is about."""

import click

from snnmap.core.rules import RULES, explain_rule

__all__ = ["command"]


def _complete(_: click.Context, __: click.Parameter, start: str) -> list[str]:
    """Return the rules of all back ends whose ids or names begin so."""
    _load_rules()
    known = [word for rule in RULES.values() for word in (rule.id, rule.name)]
    return sorted(word for word in known if word.lower().startswith(start.lower()))


@click.command("explain")
@click.argument("rule", required=False, shell_complete=_complete)
def command(rule: str | None) -> None:
    """Explain RULE, given by id or name; without one, list all rules."""
    _load_rules()
    if rule is not None:
        click.echo(explain_rule(rule), nl=False)
        return
    for _, entry in sorted(RULES.items()):
        click.echo(f"{entry.id}  {entry.severity:<8} {entry.name}")


def _load_rules() -> None:
    """Let the back ends register their rules."""
    import snnmap.crossbar.drc
    import snnmap.lif.drc  # noqa: F401
