"""snnmap simulate: run a bitstream."""

import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnmap import fsio
from snnmap.cli.options import bitstream_chip_option, naming_file, read_array, read_image
from snnmap.ir import Recording
from snnmap.simulator import Engine, simulate_image

__all__ = ["command"]


@click.command("simulate")
@click.argument("bitstream")
@click.option(
    "--input", "-i", "raster", required=True, help="Counts: .npy of (samples, steps, channels), or text, one line a step."
)
@click.option(
    "--record", "-r", multiple=True, type=click.Choice(["hidden", "outputs"]), help="Areas whose counts and states are kept."
)
@click.option("--engine", type=click.Choice(["batch", "reference"]), default="batch", help="Both give the same numbers.")
@bitstream_chip_option
@click.option("--output", "-o", help=".npz file for what was recorded.")
def command(bitstream: str, raster: str, record: tuple[str, ...], engine: str, chip: str | None, output: str | None) -> None:
    """Run BITSTREAM on input spike counts and print the output counts of each sample."""
    image = read_image(bitstream, chip)
    counts_of = tuple(dict.fromkeys(("outputs", *record)))
    chosen: Engine = "reference" if engine == "reference" else "batch"
    counts = read_array(raster)
    with naming_file(raster):
        recording = simulate_image(image, counts, counts_of=counts_of, states_of=record, engine=chosen)
    for number, sample in enumerate(recording.counts["outputs"].sum(axis=1).tolist()):
        click.echo(f"{number}: {' '.join(map(str, sample))}")
    profile = recording.profile
    if profile is not None:
        spikes = f"{profile.input_spikes} input, {profile.hidden_spikes} hidden, {profile.output_spikes} output spikes"
        run = f"{profile.n_samples} samples of {profile.n_steps} steps"
        click.echo(f"{run}: {spikes}, {profile.synaptic_operations} synaptic operations", err=True)
    if output is not None:
        fsio.write_file(Path(output), _to_npz(recording))


def _to_npz(recording: Recording) -> bytes:
    arrays: dict[str, Any] = {
        f"{area}_{kind}": values
        for kind, kept in (
            ("counts", recording.counts),
            ("potentials", recording.potentials),
            ("currents", recording.currents),
        )
        for area, values in kept.items()
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
