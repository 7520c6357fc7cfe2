"""snnmap dataflow: quantised models as pipelines, every layer with hardware of its own."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnmap.cli.complete import complete_with
from snnmap.cli.messages import DEFECT, report_stages, require_no_differences
from snnmap.cli.options import naming_file, quantised_model_options, read_array, read_shapes
from snnmap.cli.records import read_record, record_options
from snnmap.core import fsio
from snnmap.dataflow import PipelineOptions, list_devices, load_device
from snnmap.dataflow.device import read_device_text

__all__ = ["command"]


_complete = complete_with(list_devices)
_model_options = (
    click.argument("model"),
    click.option("--chip", "-c", required=True, shell_complete=_complete, help="Name of a device, or path of its TOML file."),
    quantised_model_options,
    click.option(
        "--calibration", type=click.Path(), help="Typical inputs (.npy) of a model of floats, which is quantised by them."
    ),
    record_options(PipelineOptions),
)


def _with_model(verb: Any) -> Any:
    for option in reversed(_model_options):
        verb = option(verb)
    return verb


@click.group("dataflow")
def command() -> None:
    """Build pipelines of quantised ONNX models, every layer with hardware of its own, and simulate them."""


@command.command("build")
@_with_model
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="Directory for the files.")
def build(output: str, **choices: Any) -> None:
    """Build a pipeline of MODEL, simulate it, and write weights, a manifest, report.json and report.html."""
    from snnmap.dataflow import format_html, simulate_timing
    from snnmap.dataflow.pack import list_files, write_folder
    from snnmap.dataflow.report import summarise

    pipeline = _build(choices)
    report_stages()("simulating")
    found = simulate_timing(pipeline)
    report = json.dumps(summarise(pipeline, found), indent=2, allow_nan=False) + "\n"
    files = {**list_files(pipeline), "report.json": report.encode(), "report.html": format_html(pipeline, found).encode()}
    write_folder(output, files)
    _show(pipeline, found)
    click.echo(f"{output}: {len(files)} files")


@command.command("simulate")
@_with_model
@click.option("--files", type=click.Path(), help="Directory of a build of MODEL, whose weights are used; those of MODEL without.")
@click.option("--inputs", "-i", type=click.Path(), help="Inputs (.npy); values of one that is drawn are compared without.")
@click.option("--samples", type=int, help="Samples in time, 2 or more; until all repeats without.")
@click.option("--timeline", type=click.Path(dir_okay=False), help="Picture (.svg or .png) of which stage gives words when.")
def simulate(files: str | None, inputs: str | None, samples: int | None, timeline: str | None, **choices: Any) -> None:
    """Simulate a pipeline of MODEL in time and values, and compare every value with the model's."""
    from snnmap.dataflow import simulate_timing
    from snnmap.dataflow.report import draw_timeline

    pipeline = _build(choices)
    on_stage = report_stages()
    on_stage("simulating time")
    found = simulate_timing(pipeline, n_samples=samples)
    if timeline is not None:
        form: Any = "png" if timeline.endswith(".png") else "svg"
        fsio.write_file(Path(timeline), draw_timeline(pipeline, found, form))
    on_stage("simulating values beside the model")
    shape = next(iter(pipeline.network.graph.inputs.values())).shape
    given = read_array(inputs) if inputs else np.random.default_rng(0).normal(0, 1, (1, *shape))
    with naming_file(inputs):
        n_tensors = _require_same(pipeline, given, files)
    _show(pipeline, found)
    click.echo(f"pipeline beside the model: 0 values of {n_tensors} tensors differ")


@command.command("inspect")
@click.argument("folder")
def inspect(folder: str) -> None:
    """Check the files of a build against their digests, and show its stages and buffers."""
    from snnmap.dataflow.pack import read_files
    from snnmap.profile.table import format_cells

    manifest, packed = read_files(folder)
    device, stages = manifest["device"], manifest["stages"]
    click.echo(f"{manifest['name']} on {device['name']}: {len(stages)} stages, {manifest['interval_cycles']:,} cycles a sample")
    rows = [
        [
            one["name"],
            one["template"],
            "x".join(str(factor) for factor in one["parallelism"].values()),
            str(packed[one["name"]].words.size if one["name"] in packed else "-"),
            " ".join(str(buffer["words"]) for buffer in manifest["buffers"] if buffer["reader"] == one["name"]),
        ]
        for one in stages
    ]
    click.echo("\n".join(format_cells((("layer", "template", "parallel", "weights#", "words of buffers#"), rows), 120)))
    click.echo(f"{len(manifest['files'])} files are as the manifest tells, weights and their text alike")


@command.group("chips", invoke_without_command=True)
@click.pass_context
def chips(context: click.Context) -> None:
    """List the devices, or show one."""
    if context.invoked_subcommand is None:
        for name in list_devices():
            click.echo(f"{name}: {load_device(name).description}")


@chips.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print the TOML record of device NAME (a name, or the path of a file): a start for one of your own."""
    load_device(name)
    click.echo(read_device_text(name), nl=False)


def _build(choices: dict[str, Any]) -> Any:
    """Read and quantise a model, and build its pipeline."""
    from snnmap.dataflow import build_pipeline
    from snnmap.frontends.onnx import quantise_model, read_layer_graph

    model, calibration, device, on_stage = choices["model"], choices["calibration"], load_device(choices["chip"]), report_stages()
    on_stage("reading the model")
    with naming_file(calibration):
        source = model if calibration is None else quantise_model(model, read_array(calibration))
    graph = read_layer_graph(source, read_shapes(choices["shape"]), quantisation=choices["quantisation"])
    return build_pipeline(graph, device, options=read_record(PipelineOptions, choices), on_stage=on_stage)


def _require_same(pipeline: Any, inputs: Any, files: str | None) -> int:
    """Run pipeline and model side by side; refuse where a value differs, and return how many tensors were compared."""
    from snnmap.dataflow import find_differences
    from snnmap.dataflow.pack import read_files, require_own

    packed = None
    if files is not None:
        manifest, packed = read_files(files)
        require_own(pipeline, manifest)
    found = find_differences(pipeline, inputs, packed=packed)
    require_no_differences(found, "the pipeline computes", fix="build the files of this model again" if files else DEFECT)
    return len(found)


def _show(pipeline: Any, simulation: Any) -> None:
    from snnmap.dataflow import format_pipeline

    click.echo(format_pipeline(pipeline, simulation))
