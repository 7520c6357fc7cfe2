"""snnmap chips: what there is to map to."""

import click

from snnmap.chip import list_chips, load_chip
from snnmap.cli.console import out

__all__ = ["command"]


@click.group("chips", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the chips, or show one."""
    if context.invoked_subcommand is None:
        from snnmap.report import chip_table

        out().print(chip_table(load_chip(name) for name in list_chips()))


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show the record of chip NAME (a catalog name, or the path of a TOML file)."""
    from dataclasses import asdict

    chip = load_chip(name)
    for key, value in asdict(chip).items():
        if isinstance(value, dict):
            click.echo(f"\n[{key}]")
            for field, entry in value.items():
                click.echo(f"{field} = {entry}")
        else:
            click.echo(f"{key} = {value}")
