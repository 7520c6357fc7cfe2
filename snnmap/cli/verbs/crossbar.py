"""snnmap crossbar: quantised models on accelerators with analog crossbars."""

import hashlib
import io
import sys
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from snnmap import __version__
from snnmap.cli.complete import complete_with
from snnmap.cli.console import out
from snnmap.cli.messages import DEFECT, report_stages, require_no_differences
from snnmap.cli.options import naming_file, quantised_model_options, read_array, read_bytes, read_shapes, write_text
from snnmap.cli.records import read_record, record_options
from snnmap.core import fsio
from snnmap.core.errors import FormatError
from snnmap.crossbar.container import Image, assemble, decode_image, disassemble, encode_image
from snnmap.crossbar.drc import check_program
from snnmap.crossbar.lower import lower_graph
from snnmap.crossbar.mapping import MappingOptions
from snnmap.crossbar.record import format_blueprint, list_architectures, load_architecture, read_architecture_text
from snnmap.findings import Checked, CheckRun, list_formats, render
from snnmap.graph import format_graph

__all__ = ["command"]


_complete = complete_with(list_architectures)
_file_chip = click.option("--chip", "-c", shell_complete=_complete, help="TOML file of an architecture that is not built in.")


@click.group("crossbar")
def command() -> None:
    """Compile quantised ONNX models for accelerators with analog crossbars, and run the bytes."""


@command.command("build")
@click.argument("model")
@click.option("--chip", "-c", required=True, shell_complete=_complete, help="Name of an architecture, or path of its TOML file.")
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="Directory for the files.")
@quantised_model_options
@click.option("--calibration", type=click.Path(), help="Typical inputs (.npy) of a model of floats, which is quantised by them.")
@click.option("--inputs", type=click.Path(), help="Inputs (.npy) on which bytes and model are compared; one is drawn without.")
@click.option("--replay/--no-replay", default=True, show_default=True, help="Compare bytes and model in every tensor.")
@record_options(MappingOptions)
def build(
    model: str,
    chip: str,
    output: str,
    shape: str | None,
    quantisation: str | None,
    calibration: str | None,
    inputs: str | None,
    replay: bool,
    **choices: Any,
) -> None:
    """Compile MODEL, an ONNX file, to bytes, a report, and pictures of its crossbars."""
    from snnmap.crossbar import compile_graph
    from snnmap.frontends.onnx import quantise_model, read_layer_graph

    architecture, on_stage = load_architecture(chip), report_stages()
    on_stage("reading the model")
    with naming_file(calibration):
        source = model if calibration is None else quantise_model(model, read_array(calibration))
    graph = read_layer_graph(source, read_shapes(shape), quantisation=quantisation)
    built = compile_graph(graph, architecture, options=read_record(MappingOptions, choices), on_stage=on_stage)
    if replay:
        on_stage("running the bytes beside the model")
        given = (
            read_array(inputs) if inputs else np.random.default_rng(0).normal(0, 1, (1, *next(iter(graph.inputs.values())).shape))
        )
        with naming_file(inputs):
            _require_same(built, given)
    built.write(output)
    for told in (*built.report.warnings, *built.report.advice):
        sys.stderr.write(f"{told}\n")
    click.echo(f"{output}/{built.file_stem}.bin: {len(built.data)} bytes for {architecture.name}")
    click.echo(built.summary)


@command.command("check")
@click.argument("model")
@click.option("--chip", "-c", required=True, shell_complete=_complete, help="Name of an architecture, or path of its TOML file.")
@click.option("--file", help="Bytes that are held against MODEL; without, what a build would write.")
@quantised_model_options
@click.option("--format", "form", type=click.Choice(list_formats()), default="text", help="Form of the report.")
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="File for the report; stdout where left out.")
@record_options(MappingOptions)
def check(
    model: str,
    chip: str,
    file: str | None,
    shape: str | None,
    quantisation: str | None,
    form: str,
    output: str | None,
    **choices: Any,
) -> int:
    """Check MODEL, an ONNX file, against all rules, and bytes against it; exit 1 on violations."""
    from snnmap.crossbar import check_graph
    from snnmap.frontends.onnx import read_layer_graph

    architecture, graph = load_architecture(chip), read_layer_graph(model, read_shapes(shape), quantisation=quantisation)
    report = check_graph(graph, architecture, options=read_record(MappingOptions, choices))
    if file is not None and report.is_clean:
        program = lower_graph(graph, architecture).program
        report = report.merge(check_program(_read_image(file, chip), program)) if program is not None else report
    digest = hashlib.sha256(format_graph(graph, digests=True).encode()).hexdigest()
    checked = Checked(chip=architecture.name, digest=architecture.digest.hex(), report=report)
    run = CheckRun(model=model, digest=digest, version=__version__, file=model, checked=(checked,))
    write_text(render(run, form), output)
    return 0 if report.is_clean else 1


@command.command("run")
@click.argument("file")
@click.option("--inputs", "-i", required=True, help="Inputs (.npy) of (samples, ...), floats.")
@click.option(
    "--numerics", type=click.Choice(["ideal", "analog"]), default="ideal", show_default=True, help="Exact, or with ADCs."
)
@click.option("--noise-lsb", default=0.0, show_default=True, help="Standard deviation of noise, in steps of an ADC.")
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
@click.option("--output", "-o", help=".npz file for the levels of every tensor.")
@_file_chip
def run(
    file: str,
    inputs: str,
    numerics: Literal["ideal", "analog"],
    noise_lsb: float,
    seed: int,
    output: str | None,
    chip: str | None,
) -> None:
    """Run FILE on inputs, and print the outputs of each sample in the model's units."""
    from snnmap.crossbar.executor import Analog, Ideal, run_image

    image, given = _read_image(file, chip), read_array(inputs)
    chosen = Analog(noise_lsb=noise_lsb, seed=seed) if numerics == "analog" else Ideal()
    with click.progressbar(length=len(given), label="samples", file=sys.stderr) as bar, naming_file(inputs):
        found = run_image(
            image, given, keep="all" if output else "outputs", numerics=chosen, on_part=lambda done, _: bar.update(done - bar.pos)
        )
    for tensor in image.tensors:
        if tensor.role == 2:
            values = image.to_units(tensor.name, found[tensor.name])
            for number, sample in enumerate(values.reshape(len(values), -1)):
                click.echo(f"{number}: {' '.join(f'{value:.5g}' for value in sample)}")
    if output is not None:
        stream = io.BytesIO()
        np.savez_compressed(stream, **found)
        fsio.write_file(Path(output), stream.getvalue())


@command.command("inspect")
@click.argument("file")
@_file_chip
def inspect(file: str, chip: str | None) -> None:
    """Show tensors, programs and costs of FILE."""
    from snnmap.crossbar.report import format_costs, measure_costs
    from snnmap.report import make_table

    image = _read_image(file, chip)
    click.echo(f"{file}: {image.name} for {image.architecture.name}, {image.n_instructions} instructions")
    rows = [(t.name, t.address, t.channels, t.height, t.width, t.zero, f"{t.scale:.6g}") for t in image.tensors]
    out().print(make_table("tensors", ("name", "address#", "channels#", "height#", "width#", "zero#", "scale#"), rows))
    sizes = [(str(core), len(program), len(image.weights[core])) for core, program in enumerate(image.programs)]
    out().print(make_table("cores", ("core", "instructions#", "weights in bytes#"), sizes))
    click.echo(format_costs(measure_costs(image)))


@command.command("disasm")
@click.argument("file")
@_file_chip
@click.option("--output", "-o", help="File to write; stdout where left out.")
def disasm(file: str, chip: str | None, output: str | None) -> None:
    """Write FILE as text."""
    write_text(disassemble(_read_image(file, chip)), output)


@command.command("asm")
@click.argument("text")
@_file_chip
@click.option("--output", "-o", required=True, help="File to write.")
def asm(text: str, chip: str | None, output: str) -> None:
    """Write the bytes of TEXT, a file as disasm writes it."""
    try:
        image = assemble(read_bytes(text).decode(), architecture=load_architecture(chip) if chip else None)
    except UnicodeDecodeError as error:
        raise FormatError(
            "the text is not UTF-8", where=text, measured=f"byte {error.start}", fix="give the output of disasm"
        ) from error
    except FormatError as error:
        raise error.within(text) from error
    fsio.write_file(Path(output), encode_image(image))


@command.group("chips", invoke_without_command=True)
@click.pass_context
def chips(context: click.Context) -> None:
    """List the architectures, or show one."""
    if context.invoked_subcommand is None:
        for name in list_architectures():
            click.echo(format_blueprint(load_architecture(name)))


@chips.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print the TOML record of architecture NAME (a name, or the path of a file): a start for one of your own."""
    load_architecture(name)
    click.echo(read_architecture_text(name), nl=False)


@chips.command("blueprint")
@click.argument("name")
def blueprint(name: str) -> None:
    """Print what architecture NAME (a name, or the path of a file) is made of; contradictions are told instead."""
    click.echo(format_blueprint(load_architecture(name)))


def _read_image(path: str, chip: str | None) -> Image:
    try:
        return decode_image(read_bytes(path), architecture=load_architecture(chip) if chip else None)
    except FormatError as error:
        raise error.within(path) from error


def _require_same(built: Any, inputs: Any) -> None:
    """Run bytes and model side by side; refuse where a value differs."""
    from snnmap.crossbar import find_differences

    found = find_differences(built, inputs)
    require_no_differences(found, "the bytes compute", fix=DEFECT)
    click.echo(f"bytes beside the model: 0 values of {len(found)} tensors differ")
