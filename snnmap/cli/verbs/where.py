"""snnmap where: which neuron of the model is where on the chip."""

import click

from snnmap.cli.options import bitstream_chip_option, read_image
from snnmap.report import find_neuron

__all__ = ["command"]


@click.command("where", context_settings={"ignore_unknown_options": True})
@click.argument("bitstream")
@click.argument("neuron")
@bitstream_chip_option
def command(bitstream: str, neuron: str, chip: str | None) -> None:
    """Tell which neuron of the model is where in BITSTREAM, with its codes, inputs and weights.

    NEURON is a hidden slot (230), input:3 or output:2; or a population or module with the neuron in it (4.body.1[6]), or without,
    and which relay ("3[0] relay 1").
    """
    click.echo("\n".join(find_neuron(read_image(bitstream, chip), neuron)))
