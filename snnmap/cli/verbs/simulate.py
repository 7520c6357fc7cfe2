"""snnmap simulate: run a bitstream."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnmap.cli.options import bitstream_chip_option, naming_file, read_array, read_image
from snnmap.core import IntArray, fsio
from snnmap.lif.program import Image
from snnmap.lif.simulator import Engine, simulate_image
from snnmap.network import Recording

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
    """Run BITSTREAM on input spike counts and print the outputs of each sample.

    The build.json beside it says how outputs are read: potentials and currents are printed as they are in the step that answers
    the last input, in the model's units. Without it, the spike counts of all output neurons are printed.
    """
    image = read_image(bitstream, chip)
    build = _read_build(Path(bitstream))
    counts_of = tuple(dict.fromkeys(("outputs", *record)))
    chosen: Engine = "reference" if engine == "reference" else "batch"
    counts = read_array(raster)
    with naming_file(raster):
        recording = simulate_image(image, counts, counts_of=counts_of, states_of=record, engine=chosen)
    for number, sample in enumerate(_read_outputs(image, counts, recording, build)):
        click.echo(f"{number}: {' '.join(sample)}")
    profile = recording.profile
    if profile is not None:
        spikes = f"{profile.input_spikes} input, {profile.hidden_spikes} hidden, {profile.output_spikes} output spikes"
        run = f"{profile.n_samples} samples of {profile.n_steps} steps"
        click.echo(f"{run}: {spikes}, {profile.synaptic_operations} synaptic operations", err=True)
    if output is not None:
        fsio.write_file(Path(output), _to_npz(recording))


def _read_build(bitstream: Path) -> dict[str, Any] | None:
    """Read what the build says of its bitstream; say so where there is no word, or of another bitstream."""
    path = bitstream.with_name("build.json")
    try:
        build: dict[str, Any] = json.loads(path.read_bytes())
        known = build["sha256"] == hashlib.sha256(bitstream.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        known, build = False, {}
    if known:
        return build
    click.echo(
        f"{path} does not tell how the outputs of this bitstream are read: these are spike counts, 0 for outputs that are read by"
        " potential; keep the files of `snnmap build` together",
        err=True,
    )
    return None


def _read_outputs(image: Image, counts: IntArray, recording: Recording, build: dict[str, Any] | None) -> list[list[str]]:
    """Return what is printed of each sample: by port, or of all output neurons where nothing is known of ports."""
    spikes = recording.counts["outputs"].sum(axis=1)
    if build is None or all(port["readout"] == "spikes" for port in build["outputs"]):
        return [list(map(str, sample)) for sample in spikes.tolist()]
    three = np.asarray(counts)[np.newaxis] if np.ndim(counts) == 2 else np.asarray(counts)
    padded = np.pad(three, ((0, 0), (0, int(build["latency_steps"])), (0, 0)))
    run = simulate_image(image, padded, counts_of=("outputs",), states_of=("outputs",))
    last, columns = three.shape[1] - 1, []
    for port in build["outputs"]:
        step = last + int(port["lag_steps"])
        click.echo(f"output '{port['port']}': {len(port['neurons'])} values, {port['readout']}", err=True)
        if port["readout"] == "spikes":
            columns.append([list(map(str, sample)) for sample in spikes[:, port["neurons"]].tolist()])
            continue
        states = run.potentials["outputs"] if port["readout"] == "potential" else run.currents["outputs"].sum(axis=2)
        values = states[:, step, port["neurons"]] / np.array(port["units"])
        columns.append([[f"{value:.5g}" for value in sample] for sample in values.tolist()])
    return [[text for part in parts for text in part] for parts in zip(*columns, strict=True)]


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
