"""snnmap profile: what each layer of a model costs."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from snnmap.cli.messages import report_stages
from snnmap.cli.options import naming_file
from snnmap.cli.records import read_record, record_options
from snnmap.core import fsio
from snnmap.core.errors import InputError
from snnmap.profile import GraphProfile, ProfileOptions, draw_bars, format_csv, format_html, format_table, summarise

__all__ = ["command"]

Render = Callable[[GraphProfile], bytes]

_FORMS: Mapping[str, Render] = {
    "txt": lambda profile: f"{format_table(profile, 160)}\n".encode(),
    "csv": lambda profile: format_csv(profile).encode(),
    "json": lambda profile: f"{json.dumps(summarise(profile), indent=2, allow_nan=False)}\n".encode(),
    "html": lambda profile: format_html(profile).encode(),
    "svg": lambda profile: draw_bars(profile, "svg"),
    "png": lambda profile: draw_bars(profile, "png"),
}
"""What a file's suffix asks for."""


@click.command("profile")
@click.argument("model")
@click.option(
    "--input-shape", "--shape", multiple=True, help="Of one sample of an input, such as 3,224,224; once for each input."
)
@click.option("--weights", type=click.Path(dir_okay=False), help="Weights (state_dict) for the torch module of MODEL.")
@click.option(
    "--inputs",
    "-i",
    type=click.Path(),
    help="Samples (.npy, or .npz by the inputs' names) in the order of time, on which sparsity is measured.",
)
@click.option("--format", "form", type=click.Choice(["text", "csv", "json"]), default="text", help="Form on stdout.")
@click.option(
    "--output",
    "-o",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="File, as often as wanted, whose suffix says what is in it: .svg and .png bars, .html a page, .csv, .json, .txt.",
)
@record_options(ProfileOptions)
def command(model: str, **choices: Any) -> None:
    """Profile MODEL, layer by layer: parameters, operations, data volumes, bandwidths, memory, sparsity."""
    _KINDS[_find_kind(model)](model, choices)


def _profile_layers(model: str, choices: Mapping[str, Any]) -> None:
    """Profile an ONNX file, or a torch module named ``FILE.py:FUNCTION``."""
    from snnmap.pipeline.profile import profile_model, read_profile_data

    renders = [(Path(path), _find_form(path)) for path in choices["output"]]
    shapes, options = list(map(_read_shape, choices["input_shape"])), read_record(ProfileOptions, choices)
    on_stage, path = report_stages(), choices["inputs"]
    on_stage("reading the model")
    data = None if path is None else read_profile_data(path)
    with naming_file(path):
        profile = profile_model(model, *shapes, options=options, data=data, weights=choices["weights"])
    for file, render in renders:
        fsio.write_file(file, render(profile))
    if choices["form"] == "text":
        click.echo(format_table(profile, shutil.get_terminal_size((160, 24)).columns))
    else:
        click.echo(_FORMS[choices["form"]](profile).decode(), nl=False)


def _profile_bitstream(model: str, choices: Mapping[str, Any]) -> None:  # noqa: ARG001 what every kind takes
    """Refuse a bitstream."""
    raise InputError(
        "bitstreams are not profiled yet",
        where=model,
        fix=f"see what is in it with: snnmap inspect {model}; or profile the model that it was built from",
    )


_KINDS: Mapping[str, Callable[[str, Mapping[str, Any]], None]] = {
    "layers": _profile_layers,
    "bitstream": _profile_bitstream,
}
"""What profiles a model, by its kind."""


def _find_kind(model: str) -> str:
    return "bitstream" if Path(model).suffix.lower() == ".bin" else "layers"


def _find_form(path: str) -> Render:
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in _FORMS:
        known = ", ".join(f".{name}" for name in _FORMS)
        raise InputError(
            "the file's suffix says no form of a profile", where="--output", measured=path, limit=known, fix="give one of these"
        )
    return _FORMS[suffix]


def _read_shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(side) for side in text.split(","))
    except ValueError:
        shape = (0,)
    if min(shape) < 1:
        raise InputError(
            "a shape is no list of whole numbers from 1",
            where="--input-shape",
            measured=text,
            fix="write channels, height and width: --input-shape 3,224,224",
        )
    return shape
