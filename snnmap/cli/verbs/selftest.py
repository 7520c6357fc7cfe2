"""snnmap selftest: whether an image still does what it did when it was built."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import cast

import click
import numpy as np

from snnmap.cli.options import bitstream_chip_option, read_image, warn_of_failed_build
from snnmap.cli.runners import engine_options, read_engine
from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.frontends.factories import open_function
from snnmap.lif.compare import Driver, GoldenResult, replay_golden, require_golden, simulate_raw
from snnmap.lif.program import Image, Manifest
from snnmap.lif.simulator import Engine
from snnmap.pipeline import require_same_build

__all__ = ["command"]


@click.command("selftest")
@click.argument("bitstream")
@engine_options
@click.option(
    "--driver",
    metavar="FILE.py:FUNCTION",
    help="What runs the image instead: a function of the path of BITSTREAM and of a sample's counts (steps, channels), silent"
    " steps included, that gives what is read in each step (steps, values), as integers; see docs/programmer.md.",
)
@bitstream_chip_option
def command(bitstream: str, engine: str, device: str, driver: str | None, chip: str | None) -> int:
    """Run the samples that BITSTREAM holds, and compare with what it gave for them when it was built."""
    image = read_image(bitstream, chip)
    warn_of_failed_build(bitstream)
    untold = require_same_build(Path(bitstream))
    if untold:
        click.echo(f"the image alone is tested, and no file beside it: {untold}", err=True)
    manifest = require_golden(image, bitstream)
    if driver is not None and (engine, device) != ("batch", "cpu"):
        raise InputError("either a driver or an engine runs the image", where="--driver, --engine", fix="leave one out")
    chosen = read_engine(engine, device)
    with nullcontext(_simulate(image, manifest, chosen)) if driver is None else _open_driver(driver, bitstream) as run:
        results = replay_golden(image, manifest, run)
    for number, result in enumerate(results):
        click.echo(f"golden sample {number}: {_describe(manifest, result)}")
    if any(result.n_differing for result in results):
        what = "the driver does not do" if driver else "this snnmap does not do"
        click.echo(
            f"{what} what the image did when {manifest.tool} built it; `snnmap where {bitstream} output:N` shows an output"
        )
        return 1
    return 0


def _simulate(image: Image, manifest: Manifest, engine: Engine) -> Driver:
    return lambda raster: np.asarray(simulate_raw(image, manifest, raster[None], engine=engine)[0], np.int64)


@contextmanager
def _open_driver(driver: str, bitstream: str) -> Iterator[Driver]:
    file, _, name = driver.rpartition(":")
    if not file or not name:
        fix = f"write --driver {driver.rstrip(':')}:FUNCTION, with the function's name"
        raise InputError("the driver names no function of its file", where="--driver", measured=driver, fix=fix)
    with open_function(Path(file), name) as function:
        yield lambda raster: cast(IntArray, function(bitstream, raster))


def _describe(manifest: Manifest, result: GoldenResult) -> str:
    if result.first is None:
        return f"{result.n_values} values, all as at the build"
    step, place, expected, found = result.first
    names = [f"output '{port.port}' {number}, {port.readout}" for port in manifest.readouts for number in range(port.size)]
    return (
        f"{result.n_differing} of {result.n_values} values differ; first in step {step}, {names[place]}: {found}, was {expected}"
    )
