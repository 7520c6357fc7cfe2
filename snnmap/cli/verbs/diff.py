"""snnmap diff: what differs between two images."""

import click

from snnmap.cli.options import bitstream_chip_option, read_counts, read_image
from snnmap.report import compare_decisions_of, compare_images

__all__ = ["command"]


@click.command("diff")
@click.argument("first")
@click.argument("second")
@click.option("--input", "-i", "raster", help="Counts, as for `snnmap simulate`; without, the golden inputs of FIRST.")
@click.option("--all", "full", is_flag=True, help="List each weight, code and decision that differs, with slots and both values.")
@bitstream_chip_option
def command(first: str, second: str, raster: str | None, full: bool, chip: str | None) -> None:
    """Tell in what the bitstreams FIRST and SECOND differ: weights, thresholds and decays by population, and decisions."""
    before, after = read_image(first, chip), read_image(second, chip)
    counts = None if raster is None else read_counts(raster, before.sizes[0])
    click.echo("\n".join([*compare_images(before, after, full=full), *compare_decisions_of(before, after, counts, full=full)]))
