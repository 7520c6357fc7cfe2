"""snnmap rtl: a chip as synthesisable Verilog."""

from pathlib import Path

import click
import numpy as np

from snnmap.chip import Chip, load_chip
from snnmap.cli.complete import complete_chips
from snnmap.cli.options import read_bytes
from snnmap.core import IntArray
from snnmap.core.errors import FormatError
from snnmap.core.folders import replace_folder
from snnmap.lif.bitstream import decode, export_readmemh
from snnmap.lif.program import Image
from snnmap.lif.rtl import DEVICES, Check, list_project, require_room
from snnmap.lif.simulator import simulate_image

__all__ = ["command"]

_AREAS = ("hidden", "outputs")
_DRAWN_STEPS = 20


@click.command("rtl")
@click.argument("chip", shell_complete=complete_chips)
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="Directory for the files.")
@click.option("--image", help="Bitstream for CHIP, whose memories and a bench are written too.")
@click.option("--target", type=click.Choice(list(DEVICES)), help="FPGA that must have room; without, ecp5-45k.")
def command(chip: str, output: str, image: str | None, target: str | None) -> None:
    """Write the open core of CHIP, a name or a TOML file, as Verilog with Makefile and README.

    With an image, `make simulate` there runs its golden samples (or drawn counts) in Icarus Verilog, and compares every state.
    """
    record = load_chip(chip)
    check = None if image is None else _make_check(_read_own(image, record))
    if target is not None:
        require_room(record, DEVICES[target])
    files = list_project(record, DEVICES[target or "ecp5-45k"], check)
    replace_folder(Path(output), files, lambda name: Path(name).suffix in (".v", ".mem", ".vlt"))
    click.echo(f"{output}: {len(files)} files of chip '{record.name}'" + ("" if image is None else f" and {image}"))


def _read_own(path: str, chip: Chip) -> Image:
    """Read an image, which must be of the chip."""
    try:
        return decode(read_bytes(path), chip=chip)
    except FormatError as error:
        raise error.within(path) from error


def _make_check(image: Image) -> Check:
    raster = _choose_counts(image)
    expected = simulate_image(image, raster, counts_of=_AREAS, states_of=_AREAS, engine="auto")
    return Check(memories=export_readmemh(image), raster=raster, expected=expected)


def _choose_counts(image: Image) -> IntArray:
    """Return the inputs of the golden samples, or drawn ones of an image that holds none."""
    n_inputs, manifest = image.sizes[0], image.manifest
    if manifest is not None and manifest.golden:
        runs = [run.to_raster(n_inputs, manifest.settle_steps) for run in manifest.golden]
        n_steps = max(map(len, runs))
        return np.stack([np.pad(run, ((0, n_steps - len(run)), (0, 0))) for run in runs])
    drawn = np.random.default_rng(0).poisson(1.0, (1, _DRAWN_STEPS, n_inputs))
    return np.asarray(np.minimum(drawn, image.chip.inputs.max_count), np.int64)
