"""snnmap explain: what a design rule is about."""

import json
from typing import Literal

import click

from snnmap.cli.complete import complete_rules
from snnmap.lif.drc import RULES, explain_rule, look_up_rule

__all__ = ["command"]


@click.command("explain")
@click.argument("rule", required=False, shell_complete=complete_rules)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the documentation.")
def command(rule: str | None, form: Literal["text", "json"]) -> None:
    """Explain RULE, given by id or name, or `all`; without one, list all rules."""
    every = rule is None or rule.lower() == "all"
    rules = sorted(RULES) if every else [look_up_rule(rule or "").id]
    if form == "json":
        click.echo(json.dumps([RULES[key].to_plain() for key in rules], indent=2))
    elif rule is None:
        for key in rules:
            click.echo(f"{key}  {RULES[key].severity:<8} {RULES[key].name}")
    else:
        click.echo("\n".join(map(explain_rule, rules)), nl=False)
