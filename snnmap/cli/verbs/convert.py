"""snnmap convert: from an ANN to a network of spiking neurons."""

from pathlib import Path
from typing import Any

import click

from snnmap.cli.complete import complete_chips
from snnmap.cli.console import out
from snnmap.cli.options import load_chips, naming_file, read_array
from snnmap.cli.records import read_record, record_options
from snnmap.convert import ConvertOptions
from snnmap.convert.choose import warn_of_error
from snnmap.core.errors import InputError
from snnmap.core.nouns import count_nouns
from snnmap.loading import open_model
from snnmap.network import save_network
from snnmap.report import compensation_table, make_table

__all__ = ["command"]


@click.command("convert")
@click.argument("model")
@click.option("--weights", type=click.Path(dir_okay=False), help="Weights (state_dict) for the torch module of MODEL.")
@click.option(
    "--calibration",
    required=True,
    type=click.Path(dir_okay=False),
    help="Input values (.npy) of typical use, (n, ...), some hundreds.",
)
@click.option(
    "--output", "-o", required=True, type=click.Path(dir_okay=False), help="File for the network, which every verb reads."
)
@click.option(
    "--chip", "-c", shell_complete=complete_chips, help="Chip that the network is for: its name, or path of its TOML file."
)
@record_options(ConvertOptions)
def command(model: str, weights: str | None, calibration: str, output: str, chip: str | None, **choices: Any) -> None:
    """Convert MODEL, an ANN, to a network: an ONNX file, or FILE.py:FUNCTION that gives a torch module or an estimator.

    `snnmap check` and `build` convert an ANN by themselves where --calibration is given; they take these choices as
    `--read NAME=VALUE`.
    """
    options, values = read_record(ConvertOptions, choices), read_array(calibration)
    chips = [] if chip is None else load_chips((chip,))
    with naming_file(calibration):
        conversion = open_model(model, weights=weights, calibration=values, conversion=options, chips=chips).conversion
    if conversion is None:
        raise InputError("a spiking network needs no conversion", where=model, fix="give it to snnmap check and build as it is")
    save_network(conversion.network, Path(output))
    cells = [(error.layer, f"{100 * error.relative_error:.1f}%") for error in conversion.errors]
    table = make_table("error on calibration data", ("layer", "relative#"), cells)
    out().print(table, compensation_table(conversion.compensations))
    n_neurons = sum(population.size for population in conversion.network.populations)
    click.echo(f"{output}: {count_nouns(n_neurons, 'neuron')}, answers after {count_nouns(conversion.latency_steps, 'step')}")
    for told in conversion.changes:
        click.echo(told)
    warn_of_error(conversion.choices, conversion.options.error_limit, stacklevel=2)
