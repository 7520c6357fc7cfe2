"""snnmap eval: a data set on bitstreams, on all cores or a cluster, into a table."""

import click

from snnmap.cli.options import (
    bitstream_chip_option,
    naming_file,
    read_array,
    read_counts,
    read_image,
    warn_of_failed_build,
)
from snnmap.cli.runners import open_executor, worker_options
from snnmap.core.errors import InputError
from snnmap.core.nouns import count_nouns
from snnmap.lif.simulator import require_counts
from snnmap.network import read_raster
from snnmap.pipeline import Evaluation, evaluate_image

__all__ = ["command"]


@click.command("eval")
@click.argument("bitstreams", nargs=-1, required=True, metavar="BITSTREAM...")
@click.option("--input", "-i", "raster", required=True, help="Counts: .npy of (samples, steps, channels).")
@click.option("--labels", type=click.Path(), help="Classes (.npy) of the samples, for the accuracy.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False),
    help="Table, .parquet or .csv, that rows are added to; what it has is kept.",
)
@worker_options
@click.option("--chunk", type=click.IntRange(min=1), default=256, show_default=True, help="Samples that a worker runs at once.")
@click.option("--strict", is_flag=True, help="Fail where a value leaves its word on the chip.")
@bitstream_chip_option
def command(
    bitstreams: tuple[str, ...],
    raster: str,
    labels: str | None,
    output: str | None,
    cluster: str | None,
    workers: int | None,
    chunk: int,
    strict: bool,
    chip: str | None,
) -> int:
    """Run a data set on each BITSTREAM, bit for bit, and tell how many samples are right.

    A call that was cut off goes on where it was, from the finished chunks beside the table.
    """
    images = [(path, read_image(path, chip)) for path in dict.fromkeys(bitstreams)]
    n_left, classes = 0, None if labels is None else read_array(labels)
    counts = read_counts(raster, images[0][1].sizes[0])
    with naming_file(raster):
        for _, image in images:
            require_counts(read_raster(counts, image.sizes[0], where="input raster"), image.chip)
    with open_executor(cluster, workers) as executor, naming_file(raster, labels=labels):
        for path, image in images:
            warn_of_failed_build(path)
            found = evaluate_image(image, counts, labels=classes, executor=executor, n_workers=workers, table=output, chunk=chunk)
            click.echo(f"{path}: {_describe(found)}")
            n_left += found.n_left
    if strict and n_left:
        raise InputError(
            "values left their words on the chip",
            where=raster,
            measured=str(n_left),
            limit="none",
            fix="see where with snnmap simulate BITSTREAM -i COUNTS --strict; give smaller inputs, or calibrate with such",
        )
    return 0


def _describe(found: Evaluation) -> str:
    n_samples = len({row["sample"] for row in found.rows})
    right = [f"output '{port}' {n} of {total} right ({n / total:.2%})" for port, (n, total) in found.count_right().items()]
    kept = [f"{found.n_kept} of {len(found.rows)} rows were there"] if found.n_kept else []
    return ", ".join([count_nouns(n_samples, "sample"), *right, f"{count_nouns(found.n_left, 'value')} left their words", *kept])
