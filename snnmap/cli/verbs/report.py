"""snnmap report: one page about a build."""

import click

from snnmap.cli.options import bitstream_chip_option, naming_file, read_data
from snnmap.report import write_report

__all__ = ["command"]


@click.command("report")
@click.argument("build")
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), help="HTML file.")
@click.option("--input", "-i", "raster", help="Counts (.npy) that the bitstream is run on; without, inputs are drawn.")
@click.option("--labels", type=click.Path(), help="Classes (.npy) of these samples.")
@click.option("--sample", type=int, help="Number of the sample that is drawn; the first where left out.")
@bitstream_chip_option
def command(build: str, output: str, raster: str | None, labels: str | None, sample: int | None, chip: str | None) -> None:
    """Write a page about BUILD, the folder of `snnmap build` or the bitstream in it: all that is known, in one HTML file."""
    counts, classes = read_data(raster, labels)
    with naming_file(raster, labels=labels):
        write_report(build, output, inputs=counts, labels=classes, sample=sample, chip=chip)
