"""Arguments that several verbs take."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnmap.bitstream import decode
from snnmap.chip import load_chip
from snnmap.errors import FormatError, InputError
from snnmap.ir import AgreementLimits, Image, IntArray
from snnmap.mapping import FoldOptions
from snnmap.pipeline import CompileOptions

__all__ = [
    "bitstream_chip_option",
    "build_options",
    "chip_option",
    "model_argument",
    "naming_file",
    "read_array",
    "read_bytes",
    "read_data",
    "read_image",
    "read_options",
    "stretch_option",
]

model_argument: Callable[..., Any] = click.argument("model")
chip_option: Callable[..., Any] = click.option("--chip", "-c", required=True, help="Name of a chip, or path of its TOML file.")
bitstream_chip_option: Callable[..., Any] = click.option(
    "--chip", "-c", help="Name or TOML file of the bitstream's chip, where it is not a built-in one."
)
stretch_option: Callable[..., Any] = click.option(
    "--stretch-loops", is_flag=True, help="Lengthen the delays of loops that are too short to fold."
)
_LIMITS = [field.name for field in fields(AgreementLimits)]


def build_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that check and build share, so that both see the same numbers."""
    for option in reversed(
        [
            click.option(
                "--calibration",
                type=click.Path(),
                help="Spike counts (.npy) of typical use: they set scales and rounding, "
                "and model and bitstream are compared on them; without, inputs are drawn.",
            ),
            click.option(
                "--hold-back",
                type=float,
                default=CompileOptions().hold_back,
                show_default=True,
                metavar="SHARE",
                help="Share of the calibration's samples that are kept from the quantiser, and compared on.",
            ),
            click.option("--labels", type=click.Path(), help="Classes (.npy) of the calibration's samples, for the accuracy."),
            click.option(
                "--decision", type=click.Choice(["count", "last", "mean", "max"]), help="How classes are read from outputs."
            ),
            click.option(
                "--allow",
                multiple=True,
                metavar="RULE",
                help="Tell errors of a rule of family 6 (SNN601, or SNN6 for all) as warnings.",
            ),
            click.option(
                "--limit", "limits", multiple=True, metavar="NAME=VALUE", help=f"Limit of agreement: {', '.join(_LIMITS)}."
            ),
            stretch_option,
        ]
    ):
        command = option(command)
    return command


def read_options(
    *,
    stretch_loops: bool,
    decision: Any,
    hold_back: float,
    allow: tuple[str, ...],
    limits: tuple[str, ...],
    verify: bool = True,
) -> CompileOptions:
    """Give the choices of a build from the values of its options.

    Raises:
        InputError: an unknown limit or rule, or a value that is no number.
    """
    return CompileOptions(
        fold=FoldOptions(stretch_loops=stretch_loops),
        decision=decision,
        hold_back=hold_back,
        allow=allow,
        limits=AgreementLimits(**dict(map(_read_limit, limits))),
        verify=verify,
    )


def _read_limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name not in _LIMITS or math.isnan(number):
        raise InputError(
            "this is no limit of agreement",
            where="--limit",
            measured=text,
            limit=", ".join(_LIMITS),
            fix="give --limit rate_low=0.7",
        )
    return name, number


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
        raise InputError(f"the file cannot be read: {error.strerror}", where=path, fix="give the path of a file") from error


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


def read_array(path: str) -> IntArray:
    """Read spike counts from a ``.npy`` file, or from text with one line a step.

    Raises:
        InputError: it cannot be read as an array.
    """
    fix = "give a .npy file, or text with one line a step"
    try:
        loaded = _load(path)
    except Exception as error:  # numpy lets through whatever the bytes lead its readers to
        raise InputError(f"the input raster cannot be read: {error}", where=path, fix=fix) from error
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise InputError("the file holds an archive of arrays", where=path, measured="zip", limit="one .npy array", fix=fix)
    return np.asarray(loaded)


def _load(path: str) -> Any:
    if not path.endswith(".npy"):
        return np.loadtxt(path, ndmin=2)
    with Path(path).open("rb") as stream:  # numpy leaves a damaged file open
        return np.load(stream, allow_pickle=False)


@contextmanager
def naming_file(path: str | None) -> Iterator[None]:
    """Let errors of an input raster say which file it came from."""
    try:
        yield
    except InputError as error:
        raise (error if path is None else error.within(path)) from error
