"""snnmap selftest: whether an image still does what it did when it was built."""

from pathlib import Path
from typing import cast

import click
import numpy as np

from snnmap.cli.options import bitstream_chip_option, read_image, warn_of_failed_build
from snnmap.cli.runners import engine_options, read_engine
from snnmap.core import IntArray
from snnmap.frontends.factories import call_in_file
from snnmap.frontends.named import Call
from snnmap.lif.compare import GoldenResult, replay_golden, require_golden, simulate_raw
from snnmap.lif.program import Manifest
from snnmap.pipeline import require_same_build

__all__ = ["command"]


@click.command("selftest")
@click.argument("bitstream")
@engine_options
@click.option(
    "--driver",
    metavar="FILE.py:FUNCTION",
    help="What runs the image instead: a function of the path of BITSTREAM and of a sample's counts (steps, channels) that gives"
    " what is read in each step (steps, values), as integers.",
)
@bitstream_chip_option
def command(bitstream: str, engine: str, device: str, driver: str | None, chip: str | None) -> int:
    """Run the samples that BITSTREAM holds, and compare with what it gave for them when it was built."""
    image = read_image(bitstream, chip)
    warn_of_failed_build(bitstream)
    require_same_build(Path(bitstream))
    manifest, chosen = require_golden(image, bitstream), read_engine(engine, device)

    def simulate(raster: IntArray) -> IntArray:
        return np.asarray(simulate_raw(image, manifest, raster[None], engine=chosen)[0], np.int64)

    def drive(raster: IntArray) -> IntArray:
        file, _, name = str(driver).rpartition(":")
        return cast(IntArray, call_in_file(Path(file), name, Call(arguments=(bitstream, raster)))[0])

    results = replay_golden(image, manifest, simulate if driver is None else drive)
    for number, result in enumerate(results):
        click.echo(f"golden run {number}: {_describe(manifest, result)}")
    if any(result.n_differing for result in results):
        what = "the driver does not do" if driver else "this snnmap does not do"
        click.echo(
            f"{what} what the image did when {manifest.tool} built it; `snnmap where {bitstream} output:N` shows an output"
        )
        return 1
    return 0


def _describe(manifest: Manifest, result: GoldenResult) -> str:
    if result.first is None:
        return f"{result.n_values} values, all as at the build"
    step, place, expected, found = result.first
    names = [f"output '{port.port}' {number}, {port.readout}" for port in manifest.readouts for number in range(port.size)]
    return (
        f"{result.n_differing} of {result.n_values} values differ; first in step {step}, {names[place]}: {found}, was {expected}"
    )
