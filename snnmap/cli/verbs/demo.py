"""snnmap demo: the main job on real data."""

from pathlib import Path

import click

from snnmap.cli.console import out
from snnmap.cli.messages import report_stages

__all__ = ["command"]


@click.command("demo")
@click.option(
    "--output", "-o", default="build/demo", show_default=True, type=click.Path(file_okay=False), help="Directory for the files."
)
@click.option("--seed", default=0, show_default=True, help="Of data split, initial weights and training.")
def command(output: str, seed: int) -> None:
    """Train a deep residual recurrent network on digits, map it to XyloAudio 3 and run the bitstream."""
    on_stage = report_stages()
    on_stage("loading torch and scikit-learn")
    from snnmap.demo.run import run_demo, summary_table

    out().print(summary_table(run_demo(Path(output), seed=seed, on_stage=on_stage)))
