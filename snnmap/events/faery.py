"""Files that faery reads and writes: AEDAT4, DAT and EVT 2.0; it writes EVT 3.0 too."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from snnmap.core.errors import InputError
from snnmap.core.packages import import_package
from snnmap.events.columns import Columns
from snnmap.events.events import Events
from snnmap.events.prophesee import read_header, require_whole_words

__all__ = ["read_aedat4", "read_prophesee", "write_with_faery"]

_UNKNOWN = (2**15, 2**15)
"""A sensor that no header names, given to faery where the file does not say."""
_FIX = "is it whole, and of this format?"
_EVENT_2D, _EVENT_CD = 0, 12
"""Types of DAT events with the same layout; faery knows the second only."""


def read_aedat4(path: Path) -> Columns:
    """Read the first stream of events of an AEDAT4 file, in a process of its own.

    Raises:
        InputError: faery cannot read it.
    """
    import_package("faery", extra="events")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "columns.npz"
        run = subprocess.run(
            [sys.executable, "-P", str(Path(__file__).with_name("aedat4_process.py")), str(path), str(target)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "RUST_BACKTRACE": "0"},
            capture_output=True,
            check=False,
        )
        if run.returncode:
            lines = run.stderr.decode(errors="replace").split("\n")
            reason = next(filter(str.strip, reversed(lines)), "") if run.returncode > 0 else "it aborted"
            raise InputError(f"faery cannot read the file: {reason}", fix=_FIX)
        with np.load(target) as content:
            height, width = content["shape"].tolist()
            columns = {name: content[name] for name in ("t_us", "x", "y", "polarity")}
    return Columns(**columns, shape=(height, width))


def read_prophesee(path: Path, content: bytes, encoding: str) -> Columns:
    """Read a DAT or EVT 2.0 file.

    Args:
        path: of the file.
        content: its bytes.
        encoding: ``dat`` or ``evt2``.

    Raises:
        InputError: it holds no events, ends within one, or faery cannot read it.
    """
    header = read_header(content)
    require_whole_words(content, header, encoding)
    version = {"dat": "dat2", "evt2": "evt2"}[encoding]
    if encoding == "dat" and content[header.n_bytes] == _EVENT_2D:
        with tempfile.TemporaryDirectory() as folder:
            retyped = Path(folder) / "retyped.dat"
            retyped.write_bytes(content[: header.n_bytes] + bytes([_EVENT_CD]) + content[header.n_bytes + 1 :])
            return _read(retyped, "dat", version)
    return _read(path, "dat" if encoding == "dat" else "evt", version)


def write_with_faery(path: Path, events: Events, file_type: str, version: str | None) -> None:
    """Write events by faery, with their times as they are.

    Raises:
        InputError: faery refuses them.
    """
    faery: Any = import_package("faery", extra="events")
    table = np.zeros(len(events), faery.EVENTS_DTYPE)
    for name, values in (("t", events.t_us), ("x", events.x), ("y", events.y), ("p", events.polarity)):
        table[name] = values
    height, width = events.shape
    with _refuse("faery cannot write the events"):
        stream = faery.events_stream_from_array(table, (width, height))
        stream.to_file(path, version=version, file_type=file_type, zero_t0=False)


def _read(path: Path, file_type: str, version: str) -> Columns:
    faery: Any = import_package("faery", extra="events")
    with _refuse("faery cannot read the file", fix=_FIX):
        stream = faery.events_stream_from_file(path, file_type=file_type, dimensions_fallback=_UNKNOWN, version_fallback=version)
        width, height = stream.dimensions()
        table = stream.to_array()
    shape = None if (width, height) == _UNKNOWN else (height, width)
    return Columns(t_us=table["t"], x=table["x"], y=table["y"], polarity=table["p"], shape=shape)


@contextmanager
def _refuse(what: str, *, fix: str = "") -> Iterator[None]:
    """Make an InputError of whatever faery raises, for it has no exceptions of its own."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{what}: {error}", fix=fix) from error
