"""snnmap explain: what a design rule is about."""

import click

from snnmap.lif.drc import RULES, explain_rule

__all__ = ["command"]


@click.command("explain")
@click.argument("rule", required=False)
def command(rule: str | None) -> None:
    """Explain RULE, given by id or name; without one, list all rules."""
    if rule is not None:
        click.echo(explain_rule(rule), nl=False)
        return
    for _, entry in sorted(RULES.items()):
        click.echo(f"{entry.id}  {entry.severity:<8} {entry.name}")
