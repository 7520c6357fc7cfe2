"""snnmap chips: what there is to map to."""

import click

from snnmap.chip import list_chips, load_chip, read_record
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
    """Print the TOML record of chip NAME (a catalog name, or the path of a file): a start for a chip of your own."""
    load_chip(name)
    click.echo(read_record(name), nl=False)
