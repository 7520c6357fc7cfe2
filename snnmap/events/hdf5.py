"""Events in HDF5: Metavision's layout (``CD/events``) and DSEC's (``events/x``, ``y``, ``p``, ``t``)."""

from pathlib import Path
from typing import Any

import numpy as np

from snnmap.core.errors import InputError
from snnmap.core.packages import import_package
from snnmap.events.columns import Columns
from snnmap.events.prophesee import read_header

__all__ = ["read_hdf5"]


def read_hdf5(path: Path) -> Columns:
    """Read either layout.

    DSEC's times are given with its ``t_offset`` added, where there is one. The sensor's size is Metavision's attribute
    ``geometry``, of the root or of the dataset; DSEC's files do not hold it.

    Raises:
        InputError: it is no HDF5 file, has neither layout, or is compressed by a filter that is not installed.
    """
    h5py = import_package("h5py", extra="events")
    try:
        with h5py.File(path, "r") as file:
            if "CD/events" in file:
                return _read_metavision(file)
            if all(f"events/{name}" in file for name in "xypt"):
                return _read_dsec(file)
            names = ", ".join(file)
    except (OSError, KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"the HDF5 file cannot be read: {error}",
            fix="Metavision's files need its ECF filter for HDF5, DSEC's Blosc ('import hdf5plugin' first)",
        ) from error
    raise InputError("the HDF5 file has no known layout", measured=names, limit="CD/events, or events/x, y, p and t")


def _read_metavision(file: Any) -> Columns:
    table = file["CD/events"]
    events = table[()]
    geometry = file.attrs.get("geometry", table.attrs.get("geometry", ""))
    text = geometry.decode() if isinstance(geometry, bytes) else str(geometry)
    shape = read_header(f"% geometry {text}\n".encode()).shape
    return Columns(t_us=events["t"], x=events["x"], y=events["y"], polarity=events["p"], shape=shape)


def _read_dsec(file: Any) -> Columns:
    x, y, polarity, t_us = (file[f"events/{name}"][()] for name in "xypt")
    if "t_offset" in file and t_us.dtype.kind in "iu":
        t_us = t_us.astype(np.int64) + int(file["t_offset"][()])
    return Columns(t_us=t_us, x=x, y=y, polarity=polarity, shape=None)
