"""Arguments that several verbs take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from snnmap.errors import InputError
from snnmap.ir import IntArray

__all__ = ["chip_option", "model_argument", "read_array", "read_bytes", "stretch_option"]

model_argument: Callable[..., Any] = click.argument("model")
chip_option: Callable[..., Any] = click.option("--chip", "-c", required=True, help="Name of a chip, or path of its TOML file.")
stretch_option: Callable[..., Any] = click.option(
    "--stretch-loops", is_flag=True, help="Lengthen the delays of loops that are too short to fold."
)


def read_bytes(path: str) -> bytes:
    """Read a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=path, fix="give the path of a file") from error


def read_array(path: str) -> IntArray:
    """Read spike counts from a ``.npy`` file, or from text with one line a step.

    Raises:
        InputError: it cannot be read as an array.
    """
    try:
        loaded = np.load(path, allow_pickle=False) if path.endswith(".npy") else np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(
            f"the input raster cannot be read: {error}", where=path, fix="give a .npy file, or text with one line a step"
        ) from error
    return np.asarray(loaded)
