"""One door to files of events."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from snnmap.core.errors import InputError
from snnmap.core.fsio import write_file
from snnmap.events.columns import Columns
from snnmap.events.events import Events
from snnmap.events.faery import read_aedat4, read_prophesee, write_with_faery
from snnmap.events.hdf5 import read_hdf5
from snnmap.events.orchard import decode_orchard
from snnmap.events.prophesee import decode_evt3, read_header

__all__ = ["read_events", "write_events"]

FORMATS = ("aedat4", "bin", "dat", "evt2", "evt3", "hdf5")
_SUFFIXES = {".aedat4": "aedat4", ".bin": "bin", ".dat": "dat", ".h5": "hdf5", ".hdf5": "hdf5"}
_HDF5_MAGIC, _AEDAT_MAGIC = b"\x89HDF\r\n\x1a\n", b"#!AER-DAT4"
_WRITERS = {"aedat4": ("aedat", None), "dat": ("dat", "dat2"), "evt2": ("evt", "evt2"), "evt3": ("evt", "evt3")}


def read_events(
    path: Path | str,
    *,
    shape: tuple[int, int] | None = None,
    format: str | None = None,  # noqa: A002
    sort: bool = False,
) -> Events:
    """Read a file of events, of the whole recording.

    =========== ============================================================ ==================================
    format      of                                                           recognised by
    =========== ============================================================ ==================================
    ``aedat4``  iniVation's AEDAT 4.0, its first stream of events             its first bytes, ``.aedat4``
    ``bin``     N-MNIST and N-Caltech101, 40 bits an event                    ``.bin``
    ``dat``     Prophesee's DAT                                               its header, ``.dat``
    ``evt2``    Prophesee's RAW with EVT 2.0                                  its header
    ``evt3``    Prophesee's RAW with EVT 3.0                                  its header
    ``hdf5``    Metavision's ``CD/events``, DSEC's ``events/{x,y,p,t}``       its first bytes, ``.h5``, ``.hdf5``
    =========== ============================================================ ==================================

    Args:
        path: of the file.
        shape: rows and columns of the sensor; None where the file says. N-MNIST's sensor is (34, 34).
        format: one of the table; None means to recognise it.
        sort: put events in order of time (stable) where the file does not; otherwise such a file is refused.

    Raises:
        InputError: the file cannot be read, is empty, cut short or damaged, does not say its sensor's size, or holds events
            outside of it.
        FrontendError: the package that reads the format is not installed (extra ``events``).
    """
    path = Path(path)
    try:
        columns = _read_columns(path, format)
        if sort:
            columns = _put_in_order(columns)
        return columns.to_events(_choose_shape(columns, shape))
    except InputError as error:
        raise error.within(str(path)) from error


def write_events(path: Path | str, events: Events, *, format: str) -> None:  # noqa: A002
    """Write a file of events through faery, which is read back first: whole and the same, or not at all.

    Args:
        path: of the file.
        events: not none, with times from 0.
        format: ``aedat4``, ``dat``, ``evt2`` or ``evt3``.

    Raises:
        InputError: the format is not one of them, or cannot hold the events: of DAT a time is at most 2**32 us and a side of
            the sensor 2**14, of EVT 2.0 and 3.0 any time and 2**11.
        FrontendError: faery is not installed (extra ``events``).
        OSError: the file cannot be written.
    """
    path = Path(path)
    _require_format(format, tuple(_WRITERS))
    if not len(events) or events.t_us[0] < 0:
        raise InputError("a file holds at least one event and times from 0", where=str(path), measured=f"{len(events)} events")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "events"
        write_with_faery(draft, events, *_WRITERS[format])
        if not _holds(draft, events, format):
            raise InputError(f"{format} cannot hold these events: read back, they are not the same", where=str(path))
        write_file(path, draft.read_bytes())


def _holds(draft: Path, events: Events, kind: str) -> bool:
    try:
        return read_events(draft, shape=events.shape, format=kind) == events
    except InputError:
        return False


def _read_columns(path: Path, kind: str | None) -> Columns:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}") from error
    if not content:
        raise InputError("the file is empty")
    kind = kind or _recognise(path, content)
    _require_format(kind, FORMATS)
    if kind == "hdf5":
        return read_hdf5(path)
    if kind == "aedat4":
        return read_aedat4(path)
    if kind in ("dat", "evt2"):
        return read_prophesee(path, content, kind)
    return decode_evt3(content) if kind == "evt3" else decode_orchard(content)


def _recognise(path: Path, content: bytes) -> str:
    if content.startswith(_HDF5_MAGIC):
        return "hdf5"
    if content.startswith(_AEDAT_MAGIC):
        return "aedat4"
    kind = read_header(content).encoding or _SUFFIXES.get(path.suffix.lower(), "")
    if not kind:
        raise InputError("the format is not recognised", limit=", ".join(FORMATS), fix="name it with 'format'")
    return kind


def _require_format(kind: str, formats: tuple[str, ...]) -> None:
    if kind not in formats:
        raise InputError("no such format of events", where="format", measured=kind, limit=", ".join(formats))


def _choose_shape(columns: Columns, shape: tuple[int, int] | None) -> tuple[int, int]:
    chosen = shape or columns.shape
    if chosen is None:
        needs = f"events need {int(columns.y.max()) + 1} by {int(columns.x.max()) + 1}" if len(columns.x) else ""
        raise InputError("the file does not say the size of its sensor", measured=needs, fix="give 'shape', rows and columns")
    return chosen


def _put_in_order(columns: Columns) -> Columns:
    order = np.argsort(columns.t_us, kind="stable")
    values = {name: getattr(columns, name)[order] for name in ("t_us", "x", "y", "polarity")}
    return replace(columns, **values)
