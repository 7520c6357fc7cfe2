"""snnmap explain: what a design rule is about."""

import json
from importlib import import_module
from pathlib import Path
from typing import Literal

import click

import snnmap
from snnmap.cli.complete import list_beginning
from snnmap.core.rules import RULES, explain_rule, look_up_rule

__all__ = ["command"]


def _complete(_: click.Context, __: click.Parameter, start: str) -> list[str]:
    """Return the rules of all back ends whose ids or names begin so."""
    _load_rules()
    return list_beginning(RULES, start)


@click.command("explain")
@click.argument("rule", required=False, shell_complete=_complete)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the documentation.")
def command(rule: str | None, form: Literal["text", "json"]) -> None:
    """Explain RULE, given by id or name, or `all`; without one, list all rules."""
    _load_rules()
    every = rule is None or rule.lower() == "all"
    rules = sorted(RULES) if every else [look_up_rule(rule or "").id]
    if form == "json":
        click.echo(json.dumps([RULES[key].to_plain() for key in rules], indent=2))
    elif rule is None:
        for key in rules:
            click.echo(f"{key}  {RULES[key].severity:<8} {RULES[key].name}")
    else:
        click.echo("\n".join(map(explain_rule, rules)), nl=False)


def _load_rules() -> None:
    """Let the back ends register their rules: each room with a ``drc`` is one."""
    for rules in sorted(file.parent for folder in snnmap.__path__ for file in Path(folder).glob("*/drc/__init__.py")):
        import_module(f"snnmap.{rules.parent.name}.{rules.name}")
