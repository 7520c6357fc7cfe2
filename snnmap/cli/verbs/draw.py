"""snnmap draw: the graph of a model's network."""

from pathlib import Path

import click

from snnmap.cli.complete import complete_chips
from snnmap.cli.options import model_options, open_named
from snnmap.core import fsio
from snnmap.report import draw_network, model_summary

__all__ = ["command"]


@click.command("draw")
@model_options
@click.option("--chip", "-c", shell_complete=complete_chips, help="Chip that the network is folded for, drawn below it.")
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), help="SVG file.")
def command(model: str, weights: str | None, read: tuple[str, ...], chip: str | None, output: str) -> None:
    """Draw the network of MODEL, named as for `snnmap check`: populations and projections, before and after folding."""
    network = open_named(model, weights, read, None).network
    summary = model_summary(network, chip)
    fsio.write_file(Path(output), draw_network(network, summary.mapped).encode())
    if chip is not None and summary.mapped is None:
        click.echo(summary.told, err=True)
