"""snnmap draw: the graph of a model's network, or of its layers."""

from pathlib import Path

import click

from snnmap.cli.complete import complete_chips
from snnmap.cli.options import input_shape_option, model_options, open_named, read_shape
from snnmap.core import fsio
from snnmap.core.errors import InputError
from snnmap.loading import load_layers
from snnmap.report import draw_layers, draw_network, model_summary

__all__ = ["command"]


@click.command("draw")
@model_options
@click.option("--chip", "-c", shell_complete=complete_chips, help="Chip that the network is folded for, drawn below it.")
@click.option("--layers", is_flag=True, help="Draw the layers of an ANN, an ONNX file or a torch module, as they are.")
@input_shape_option
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), help="SVG file.")
def command(
    model: str,
    weights: str | None,
    read: tuple[str, ...],
    chip: str | None,
    layers: bool,
    input_shape: tuple[str, ...],
    output: str,
) -> None:
    """Draw the network of MODEL, named as for `snnmap check`: populations and projections, before and after folding."""
    if not output.endswith(".svg"):
        raise InputError(
            "the network is drawn as SVG", where="--output", measured=output, limit=".svg", fix="give such as net.svg"
        )
    _require_use(layers, {"--chip": chip, "--read": read}, {"--input-shape": input_shape})
    if layers:
        graph = load_layers(model, *map(read_shape, input_shape), weights=weights)
        fsio.write_file(Path(output), draw_layers(graph).encode())
        return
    network = open_named(model, weights, read, None).network
    summary = model_summary(network, chip)
    fsio.write_file(Path(output), draw_network(network, summary.mapped).encode())
    if chip is not None and summary.mapped is None:
        click.echo(summary.told, err=True)


def _require_use(layers: bool, of_networks: dict[str, object], of_layers: dict[str, object]) -> None:
    """Refuse options that were given and would change nothing."""
    given = [name for name, value in (of_networks if layers else of_layers).items() if value]
    if given:
        raise InputError(
            f"these options have no use for {'layers' if layers else 'a network'}",
            where=", ".join(given),
            fix="leave them out, or --layers too" if layers else "give --layers with them, or leave them out",
        )
