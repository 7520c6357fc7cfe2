"""snnmap profile: what each layer of a model costs, or what a bitstream costs on the chip."""

import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import numpy as np
from click.core import ParameterSource
from rich.console import Console

from snnmap.cli.complete import complete_chips
from snnmap.cli.messages import report_stages
from snnmap.cli.options import input_shape_option, naming_file, read_counts, read_image, read_shape
from snnmap.cli.records import read_record, record_options
from snnmap.core import fsio
from snnmap.core.errors import InputError
from snnmap.profile import GraphProfile, ProfileOptions, draw_bars, format_csv, format_html, format_table, summarise

if TYPE_CHECKING:
    from snnmap.lif.profile import ChipProfile

__all__ = ["command"]

Forms = Mapping[str, Callable[[Any], str | bytes]]
"""What a profile is written as, by the suffix of a file."""

_LAYER_FORMS: Forms = {
    "txt": lambda profile: f"{format_table(profile, _find_width())}\n",
    "csv": format_csv,
    "json": lambda profile: _to_json(summarise(profile)),
    "html": format_html,
    "svg": lambda profile: draw_bars(profile, "svg"),
    "png": lambda profile: draw_bars(profile, "png"),
}
_CHIP_FORMS: Forms = {
    "txt": lambda profile: _format_chip_tables(profile),
    "csv": lambda profile: _format_chip_csv(profile),
    "json": lambda profile: _to_json(profile.to_plain()),
    "html": lambda profile: _format_chip_page(profile),
}


@click.command("profile")
@click.argument("model")
@input_shape_option
@click.option("--chip", "-c", shell_complete=complete_chips, help="Of a bitstream, its chip where that is not a built-in one.")
@click.option("--weights", type=click.Path(dir_okay=False), help="Weights (state_dict) for the torch module of MODEL.")
@click.option(
    "--inputs",
    "-i",
    type=click.Path(),
    help="Samples (.npy, or .npz by the inputs' names) in the order of time, on which sparsity is measured; of a bitstream,"
    " spike counts.",
)
@click.option("--format", "form", type=click.Choice(["text", "csv", "json"]), default="text", help="Form on stdout.")
@click.option(
    "--output",
    "-o",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="File, as often as wanted, whose suffix says what is in it: .svg and .png bars, .html a page, .csv, .json, .txt.",
)
@click.option("--steps", type=click.Path(dir_okay=False), help="Of a bitstream, CSV file of what each step costs.")
@record_options(ProfileOptions)
def command(model: str, **choices: Any) -> None:
    """Profile MODEL layer by layer, or a bitstream (MODEL ends in .bin) by population.

    Of an ONNX file or torch module: parameters, operations, data volumes, bandwidths, memory, sparsity. Of a bitstream, on
    spike counts: spikes, synaptic operations, words, cycles, energy.
    """
    kind = "bitstream" if Path(model).suffix.lower() == ".bin" else "layers"
    make, forms, unused = _KINDS[kind]
    _require_unused(kind, unused)
    renders = [(Path(path), _find_form(path, forms)) for path in choices["output"]]
    report_stages()("reading the model")
    with naming_file(choices["inputs"]):
        profile = make(model, choices)
    for file, render in renders:
        fsio.write_file(file, _to_bytes(render(profile)))
    if choices["steps"] is not None:
        fsio.write_file(Path(choices["steps"]), _format_steps_csv(profile).encode())
    form = choices["form"]
    click.echo(forms["txt" if form == "text" else form](profile), nl=False)


def _profile_layers(model: str, choices: Mapping[str, Any]) -> GraphProfile:
    """Profile an ONNX file, or a torch module named ``FILE.py:FUNCTION``."""
    from snnmap.pipeline.profile import profile_model, read_profile_data

    shapes, options = [*map(read_shape, choices["input_shape"])], read_record(ProfileOptions, choices)
    data = None if choices["inputs"] is None else read_profile_data(choices["inputs"])
    return profile_model(model, *shapes, options=options, data=data, weights=choices["weights"])


def _profile_bitstream(model: str, choices: Mapping[str, Any]) -> "ChipProfile":
    """Profile a bitstream on spike counts, and on silence until all have been answered."""
    from snnmap.lif.profile import profile_image

    if choices["inputs"] is None:
        raise InputError(
            "a bitstream is profiled on spike counts", where=model, fix=f"give them: snnmap profile {model} -i counts.npy"
        )
    image = read_image(model, choices["chip"])
    counts = read_counts(choices["inputs"], image.sizes[0])
    settling = 0 if image.manifest is None else image.manifest.settle_steps
    return profile_image(image, np.pad(counts, ((0, 0), (0, settling), (0, 0))))


_KINDS: Mapping[str, tuple[Callable[[str, Mapping[str, Any]], Any], Forms, tuple[str, ...]]] = {
    "layers": (_profile_layers, _LAYER_FORMS, ("chip", "steps")),
    "bitstream": (_profile_bitstream, _CHIP_FORMS, ("input_shape", "weights", *(field.name for field in fields(ProfileOptions)))),
}
"""What profiles a model of each kind, what that is written as, and the options that it has no use for."""


def _require_unused(kind: str, options: tuple[str, ...]) -> None:
    """Refuse options that were given and would change nothing."""
    context = click.get_current_context()
    given = [name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise InputError(
            f"these options have no use for a profile of {'a bitstream' if kind == 'bitstream' else 'layers'}",
            where=", ".join(f"--{name.replace('_', '-')}" for name in given),
            fix="leave them out",
        )


def _find_form(path: str, forms: Forms) -> Callable[[Any], str | bytes]:
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in forms:
        known = ", ".join(f".{name}" for name in forms)
        raise InputError(
            "the file's suffix says no form of a profile", where="--output", measured=path, limit=known, fix="give one of these"
        )
    return forms[suffix]


def _format_chip_tables(profile: "ChipProfile") -> str:
    from snnmap.report import chip_profile_tables

    console = Console(file=io.StringIO(), width=max(_find_width(), 120), markup=False, emoji=False, color_system=None)
    for table in chip_profile_tables(profile):
        console.print(table)
    return cast(io.StringIO, console.file).getvalue()


def _format_chip_page(profile: "ChipProfile") -> str:
    from snnmap.report import format_report

    return format_report(profile)


def _format_chip_csv(profile: "ChipProfile") -> str:
    from snnmap.report import chip_profile_csv

    return chip_profile_csv(profile)


def _format_steps_csv(profile: "ChipProfile") -> str:
    from snnmap.report import chip_steps_csv

    return chip_steps_csv(profile)


def _find_width() -> int:
    return shutil.get_terminal_size((160, 24)).columns


def _to_json(plain: Mapping[str, Any]) -> str:
    return f"{json.dumps(plain, indent=2, allow_nan=False)}\n"


def _to_bytes(made: str | bytes) -> bytes:
    return made.encode() if isinstance(made, str) else made
