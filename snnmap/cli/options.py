"""Arguments that several verbs take."""

import ast
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnmap.chip import Chip, list_chips, load_chip
from snnmap.cli.complete import complete_chips, complete_rules
from snnmap.cli.records import record_options
from snnmap.core import IntArray, fsio
from snnmap.core.errors import FormatError, InputError, OptionError
from snnmap.findings import Config, WaiverError, find_config, read_config
from snnmap.lif.bitstream import decode
from snnmap.lif.program import Image
from snnmap.loading import Opened, open_model
from snnmap.network import read_raster, require_steps
from snnmap.pipeline import FAILED_BUILD, CompileOptions

__all__ = [
    "bitstream_chip_option",
    "build_options",
    "config_option",
    "input_shape_option",
    "chip_option",
    "chips_option",
    "load_chips",
    "model_options",
    "naming_file",
    "open_named",
    "quantised_model_options",
    "read_array",
    "read_bytes",
    "read_counts",
    "read_data",
    "read_image",
    "read_project",
    "read_shape",
    "read_shapes",
    "warn_of_failed_build",
    "write_text",
]


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what names a model: its argument, weights, and choices of its frontend."""
    for option in (
        click.option(
            "--read",
            multiple=True,
            metavar="NAME=VALUE",
            help="Choice of the frontend, such as integrator=euler of NIR, or of an ANN's conversion, such as prune=True.",
        ),
        click.option("--weights", type=click.Path(dir_okay=False), help="Weights (state_dict) for the torch module of MODEL."),
        click.argument("model"),
    ):
        command = option(command)
    return command


def load_chips(names: tuple[str, ...]) -> list[Chip]:
    """Load the chips that a command names; ``all`` is the catalog."""
    every = [found for name in names for found in (list_chips() if name == "all" else (name,))]
    return [load_chip(name) for name in dict.fromkeys(every)]


def open_named(
    model: str, weights: str | None, read: tuple[str, ...], calibration: IntArray | None, chips: Sequence[Chip] = ()
) -> Opened:
    """Open the model that a command names, for one of some chips; say what was done to an ANN for it.

    Raises:
        FrontendError: as :func:`snnmap.loading.open_model`, and its other errors.
    """
    choices = dict(map(_read_choice, read))
    try:
        opened = open_model(model, weights=weights, calibration=calibration, chips=chips, **choices)
    except OptionError as error:
        raise error.within("--read") from error
    for told in () if opened.conversion is None else opened.conversion.changes:
        click.echo(told, err=True)
    return opened


def _read_choice(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        what = "this option takes the name of a choice and its value"
        raise OptionError(what, where="--read", measured=text, fix="write --read NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def quantised_model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what an ONNX file of a quantised model may leave unsaid: shapes, as :func:`read_shapes` takes them, and scales."""
    for option in (
        click.option("--quantisation", type=click.Path(), help="Scales and zero points (.json) of a model of floats, by tensor."),
        click.option(
            "--shape",
            "--input-shape",
            "shape",
            help="Of one sample, such as 3,224,224, where the model does not say it; of several inputs a=3,8,8;b=5.",
        ),
    ):
        command = option(command)
    return command


input_shape_option: Callable[..., Any] = click.option(
    "--input-shape", "--shape", multiple=True, help="Of one sample of an input, such as 3,224,224; once for each input."
)


def read_shape(text: str) -> tuple[int, ...]:
    """Read what an option of a shape says.

    Raises:
        InputError: it is no list of whole numbers from 1.
    """
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


def read_shapes(text: str | None) -> Any:
    """Read what an option of one shape, or of shapes by name (``a=3,8,8;b=5``), says."""
    if text is None:
        return None
    try:
        if "=" not in text:
            return read_shape(text)
        return {name: read_shape(sides) for name, _, sides in (part.partition("=") for part in text.split(";"))}
    except InputError as error:
        fix = "write 3,224,224, or image=3,224,224;state=128"
        raise InputError(error.what, where="--shape", measured=text, fix=fix) from error


chip_option: Callable[..., Any] = click.option(
    "--chip", "-c", required=True, shell_complete=complete_chips, help="Name of a chip, or path of its TOML file."
)
chips_option: Callable[..., Any] = click.option(
    "--chip",
    "-c",
    "chips",
    multiple=True,
    shell_complete=complete_chips,
    help="Name of a chip, path of its TOML file, or all; may be given several times.",
)
bitstream_chip_option: Callable[..., Any] = click.option(
    "--chip",
    "-c",
    shell_complete=complete_chips,
    help="Name or TOML file of the bitstream's chip, where it is not a built-in one.",
)


config_option: Callable[..., Any] = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    help="TOML file of the project's choices and waivers; without, the nearest snnmap.toml or pyproject.toml with [tool.snnmap].",
)


def read_project(config: str | None, model: str) -> Config:
    """Read the configuration that was named, else that of the model's folder or those above it."""
    folder = Path(model.partition(":")[0]).parent
    return read_config(Path(config)) if config else find_config(folder if folder.is_dir() else Path())


def build_options(*, without: Collection[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options that check and build share, so that both see the same numbers.

    Args:
        without: choices of a build (:class:`CompileOptions`) that the verb has no use for.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = record_options(
            CompileOptions, pairs={"limits": "--limit"}, complete={"allow": complete_rules}, without=("waivers", *without)
        )(command)
        for option in (_labels_option, _calibration_option):
            command = option(command)
        return command

    return decorate


_calibration_option: Callable[..., Any] = click.option(
    "--calibration",
    type=click.Path(),
    help="Spike counts (.npy) of typical use: they set scales and rounding, "
    "and model and bitstream are compared on them; without, inputs are drawn.",
)
_labels_option: Callable[..., Any] = click.option(
    "--labels", type=click.Path(), help="Classes (.npy) of the calibration's samples, for the accuracy."
)


def read_data(calibration: str | None, labels: str | None) -> tuple[IntArray | None, IntArray | None]:
    """Read calibration data and labels, where they are given."""
    return (None if calibration is None else read_array(calibration)), (None if labels is None else read_array(labels))


def read_bytes(path: str) -> bytes:
    """Read a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=path, fix=_name_bitstreams(path)) from error


def _name_bitstreams(folder: str) -> str:
    """Return the fix that names the bitstreams of a folder that stands in the place of one."""
    found = sorted(map(str, Path(folder).glob("*.bin")))
    return f"give one of its bitstreams: {', '.join(found)}" if found else "give the path of a file"


def write_text(text: str, output: str | None) -> None:
    """Write a text to the file that an option names, or to stdout where it is left out."""
    if output is None:
        click.echo(text, nl=False)
    else:
        fsio.write_file(Path(output), text.encode())


def read_image(path: str, chip: str | None) -> Image:
    """Decode a bitstream.

    Args:
        path: of the file.
        chip: name or TOML file of its chip; None for a built-in one.

    Raises:
        InputError: it cannot be read.
        FormatError: it is not a bitstream, or damaged.
    """
    record = load_chip(chip) if chip else None
    try:
        return decode(read_bytes(path), chip=record)
    except FormatError as error:
        raise error.within(path) from error


def warn_of_failed_build(bitstream: str) -> None:
    """Say so where a later build into the folder of a bitstream failed."""
    mark = Path(bitstream).with_name(FAILED_BUILD)
    if mark.is_file():
        click.echo(f"a later build into this folder failed ({mark}): {bitstream} is of the build before it", err=True)


def read_counts(path: str, n_inputs: int) -> IntArray:
    """Read the inputs of an image, ``(n_samples, n_steps, n_inputs) int64`` spike counts.

    Raises:
        InputError: they cannot be read, are of other channels, or none.
    """
    with naming_file(path):
        counts = read_raster(read_array(path), n_inputs, where="input raster")
    require_steps(counts, where=path, fix="give the spike counts of a sample")
    return counts


def read_array(path: str) -> IntArray:
    """Read an array from a ``.npy`` file, or from text with a row a line.

    Raises:
        InputError: it cannot be read as an array.
    """
    fix = "give a .npy file, or text with a row a line, its numbers parted by blanks or commas, and no head"
    try:
        loaded = _load(path)
    except Exception as error:  # numpy lets through whatever the bytes lead its readers to
        raise InputError(f"the array cannot be read: {error}", where=path, fix=fix) from error
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise InputError("the file holds an archive of arrays", where=path, measured="zip", limit="one .npy array", fix=fix)
    return np.asarray(loaded)


def _load(path: str) -> Any:
    if not path.endswith(".npy"):
        with Path(path).open(encoding="utf-8") as text:  # numpy would fetch addresses and unpack archives
            rows = [line for line in text if line.partition("#")[0].strip()]
        if not rows:
            raise ValueError("it holds no numbers")
        return np.loadtxt(rows, ndmin=2, delimiter="," if "," in rows[0] else None)
    with Path(path).open("rb") as stream:  # numpy leaves a damaged file open
        return np.load(stream, allow_pickle=False)


@contextmanager
def naming_file(path: str | None, *, labels: str | None = None) -> Iterator[None]:
    """Let errors of an input raster, and of its labels, say which file it came from."""
    try:
        yield
    except (WaiverError, OptionError):  # name what they are about
        raise
    except InputError as error:
        file = (labels or path) if error.where == "labels" else path
        if file is None or str(error.where).startswith(file):
            raise
        raise error.within(file) from error
