"""snnmap explain: what a design rule is about."""

import click

from snnmap.cli.complete import complete_rules
from snnmap.lif.drc import RULES, explain_rule

__all__ = ["command"]


@click.command("explain")
@click.argument("rule", required=False, shell_complete=complete_rules)
def command(rule: str | None) -> None:
    """Explain RULE, given by id or name; without one, list all rules."""
    if rule is not None:
        click.echo(explain_rule(rule), nl=False)
        return
    for _, entry in sorted(RULES.items()):
        click.echo(f"{entry.id}  {entry.severity:<8} {entry.name}")
