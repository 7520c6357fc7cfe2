"""What the shell offers behind options: names of chips and of rules."""

import click

__all__ = ["complete_chips", "complete_rules"]


def complete_chips(_: click.Context, __: click.Parameter, start: str) -> list[str]:
    """Return the chips whose names begin so."""
    from snnmap.chip import list_chips

    return [name for name in list_chips() if name.startswith(start)]


def complete_rules(_: click.Context, __: click.Parameter, start: str) -> list[str]:
    """Return the rules whose ids or names begin so."""
    from snnmap.lif.drc import RULES

    known = [word for rule in RULES.values() for word in (rule.id, rule.name)]
    return sorted(word for word in known if word.lower().startswith(start.lower()))
