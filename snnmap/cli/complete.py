"""What the shell offers behind options: names of chips and of rules."""

from collections.abc import Callable, Mapping, Sequence

import click

from snnmap.core.rules import Rule

__all__ = ["complete_chips", "complete_rules", "complete_with", "list_beginning"]


def complete_chips(_: click.Context, __: click.Parameter, start: str) -> list[str]:
    """Return the chips whose names begin so."""
    from snnmap.chip import list_chips

    return [name for name in list_chips() if name.startswith(start)]


def complete_with(list_names: Callable[[], Sequence[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what offers those of some names that begin as what was typed."""
    return lambda _, __, start: [name for name in list_names() if name.startswith(start)]


def complete_rules(_: click.Context, __: click.Parameter, start: str) -> list[str]:
    """Return the rules whose ids or names begin so."""
    from snnmap.lif.drc import RULES

    return list_beginning(RULES, start)


def list_beginning(rules: Mapping[str, Rule], start: str) -> list[str]:
    """Return the ids and names of rules that begin so, in any case."""
    known = [word for rule in rules.values() for word in (rule.id, rule.name)]
    return sorted(word for word in known if word.lower().startswith(start.lower()))
