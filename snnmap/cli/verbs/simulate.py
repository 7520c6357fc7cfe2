"""snnmap simulate: run a bitstream."""

import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnmap.cli.options import (
    bitstream_chip_option,
    naming_file,
    read_array,
    read_counts,
    read_image,
    warn_of_failed_build,
)
from snnmap.cli.runners import engine_options, read_engine
from snnmap.core import IntArray, fsio
from snnmap.core.errors import InputError
from snnmap.core.nouns import count_samples
from snnmap.lif.compare import ImageRun, PortRun, read_labels, run_image
from snnmap.lif.program import Image, OutputReadout
from snnmap.lif.simulator import Engine, require_counts, require_unsaturated, simulate_image
from snnmap.network import Recording

__all__ = ["command"]


@click.command("simulate")
@click.argument("bitstream")
@click.option(
    "--input", "-i", "raster", required=True, help="Counts: .npy of (samples, steps, channels), or text, a line a step."
)
@click.option(
    "--record", "-r", multiple=True, type=click.Choice(["hidden", "outputs"]), help="Areas whose counts and states are kept."
)
@click.option("--labels", type=click.Path(), help="Classes (.npy) of the samples, for the accuracy.")
@click.option("--clamp", is_flag=True, help="Take counts above what a channel carries for the most that it does, and count them.")
@engine_options
@click.option("--strict", is_flag=True, help="Fail where a value leaves its word on the chip, or a count is clamped.")
@bitstream_chip_option
@click.option("--output", "-o", help=".npz file for what was recorded.")
def command(
    bitstream: str,
    raster: str,
    record: tuple[str, ...],
    labels: str | None,
    clamp: bool,
    engine: str,
    device: str,
    strict: bool,
    chip: str | None,
    output: str | None,
) -> None:
    """Run BITSTREAM on input spike counts and print, of each sample, the outputs and the class.

    Outputs are read as the image itself says: spike counts, or potentials or currents in the model's units, by which the class is
    chosen; each output's lag is taken away, and silent steps are run behind the last input. Of an image without a manifest the
    spike counts of all output neurons are printed.
    """
    if record and output is None:
        raise InputError("what is recorded goes to a file", where="--record", fix="add --output RUN.npz, or leave --record out")
    image = read_image(bitstream, chip)
    warn_of_failed_build(bitstream)
    counts_of = tuple(dict.fromkeys(("outputs", *record)))
    chosen = read_engine(engine, device)
    counts = read_counts(raster, image.sizes[0])
    classes = None if labels is None else _read_classes(labels, image, counts.shape[0])
    with naming_file(raster):
        counts = _limit_counts(counts, image, clamp=clamp and not strict)
        recording = simulate_image(
            image, counts, counts_of=counts_of, states_of=record, engine=chosen, count_saturation=image.manifest is None
        )
        run = _read_run(image, recording, counts, chosen)
        if strict:
            require_unsaturated(run.saturation)
    _print_cost(recording)
    click.echo(f"values that left their words: {run.saturation}", err=True)
    _print_samples(run.ports)
    if classes is not None:
        _print_accuracy(run.ports, classes)
    if output is not None:
        fsio.write_file(Path(output), _to_npz(recording))


def _read_classes(path: str, image: Image, n_samples: int) -> IntArray:
    if image.manifest is None:
        fix = "leave --labels out, or get an image with a manifest"
        raise InputError("the image does not tell how classes are read from its outputs", where="--labels", fix=fix)
    with naming_file(path):
        return read_labels(read_array(path), n_samples, max((port.size for port in image.manifest.readouts), default=0))


def _limit_counts(counts: IntArray, image: Image, *, clamp: bool) -> IntArray:
    """Refuse or clamp counts beyond the chip's."""
    if not clamp:
        require_counts(
            counts, image.chip, fix="give --clamp, without --strict, to have them clamped as the chip does, or scale them"
        )
        return counts
    most = image.chip.inputs.max_count
    click.echo(f"{np.count_nonzero(counts > most)} of {counts.size} counts clamped to {most}", err=True)
    return np.minimum(counts, most)


def _read_run(image: Image, recording: Recording, counts: IntArray, engine: Engine) -> ImageRun:
    """Run on until all is answered and read the ports; of an image that does not say how, spike counts without a class."""
    if image.manifest is not None:
        return run_image(image, image.manifest, counts, engine=engine)
    told = "it was assembled by hand, or is of a snnmap before 0.2; build it anew to have them read"
    click.echo(f"the image does not tell how its outputs are read: these are spike counts ({told})", err=True)
    neurons = tuple((slot, 1, 0) for slot in range(image.sizes[2]))
    readout = OutputReadout(port="", readout="spikes", decision="count", neurons=neurons, scale=())
    port = PortRun(readout=readout, values=recording.counts["outputs"].astype(np.float64))
    return ImageRun(ports=(port,), saturation=recording.saturation)


def _print_samples(ports: tuple[PortRun, ...]) -> None:
    for port in ports:
        if port.readout.port:
            read = f"{port.readout.readout}, class by the highest {port.readout.decision}"
            click.echo(f"output '{port.readout.port}': {port.readout.size} values, {read}", err=True)
    for number, values in enumerate(zip(*[port.decided_by for port in ports], strict=True)):
        parts = zip(ports, values, strict=True)
        texts = [_format(value, port.readout.readout) for port, part in parts for value in part.tolist()]
        classes = [str(port.classes[number]) for port in ports if port.readout.port and port.classes is not None]
        click.echo(f"{number}: {' '.join(texts)}" + (f" -> {' '.join(classes)}" if classes else ""))


def _format(value: float, readout: str) -> str:
    return f"{value:.0f}" if readout == "spikes" and value.is_integer() else f"{value:.5g}"


def _print_accuracy(ports: tuple[PortRun, ...], labels: IntArray) -> None:
    for port in ports:
        if port.classes is not None:
            right = int((port.classes == labels).sum())
            click.echo(f"output '{port.readout.port}': {right} of {labels.size} right ({right / labels.size:.2%})", err=True)


def _print_cost(recording: Recording) -> None:
    profile = recording.profile
    if profile is not None:
        spikes = f"{profile.input_spikes} input, {profile.hidden_spikes} hidden, {profile.output_spikes} output spikes"
        run = count_samples(profile.n_samples, profile.n_steps)
        click.echo(f"{run}: {spikes}, {profile.synaptic_operations} synaptic operations", err=True)


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
